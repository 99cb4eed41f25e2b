"""How a local list is written: readable by people, read in full by the product, nothing in it by accident."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from publicsuffixlist import PublicSuffixList

from filterd.lists.rule import EXACT
from filterd.wire import names

if TYPE_CHECKING:
    from conftest import LocalList

HEADER = ("Title", "Category", "Purpose", "Date", "Source of knowledge", "Licence")

# Categories whose real names are not ours to write down; README.md says why for each.
CANARY_ONLY = frozenset(
    {
        "csam",
        "extremism",
        "selfharm",
        "eating",
        "hate",
        "cults",
        "misinfo",
        "malware",
        "phishing",
        "allow_reviewed",
    }
)


def canary(category: str) -> str:
    return f"{category.replace('_', '-')}.canary.filterd.test"


def entries(one: LocalList) -> list[str]:
    """The names of a list as written, with the mark of an exact name and without comments."""
    return [line.split("#")[0].strip() for line in one.lines if line and not line.startswith("#")]


def test_every_line_is_understood(local: tuple[LocalList, ...]) -> None:
    assert {one.source.id: one.rejected for one in local if one.rejected} == {}


def test_every_written_line_gives_exactly_one_rule(local: tuple[LocalList, ...]) -> None:
    for one in local:
        assert len(one.rules) == len(entries(one)), one.source.id


def test_header_says_what_the_list_is(local: tuple[LocalList, ...]) -> None:
    for one in local:
        top = one.lines[: one.lines.index("")]
        fields = dict(line[2:].split(": ", 1) for line in top if not line.startswith("#   "))
        assert tuple(fields) == HEADER, one.source.id
        assert fields["Title"] == one.source.title
        assert fields["Category"] == one.category
        assert fields["Licence"] == one.source.licence
        assert dt.date.fromisoformat(fields["Date"]) >= dt.date(2026, 11, 23)


def test_every_name_stands_below_a_comment_that_says_why(local: tuple[LocalList, ...]) -> None:
    for one in local:
        for before, line in pairwise(one.lines):
            if line and not line.startswith("#"):
                assert before, f"{one.source.id}: {line} begins a group without a comment"


def test_names_are_sorted_within_a_group(local: tuple[LocalList, ...]) -> None:
    for one in local:
        groups: list[list[str]] = [[]]
        for line in one.lines:
            if line and not line.startswith("#"):
                groups[-1].append(line.split("#")[0].strip().removeprefix("="))
            else:
                groups.append([])
        for group in groups:
            assert group == sorted(group), one.source.id


def test_names_are_written_in_one_way(local: tuple[LocalList, ...]) -> None:
    """Lower case, A-labels, no trailing dot, no blanks: so that a search for a name finds it."""
    for one in local:
        for entry, rule in zip(entries(one), one.rules, strict=True):
            assert entry.removeprefix("=") == names.to_text(rule.name), one.source.id


def test_a_name_in_a_labels_is_followed_by_its_readable_form(local: tuple[LocalList, ...]) -> None:
    for one in local:
        for line in one.lines:
            if line.startswith("xn--"):
                entry, _, comment = line.partition("#")
                assert comment.strip() == names.to_unicode(names.from_text(entry.strip()))


def test_nothing_is_listed_twice_or_below_a_listed_parent(local: tuple[LocalList, ...]) -> None:
    for one in local:
        assert [name for name, times in Counter(rule.name for rule in one.rules).items() if times > 1] == []
        wide = {rule.name for rule in one.rules if rule.scope != EXACT}
        for rule in one.rules:
            above = [parent for parent in names.parents(rule.name) if parent != rule.name and parent in wide]
            assert above == [], f"{one.source.id}: {names.to_text(rule.name)} is covered already"


def test_no_public_suffix_is_listed_with_all_below_it(local: tuple[LocalList, ...]) -> None:
    suffixes = PublicSuffixList()
    for one in local:
        for rule in one.rules:
            text = names.to_text(rule.name)
            if suffixes.is_public(text):
                assert rule.scope == EXACT, f"{one.source.id}: {text}"
                assert text in one.source.allow_public_suffix


def test_a_suffix_that_may_stand_in_a_list_does(local: tuple[LocalList, ...]) -> None:
    """An exception that nothing uses would one day let in a mistake."""
    for one in local:
        listed = {names.to_text(rule.name) for rule in one.rules}
        assert set(one.source.allow_public_suffix) <= listed


def test_the_first_name_is_the_canary(local: tuple[LocalList, ...]) -> None:
    for one in local:
        assert entries(one)[0] == canary(one.category)


def test_no_other_name_is_reserved(local: tuple[LocalList, ...]) -> None:
    """A test or example name among real ones is a slip (RFC 6761, RFC 2606)."""
    reserved = (
        b"\x04test\x00",
        b"\x07example\x00",
        b"\x07invalid\x00",
        b"\x09localhost\x00",
        b"\x05local\x00",
    )
    for one in local:
        for rule in one.rules[1:]:
            assert not rule.name.endswith(reserved), names.to_text(rule.name)


def test_categories_whose_names_are_not_ours_hold_the_canary_alone(local: tuple[LocalList, ...]) -> None:
    assert {one.category for one in local if len(one.rules) == 1} == CANARY_ONLY


def test_every_file_in_the_folder_is_in_the_catalogue(blocklists: Path, local: tuple[LocalList, ...]) -> None:
    files = {str(path.relative_to(blocklists)) for path in (blocklists / "local").iterdir()}
    assert files == {one.source.path for one in local}
