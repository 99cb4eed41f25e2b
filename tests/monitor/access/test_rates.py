from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.access.rates import Rates
from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorLimits

LIMITS = MonitorLimits(address_rate=2.0, address_burst=4, holder_rate=10.0, holder_burst=20, callers=8)


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, holder: str, peer: str, tries: int) -> int:
    """Return how many of so many requests are let through."""
    count, problem = 0, None
    for _ in range(tries):
        try:
            rates.take(holder, peer)
            count += 1
        except Problem as caught:
            problem = caught
            continue
    assert problem is None or (problem.status, problem.code) == (429, "too-many")
    assert problem is None or int(problem.headers["Retry-After"]) >= 1
    return count


def test_bursts_then_the_rate_and_each_caller_its_own() -> None:
    ticks = Ticks()
    rates = Rates(LIMITS, ticks)
    assert taken(rates, "", "10.0.0.1", 10) == 4
    assert taken(rates, "", "10.0.0.2", 10) == 4
    assert taken(rates, "box a", "10.0.0.1", 50) == 20
    ticks.now = 1.0
    assert taken(rates, "", "10.0.0.1", 10) == 2
    assert taken(rates, "box a", "10.9.9.9", 50) == 10  # wherever it comes from
    ticks.now = 1000.0
    assert taken(rates, "", "10.0.0.1", 10) == 4


def test_an_ipv6_customer_is_one_caller() -> None:
    rates = Rates(LIMITS, Ticks())
    assert sum(taken(rates, "", f"2001:db8::{n:x}", 1) for n in range(1, 20)) == 4
    assert taken(rates, "", "::ffff:10.0.0.1", 3) + taken(rates, "", "10.0.0.1", 3) == 4
    assert taken(rates, "", "fe80::1%eth0", 9) == 4


@given(st.lists(st.tuples(st.sampled_from(["", "box a"]), st.text(max_size=8)), max_size=100))
def test_memory_is_bounded_whoever_calls(calls: list[tuple[str, str]]) -> None:
    rates = Rates(LIMITS, Ticks())
    for holder, peer in calls:
        taken(rates, holder, peer, 1)
    assert len(rates._buckets) <= LIMITS.callers


async def test_the_endpoint_answers_429_and_lets_others_through(start: Any, make: Any) -> None:
    limits = MonitorLimits(address_rate=0.001, address_burst=5, holder_rate=0.001, holder_burst=3)
    monitor = await start(limits=limits)
    answers = [await monitor.get("/v1/events", admin=False) for _ in range(7)]
    assert [status for status, _ in answers] == [401] * 5 + [429] * 2
    assert answers[-1][1]["code"] == "too-many"
    # Tokens that are nobody's are counted by the address too: making them up gives no new bucket.
    made_up = [await monitor.post(make.delivery(make.batch(1)), token=f"made up {n}") for n in range(2)]
    assert [status for status, _ in made_up] == [429, 429]
    assert [(await monitor.get("/v1/events"))[0] for _ in range(4)] == [200, 200, 200, 429]
    delivered = [(await monitor.post(make.delivery(make.batch(n))))[0] for n in range(1, 5)]
    assert delivered == [200, 200, 200, 429]
    assert (await monitor.post(make.delivery(make.batch(1), box="box2")))[0] == 200
    for probe in ("/healthz", "/readyz"):
        assert (await monitor.get(probe, admin=False))[0] == 200
    async with monitor.session.get(f"{monitor.url}/metrics") as reply:
        assert reply.status == 429
        assert int(reply.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("peer", ["", "nonsense", "300.1.1.1"])
def test_an_address_that_is_none_is_a_caller_too(peer: str) -> None:
    assert taken(Rates(LIMITS, Ticks()), "", peer, 9) == 4
