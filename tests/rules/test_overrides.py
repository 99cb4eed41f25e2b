"""Temporary overrides in views: what they open and close, until when, and what they never lift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import PolicyError
from filterd.rules.overrides import Override, check
from filterd.rules.policy import Policy
from filterd.wire.names import from_text

MakePolicy = Callable[..., Policy]
NOW = datetime(2026, 9, 14, 11, 0, tzinfo=ZoneInfo("Asia/Almaty")).timestamp()

TOP = """\
tiers: {middle: {doh: X, video: T, games: B}}
names:
  allow: [{name: egov.kz, locked: true, reason: r}]
  block: [{name: bad.kz, locked: true, reason: r}]
"""
SCHOOL = """\
names: {block: [{name: chat.kz, reason: r}], allow: [{name: open.kz, reason: r}]}
timetable: {bells: {a: [{days: [mon], lessons: ["10:30-11:30"]}]}}
schedule: [{hours: ["10:45-11:15"], exam: true}]
"""


def override(
    value: str = "games", *, kind: str = "category", allow: bool = True, group: str = "middle",
    until: float = NOW + 600, number: int = 1,
) -> Override:  # fmt: skip
    return Override(number, group, kind, value, allow, until, "for the lesson", "Aigul")  # type: ignore[arg-type]


@pytest.fixture
def policy(make_policy: MakePolicy) -> Policy:
    return make_policy(TOP, SCHOOL)


def has(policy: Policy, category: str, at: float = NOW, group: str = "middle", mask: str = "blocked") -> bool:
    return bool(getattr(policy.view(group, at), mask) >> policy.categories.by_id[category].bit & 1)


def test_r4_r25_it_holds_until_its_second_and_for_its_group_only(policy: Policy) -> None:
    under = policy.under([override(until=NOW + 300)])
    assert not has(under, "games", NOW)
    assert not has(under, "games", NOW + 299.9)
    assert has(under, "games", NOW + 300)
    assert has(under, "games", NOW, "little")
    assert under.view("middle", NOW).valid_until == NOW + 300
    assert under.view("little", NOW) is policy.view("little", NOW), "whom it does not concern keeps the view"
    assert has(policy, "games", NOW), "the policy itself does not change"


def test_for_all_groups(policy: Policy) -> None:
    under = policy.under([override(group="*")])
    assert not any(has(under, "games", NOW, group) for group in ("little", "middle", "senior"))


def test_blocking_a_category(policy: Policy) -> None:
    under = policy.under([override("ai", allow=False, group="senior")])
    assert not has(policy, "ai", NOW, "staff")
    assert has(under, "ai", NOW, "senior")
    bit = policy.categories.by_id["ai"].bit
    assert under.view("senior", NOW).layer_of[bit] == "override"
    assert under.view("senior", NOW).place_of[bit] == "override 1"


def test_a_name_beats_the_schools_rules(policy: Policy) -> None:
    for name, allow in (("chat.kz", True), ("open.kz", False)):
        under = policy.under([override(name, kind="name", allow=allow)])
        rules = under.view("middle", NOW).names.find(from_text(name))
        best = max(rules, key=lambda rule: rule.rank)
        assert (best.allow, best.layer) == (allow, "override")


def test_r25_all_filtering_is_off_but_what_is_locked(policy: Policy) -> None:
    under = policy.under([override("", kind="filtering")])
    view, before = under.view("middle", NOW), policy.view("middle", NOW)
    assert view.blocked == view.locked == before.locked
    assert has(under, "doh", NOW)
    assert before.exam == "school"
    assert view.exam == ""
    kept = {(rule.text, rule.locked) for rule in view.names.all}
    assert kept == {
        ("allow egov.kz (subtree)", True),
        ("block bad.kz (subtree)", True),
        ("allow open.kz (subtree)", False),
    }


def test_r25_safe_search_goes_down_to_what_is_locked(make_policy: MakePolicy) -> None:
    top = "safe_search: {middle: {engines: {google: on, youtube: strict}, locked: [google]}}\n"
    under = make_policy(top).under([override("", kind="filtering")])
    levels = under.view("middle", NOW).safe_search
    assert (levels["google"].level, levels["youtube"].level) == ("on", "off")
    assert from_text("www.google.com") in under.view("middle", NOW).rewrites
    assert from_text("www.youtube.com") not in under.view("middle", NOW).rewrites


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (override("doh"), r"'doh' is locked for group 'middle' at baseline\.yaml:3:23"),
        (override("malware", group="*"), "'malware' is locked for group 'little' at .*categories.yaml:"),
        (override("csam"), "locked"),
        (override("bad.kz", kind="name"), r"is blocked at baseline\.yaml:6:18"),
        (override("www.bad.kz", kind="name"), "is blocked at"),
        (override("www.egov.kz", kind="name", allow=False), "is kept open at"),
        (override("gmes"), "did you mean 'games'"),
        (override("allow_edu", allow=False), "is an allow list"),
        (override(group="midle"), "did you mean 'middle'"),
        (override("kz", kind="name"), "too wide"),
        (override("*.kz", kind="name"), "too wide"),
        (override("a..kz", kind="name"), "not a domain name"),
        (override("", kind="filtering", allow=False), "cannot be blocked"),
    ],
)
def test_r9_r25_never_past_a_lock(policy: Policy, asked: Override, words: str) -> None:
    views = {group: policy.view(group, NOW) for group in policy.groups}
    with pytest.raises(PolicyError, match=words):
        check(asked, views)


@pytest.mark.parametrize(
    "asked", [override(), override("games", allow=False), override("chat.kz", kind="name")]
)
def test_what_is_not_locked_passes(policy: Policy, asked: Override) -> None:
    check(asked, {group: policy.view(group, NOW) for group in policy.groups})


def test_what_was_locked_later_stays_locked(policy: Policy) -> None:
    given = [override("doh"), override("bad.kz", kind="name", number=2), override("gone", number=3)]
    under = policy.under(given)
    assert has(under, "doh", NOW)
    rules = under.view("middle", NOW).names.find(from_text("bad.kz"))
    assert any(rule.locked and not rule.allow for rule in rules)


KINDS = st.one_of(
    st.builds(override, st.sampled_from(["games", "doh", "malware", "social", "csam"]), allow=st.booleans()),
    st.builds(
        override, st.sampled_from(["bad.kz", "egov.kz", "x.kz"]), kind=st.just("name"), allow=st.booleans()
    ),
    st.just(override("", kind="filtering")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(1, 5000)), max_size=6), st.integers(0, 6000))
def test_r1_r9_whatever_is_overridden_every_lock_holds(
    make_policy: MakePolicy, drawn: list[tuple[Override, int]], seconds: int
) -> None:
    policy = make_policy(TOP, SCHOOL)
    given_ = [replace(one, id=number, until=NOW + end) for number, (one, end) in enumerate(drawn)]
    under, at = policy.under(given_), NOW + seconds
    before, view = policy.view("middle", at), under.view("middle", at)
    assert view.locked == before.locked
    assert view.blocked & before.locked == before.locked
    locks = {(rule.text, rule.layer) for rule in before.names.all if rule.locked}
    assert locks <= {(rule.text, rule.layer) for rule in view.names.all if rule.locked}
    ends = [one.until for one in given_ if one.until > at]
    assert view.valid_until is None or all(view.valid_until <= end for end in ends)
    if not ends:
        assert view.blocked == before.blocked


def test_the_same_overrides_leave_everything_as_it_is(policy: Policy) -> None:
    under = policy.under([override()])
    assert under.under([override()]).view("middle", NOW) is under.view("middle", NOW)
    assert under.under([]).view("middle", NOW) is not under.view("middle", NOW)
    assert override("", kind="filtering", group="*").text == "allow all filtering for all groups"
    assert override("x.kz", kind="name", allow=False).text == "block name x.kz for group middle"
