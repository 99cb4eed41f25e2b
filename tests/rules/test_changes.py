"""Policies told in words: what another one changes, what holds for a group; tests kept beside a policy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from filterd.errors import PolicyError
from filterd.rules.assertions import run
from filterd.rules.categories import Categories
from filterd.rules.changes import changes
from filterd.rules.effective import effective
from filterd.rules.index import EXACT, SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.overrides import Override
from filterd.rules.policy import Policy, merge_policy
from filterd.rules.yamlsource import parse
from filterd.wire.names import from_text

MakePolicy = Callable[..., Policy]
NOW = datetime(2026, 9, 14, 10, 0, tzinfo=ZoneInfo("Asia/Almaty")).timestamp()
BELLS = "timetable: {bells: {a: [{days: [mon], lessons: ['08:00-08:45']}]}}\n"
REGION = """\
format: 1
region: almaty
title: {kk: а, ru: а, en: a}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({}, {}, []),
        ({"school": "region: a\n"}, {"school": "region: b\n"}, ["region: a becomes b"]),
        (
            {},
            {"school": "categories: {allow: [ai]}\n"},
            [
                "little: category ai: blocked becomes allowed",
                "middle, guests: category ai: blocked in lessons becomes allowed",
            ],
        ),
        (
            {},
            {"baseline": "tiers: {primary: {doh: X}, middle: {doh: X}}\n"},
            ["little, middle: category doh: blocked becomes blocked and locked"],
        ),
        (
            {"school": "names: {allow: [{name: a.kz, reason: r}]}\n"},
            {"school": "services: {block: [tiktok]}\n"},
            ["all groups: no layer allows a.kz any more", "all groups: a layer blocks service tiktok now"],
        ),
        (
            {},
            {"school": "safe_search: {google: on}\nanswer: {mode: nodata}\n"},
            [
                "all groups: safe search google: off becomes on",
                "all groups: a block is answered by nodata, ttl 60",
            ],
        ),
        (
            {},
            {"school": BELLS},
            ["all groups: there is a timetable now: what is timed is blocked in lessons only"],
        ),
        (
            {"school": BELLS},
            {"school": BELLS.replace("08:00", "08:05")},
            ["all groups: lessons on mon: 08:00-08:45 becomes 08:05-08:45"],
        ),
        (
            {"school": "schedule: [{days: [sat, sun], exam: true}]\n"},
            {"school": "schedule: [{hours: ['22:00-06:00'], categories: {block: [social]}}]\n"},
            [
                "all groups: no schedule any more for: on sat, sun: only what is opened is allowed",
                "all groups: a schedule now for: at 22:00-06:00: blocks social",
            ],
        ),
        ({}, {"school": "rebinding_allow: [a.kz]\n"}, ["all groups: a.kz may have private addresses now"]),
        (
            {"groups": "groups: [{id: guests, tier: guest, clients: [10.0.0.0/8]}, {id: x, tier: staff}]\n"},
            {"groups": "groups: [{id: guests, tier: guest}, {id: y, tier: staff, clients: [10.0.0.0/8]}]\n"},
            ["group x is gone", "group y is new, tier staff", "client 10.0.0.0/8 goes from guests to y"],
        ),
    ],
)
def test_what_changes_in_words(
    make_policy: MakePolicy, old: dict[str, str], new: dict[str, str], said: list[str]
) -> None:
    found = changes(make_policy(**old), make_policy(**new))
    assert [one for one in said if one not in found] == []
    if len(said) < 2:
        assert found == said


def merged(categories: Categories, region: str, baseline: str = "", school: str = "") -> Policy:
    head = "format: 1\ntitle: {kk: a, ru: a, en: a}\n"
    groups = "school: s\ndefault_group: g\ngroups: [{id: g, tier: middle, clients: []}]\n"
    return merge_policy(
        parse(head + baseline, file="baseline.yaml", error=PolicyError),
        parse(head + groups + school, file="school.yaml", error=PolicyError),
        categories,
        region=parse(REGION + region, file="region.yaml", error=PolicyError),
    )


def test_r9_ministry_region_school_group(categories: Categories) -> None:
    policy = merged(
        categories,
        "tiers: {middle: {social: A, doh: X}}\nnames: {block: [{name: b.kz, locked: true, reason: r}]}\n",
        "tiers: {middle: {games: X, social: B}}\nnames: {allow: [{name: a.kz, reason: r}]}\n",
        "categories: {block: [social, doh]}\nnames: {block: [{name: a.kz, reason: r}]}\n",
    )
    view = policy.view("g")
    layers = {one: view.layer_of[categories.by_id[one].bit] for one in ("games", "doh", "social", "ads")}
    assert layers == {"games": "baseline", "doh": "region", "social": "school", "ads": "catalogue"}
    assert view.place_of[categories.by_id["doh"].bit] == "region.yaml:4:34"
    assert policy.region == "almaty"
    best = max(view.names.find(from_text("a.kz")), key=lambda rule: rule.rank)
    assert best.layer == "school"


