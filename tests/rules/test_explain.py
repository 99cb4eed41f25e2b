from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest

from filterd.rules.categories import Categories
from filterd.rules.clients import Device
from filterd.rules.decide import PRECEDENCE, decide
from filterd.rules.explain import WITHHELD, Explanation, explain, explain_client, summary
from filterd.rules.index import EXACT, SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.policy import Policy
from filterd.rules.verdict import ALLOWED, Action
from filterd.wire.names import from_text

MakePolicy = Callable[..., Policy]

LISTS = (
    ListInfo(1, "ut1-social", "social", "public", title="UT1 social networks"),
    ListInfo(2, "local-edu", "allow_edu", "local"),
    ListInfo(3, "licensed", "csam", "licensed"),
    ListInfo(4, "ut1-adult", "adult", "public"),
    ListInfo(5, "local-malware", "malware", "local"),
)
LISTED = {
    "vk.com": [(1, "social", SUBTREE, False)],
    "dev.vk.com": [(1, "social", EXACT, True)],
    "illegal.example": [(3, "csam", SUBTREE, False)],
    "nis.edu.kz": [(2, "allow_edu", SUBTREE, False), (4, "adult", SUBTREE, False)],
    "adult.example": [(4, "adult", SUBTREE, False)],
    "bad.example": [(5, "malware", SUBTREE, False)],
    "game.example": [(1, "games", SUBTREE, False)],
}
NAMES = """\
names:
  allow: [{name: open.vk.com, reason: lessons}]
  block: [{name: shut.example, reason: distracts}]
"""


@pytest.fixture
def index(categories: Categories) -> Index:
    return Index.of(
        {
            from_text(name): [
                Entry(list_no, categories.by_id[category].bit, scope, allow)
                for list_no, category, scope, allow in entries
            ]
            for name, entries in LISTED.items()
        },
        LISTS,
    )


@pytest.fixture
def policy(make_policy: MakePolicy) -> Policy:
    return make_policy("names: {block: [{name: never.example, locked: true, reason: r}]}\n", NAMES)


@pytest.fixture
def ask(policy: Policy, index: Index) -> Callable[..., Explanation]:
    def explained(name: str, address: str = "10.5.0.1", mac: bytes | None = None) -> Explanation:
        packed = ipaddress.ip_address(address).packed
        return explain_client(from_text(name), 1, policy, index, packed, device=Device(mac))

    return explained


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("bad.example", "locked_by_people"),
        ("adult.example", "locked_public"),
        ("never.example", "locked_name"),
        ("open.vk.com", "name_rule"),
        ("www.nis.edu.kz", "allow_list"),
        ("m.vk.com", "category"),
        ("example.org", "default"),
    ],
)
def test_it_tells_the_step_that_decided(
    ask: Callable[..., Explanation], policy: Policy, index: Index, name: str, step: str
) -> None:
    told = ask(name)
    assert told.verdict == decide(from_text(name), 1, policy.view("middle"), index)
    spoke = [one for one in told.steps if one.verdict is not None]
    assert [one.id for one in spoke] == [step]
    *steps, last = told.steps
    assert [one.id for one in steps] == [one.id for one in PRECEDENCE]
    assert [one.reached for one in steps] == sorted((one.reached for one in steps), reverse=True)
    assert last.reached is (told.verdict.action is Action.ALLOW)
    assert told.changes


def test_it_tells_how_the_client_came_to_its_group(ask: Callable[..., Explanation]) -> None:
    client = ask("example.org", "10.5.0.1").client
    assert client is not None
    assert (client.group, client.rule, client.place) == ("middle", "10.5.0.0/16", "school.yaml:10:42")
    unknown = ask("example.org", "192.0.2.1", b"\x02\x42\xac\x11\x00\x02").client
    assert unknown is not None
    assert (unknown.group, unknown.rule, unknown.mac) == ("guests", None, "02:42:ac:11:00:02")


def test_it_shows_every_list_also_cancelled_entries(ask: Callable[..., Explanation]) -> None:
    told = ask("dev.vk.com")
    assert told.verdict is ALLOWED
    assert [(one.name, one.exception, one.cancelled) for one in told.listed] == [
        ("dev.vk.com", True, False),
        ("vk.com", False, True),
    ]
    assert told.listed[1].title == "UT1 social networks"


def test_it_tells_what_other_groups_get(ask: Callable[..., Explanation]) -> None:
    others = ask("vk.com").others
    assert {group: verdict.action.value for group, verdict in others.items()} == {
        "little": "block",
        "senior": "block",
        "staff": "allow",
        "guests": "block",
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("vk.com", "categories.allow: [social] in the group's policy gives: allow (default)"),
        ("open.vk.com", "without the rule at school.yaml:6:18: block (category), category social"),
        ("shut.example", "without the rule at school.yaml:7:18: allow (default)"),
        ("nis.edu.kz", "without the allow lists: block (locked), category adult"),
        ("adult.example", "names.allow in the baseline with `locked: true` opens it"),
        ("adult.example", "tell who keeps ut1-adult"),
        ("bad.example", "no policy and no allow list lifts it"),
        ("never.example", "only the baseline layer can change it"),
        ("example.org", "names.block in the school's or group's policy blocks it"),
    ],
)
def test_it_tells_what_would_change_the_verdict(
    ask: Callable[..., Explanation], name: str, change: str
) -> None:
    assert any(change in one for one in ask(name).changes)


def test_a_category_that_is_off_could_be_turned_on(ask: Callable[..., Explanation]) -> None:
    assert (
        "categories.block: [games] in the group's policy blocks it"
        in ask("game.example", "10.100.0.1").changes
    )


def test_r1_listed_names_of_illegal_content_are_never_displayed(ask: Callable[..., Explanation]) -> None:
    told = ask("www.illegal.example")
    assert told.verdict.category == "csam"
    assert told.listed[0].name == WITHHELD
    lines = told.lines()
    assert [line for line in lines if "illegal.example" in line] == ["name      www.illegal.example"]


def test_the_lines_tell_the_whole_way(ask: Callable[..., Explanation]) -> None:
    text = "\n".join(ask("open.vk.com").lines())
    for part in (
        "client    10.5.0.1",
        "group     middle: 10.5.0.0/16, school.yaml:10:42",
        "tier middle",
        "ut1-social (public) lists vk.com (subtree) as social: blocked",
        "school: allow open.vk.com (subtree), because: lessons [school.yaml:6:18]",
        "4 name_rule: allow (name_rule)",
        "5 allow_list: not reached",
        "verdict   allow (name_rule), rule: allow open.vk.com (subtree), set by school",
    ):
        assert part in text
    assert "excepts dev.vk.com (exact)" in "\n".join(ask("dev.vk.com").lines())


def test_a_view_alone_can_be_explained(policy: Policy, index: Index) -> None:
    told = explain(from_text("vk.com"), 28, policy.view("little"), index)
    assert told.client is None
    assert told.qtype == 28
    assert not told.others
    assert told.lines()[0] == "name      vk.com"
    assert summary(ALLOWED) == "allow (default)"
