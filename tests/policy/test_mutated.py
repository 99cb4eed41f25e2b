"""A thousand spoiled policies: each is taken whole or refused with its place, and the old one serves."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.app.policydesk import PolicyDesk
from filterd.app.policyfiles import in_force
from filterd.app.policylog import Asked
from filterd.errors import FilterdError

TEXTS = {
    "baseline.yaml": """\
format: 1
title: {kk: б, ru: б, en: b}
tiers:
  middle: {video: T, doh: X}
names:
  allow:
    - {name: egov.kz, locked: true, reason: "State services"}
safe_search:
  middle: {engines: {google: on, youtube: moderate}, locked: [google]}
timetable:
  zone: Asia/Almaty
  terms: [{from: 2026-09-01, to: 2027-05-25}]
""",
    "school.yaml": """\
format: 1
school: s1
title: {kk: м, ru: ш, en: s}
default_group: pupils
categories: {block: [ai], timed: [social], allow: [games]}
services: {block: [tiktok]}
names:
  block:
    - {name: chat.example, scope: exact, reason: "Distracts"}
timetable:
  bells:
    first: [{days: [mon, tue], lessons: ["08:00-08:45", "08:55-09:40"]}]
schedule:
  - {title: Night, hours: ["22:00-06:00"], categories: {block: [social]}}
  - {from: 2027-05-28 09:00, to: 2027-05-28 14:00, exam: true}
groups:
  - {id: pupils, tier: middle, clients: [10.1.0.0/16, 02:42:ac:11:00:02, "lease:pc-*"]}
  - {id: staff, tier: staff, bells: first, clients: [10.2.0.0/16]}
""",
}
MARKS = """
: - [ ] { } , & * ! ' " # X T 99 -1 ~ true . .. é 10.1.0.0/16 lease:pc-* malware csam exam: locked:
"""
PIECES = [
    *MARKS.split(), "", " ", "\n", "\t", "\x00", "08:00-08:45", "2026-02-30", "allow: [doh]", "a" * 300,
    "- " * 40, "{" * 40,
]  # fmt: skip


def spoiled(chance: random.Random) -> dict[str, str]:
    texts = dict(TEXTS)
    for _ in range(chance.randrange(1, 4)):
        which = chance.choice(sorted(texts))
        text = texts[which]
        start = chance.randrange(len(text))
        cut = chance.choice([0, 0, 1, 2, 9, 60])
        texts[which] = text[:start] + chance.choice(PIECES) + text[start + cut :]
    return texts


@pytest.mark.timeout(600)
def test_a_thousand_spoiled_policies(papers):
    """Through the desk, which is what a reload asks: never a traceback, never half applied."""
    papers.write()
    for name, text in TEXTS.items():
        papers.text(name, text)
    config = papers.config()
    config.state.make()
    desk = PolicyDesk(config.state)
    serving = desk.start(config, Asked("test"))
    outcomes, said = {"taken": 0}, []

    @settings(
        max_examples=1000,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def reload_one(seed):
        nonlocal serving
        for name, text in spoiled(random.Random(seed)).items():
            papers.text(name, text)
        try:
            serving = desk.reload(config, Asked("test", why=str(seed)))
            outcomes["taken"] += 1
        except FilterdError as error:
            said.append(str(error))
        kept = in_force(config.state.policies)
        assert kept.version == serving.version
        assert set(kept.groups) == set(serving.groups)

    reload_one()
    assert len(said) + outcomes["taken"] >= 1000
    assert min(len(said), outcomes["taken"]) > 10
    placed = re.compile(r".*(baseline|school)\.yaml(:\d+)*: ")
    assert [one for one in said if not placed.match(one)] == []


@pytest.mark.timeout(240)
def test_spoiled_policies_reloaded_in_a_running_filter(papers, serve):
    process = serve()
    chance = random.Random(7)
    papers.until("games.example", "blocked")
    plain = (papers.folder / "school.yaml").read_text("utf-8")
    for _ in range(12):
        start = chance.randrange(len(plain))
        papers.text(
            "school.yaml", plain[:start] + chance.choice(["[", "\t", ": :", "\x00", "&a"]) + plain[start:]
        )
        said = papers.filterd("reload", status=None)
        if not said.startswith("in force"):
            assert "school.yaml:" in said
        assert papers.ask("virus.example") == "blocked"
        assert process.poll() is None
    papers.text("school.yaml", plain)
    papers.filterd("reload")
    papers.until("games.example", "blocked")
