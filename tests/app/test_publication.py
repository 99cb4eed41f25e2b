"""The public policy page: what is filtered and why (R8), and what is not inspected (R7)."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from filterd.app.publication import publication, render
from filterd.config.load import load_config
from filterd.i18n import LANGUAGES, language
from filterd.lists.worker import Job, build

SCHOOL = """\
format: 1
school: s1
title: {kk: "Бірінші мектеп", ru: "Школа № 1", en: "School <1>"}
default_group: pupils
names:
  allow: [{name: kahoot.it, reason: "Used in <b>lessons</b>"}]
  block: [{name: 'пример.kz', reason: "Distracts"}]
groups:
  - {id: pupils, tier: middle, title: {kk: "Оқушылар", ru: "Ученики", en: "Pupils"}, clients: [10.77.1.0/24]}
  - {id: teachers, tier: staff, clients: ["02:42:ac:11:00:09"]}
"""
SAID = {
    "kk": ("Не тексерілмейді", "іздеу сөздерін", "Құмар ойын", "111", "министрлік", "дереккөз жоқ"),
    "ru": (
        "Что не проверяется",
        "поисковые запросы",
        "Азартные игры",
        "111",
        "министерство",
        "источника нет",
    ),
    "en": ("What is not inspected", "search words", "Gambling", "111", "the ministry", "no source"),
}


class Text(HTMLParser):
    """What a reader sees, and every address that the page names."""

    def __init__(self, page):
        super().__init__()
        self.parts, self.links, self.tags, self._style = [], [], [], False
        self.feed(page)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._style = tag == "style"
        self.links += [value for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data):
        if not self._style:
            self.parts.append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    (folder / "school.yaml").write_text(SCHOOL)
    (folder / "filterd.yaml").write_text("state: state\npolicy: {school: school.yaml}\n")
    config = load_config(folder / "filterd.yaml")
    config.state.make()
    build(Job(config.papers, config.state.lists))
    found = publication(config, at=1_795_600_000.0)
    return {code: render(found, language(code)) for code in LANGUAGES}


@pytest.mark.parametrize("code", LANGUAGES)
def test_r7_r8_it_says_what_is_filtered_for_whom_why_and_what_is_not_inspected(pages, code):
    text = Text(pages[code]).text
    for said in SAID[code]:
        assert said in text, said
    assert "kahoot.it" in text
    assert "Used in <b>lessons</b>" in text, "the reason, as it was written and not as markup"
    assert "пример.kz" in text
    for title in {"kk": ("Оқушылар",), "ru": ("Ученики",), "en": ("Pupils", "School <1>")}[code]:
        assert title in text


@pytest.mark.parametrize("code", LANGUAGES)
def test_it_needs_nothing_from_outside_and_runs_nothing(pages, code):
    page = Text(pages[code])
    assert page.links == []
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert f'<html lang="{code}">' in pages[code]
    assert "url(" not in pages[code]


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_client_no_device_and_no_illegal_name_stands_there(pages, code):
    text = pages[code]
    assert not re.search(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", text)
    assert "02:42" not in text
    assert "canary" not in text


def test_locked_blocked_timed_and_open_are_told_apart(pages):
    classes = set(re.findall(r'<td class="(\w+)">', pages["en"]))
    assert classes == {"locked", "blocked", "lessons", "open"}
    row = re.search(r"Gambling, betting.*?</tr>", pages["en"], re.DOTALL)
    assert row is not None
    assert re.findall(r'<td class="(\w+)">', row[0]) == ["blocked", "blocked"]
