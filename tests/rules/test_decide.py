from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filterd.rules.categories import Categories
from filterd.rules.decide import PRECEDENCE, decide
from filterd.rules.index import BELOW, EXACT, SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.policy import Policy
from filterd.rules.verdict import ALLOWED, Action, Reason, Verdict
from filterd.rules.view import NameRule, NameRules, View
from filterd.wire.names import from_labels, from_text, is_under

A, HTTPS = 1, 65

PUBLIC, LOCAL, LICENSED = 1, 2, 3
LISTS = (
    ListInfo(PUBLIC, "public-list", "adult", "public"),
    ListInfo(LOCAL, "local-list", "adult", "local"),
    ListInfo(LICENSED, "licensed-list", "csam", "licensed"),
)


class World:
    """A view and an index in few words."""

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self.locked = categories.mask(["csam", "extremism", "adult", "malware"])
        self.blocked = self.locked | categories.mask(["gambling", "social", "ads"])
        self.entries: dict[bytes, list[Entry]] = {}
        self.rules: list[NameRule] = []

    def lists(self, list_no: int, name: str, category: str, scope: int = SUBTREE) -> World:
        entry = Entry(list_no, self.categories.by_id[category].bit, scope)
        self.entries.setdefault(from_text(name), []).append(entry)
        return self

    def rule(
        self, kind: str, name: str, layer: str = "school", *, locked: bool = False, scope: int = SUBTREE
    ) -> World:
        self.rules.append(NameRule(from_text(name), scope, kind == "allow", layer, locked))
        return self

    @property
    def view(self) -> View:
        return View(
            self.categories,
            locked=self.locked,
            blocked=self.blocked,
            allowed=self.categories.allowing,
            names=NameRules(self.rules),
            layer_of={self.categories.by_id["social"].bit: "school"},
        )

    def asks(self, name: str, qtype: int = A) -> Verdict:
        return decide(from_text(name), qtype, self.view, Index.of(self.entries, LISTS))


@pytest.fixture
def world(categories: Categories) -> World:
    return World(categories)


# The order of the steps


def test_the_precedence_is_this_list() -> None:
    assert [step.id for step in PRECEDENCE] == [
        "locked_by_people",
        "locked_public",
        "locked_name",
        "name_rule",
        "allow_list",
        "category",
        "exam",
        "default",
    ]
    assert all(step.why for step in PRECEDENCE)


def test_step_1_locked_by_people_beats_all_below_it(world: World) -> None:
    world.lists(LOCAL, "x.kz", "malware").lists(LOCAL, "x.kz", "allow_edu")
    world.rule("allow", "x.kz", "baseline", locked=True).rule("allow", "x.kz", "group", scope=EXACT)
    verdict = world.asks("x.kz")
    assert verdict == Verdict(Action.BLOCK, Reason.LOCKED, "malware", "local-list", "x.kz", "catalogue")


def test_step_2_locked_public_beats_a_schools_allow(world: World) -> None:
    world.lists(PUBLIC, "x.kz", "adult").rule("allow", "www.x.kz", "group", scope=EXACT)
    assert world.asks("www.x.kz").reason is Reason.LOCKED
    assert world.asks("www.x.kz").list_id == "public-list"


def test_step_2_yields_to_a_locked_allow_of_the_baseline(world: World) -> None:
    world.lists(PUBLIC, "x.kz", "adult").rule("allow", "www.x.kz", "baseline", locked=True)
    assert world.asks("www.x.kz").action is Action.ALLOW
    assert world.asks("x.kz").action is Action.BLOCK


def test_step_3_a_locked_name_beats_closer_rules_of_lower_layers(world: World) -> None:
    world.rule("block", "x.kz", "baseline", locked=True).rule("allow", "www.x.kz", "group", scope=EXACT)
    assert world.asks("www.x.kz").layer == "baseline"
    assert world.asks("www.x.kz").action is Action.BLOCK
    world.rules.clear()
    world.rule("allow", "x.kz", "baseline", locked=True).rule("block", "www.x.kz", "group", scope=EXACT)
    assert world.asks("www.x.kz").action is Action.ALLOW


def test_step_3_between_locks_the_closest_wins(world: World) -> None:
    world.rule("block", "x.kz", "baseline", locked=True).rule("allow", "www.x.kz", "baseline", locked=True)
    assert world.asks("www.x.kz").action is Action.ALLOW
    assert world.asks("x.kz").action is Action.BLOCK


def test_step_3_of_equally_close_locks_the_upper_layer_wins(world: World) -> None:
    world.rule("block", "x.kz", "baseline", locked=True).rule("allow", "x.kz", "school", locked=True)
    assert world.asks("x.kz").layer == "baseline"


