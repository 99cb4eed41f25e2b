from __future__ import annotations

import contextlib
import ipaddress
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import PolicyError, SourceError
from filterd.rules.categories import Categories
from filterd.rules.policy import Policy, load_policy, merge_policy
from filterd.rules.yamlsource import parse
from filterd.wire.names import from_text
from filterd.wire.synthesis import BlockAnswer

MakePolicy = Callable[..., Policy]
POLICIES = Path(__file__).resolve().parents[2] / "policies"
LITTLE = "groups:\n  - {id: guests, tier: primary, %s}\n"


def ids(policy: Policy, group: str, mask: str = "blocked") -> set[str]:
    view = policy.view(group)
    return set(policy.categories.ids(getattr(view, mask)))


# Layers


def test_tiers_come_from_the_catalogue(make_policy: MakePolicy, categories: Categories) -> None:
    policy = make_policy()
    for group, tier in (("little", "primary"), ("senior", "senior"), ("staff", "staff"), ("guests", "guest")):
        assert policy.view(group).tier == tier
        assert ids(policy, group, "locked") == {one.id for one in categories.all if one.tiers[tier] == "X"}
        assert ids(policy, group) == {one.id for one in categories.all if one.tiers[tier] in "XBT"}
        assert ids(policy, group, "allowed") == {one.id for one in categories.all if one.kind == "allow"}


def test_timed_counts_as_blocked_until_there_are_timetables(make_policy: MakePolicy) -> None:
    policy = make_policy("tiers: {senior: {video: T}}\n")
    assert "video" in ids(policy, "senior")
    assert policy.view("senior", datetime(2026, 1, 1, 20, 0, tzinfo=UTC).timestamp()) is policy.view("senior")
    assert policy.view("senior").valid_until is None


def test_each_layer_changes_the_one_above(make_policy: MakePolicy, categories: Categories) -> None:
    policy = make_policy(
        "tiers: {middle: {games: A, doh: X, adult: B}}\n",
        "categories: {block: [video], allow: [social]}\n",
        """\
groups:
  - {id: guests, tier: middle}
  - {id: strict, tier: middle, categories: {block: [social, doh]}}
  - {id: loose, tier: middle, categories: {allow: [video, adult]}}
""",
    )
    assert {"doh", "video", "adult"} <= ids(policy, "guests")
    assert not {"games", "social"} & ids(policy, "guests")
    assert {"social", "video"} <= ids(policy, "strict")
    assert not {"video", "adult"} & ids(policy, "loose")
    assert "doh" in ids(policy, "strict", "locked")  # blocking what is locked changes nothing
    layers = policy.view("strict").layer_of
    found = [layers[categories.by_id[one].bit] for one in ("ads", "doh", "video", "social")]
    assert found == ["catalogue", "baseline", "school", "group"]


def test_name_rules_of_all_layers_are_in_the_view(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "names: {allow: [{name: egov.kz, locked: true, reason: r}]}\n",
        "names: {block: [{name: ПРИМЕР.kz, reason: because}]}\n",
        LITTLE % "names: {allow: [{name: x.kz, scope: exact, reason: r}]}",
    )
    rules = policy.view("guests").names.all
    assert [(rule.layer, rule.allow, rule.locked) for rule in rules] == [
        ("baseline", True, True),
        ("school", False, False),
        ("group", True, False),
    ]
    assert rules[1].name == from_text("xn--e1afmkfd.kz")
    assert (rules[1].reason, rules[1].place) == ("because", "school.yaml:5:24")


def test_answer_of_the_school_or_else_of_the_baseline(make_policy: MakePolicy) -> None:
    top = "answer: {mode: page, ttl: 10, page_v4: [192.0.2.1], page_v6: ['2001:db8::1']}\n"
    address = ipaddress.ip_address
    page = BlockAnswer("page", 10, (address("192.0.2.1").packed,), (address("2001:db8::1").packed,))
    assert make_policy(top).view("guests").answer == page
    assert make_policy(top, "answer: {mode: nodata}\n").view("guests").answer == BlockAnswer("nodata", 60)
    assert make_policy().view("guests").answer.mode == "nxdomain"


