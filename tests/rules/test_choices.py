"""Safe search and services through the layers: who may change what, and what the decision makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from filterd.errors import PolicyError
from filterd.rules.categories import Categories
from filterd.rules.decide import decide
from filterd.rules.explain import explain
from filterd.rules.index import SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.policy import Policy, load_policy
from filterd.rules.verdict import ALLOWED, Action, Reason, Verdict
from filterd.wire.names import from_text

MakePolicy = Callable[..., Policy]
POLICIES = Path(__file__).resolve().parents[2] / "policies"
A, HTTPS = 1, 65
LOCAL, PUBLIC = 0, 1

PUPILS = "safe_search: {middle: {engines: {google: on, youtube: moderate}, locked: [google, youtube]}}\n"
GUESTS = "groups:\n  - {id: guests, tier: middle, %s}\n"


def level(policy: Policy, engine: str, group: str = "guests") -> str:
    found = policy.view(group).safe_search.get(engine)
    return found.level if found else "off"


def decided(policy: Policy, name: str, index: Index | None = None, group: str = "guests") -> Verdict:
    return decide(from_text(name), A, policy.view(group), index or Index.empty())


@pytest.fixture
def listed(categories: Categories) -> Callable[..., Index]:
    """Makes an index of names by category; a public list by default."""

    def make(number: int = PUBLIC, **by_category: str) -> Index:
        lists = (ListInfo(LOCAL, "ours", "ads", "local"), ListInfo(PUBLIC, "theirs", "ads", "public"))
        return Index.of(
            {
                from_text(name): [Entry(number, categories.by_id[category].bit, SUBTREE)]
                for category, names in by_category.items()
                for name in names.split()
            },
            lists,
        )

    return make


# Safe search through the layers


def test_an_engine_that_nobody_names_is_off(make_policy: MakePolicy) -> None:
    view = make_policy().view("middle")
    assert (dict(view.safe_search), dict(view.rewrites)) == ({}, {})


def test_each_tier_has_its_levels(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "safe_search:\n"
        "  primary: {engines: {youtube: strict, google: on}}\n"
        "  middle: {engines: {youtube: moderate}}\n"
    )
    found = {
        group: (level(policy, "youtube", group), level(policy, "google", group)) for group in policy.groups
    }
    assert found == {
        "little": ("strict", "on"),
        "middle": ("moderate", "off"),
        "senior": ("off", "off"),
        "staff": ("off", "off"),
        "guests": ("off", "off"),
    }


def test_school_and_group_change_what_is_not_locked(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "safe_search: {middle: {engines: {google: on, youtube: moderate}}}\n",
        "safe_search: {youtube: 'off', bing: on}\n",
        "groups:\n  - {id: guests, tier: middle}\n  - {id: lab, tier: middle, safe_search: {youtube: strict,"
        " google: off}}\n",
    )
    assert [level(policy, one) for one in ("google", "youtube", "bing")] == ["on", "off", "on"]
    assert [level(policy, one, "lab") for one in ("google", "youtube", "bing")] == ["off", "strict", "on"]
    layers = {engine: one.layer for engine, one in policy.view("lab").safe_search.items()}
    assert layers == {"google": "group", "youtube": "group", "bing": "school"}


def test_r9_what_is_locked_can_be_made_stricter_only(make_policy: MakePolicy) -> None:
    policy = make_policy(
        PUPILS, "safe_search: {youtube: strict}\n", GUESTS % "safe_search: {youtube: moderate, google: on}"
    )
    assert level(policy, "youtube") == "moderate", "the lock is at moderate: a group may go back to it"
    assert policy.view("guests").safe_search["youtube"].floor == "moderate"


@pytest.mark.parametrize(
    ("school", "group", "place"),
    [
        ("safe_search: {google: off}\n", "", "school.yaml:5:23"),
        ("", "safe_search: {youtube: off}", "school.yaml:6:55"),
        ("safe_search: {youtube: strict}\n", "safe_search: {youtube: off}", "school.yaml:7:55"),
    ],
)
def test_r9_loosening_a_lock_names_both_places(
    make_policy: MakePolicy, school: str, group: str, place: str
) -> None:
    with pytest.raises(PolicyError, match="is locked at") as raised:
        make_policy(PUPILS, school, GUESTS % (group or "clients: []"))
    assert str(raised.value).startswith(f"{place}: safe search of ")
    assert "is locked at baseline.yaml:3:" in str(raised.value)


@pytest.mark.parametrize(
    ("baseline", "school", "fault"),
    [
        ("", "safe_search: {gogle: on}\n", "5:15: unknown search engine 'gogle' (did you mean 'google'?)"),
        ("", "safe_search: {youtube: on}\n", "school.yaml:5:24: 'youtube' has no level 'on'"),
        ("", "safe_search: {youtube: moderat}\n", "did you mean 'moderate'?"),
        ("", "safe_search: {google: true}\n", "school.yaml:5:23: 'google': write a level: `on` or `off`"),
        ("", "safe_search: [google]\n", "school.yaml:5:14:"),
        (
            "safe_search: {middel: {}}\n",
            "",
            "baseline.yaml:3:15: 'middel' is not known here (did you mean 'middle'?)",
        ),
        (
            "safe_search: {middle: {engine: {google: on}}}\n",
            "",
            "baseline.yaml:3:24: unknown key 'engine' (did you mean 'engines'?)",
        ),
        (
            "safe_search: {middle: {locked: [google]}}\n",
            "",
            "baseline.yaml:3:33: 'google' has no level to lock",
        ),
        (
            "safe_search: {middle: {engines: {google: on}, locked: [gogle]}}\n",
            "",
            "baseline.yaml:3:56: unknown search engine 'gogle' (did you mean 'google'?)",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place_and_the_right_word(
    make_policy: MakePolicy, baseline: str, school: str, fault: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        make_policy(baseline, school)
    assert fault in str(raised.value)


# Safe search in the decision


def test_r16_one_host_four_answers(make_policy: MakePolicy) -> None:
    """R3 too: primary strict, middle moderate, the others as they are."""
    policy = make_policy(
        "safe_search: {primary: {engines: {youtube: strict}}, middle: {engines: {youtube: moderate}}}\n"
    )
    told = {group: decided(policy, "www.youtube.com", group=group) for group in policy.groups}
    assert told["little"] == Verdict(
        Action.REWRITE,
        Reason.SAFE_SEARCH,
        None,
        None,
        "safe search youtube: strict (restrict.youtube.com)",
        "baseline",
    )
    assert told["middle"].rule == "safe search youtube: moderate (restrictmoderate.youtube.com)"
    assert {told[group] for group in ("senior", "staff", "guests")} == {ALLOWED}


def test_r16_the_shipped_baseline_has_safe_search_for_pupils(categories: Categories) -> None:
    policy = load_policy(POLICIES / "baseline.yaml", POLICIES / "schools" / "example.yaml", categories)
    found = {
        group: {engine: one.level for engine, one in policy.view(group).safe_search.items()}
        for group in policy.groups
    }
    for group, youtube in {
        "grades-1-4": "strict", "grades-5-9": "moderate", "grades-10-11": "moderate", "guests": "moderate"
    }.items():  # fmt: skip
        assert found[group] == {**dict.fromkeys(categories.engines.by_id, "on"), "youtube": youtube}
    assert found["teachers"] == {}
    floors = {one.floor for one in policy.view("grades-10-11").safe_search.values()}
    assert "off" not in floors, "no school may switch it off for pupils"


def test_a_blocked_engine_is_blocked(make_policy: MakePolicy, listed: Callable[..., Index]) -> None:
    policy = make_policy(PUPILS, groups=GUESTS % "categories: {block: [video]}")
    verdict = decided(policy, "www.youtube.com", listed(video="youtube.com"))
    assert (verdict.action, verdict.category) == (Action.BLOCK, "video")


def test_what_opens_an_engine_does_not_switch_safe_search_off(
    make_policy: MakePolicy, listed: Callable[..., Index]
) -> None:
    policy = make_policy(
        PUPILS,
        "names: {allow: [{name: www.youtube.com, reason: r}]}\nservices: {allow: [youtube]}\n",
        GUESTS % "categories: {block: [video]}",
    )
    for name in ("www.youtube.com", "m.youtube.com", "www.google.kz"):
        index = listed(video="youtube.com", allow_edu="google.kz")
        assert decided(policy, name, index).action is Action.REWRITE


def test_only_the_hosts_themselves_are_rewritten(make_policy: MakePolicy) -> None:
    policy = make_policy(PUPILS, groups=GUESTS % "clients: []")
    for name in (
        "google.kz",
        "maps.google.com",
        "a.www.google.kz",
        "forcesafesearch.google.com",
        "i.ytimg.com",
    ):
        assert decided(policy, name) is ALLOWED, name


def test_explain_tells_what_would_change_safe_search(make_policy: MakePolicy) -> None:
    policy = make_policy(PUPILS, groups=GUESTS % "clients: []")
    told = explain(from_text("www.youtube.com"), A, policy.view("guests"), Index.empty())
    assert told.verdict == decided(policy, "www.youtube.com")
    lines = told.lines()
    assert "  safe search google: on (baseline) youtube: moderate (baseline)" in lines
    assert told.steps[-1].id == "safe_search"
    assert told.steps[-1].verdict == told.verdict
    assert list(told.changes) == [
        "safe_search: {youtube: strict} in the group's policy gives: rewrite to restrict.youtube.com",
        "it is locked at baseline.yaml:3:83: nothing milder than 'moderate' below that",
        "names.block in the school's or group's policy blocks it",
    ]
    free = make_policy("safe_search: {middle: {engines: {google: on}}}\n", groups=GUESTS % "clients: []")
    told = explain(from_text("www.google.kz"), A, free.view("guests"), Index.empty())
    assert told.changes[0] == "safe_search: {google: off} in the group's policy gives: allow (default)"


def test_explain_says_nothing_of_safe_search_where_there_is_none(make_policy: MakePolicy) -> None:
    told = explain(from_text("example.kz"), A, make_policy().view("middle"), Index.empty())
    assert (told.steps[-1].id, told.steps[-1].verdict) == ("safe_search", None)
    assert "  safe search -" in told.lines()


# Services


def test_a_service_is_blocked_with_all_its_names(make_policy: MakePolicy) -> None:
    policy = make_policy("", "services: {block: [tiktok]}\n")
    for name in ("tiktok.com", "www.tiktok.com", "v16.tiktokcdn.com", "ibytedtos.com"):
        verdict = decided(policy, name)
        assert (verdict.action, verdict.reason, verdict.category) == (Action.BLOCK, Reason.SERVICE, "social")
        assert verdict.layer == "school"
        assert verdict.rule is not None
        assert verdict.rule.startswith("block service tiktok: ")
    assert decided(policy, "notiktok.com") is ALLOWED


def test_a_messenger_has_no_category(make_policy: MakePolicy) -> None:
    verdict = decided(make_policy("services: {block: [telegram]}\n"), "t.me")
    assert (verdict.action, verdict.category, verdict.layer) == (Action.BLOCK, None, "baseline")


def test_an_allowed_service_is_open_whatever_its_category(
    make_policy: MakePolicy, listed: Callable[..., Index]
) -> None:
    policy = make_policy("", "", GUESTS % "categories: {block: [social]}, services: {allow: [discord]}")
    index = listed(social="discord.com tiktok.com")
    verdict = decided(policy, "cdn.discord.com", index)
    assert (verdict.action, verdict.reason, verdict.category) == (Action.ALLOW, Reason.SERVICE, None)
    assert decided(policy, "tiktok.com", index).action is Action.BLOCK


def test_an_allowed_service_opens_no_lock(make_policy: MakePolicy, listed: Callable[..., Index]) -> None:
    policy = make_policy("tiers: {middle: {social: X}}\n", "services: {allow: [discord]}\n")
    verdict = decided(policy, "discord.com", listed(social="discord.com"), "middle")
    assert (verdict.action, verdict.reason) == (Action.BLOCK, Reason.LOCKED)


def test_the_lowest_layer_speaks_for_a_service(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "services: {block: [tiktok, roblox]}\n",
        "services: {allow: [tiktok]}\n",
        "groups:\n  - {id: guests, tier: middle}\n"
        "  - {id: lab, tier: middle, services: {block: [tiktok], allow: [roblox]}}\n",
    )
    found = {
        (group, name): decided(policy, name, group=group).action.value
        for group in policy.groups
        for name in ("tiktok.com", "roblox.com")
    }
    assert found == {
        ("guests", "tiktok.com"): "allow",
        ("guests", "roblox.com"): "block",
        ("lab", "tiktok.com"): "block",
        ("lab", "roblox.com"): "allow",
    }


def test_a_name_counts_for_more_than_a_service_of_its_layer(make_policy: MakePolicy) -> None:
    policy = make_policy(
        "",
        "services: {block: [telegram]}\n"
        "names: {allow: [{name: t.me, reason: r}, {name: web.telegram.org, reason: r}]}\n",
    )
    assert decided(policy, "t.me").action is Action.ALLOW
    assert decided(policy, "web.telegram.org").action is Action.ALLOW
    assert decided(policy, "telegram.org").action is Action.BLOCK


def test_a_lower_layer_may_close_a_service_whose_name_an_upper_one_opened(make_policy: MakePolicy) -> None:
    """Lower layers tighten freely."""
    policy = make_policy(
        "names: {allow: [{name: discord.com, reason: r}]}\n", "services: {block: [discord]}\n"
    )
    assert decided(policy, "discord.com").action is Action.BLOCK


@pytest.mark.parametrize("number", [LOCAL, PUBLIC])
def test_r24_what_an_allow_list_names_more_closely_stays_open(
    make_policy: MakePolicy, listed: Callable[..., Index], number: int
) -> None:
    index = listed(number, allow_edu="education.minecraft.net")
    for policy in (
        make_policy("", "services: {block: [minecraft]}\n"),
        make_policy("services: {block: [minecraft], locked: [minecraft]}\n"),
    ):
        assert decided(policy, "education.minecraft.net", index).reason is Reason.ALLOW_LIST
        assert decided(policy, "www.minecraft.net", index).action is Action.BLOCK


def test_r9_a_locked_service_cannot_be_changed(make_policy: MakePolicy) -> None:
    locked = "services: {block: [tiktok], allow: [whatsapp], locked: [tiktok, whatsapp]}\n"
    for school, fault in {
        "services: {allow: [tiktok]}\n": "5:20: tiktok.com of service 'tiktok' is locked: it is blocked at"
        " baseline.yaml:3:20",
        "services: {block: [whatsapp]}\n": "5:20: whatsapp.com of service 'whatsapp' is locked: it is kept"
        " open at baseline.yaml:3:37",
        "names: {allow: [{name: www.tiktok.com, reason: r}]}\n": "5:24: this name is locked: it is blocked at"
        " baseline.yaml:3:20",
    }.items():
        with pytest.raises(PolicyError) as raised:
            make_policy(locked, school)
        assert str(raised.value).startswith(f"school.yaml:{fault}")
    again = make_policy(locked, "services: {block: [tiktok]}\n")
    assert decided(again, "tiktok.com").layer == "baseline"


def test_r9_a_locked_name_holds_against_a_service(make_policy: MakePolicy) -> None:
    with pytest.raises(
        PolicyError, match=r"t\.me of service 'telegram' is locked: it is blocked at baseline"
    ):
        make_policy(
            "names: {block: [{name: t.me, reason: r, locked: true}]}\n", "services: {allow: [telegram]}\n"
        )
    policy = make_policy(
        "names: {block: [{name: web.telegram.org, reason: r, locked: true}]}\n",
        "services: {allow: [telegram]}\n",
    )
    assert decided(policy, "web.telegram.org").action is Action.BLOCK
    assert decided(policy, "telegram.org").action is Action.ALLOW


@pytest.mark.parametrize(
    ("baseline", "school", "fault"),
    [
        ("", "services: {block: [tiktk]}\n", "5:20: unknown service 'tiktk' (did you mean 'tiktok'?)"),
        ("", "services: {allow: [whatsap]}\n", "5:20: unknown service 'whatsap' (did you mean 'whatsapp'?)"),
        (
            "",
            "services: {block: [vk], allow: [vk]}\n",
            "school.yaml:5:33: service 'vk' is already at school.yaml:5:20",
        ),
        ("", "services: {block: [vk, vk]}\n", "5:24: service 'vk' is already at school.yaml:5:20"),
        ("", "services: {blok: [vk]}\n", "school.yaml:5:12: unknown key 'blok' (did you mean 'block'?)"),
        ("", "services: {block: [vk], locked: [vk]}\n", "school.yaml:5:25: unknown key 'locked'"),
        (
            "services: {block: [vk], locked: [tiktok]}\n",
            "",
            "baseline.yaml:3:34: 'tiktok' is neither blocked nor allowed here",
        ),
        ("services: {block: [5]}\n", "", "baseline.yaml:3:20:"),
    ],
)  # fmt: skip
def test_a_fault_of_services_is_told_with_its_place(
    make_policy: MakePolicy, baseline: str, school: str, fault: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        make_policy(baseline, school)
    assert fault in str(raised.value)


def test_explain_tells_the_service(make_policy: MakePolicy) -> None:
    policy = make_policy("", "services: {block: [tiktok]}\n")
    told = explain(from_text("www.tiktok.com"), HTTPS, policy.view("middle"), Index.empty())
    assert [step.id for step in told.steps if step.verdict] == ["name_rule"]
    assert told.changes == (
        "without the rule at school.yaml:5:20: allow (default)",
        "services.allow: [tiktok] in the group's policy holds for all its names",
    )
    assert any("school: block service tiktok: tiktok.com" in line for line in told.lines())