def test_step_4_a_name_rule_beats_allow_lists_and_categories(world: World) -> None:
    world.lists(PUBLIC, "vk.com", "social").rule("allow", "vk.com")
    assert world.asks("vk.com") == Verdict(
        Action.ALLOW, Reason.NAME_RULE, None, None, "allow vk.com (subtree)", "school"
    )
    world.lists(LOCAL, "edu.kz", "allow_edu").rule("block", "chat.edu.kz", "group")
    assert world.asks("chat.edu.kz").layer == "group"
    assert world.asks("chat.edu.kz").action is Action.BLOCK


def test_step_4_the_longest_name_wins(world: World) -> None:
    world.rule("block", "x.kz", "group").rule("allow", "www.x.kz", "baseline")
    assert world.asks("a.www.x.kz").action is Action.ALLOW
    assert world.asks("www.x.kz").action is Action.ALLOW
    assert world.asks("x.kz").action is Action.BLOCK
    assert world.asks("ww.x.kz").action is Action.BLOCK


def test_step_4_of_one_name_the_lowest_layer_wins(world: World) -> None:
    world.rule("block", "x.kz", "baseline").rule("allow", "x.kz", "school").rule("block", "x.kz", "group")
    assert world.asks("x.kz").layer == "group"
    world.rules.pop()
    assert world.asks("x.kz").layer == "school"


def test_step_4_of_one_name_the_narrower_scope_wins(world: World) -> None:
    world.rule("block", "x.kz", "group").rule("allow", "x.kz", "school", scope=EXACT)
    assert world.asks("x.kz").action is Action.ALLOW
    assert world.asks("www.x.kz").action is Action.BLOCK


def test_step_5_an_allow_list_beats_public_lists(world: World) -> None:
    world.lists(PUBLIC, "www.x.kz", "gambling", EXACT).lists(LOCAL, "x.kz", "allow_health")
    assert world.asks("www.x.kz") == Verdict(
        Action.ALLOW, Reason.ALLOW_LIST, "allow_health", "local-list", "x.kz", "catalogue"
    )


def test_step_5_a_list_of_people_beats_an_allow_list_when_it_names_the_host_more_closely(
    world: World,
) -> None:
    world.lists(LOCAL, "forum.x.kz", "gambling").lists(LOCAL, "x.kz", "allow_edu")
    assert world.asks("forum.x.kz").category == "gambling"
    assert world.asks("x.kz").category == "allow_edu"
    world.lists(PUBLIC, "forum.x.kz", "allow_edu")  # as closely: open
    assert world.asks("forum.x.kz").action is Action.ALLOW


def test_step_5_a_list_of_people_in_a_category_that_is_not_blocked_says_nothing(world: World) -> None:
    world.lists(LOCAL, "forum.x.kz", "games").lists(LOCAL, "x.kz", "allow_edu")
    assert world.asks("forum.x.kz").reason is Reason.ALLOW_LIST


def test_step_6_a_blocked_category(world: World) -> None:
    world.lists(PUBLIC, "vk.com", "social")
    assert world.asks("m.vk.com") == Verdict(
        Action.BLOCK, Reason.CATEGORY, "social", "public-list", "vk.com", "school"
    )


def test_step_6_reports_the_gravest_category(world: World) -> None:
    world.lists(PUBLIC, "www.x.kz", "ads").lists(PUBLIC, "x.kz", "gambling").lists(PUBLIC, "kz", "social")
    assert world.asks("www.x.kz").category == "gambling"


def test_step_6_reports_the_nearest_entry_of_the_category(world: World) -> None:
    world.lists(PUBLIC, "x.kz", "social").lists(LOCAL, "www.x.kz", "social")
    assert world.asks("www.x.kz").list_id == "local-list"


def test_step_7_a_category_that_is_not_blocked_is_allowed(world: World) -> None:
    world.lists(PUBLIC, "x.kz", "games")
    assert world.asks("x.kz") is ALLOWED


def test_nothing_matches_gives_the_shared_verdict(world: World) -> None:
    assert world.asks("example.org") is ALLOWED
    assert world.rule("block", "x.kz").asks("example.org") is ALLOWED


def test_every_type_of_a_name_gets_the_same_verdict(world: World) -> None:
    world.lists(PUBLIC, "vk.com", "social")
    assert len({world.asks("vk.com", qtype) for qtype in (A, 28, HTTPS, 64, 255, 16, 15, 65280)}) == 1