def test_names_with_private_addresses_come_from_both_layers(make_policy: MakePolicy) -> None:
    policy = make_policy("rebinding_allow: [a.kz]\n", "rebinding_allow: [b.kz]\n")
    assert policy.view("guests").rebinding_allow == {from_text("a.kz"), from_text("b.kz")}


def test_a_box_without_a_school_treats_everyone_as_a_guest(make_policy: MakePolicy) -> None:
    policy = make_policy(school=None)
    view = policy.view_of(ipaddress.ip_address("10.1.2.3").packed)
    assert (view.school, view.group, view.tier) == ("unnamed", "default", "guest")
    assert policy.groups["default"].tier == "guest"


def test_what_a_policy_says_of_itself(make_policy: MakePolicy) -> None:
    policy = make_policy(school="region: almaty\n", generation=7)
    assert (policy.school, policy.region, policy.generation) == ("s1", "almaty", 7)
    assert policy.title == {"kk": "м", "ru": "ш", "en": "s"}
    assert [(info.id, info.tier) for info in policy.groups.values()][:2] == [
        ("little", "primary"),
        ("middle", "middle"),
    ]
    assert policy.view("little").generation == 7
    assert policy.view_of(b"\x0a\x64\x00\x01").group == "staff"
    assert policy.clients.group_of(b"\x0b\x00\x00\x01") == "guests"
    with pytest.raises(KeyError):
        policy.view("nobody")


def test_the_version_names_the_content(make_policy: MakePolicy) -> None:
    versions = {
        make_policy().version,
        make_policy("answer: {ttl: 5}\n").version,
        make_policy(school="region: r\n").version,
        make_policy(school=None).version,
    }
    assert len(versions) == 4
    assert make_policy().version == make_policy(generation=9).version
    assert all(len(version) == 12 for version in versions)


# Locks


def test_r9_allowing_a_locked_category_names_both_places(make_policy: MakePolicy) -> None:
    with pytest.raises(PolicyError) as caught:
        make_policy("tiers:\n  primary:\n    doh: X\n", groups=LITTLE % "categories: {allow: [ai, doh]}")
    assert str(caught.value).startswith("school.yaml:6:58: 'doh' is locked at baseline.yaml:5:10 ")


def test_r9_a_lock_of_the_catalogue_is_named_too(make_policy: MakePolicy, categories: Categories) -> None:
    with pytest.raises(PolicyError) as caught:
        make_policy(school="categories:\n  allow: [malware]\n")
    assert (caught.value.file, caught.value.line) == ("school.yaml", 6)
    assert categories.place("malware", "primary") in str(caught.value)
    assert "categories.yaml:" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "other", "word"), [("block", "allow", "blocked"), ("allow", "block", "kept open")]
)
@pytest.mark.parametrize("layer", ["school", "group"])
def test_r9_a_locked_name_cannot_be_changed_below(
    make_policy: MakePolicy, kind: str, other: str, word: str, layer: str
) -> None:
    top = f"names:\n  {kind}:\n    - {{name: x.kz, locked: true, reason: r}}\n"
    low = f"names: {{{other}: [{{name: www.x.kz, reason: r}}]}}"
    layers = {"school": low + "\n"} if layer == "school" else {"groups": LITTLE % low}
    with pytest.raises(PolicyError, match=rf"{word} at baseline\.yaml:5:14") as caught:
        make_policy(top, **layers)
    assert caught.value.file == "school.yaml"
    make_policy(top, low.replace(other, kind) + "\n")  # the same way is no loosening
    make_policy(top, low.replace("www.x.kz", "y.kz") + "\n")


def test_r9_what_is_not_locked_can_be_loosened(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "names: {block: [{name: x.kz, reason: r}]}\n",
        "names: {allow: [{name: x.kz, reason: r}]}\ncategories: {allow: [gambling]}\n",
    )
    assert "gambling" not in ids(policy, "little")


