"""Merging leaves out what says nothing new, and never changes what a look-up finds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.lists.merging import entries_by_name
from filterd.rules.index import BELOW, EXACT, SUBTREE, Entry, Index, decode, encode, key
from filterd.wire import names

Listed = list[tuple[str, Entry]]


def merged(listed: Listed) -> tuple[dict[str, list[Entry]], Counter[int]]:
    dropped: Counter[int] = Counter()
    records = sorted({key(names.from_text(text)) + b"\x00" + encode([entry]) for text, entry in listed})
    values = dict(entries_by_name(records, lambda number: dropped.update((number,))))
    by_key = {key(names.from_text(text)): text for text, _ in listed}
    return {by_key[found]: list(decode(value)) for found, value in values.items()}, dropped


def test_names_of_several_lists_share_one_value():
    found, dropped = merged([("a.example", Entry(0, 3, SUBTREE)), ("a.example", Entry(1, 7, EXACT))])
    assert found == {"a.example": [Entry(0, 3, SUBTREE), Entry(1, 7, EXACT)]}
    assert not dropped


def test_a_name_and_what_is_below_make_a_subtree():
    found, dropped = merged([("a.example", Entry(0, 3, EXACT)), ("a.example", Entry(0, 3, BELOW))])
    assert found == {"a.example": [Entry(0, 3, SUBTREE)]}
    assert dropped == {0: 1}


def test_a_name_below_one_of_the_same_list_goes():
    found, dropped = merged([("a.example", Entry(0, 3, SUBTREE)), ("x.a.example", Entry(0, 3, SUBTREE))])
    assert found == {"a.example": [Entry(0, 3, SUBTREE)]}
    assert dropped == {0: 1}


def test_what_another_list_says_stays():
    listed = [("a.example", Entry(0, 3, SUBTREE)), ("x.a.example", Entry(1, 3, SUBTREE))]
    assert merged(listed)[0] == {"a.example": [listed[0][1]], "x.a.example": [listed[1][1]]}


def test_an_exact_name_above_covers_nothing():
    listed = [("a.example", Entry(0, 3, EXACT)), ("x.a.example", Entry(0, 3, SUBTREE))]
    assert merged(listed)[0] == {"a.example": [listed[0][1]], "x.a.example": [listed[1][1]]}


def test_exceptions_and_important_entries_are_their_own_kind():
    listed = [
        ("a.example", Entry(0, 3, SUBTREE)),
        ("x.a.example", Entry(0, 3, SUBTREE, allow=True)),
        ("y.a.example", Entry(0, 3, SUBTREE, important=True)),
    ]
    assert {text: one for text, (one,) in merged(listed)[0].items()} == dict(listed)


def test_a_sibling_whose_name_begins_alike_is_not_below():
    listed = [("a.example", Entry(0, 3, SUBTREE)), ("aa.example", Entry(0, 3, SUBTREE))]
    assert merged(listed)[0] == {text: [entry] for text, entry in listed}


TEXTS = st.from_regex(r"([ab]\.){0,3}(com|kz)", fullmatch=True)
ENTRIES = st.builds(
    Entry,
    st.integers(0, 2),
    st.sampled_from((3, 7)),
    st.sampled_from((EXACT, SUBTREE, BELOW)),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(TEXTS, ENTRIES), max_size=25))
def test_every_look_up_finds_the_same_lists_and_categories(listed: Listed):
    whole: dict[bytes, list[Entry]] = {}
    for text, entry in listed:
        whole.setdefault(names.from_text(text), []).append(entry)
    small, _ = merged(listed)
    before = Index.of(whole)
    after = Index.of({names.from_text(text): entries for text, entries in small.items()})
    for top in ("com", "kz"):
        for prefix in (
            "",
            "a.",
            "b.",
            "a.a.",
            "a.b.",
            "b.a.",
            "a.a.a.",
            "b.b.b.",
            "a.b.a.",
            "b.a.b.a.",
            "c.a.",
            "c.c.c.c.",
        ):
            name = names.from_text(prefix + top)
            assert said(before, name) == said(after, name)


def said(index: Index, name: bytes) -> set[tuple[int, int, bool]]:
    return {
        (match.entry.list_no, match.entry.category, match.entry.important) for match in index.lookup(name)
    }
