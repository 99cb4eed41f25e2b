"""The response policy zone: read by the rules of DNS it says of every name what the filter says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.rules.decide import decide
from filterd.rules.index import BELOW, EXACT, SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.verdict import Action
from filterd.rules.view import NameRule, NameRules, View
from filterd.rules.zone import rules
from filterd.wire import names
from filterd.wire.names import from_text

SCOPES = (EXACT, SUBTREE, BELOW)
CATEGORIES = ("gambling", "social", "allow_help", "malware")
LISTS = tuple(ListInfo(number, f"list-{number}", "gambling", "public") for number in range(2))

labels = st.sampled_from(["a", "b", "c", "0"])
hosts = st.lists(labels, min_size=1, max_size=5).map(lambda parts: from_text(".".join([*parts, "kz"])))


class Zone:
    """The zone as a name server reads it: exact owners, else the wildcard at the closest encloser."""

    def __init__(self, found):
        self.exact = {rule.name: rule.answer for rule in found if not rule.below}
        self.wild = {rule.name: rule.answer for rule in found if rule.below}
        self.nodes = set()
        for name in (*self.exact, *self.wild):
            self.nodes.update(names.parents(name))

    def __call__(self, name):
        if name in self.exact:
            return self.exact[name].kind
        if name in self.nodes:
            return "pass"  # it exists without data of its own: no rule
        encloser = next((parent for parent in names.parents(name) if parent in self.nodes), None)
        found = self.wild.get(encloser)
        return "pass" if found is None else found.kind


def view_of(categories, allow=(), block=(), exam=""):
    layer = [NameRule(name, scope, True, "school", reason="r") for name, scope in allow]
    layer += [NameRule(name, scope, False, "school", reason="r") for name, scope in block]
    return View(
        categories=categories,
        locked=categories.mask(["malware"]),
        blocked=categories.mask(["gambling", "malware"]),
        allowed=categories.allowing,
        names=NameRules(layer),
    )


entries = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.sampled_from(CATEGORIES), st.sampled_from(SCOPES), st.booleans()),
    min_size=1,
    max_size=2,
)
rule_lists = st.dictionaries(hosts, st.sampled_from(SCOPES), max_size=3).map(
    lambda found: list(found.items())
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(hosts, entries, max_size=8), rule_lists, rule_lists, st.lists(hosts, max_size=20))
def test_the_zone_says_what_the_filter_says(categories, listed, allow, block, asked):
    bit = {category: categories.by_id[category].bit for category in CATEGORIES}
    index = Index.of(
        {
            name: [
                Entry(number, bit[category], scope, excepted) for number, category, scope, excepted in found
            ]
            for name, found in listed.items()
        },
        LISTS,
    )
    view = view_of(categories, allow, block)
    zone = Zone(list(rules(view, index)))
    below = [from_text(f"x.{names.to_text(name)}") for name in (*listed, *asked)]
    for name in (*listed, *asked, *below):
        expected = "nxdomain" if decide(name, 1, view, index).action is Action.BLOCK else "pass"
        assert zone(name) == expected, names.to_text(name)


def test_canaries_unfiltered_names_and_illegal_content(categories):
    bit = {one: categories.by_id[one].bit for one in ("gambling", "extremism")}
    index = Index.of(
        {
            from_text("casino.kz"): [Entry(0, bit["gambling"], SUBTREE)],
            from_text("illegal.kz"): [Entry(0, bit["extremism"], SUBTREE)],
        },
        LISTS,
    )
    view = View(categories=categories, blocked=categories.mask(["gambling", "extremism"]))
    special = {"canaries": [from_text("mask.icloud.com")], "unfiltered": [from_text("open.casino.kz")]}
    zone = Zone(list(rules(view, index, **special)))
    for text, kind in (
        ("casino.kz", "nxdomain"),
        ("open.casino.kz", "pass"),
        ("mask.icloud.com", "nxdomain"),
        ("x.mask.icloud.com", "pass"),
        ("illegal.kz", "pass"),
    ):
        assert zone(from_text(text)) == kind, text
    assert Zone(list(rules(view, index, illegal=True)))(from_text("www.illegal.kz")) == "nxdomain"


@pytest.mark.parametrize("mode", ["nodata", "null", "page"])
def test_the_mode_of_a_block_is_the_policys(categories, mode):
    from filterd.wire.synthesis import BlockAnswer  # noqa: PLC0415

    index = Index.of({from_text("casino.kz"): [Entry(0, categories.by_id["gambling"].bit, SUBTREE)]}, LISTS)
    answer = BlockAnswer(mode, 30, page_v4=(b"\x0a\0\0\1",))
    view = View(categories=categories, blocked=categories.mask(["gambling"]), answer=answer)
    found = {rule.answer for rule in rules(view, index)}
    (one,) = found
    assert one.kind == ("nodata" if mode == "nodata" else "addresses")
    assert one.v4 == {"nodata": (), "null": (bytes(4),), "page": (b"\x0a\0\0\1",)}[mode]