def test_r1_a_baseline_cannot_unlock_illegal_content(make_policy: MakePolicy) -> None:
    for category in ("csam", "extremism"):
        with pytest.raises(PolicyError, match="illegal content") as caught:
            make_policy(f"tiers:\n  staff:\n    {category}: B\n")
        assert (caught.value.line, caught.value.column) == (5, 7 + len(category))


# Mistakes


@pytest.mark.parametrize(
    ("baseline", "line", "words"),
    [
        ("tiers: {primary: {gamling: B}}\n", 3, "unknown category 'gamling' .*did you mean 'gambling'"),
        ("tiers: {primery: {}}\n", 3, "did you mean 'primary'"),
        ("tiers: {primary: {social: Q}}\n", 3, "'Q' is not known"),
        ("tiers: {primary: {allow_edu: B}}\n", 3, "stays allowed"),
        ("name: {}\n", 3, "did you mean 'names'"),
        ("names: {allow: [{name: x.kz}]}\n", 3, "'reason' is missing"),
        ("names: {allow: [{name: kz, reason: r}]}\n", 3, "too wide"),
        ("names: {block: [{name: '*.kz', reason: r}]}\n", 3, "star"),
        ("names: {block: [{name: a..kz, reason: r}]}\n", 3, "empty label"),
        ("names: {block: [{name: ., reason: r}]}\n", 3, "too wide"),
        ("names: {block: [{name: x.kz, scope: exakt, reason: r}]}\n", 3, "did you mean 'exact'"),
        ("answer: {ttl: 61}\n", 3, "less than or equal to 60"),
        ("answer: {mode: page}\n", 3, "needs the block page's addresses"),
        ("answer: {page_v4: [none]}\n", 3, "none"),
        ("answer: {page_v6: [192.0.2.1]}\n", 3, "192.0.2.1"),
        ("rebinding_allow: [a, 'b c']\nrebinding_alow: []\n", 4, "did you mean 'rebinding_allow'"),
    ],
)
def test_a_mistake_in_the_baseline_says_where(
    make_policy: MakePolicy, baseline: str, line: int, words: str
) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        make_policy(baseline)
    assert (caught.value.file, caught.value.line) == ("baseline.yaml", line)


TWICE = """\
groups:
  - {id: guests, tier: guest, clients: [10.0.0.0/8]}
  - {id: b, tier: staff, clients: [192.0.2.1, 10.0.0.0/8]}
"""


@pytest.mark.parametrize(
    ("school", "groups", "line", "words"),
    [
        ("", "groups: []\n", 5, "at least 1"),
        ("", "groups: [{id: a, tier: middle}]\n", 4, "no group 'guests'"),
        ("", "groups: [{id: gests, tier: middle}]\n", 4, "did you mean 'gests'"),
        ("", LITTLE % "client: []", 6, "did you mean 'clients'"),
        ("", LITTLE % "clients: [10.0.0.1/8]", 6, "write 10.0.0.0/8"),
        ("", LITTLE % "clients: [10]", 6, "quotes"),
        ("", LITTLE % "categories: {block: [allow_edu]}", 6, "cannot be blocked"),
        ("", LITTLE % "categories: {block: [ai], allow: [ai]}", 6, "also blocked, at school.yaml:6:54"),
        ("", LITTLE % "names: {block: [{name: a.kz, locked: true, reason: r}]}", 6, "unknown key 'locked'"),
        ("", "groups:\n  - {id: guests, tier: guest}\n  - {id: guests, tier: staff}\n", 7, "already at"),
        (
            "",
            TWICE,
            7,
            "school.yaml:6:41",
        ),
        (
            "names:\n  allow: [{name: a.kz, reason: r}]\n  block: [{name: A.kz., reason: r}]\n",
            None,
            7,
            "already at school.yaml:6:18",
        ),
        ("names: {block: [{name: ok.kz, reason: ''}]}\n", None, 5, "at least 1"),
        ("categories: {block: [vpn]}\n", None, 5, "unknown category 'vpn'"),
    ],
)
def test_a_mistake_in_the_school_says_where(
    make_policy: MakePolicy, school: str, groups: str | None, line: int, words: str
) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        make_policy(school=school, **({} if groups is None else {"groups": groups}))
    assert (caught.value.file, caught.value.line) == ("school.yaml", line)


