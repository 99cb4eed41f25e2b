"""What the gate guards on a box, and what it says of a whole index."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from filterd.lists.gate import Guarded, judge_index
from filterd.lists.gathering import gather
from filterd.lists.guarding import guarded
from filterd.lists.papers import Choice, Papers
from filterd.lists.popular import Popular, load_popular
from filterd.rules.canary import canary
from filterd.rules.categories import load_categories
from filterd.rules.index import EXACT, SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.policy import load_policy
from filterd.wire import names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped():
    return load_categories(ROOT / "blocklists/categories.yaml")


@pytest.fixture(scope="module")
def views(shipped):
    policy = load_policy(ROOT / "policies/baseline.yaml", ROOT / "policies/schools/example.yaml", shipped)
    return [policy.view(group) for group in policy.groups]


@pytest.fixture(scope="module")
def everything(shipped, views) -> Guarded:
    """What the gate guards with the lists and policies that ship."""
    papers = Papers(
        ROOT / "blocklists/sources.yaml", ROOT / "blocklists/categories.yaml", Path("/nowhere"), Choice(())
    )
    materials = gather(papers, shipped, date(2026, 11, 23))
    popular = load_popular(ROOT / "blocklists/popular.txt")
    needed = {names.from_text("monitor.region.example"): "this box's endpoint"}
    return guarded(materials, shipped, views, needed=needed, popular=popular)


def wire(text: str) -> bytes:
    return names.from_text(text)


def test_what_ships_keeps_learning_help_health_and_updates_open(everything):
    for name in (
        "kundelik.kz",
        "egov.kz",
        "testcenter.kz",
        "windowsupdate.com",
        "who.int",
        "monitor.region.example",
    ):
        assert wire(name) in everything.open, name
    assert everything.open[wire("monitor.region.example")] == "this box's endpoint"
    assert {why for why in everything.open.values() if why.startswith("policy")} <= {
        "policy, baseline",
        "policy, region",
        "policy, school",
        "policy, group",
    }
    assert wire("1xbet.com") in everything.shut
    assert wire("gambling.canary.filterd.test") in everything.shut


def test_names_of_illegal_content_are_never_among_the_guarded_ones(everything, shipped):
    """They could stand in a message (R1)."""
    for category in ("csam", "extremism"):
        assert canary(category) not in everything.shut


def test_the_popular_sites_that_ship_are_names_with_known_categories(shipped):
    popular = load_popular(ROOT / "blocklists/popular.txt")
    assert len(popular.sites) > 250
    assert {one for expected in popular.sites.values() for one in expected} <= set(shipped.by_id)


def index(
    entries: dict[str, tuple[int, str]], infos: list[ListInfo], shipped, *, bare: bool = False
) -> Index:
    """An index of (list, category) by name, with the canaries of all categories unless it is bare."""
    found = {
        wire(name): [Entry(number, shipped.by_id[category].bit, SUBTREE)]
        for name, (number, category) in entries.items()
    }
    if not bare:
        for category in shipped.all:
            found[canary(category.id)] = [Entry(0, category.bit, EXACT)]
    return Index.of(found, infos)


LOCAL = ListInfo(0, "local", "gambling", "local", entries=3)
PUBLIC = ListInfo(1, "far", "malware", "public", entries=9)


def test_an_index_that_keeps_everything_may_be_used(everything, shipped):
    new = index({"x.example": (1, "malware")}, [LOCAL, PUBLIC], shipped)
    assert judge_index(new, None, replace(everything, shut={}), shipped, ["local", "far"]) == ()


def test_an_index_without_what_people_blocked_is_refused(everything, shipped):
    new = index({}, [LOCAL, PUBLIC], shipped)
    (problem,) = judge_index(new, None, everything, shipped, [])
    assert problem.startswith("would open 3movs.com (local-adult)")


def test_r2_an_index_that_lost_a_canary_is_refused(everything, shipped):
    old = index({}, [LOCAL], shipped)
    new = index({}, [LOCAL], shipped, bare=True)
    (problem, *_) = judge_index(new, old, Guarded(), shipped, ["local"])
    assert problem.startswith("lost the canary of csam, extremism, adult, mixed_adult, gambling and ")


def test_an_index_that_lost_a_list_is_refused_unless_the_list_is_not_wanted(everything, shipped):
    old = index({}, [LOCAL, PUBLIC], shipped)
    new = index({}, [LOCAL], shipped)
    assert judge_index(new, old, Guarded(), shipped, ["local", "far"]) == ("holds nothing any more of far",)
    assert judge_index(new, old, Guarded(), shipped, ["local"]) == ()


def test_r24_an_index_that_blocks_what_must_stay_open_is_refused(everything, shipped):
    new = index({"monitor.region.example": (1, "malware")}, [LOCAL, PUBLIC], shipped)
    everything = replace(everything, shut={})
    told = ("would block monitor.region.example (this box's endpoint)",)
    assert judge_index(new, None, everything, shipped, []) == told
    assert judge_index(new, new, everything, shipped, []) == (), "the one in use does so already: no news"


def test_a_bought_list_is_read_for_what_it_says_of_the_guarded_names(material, shipped, views):
    help_list = material("help", text="help.example\n", category="allow_help")
    bought = material("bought", text="help.example\nother.example\n", category="malware", origin="licensed")
    source = bought.source.model_copy(update={"path": None, "url": "https://lists.example/x"})
    bought = type(bought)(source, bought.path)
    found = guarded([help_list, bought], shipped, views, needed={}, popular=Popular())
    assert [info.id for info in found.infos] == ["help", "bought"]
    assert {entry.list_no for entry in found.base[wire("help.example")]} == {0, 1}
    assert wire("other.example") not in found.base