def test_a_bit_that_the_catalogue_does_not_know_blocks_nothing(world: World) -> None:
    world.entries[from_text("x.kz")] = [Entry(PUBLIC, 63, SUBTREE)]
    assert world.asks("x.kz") is ALLOWED


def test_a_list_that_the_index_does_not_describe_still_blocks(world: World) -> None:
    world.lists(9, "x.kz", "social")
    assert world.asks("x.kz") == Verdict(Action.BLOCK, Reason.CATEGORY, "social", None, "x.kz", "school")


# Requirements


@pytest.mark.parametrize("category", ["csam", "extremism"])
@pytest.mark.parametrize("list_no", [PUBLIC, LOCAL, LICENSED])
def test_r1_illegal_content_is_never_opened_and_never_displayed(
    world: World, category: str, list_no: int
) -> None:
    world.lists(list_no, "x.kz", category)
    for allow in ("allow_help", "allow_edu", "allow_health", "allow_system"):
        world.lists(LOCAL, "www.x.kz", allow).lists(PUBLIC, "www.x.kz", allow)
    for layer in ("baseline", "school", "group"):
        world.rule("allow", "www.x.kz", layer, locked=True).rule("allow", "www.x.kz", layer, scope=EXACT)
    verdict = world.asks("www.x.kz")
    assert (verdict.action, verdict.reason, verdict.category) == (Action.BLOCK, Reason.LOCKED, category)
    assert verdict.rule is None


def test_r3_one_domain_four_verdicts(make_policy: Callable[..., Policy], categories: Categories) -> None:
    policy = make_policy("tiers: {senior: {social: X}}\n", "categories: {block: [games]}\n")
    entry = Entry(PUBLIC, categories.by_id["social"].bit, SUBTREE)
    index = Index.of({from_text("vk.com"): [entry]}, LISTS)
    found = {
        group: decide(from_text("vk.com"), A, policy.view(group), index)
        for group in ("little", "middle", "senior", "staff")
    }
    assert [verdict.action for verdict in found.values()] == ["block", "block", "block", "allow"]
    assert found["senior"].reason is Reason.LOCKED
    assert found["senior"].layer == "baseline"
    assert found["little"].layer == "catalogue"


@pytest.mark.parametrize(
    ("category", "opened"), [("gambling", True), ("ads", True), ("malware", False), ("adult", False)]
)
def test_r24_what_people_reviewed_is_opened_but_no_lock_is(world: World, category: str, opened: bool) -> None:
    world.lists(PUBLIC, "chem.example.kz", category).lists(LOCAL, "chem.example.kz", "allow_reviewed")
    verdict = world.asks("www.chem.example.kz")
    assert (verdict.action is Action.ALLOW) is opened
    assert verdict.reason is (Reason.ALLOW_LIST if opened else Reason.LOCKED)


@pytest.mark.parametrize("category", ["adult", "malware", "gambling", "social", "ads"])
@pytest.mark.parametrize("allow", ["allow_help", "allow_health", "allow_edu"])
@pytest.mark.parametrize("allow_list", [PUBLIC, LOCAL])
def test_r24_help_health_and_education_are_never_blocked_by_public_lists(
    world: World, category: str, allow: str, allow_list: int
) -> None:
    world.lists(PUBLIC, "www.nis.edu.kz", category, EXACT).lists(allow_list, "nis.edu.kz", allow)
    assert world.asks("www.nis.edu.kz").reason is Reason.ALLOW_LIST


# Properties, over small worlds in which names often are each other's parents

label = st.sampled_from([b"a", b"b", b"ab"])
name = st.lists(label, min_size=1, max_size=3).map(from_labels)
scope = st.sampled_from([EXACT, SUBTREE, BELOW])
CATEGORY_IDS = ("csam", "adult", "malware", "gambling", "social", "ads", "games", "allow_help", "allow_edu")


@st.composite
def entries(draw: st.DrawFn) -> list[tuple[bytes, int, str, int]]:
    """Listed names as (name, list, category, scope)."""
    one = st.tuples(name, st.sampled_from([PUBLIC, LOCAL, LICENSED]), st.sampled_from(CATEGORY_IDS), scope)
    return draw(st.lists(one, max_size=6))


@st.composite
def some_rules(draw: st.DrawFn) -> list[NameRule]:
    """Rules as the loader lets them through: only the baseline locks, no layer names a name twice."""
    layer = st.sampled_from(["baseline", "school", "group"])
    drawn = draw(st.lists(st.builds(NameRule, name, scope, st.booleans(), layer, st.booleans()), max_size=5))
    kept = {
        (rule.name, rule.scope, rule.layer): replace(rule, locked=rule.locked and rule.layer == "baseline")
        for rule in drawn
    }
    return list(kept.values())


