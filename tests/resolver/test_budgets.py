"""Water torture and tunnels: budgets that ordinary traffic never feels."""

from __future__ import annotations

import random

import pytest

from filterd.resolver import budgets
from filterd.resolver.budgets import LET_THROUGH, MissingNames, Tunnels, registrable
from filterd.resolver.settings import ResolverSettings
from filterd.rules.verdict import Action
from filterd.wire import names

GOOD = "198.51.100.1"
OTHER_CLIENT = bytes((10, 9, 9, 9))


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("example.com", "example.com"),
        ("com", None),
        (".", None),
        ("mektep.edu.kz", "mektep.edu.kz"),
        ("www.mektep.edu.kz", "mektep.edu.kz"),
        ("edu.kz", None),
        ("x.y.unknowntld", "y.unknowntld"),
        ("1.2.3.4.in-addr.arpa", None),
    ],
)
def test_registrable_domains(name, domain):
    assert registrable(names.from_text(name)) == (None if domain is None else names.from_text(domain))


def test_registrable_takes_labels_of_any_bytes():
    assert registrable(names.from_labels([b"\xff\x00.", b"example", b"com"])) == names.from_text(
        "example.com"
    )


@pytest.fixture
def missing():
    return MissingNames(ResolverSettings(nxdomain_budget=5, nxdomain_window=10))


def spend(budget, zone, count=6, now=0.0):
    for _ in range(count):
        budget.note(names.from_text(zone), now)


def asked_for(budget, name, now=0.0, tries=100):
    return sum(not budget.too_many(names.from_text(name), now) for _ in range(tries))


def test_a_zone_over_its_budget_is_thinned_out_not_shut(missing):
    spend(missing, "victim.com")
    assert asked_for(missing, "random.victim.com") == 100 / LET_THROUGH
    assert asked_for(missing, "a.b.random.victim.com") == 100 / LET_THROUGH
    assert asked_for(missing, "other.com") == 100
    assert asked_for(missing, "notvictim.com") == 100
    assert missing.thinned == 180


def test_within_the_budget_nothing_happens(missing):
    spend(missing, "victim.com", count=5)
    assert asked_for(missing, "random.victim.com") == 100


def test_a_budget_lasts_one_window(missing):
    spend(missing, "victim.com")
    assert asked_for(missing, "random.victim.com", now=10.0) == 100
    spend(missing, "victim.com", count=5, now=20.0)
    assert asked_for(missing, "random.victim.com", now=20.0) == 100


@pytest.mark.parametrize("zone", ["com", "kz", "edu.kz", ".", "10.in-addr.arpa"])
def test_what_everybody_shares_has_no_budget(missing, zone):
    spend(missing, zone, count=1000)
    assert asked_for(missing, f"random.{zone}".rstrip(".")) == 100


def test_exempt_zones(missing):
    missing = MissingNames(
        ResolverSettings(nxdomain_budget=5, budget_exempt=(names.from_text("antivirus.com"),))
    )
    spend(missing, "lookup.antivirus.com", count=100)
    assert asked_for(missing, "x.lookup.antivirus.com") == 100


def test_the_table_of_zones_is_bounded(missing, monkeypatch):
    monkeypatch.setattr(budgets, "MAX_ZONES", 50)
    for number in range(200):
        spend(missing, f"zone{number}.com")
    assert len(missing._counts) <= 50
    assert len(missing._spent) <= 50
    assert missing.forgotten > 0


@pytest.fixture
def tunnels():
    return Tunnels(ResolverSettings(tunnel_names=10, tunnel_bytes=500, tunnel_window=60))


def test_many_names_below_one_domain_are_a_tunnel(tunnels):
    results = [tunnels.over(b"a", names.from_text(f"n{number}.t.com"), 0.0) for number in range(20)]
    first = results.index(names.from_text("t.com"))
    assert 10 <= first <= 12  # two names may fall on the same bit of the map
    assert set(results[first:]) == {names.from_text("t.com")}
    assert tunnels.over(b"b", names.from_text("n.t.com"), 0.0) is None
    assert tunnels.over(b"a", names.from_text("n.other.com"), 0.0) is None
    assert tunnels.refused == 20 - first


