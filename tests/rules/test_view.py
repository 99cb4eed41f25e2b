from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from filterd.rules.categories import Categories
from filterd.rules.index import BELOW, EXACT, SUBTREE
from filterd.rules.view import NameRule, NameRules, View
from filterd.wire.names import from_labels, from_text, labels

label = st.sampled_from([b"a", b"b", b"ab"])
name = st.lists(label, min_size=1, max_size=3).map(from_labels)
rule = st.builds(
    NameRule,
    name=name,
    scope=st.sampled_from([EXACT, SUBTREE, BELOW]),
    allow=st.booleans(),
    layer=st.sampled_from(["baseline", "school", "group"]),
    locked=st.booleans(),
)


@given(st.lists(rule, max_size=10), name)
def test_find_agrees_with_looking_at_every_rule(rules: list[NameRule], asked: bytes) -> None:
    expected = []
    for one in rules:
        own = labels(one.name)
        under = labels(asked)[-len(own) :] == own
        same = one.name == asked
        if under and {EXACT: same, SUBTREE: True, BELOW: not same}[one.scope]:
            expected.append(one)
    found = NameRules(rules).find(asked)
    assert sorted(found, key=id) == sorted(expected, key=id)
    assert [len(one.name) for one in found] == sorted((len(one.name) for one in found), reverse=True)


def test_closer_is_longer_then_narrower_then_lower() -> None:
    def make(text: str, scope: int, layer: str = "school") -> NameRule:
        return NameRule(from_text(text), scope, allow=True, layer=layer)

    ordered = (
        make("a.kz", SUBTREE, "baseline"),
        make("a.kz", SUBTREE, "school"),
        make("a.kz", SUBTREE, "group"),
        make("a.kz", BELOW, "baseline"),
        make("a.kz", EXACT, "baseline"),
        make("b.a.kz", SUBTREE, "baseline"),
    )
    assert all(lower.rank < closer.rank for lower, closer in itertools.pairwise(ordered))


def test_a_rule_reads_as_people_write_it() -> None:
    assert NameRule(from_text("пример.kz"), EXACT, allow=False, layer="group").text == (
        "block xn--e1afmkfd.kz (exact)"
    )


def test_a_view_without_rules_is_quick_to_say_so(categories: Categories) -> None:
    assert not View(categories).names
    assert View(categories) != View(categories)  # a view is equal only to itself: it is a key of memos