def small_world(
    categories: Categories, listed: list[tuple[bytes, int, str, int]], rules: list[NameRule]
) -> tuple[View, Index]:
    world = World(categories)
    world.rules = rules
    for one, list_no, category, its_scope in listed:
        entry = Entry(list_no, categories.by_id[category].bit, its_scope)
        world.entries.setdefault(one, []).append(entry)
    return world.view, Index.of(world.entries, LISTS)


def covers(listed: bytes, its_scope: int, asked: bytes) -> bool:
    same = listed == asked
    return is_under(asked, listed) and {EXACT: same, SUBTREE: True, BELOW: not same}[its_scope]


@given(entries(), some_rules(), name)
def test_it_is_pure(
    categories: Categories, listed: list[tuple[bytes, int, str, int]], rules: list[NameRule], asked: bytes
) -> None:
    once = decide(asked, A, *small_world(categories, listed, rules))
    again = decide(asked, HTTPS, *small_world(categories, listed[::-1], rules[::-1]))
    assert (once.action, once.reason, once.category, once.layer) == (
        again.action,
        again.reason,
        again.category,
        again.layer,
    )


@given(entries(), some_rules(), name, st.sampled_from(["csam", "adult", "malware"]))
def test_locked_by_people_beats_everything(
    categories: Categories,
    listed: list[tuple[bytes, int, str, int]],
    rules: list[NameRule],
    asked: bytes,
    category: str,
) -> None:
    verdict = decide(asked, A, *small_world(categories, [*listed, (asked, LOCAL, category, EXACT)], rules))
    assert (verdict.action, verdict.reason) == (Action.BLOCK, Reason.LOCKED)


@given(entries(), name, st.sampled_from(["allow_help", "allow_edu"]), st.sampled_from([PUBLIC, LOCAL]))
def test_an_allow_match_beats_public_lists_and_never_a_locked_one_of_people(
    categories: Categories,
    listed: list[tuple[bytes, int, str, int]],
    asked: bytes,
    allow: str,
    allow_list: int,
) -> None:
    verdict = decide(
        asked, A, *small_world(categories, [*listed, (asked, allow_list, allow, EXACT)], rules=[])
    )
    locked_by_people = any(
        (category in {"adult", "malware"} and list_no != PUBLIC) or category == "csam"
        for one, list_no, category, its_scope in listed
        if covers(one, its_scope, asked)
    )
    assert (verdict.action is Action.BLOCK) is locked_by_people


@given(entries(), some_rules(), name, st.data())
def test_adding_an_allow_never_turns_allow_into_block(
    categories: Categories,
    listed: list[tuple[bytes, int, str, int]],
    rules: list[NameRule],
    asked: bytes,
    data: st.DataObject,
) -> None:
    assume(decide(asked, A, *small_world(categories, listed, rules)).action is Action.ALLOW)
    more_listed, more_rules = listed, rules
    if data.draw(st.booleans()):
        allow = (data.draw(name), data.draw(st.sampled_from([PUBLIC, LOCAL])), "allow_edu", data.draw(scope))
        more_listed = [*listed, allow]
    else:
        layer = data.draw(st.sampled_from(["baseline", "school", "group"]))
        locked = layer == "baseline" and data.draw(st.booleans())
        extra = NameRule(data.draw(name), data.draw(scope), allow=True, layer=layer, locked=locked)
        assume(all((one.name, one.scope, one.layer) != (extra.name, extra.scope, layer) for one in rules))
        more_rules = [*rules, extra]
    verdict = decide(asked, A, *small_world(categories, more_listed, more_rules))
    assert verdict.action is Action.ALLOW


@given(st.lists(st.builds(NameRule, name, scope, st.booleans(), st.just("school")), max_size=6), name)
def test_the_longest_match_wins(categories: Categories, rules: list[NameRule], asked: bytes) -> None:
    unique = list({(rule.name, rule.scope): rule for rule in rules}.values())
    verdict = decide(asked, A, *small_world(categories, [], unique))
    applying = [rule for rule in unique if covers(rule.name, rule.scope, asked)]
    if not applying:
        assert verdict is ALLOWED
        return
    longest = max(len(rule.name) for rule in applying)
    of_longest = [rule for rule in applying if len(rule.name) == longest]
    exact = [rule for rule in of_longest if rule.scope == EXACT]
    narrowest = exact or [rule for rule in of_longest if rule.scope == BELOW] or of_longest
    assert (verdict.action is Action.ALLOW) is narrowest[0].allow