def test_long_labels_count_by_their_bytes(tunnels):
    results = [tunnels.over(b"a", names.from_text(f"{'x' * 60}{number}.t.com"), 0.0) for number in range(10)]
    assert 500 // 62 <= results.count(None) <= 500 // 62 + 1


def test_the_same_name_again_costs_nothing(tunnels):
    assert not any(tunnels.over(b"a", names.from_text("www.t.com"), 0.0) for _ in range(1000))


def test_the_next_window_starts_anew(tunnels):
    for number in range(20):
        tunnels.over(b"a", names.from_text(f"n{number}.t.com"), 0.0)
    assert tunnels.over(b"a", names.from_text("n.t.com"), 60.0) is None


def test_the_table_of_pairs_is_bounded(tunnels, monkeypatch):
    monkeypatch.setattr(budgets, "MAX_PAIRS", 50)
    for number in range(200):
        tunnels.over(number.to_bytes(4, "big"), names.from_text("www.t.com"), 0.0)
    assert len(tunnels._pairs) == 50
    assert tunnels.forgotten == 150


async def test_water_torture_is_thinned_and_the_rest_is_served(make_asking, make_upstream):
    def script(ask):
        if ask.name == "www.victim.com.":
            return ask.reply(f"{ask.name} 300 IN A {GOOD}")
        return ask.missing(zone="victim.com.")

    upstream = await make_upstream(script)
    asking = await make_asking(upstream, nxdomain_budget=20)
    await asking("www.victim.com")
    rng = random.Random(3)
    outcomes = [(await asking(f"{rng.random():.9f}"[2:] + ".victim.com")).outcome for _ in range(200)]
    assert outcomes.count("refused") > 100
    assert len(upstream.asked) < 60
    assert asking.now("www.victim.com").data == [GOOD]
    assert (await asking("www.elsewhere.com")).rcode == "NXDOMAIN"
    assert asking.health["water_torture_thinned"] == outcomes.count("refused")
    assert asking.health["cache_entries"] < 70


async def test_a_tunnel_is_blocked_for_its_client_only_and_makes_an_event(make_asking, make_upstream):
    upstream = await make_upstream(lambda ask: ask.reply(f'{ask.name} 0 IN TXT "data"'))
    asking = await make_asking(upstream, tunnel_names=30)
    outcomes = [(await asking(f"{number:050x}.tunnel.com", "TXT")).outcome for number in range(60)]
    assert 30 <= outcomes.index("blocked") <= 34  # two names may fall on the same bit of the map
    assert outcomes == sorted(outcomes)
    last = await asking("next.tunnel.com", "TXT")
    assert (last.verdict.action, last.verdict.category) == (Action.BLOCK, "bypass")
    assert last.errors == [(15, "category: bypass; rule: tunnel budget of tunnel.com")]
    assert last.reply.keep == 0
    assert (await asking("next.tunnel.com", "TXT", client=OTHER_CLIENT)).outcome == "allowed"
    assert (await asking("www.elsewhere.com", "TXT")).outcome == "allowed"
    assert asking.health["tunnel_refused"] == outcomes.count("blocked") + 1


async def test_names_that_people_allowed_and_zones_of_ones_own_have_no_tunnel_budget(
    make_asking, make_upstream, make_view
):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 0 IN A {GOOD}"))
    asking = await make_asking(upstream, zones={"school.kz": [upstream]}, tunnel_names=3)
    view = make_view(allow=("allowed.com",))
    for number in range(10):
        assert (await asking(f"n{number}.allowed.com", view=view)).outcome == "allowed"
        assert (await asking(f"n{number}.school.kz")).outcome == "allowed"
        assert (await asking(f"n{number}.help.example")).outcome == "allowed"