@pytest.mark.parametrize(
    ("region", "baseline", "school", "words"),
    [
        (
            "tiers: {middle: {doh: B}}\n",
            "tiers: {middle: {doh: X}}\n",
            "",
            r"^region\.yaml:4:.*baseline\.yaml:3:23",
        ),
        ("tiers: {middle: {malware: B}}\n", "", "", r"^region\.yaml:4:.*categories\.yaml:"),
        ("tiers: {middle: {csam: B}}\n", "", "", r"^region\.yaml:4:.*illegal"),
        (
            "tiers: {middle: {doh: X}}\n",
            "",
            "categories: {allow: [doh]}\n",
            r"^school\.yaml:6:.*region\.yaml:4:23",
        ),
        (
            "names: {allow: [{name: a.kz, locked: true, reason: r}]}\n",
            "",
            "names: {block: [{name: www.a.kz, reason: r}]}\n",
            r"^school\.yaml:6:.*kept open at region\.yaml:4:24",
        ),
        (
            "names: {allow: [{name: a.kz, reason: r}]}\n",
            "names: {block: [{name: a.kz, locked: true, reason: r}]}\n",
            "",
            r"^region\.yaml:4:.*blocked at baseline\.yaml:3:24",
        ),
        ("", "", "region: astana\n", r"^school\.yaml:6:.*is not that of region\.yaml, which is 'almaty'"),
    ],
)
def test_r9_loosening_a_lock_names_both_places(
    categories: Categories, region: str, baseline: str, school: str, words: str
) -> None:
    with pytest.raises(PolicyError, match=words):
        merged(categories, region, baseline, school)


def test_every_line_of_an_effective_policy_says_who_decided_it(make_policy: MakePolicy) -> None:
    school = (
        "categories: {block: [ai]}\nanswer: {ttl: 5}\nservices: {block: [tiktok]}\n" + BELLS
        + "schedule: [{title: Morning, hours: ['09:00-11:00'], categories: {block: [video]}}]\n"
    )  # fmt: skip
    policy = make_policy("tiers: {middle: {doh: X}}\n", school)
    under = policy.under([Override(7, "middle", "category", "games", True, NOW + 60, "for once", "Aigul")])
    lines = {(line.section, line.subject): line for line in effective(under, "middle", NOW)}
    told = {key: (line.says, line.layer, line.place) for key, line in lines.items()}
    assert told["category", "doh"] == ("blocked, locked", "baseline", "baseline.yaml:3:23")
    assert told["category", "ai"] == ("blocked", "school", "school.yaml:5:22")
    assert told["category", "video"] == ("blocked", "school", "school.yaml:9:74")
    assert told["category", "games"] == ("timed: open now", "override", "override 7")
    assert told["category", "social"][1] == "catalogue"
    assert told["service", "tiktok"] == ("blocked", "school", "school.yaml:7:20")
    assert told["answer", "nxdomain"] == ("ttl 5", "school", "school.yaml:6:9")
    assert told["schedule", "Morning"] == ("blocks video", "school", "school.yaml:9:12")
    assert lines["override", "7"].why == "for once"
    assert "after_school" in lines["group", "time"].says
    assert lines["group", "until"].says == "Mon 2026-09-14 10:01:00"
    assert all(line.layer for line in lines.values() if line.section in ("category", "name", "service"))


TESTS = """\
format: 1
week: 2026-09-16
tests:
  - {group: middle, names: [x.kz, www.x.kz], at: mon 08:10, expect: block, category: games}
  - {group: middle, names: [x.kz], at: Monday 09:00, expect: allow}
  - {group: middle, names: [x.kz], at: 2026-09-14 08:44, expect: allow, why: no}
  - {client: 10.10.0.1, names: [y.kz], expect: allow}
"""


@pytest.fixture
def index(tmp_path: Path, categories: Categories, build_index: Callable[..., Path]) -> Index:
    entry = Entry(0, categories.by_id["games"].bit, SUBTREE, allow=False, important=False)
    info = ListInfo(0, "l", "games", "local", "CC0", 1, 0, "0" * 64, None, "L")
    path = build_index(tmp_path / "index.mdb", {from_text("x.kz"): [entry]}, [info])
    assert EXACT == 0
    return Index.open(path)


def test_assertions_kept_beside_a_policy(make_policy: MakePolicy, index: Index) -> None:
    policy = make_policy("tiers: {middle: {games: T}}\n", BELLS)
    outcomes = list(run(parse(TESTS, file="t.yaml", error=PolicyError), policy, index))
    assert [one.passed for one in outcomes] == [True, True, True, False, True]
    failed = outcomes[3]
    assert (failed.place, failed.why) == ("t.yaml:6:29", "no")
    assert failed.test == "middle, x.kz, 2026-09-14 08:44 -> allow"
    assert "block (category), category games" in failed.got


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{group: midle, names: [x.kz], expect: allow}", "did you mean 'middle'"),
        ("{names: [x.kz], expect: allow}", "either `group` or `client`"),
        ("{client: x, names: [x.kz], expect: allow}", "is not an address"),
        ("{group: middle, names: [a..b], expect: allow}", "not a domain name"),
        ("{group: middle, names: [], expect: allow}", "at least 1"),
        ("{group: middle, names: [x.kz], expect: alow}", "did you mean 'allow'"),
        ("{group: middle, names: [x.kz], at: mon 10:00, expect: allow}", "write `week:"),
        ("{group: middle, names: [x.kz], at: someday, expect: allow}", "is no time"),
        ("{group: middle, names: [x.kz], at: 2026-02-30 10:00, expect: allow}", "no day"),
    ],
)
def test_a_wrong_test_says_where(make_policy: MakePolicy, line: str, words: str) -> None:
    source = parse(f"format: 1\ntests:\n  - {line}\n", file="t.yaml", error=PolicyError)
    with pytest.raises(PolicyError, match=words) as caught:
        list(run(source, make_policy(), Index.empty()))
    assert (caught.value.file, caught.value.line) == ("t.yaml", 3)
