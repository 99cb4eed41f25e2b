"""Public suffixes and whole TLDs stay out of lists."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from filterd.lists.guard import guard, is_public_suffix
from filterd.lists.rule import Reason
from filterd.wire import names

SUFFIXES = PublicSuffixList()
RULES = [
    line.strip()
    for line in resources.files("publicsuffixlist")
    .joinpath("public_suffix_list.dat")
    .read_text("utf-8")
    .split("\n")
    if line.strip() and not line.startswith("//")
]


@pytest.mark.parametrize("text", ["com", "win", "kz", "xn--p1ai", "test", "."])
def test_whole_tlds(text: str):
    assert guard()(names.from_text(text)) is Reason.WHOLE_TLD


@pytest.mark.parametrize(
    "text",
    [
        "co.uk",
        "edu.kz",
        "pages.dev",
        "github.io",
        "blogspot.com",
        "duckdns.org",
        "xn--55qx5d.cn",
        "foo.ck",
        "kobe.jp",
    ],
)
def test_suffixes_of_both_sections(text: str):
    assert guard()(names.from_text(text)) is Reason.PUBLIC_SUFFIX


@pytest.mark.parametrize(
    "text", ["example.com", "x.pages.dev", "www.ck", "city.kobe.jp", "a.b.example.co.uk"]
)
def test_names_below_a_suffix_pass(text: str):
    assert guard()(names.from_text(text)) is None


def test_what_the_entry_of_the_list_names_passes():
    refuse = guard([names.from_text("pages.dev"), names.from_text("zip")])
    assert refuse(names.from_text("pages.dev")) is None
    assert refuse(names.from_text("zip")) is None
    assert refuse(names.from_text("github.io")) is Reason.PUBLIC_SUFFIX


def test_every_rule_of_the_public_suffix_list_is_known():
    missed = []
    for rule in RULES:
        text = rule.removeprefix("!").replace("*", "star")
        if is_public_suffix(names.from_text(text)) != SUFFIXES.is_public(
            names.to_text(names.from_text(text))
        ):
            missed.append(rule)
    assert missed == []


@given(st.sampled_from(RULES), st.sampled_from(["", "a.", "b.a."]))
def test_the_guard_says_what_the_library_says(rule: str, prefix: str):
    name = names.from_text(prefix + rule.removeprefix("!").replace("*", "star"))
    assert is_public_suffix(name) == SUFFIXES.is_public(names.to_text(name))