def test_missing_files_are_policy_errors(tmp_path: Path, categories: Categories) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml", None, categories)
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(POLICIES / "baseline.yaml", tmp_path / "none.yaml", categories)


# The policies of the product


@pytest.fixture(scope="session")
def shipped(categories: Categories) -> Policy:
    return load_policy(POLICIES / "baseline.yaml", POLICIES / "schools" / "example.yaml", categories)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("10.20.1.7", "grades-1-4"),
        ("10.20.5.7", "grades-5-9"),
        ("10.20.5.130", "computer-room"),
        ("10.20.10.7", "grades-10-11"),
        ("2001:db8:20:100::5", "teachers"),
        ("192.168.1.1", "guests"),
        ("127.0.0.1", "guests"),
    ],
)
def test_the_example_school_places_its_clients(shipped: Policy, address: str, group: str) -> None:
    assert shipped.clients.group_of(ipaddress.ip_address(address).packed) == group


def test_the_example_school_covers_every_tier(shipped: Policy) -> None:
    assert {info.tier for info in shipped.groups.values()} == {
        "primary",
        "middle",
        "senior",
        "staff",
        "guest",
    }
    assert all(set(info.title) == {"kk", "ru", "en"} for info in shipped.groups.values())


def test_the_baseline_alone_serves(categories: Categories) -> None:
    policy = load_policy(POLICIES / "baseline.yaml", None, categories)
    assert policy.view("default").answer == BlockAnswer("nxdomain", 30)


def test_the_baseline_opens_no_whole_registry(shipped: Policy) -> None:
    wide = [rule.text for rule in shipped.view("guests").names.all if rule.allow]
    assert not {"allow gov.kz (subtree)", "allow edu.kz (subtree)", "allow kz (subtree)"} & set(wide)


# Whatever a file holds, a person gets a place and not a traceback

SHIPPED = {name: (POLICIES / name).read_text("utf-8") for name in ("baseline.yaml", "schools/example.yaml")}
PIECES = """
: - [ ] { } , &a *a !!x ' " # X B Q 999 -1 ~ true kz . .. * é "\\ud800" 10.20.1.0/24 ::/0 ff:ff:ff:ff:ff:ff
names categories locked mode page csam block:[csam] allow:[csam]
"""
PIECE_LIST = [*PIECES.split(), "", " ", "\n", "\ud800", "\x00", "locked: true", "allow: [csam]", "a" * 300]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from(sorted(SHIPPED)))
def test_mutated_policies_give_a_policy_or_a_source_error(
    categories: Categories, seed: int, changes: int, which: str
) -> None:
    chance = random.Random(seed)
    texts = dict(SHIPPED)
    for _ in range(changes):
        text = texts[which]
        start = chance.randrange(len(text))
        end = start + chance.choice([0, 0, 1, 2, 10])
        texts[which] = text[:start] + chance.choice(PIECE_LIST) + text[end:]
    with contextlib.suppress(SourceError):
        top = parse(texts["baseline.yaml"], file="baseline.yaml", error=PolicyError)
        own = parse(texts["schools/example.yaml"], file="example.yaml", error=PolicyError)
        merge_policy(top, own, categories)


# Without lists (R21)


def test_r21_open_unless_a_layer_closes(make_policy: MakePolicy) -> None:
    assert not make_policy().view("guests").closed_without_lists
    assert make_policy("without_lists: closed\n").view("guests").closed_without_lists
    assert make_policy(school="without_lists: closed\n").view("guests").closed_without_lists
    assert make_policy("without_lists: closed\n", school="without_lists: closed\n").view("guests")


def test_r21_what_is_closed_above_cannot_be_opened_below(make_policy: MakePolicy) -> None:
    with pytest.raises(
        PolicyError, match=r"`closed` is set at baseline\.yaml:3:16 and cannot be opened"
    ) as caught:
        make_policy("without_lists: closed\n", school="without_lists: open\n")
    assert caught.value.file == "school.yaml"
