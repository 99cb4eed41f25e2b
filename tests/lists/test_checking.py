"""Lists kept by people: what to put right, with file and line."""

from __future__ import annotations

import pytest

from filterd.errors import ListError
from filterd.lists.checking import check_local


def test_a_list_in_order(material, categories):
    one = material("one", text="# Betting\na.example\n=b.example\nwww.b.example\n")
    other = material("edu", text="school.example\n", category="allow_edu")
    assert check_local([one, other], categories) == ()


def test_lines_that_give_no_rule(material, categories):
    one = material("one", text="a.example\n  1.2.3.4\nco.uk\n")
    assert [str(finding) for finding in check_local([one], categories)] == [
        f"{one.path}:2:3: ip-address: 1.2.3.4",
        f"{one.path}:3:1: public-suffix: co.uk",
    ]


def test_a_suffix_that_the_entry_allows(material, categories):
    one = material("one", text="=co.uk\n", allow_public_suffix=["co.uk"])
    assert check_local([one], categories) == ()


def test_names_listed_twice_or_covered(material, categories):
    one = material("one", text="a.example\nwww.a.example\nA.example\n=b.example\n")
    assert [str(finding) for finding in check_local([one], categories)] == [
        f"{one.path}:2:1: www.a.example is covered already by a.example on line 1",
        f"{one.path}:3:1: a.example is listed twice, first on line 1",
    ]


def test_exceptions_below_their_own_list_are_meant(material, categories):
    one = material("one", "adblock", "||a.example^\n@@||good.a.example^\n")
    assert check_local([one], categories) == ()


def test_a_name_both_blocked_and_allowed(material, categories):
    block = material("block", text="lab.school.example\nother.example\n")
    allow = material(
        "allow", text="school.example\n=example\n", category="allow_edu", allow_public_suffix=["example"]
    )
    assert [str(finding) for finding in check_local([block, allow], categories)] == [
        f"{block.path}:1:1: lab.school.example is blocked here and allowed by school.example in allow.list:1"
    ]


def test_fetched_lists_are_not_judged(material, categories):
    one = material("one", text="1.2.3.4\n", origin="public", homepage="https://x.example")
    assert check_local([one], categories) == ()


def test_a_missing_list(material, categories):
    one = material("one")
    one.path.unlink()
    with pytest.raises(ListError, match="cannot be read"):
        check_local([one], categories)
