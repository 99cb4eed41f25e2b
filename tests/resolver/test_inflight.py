from __future__ import annotations

import pytest

from filterd.resolver.cache import Key
from filterd.resolver.inflight import Flights

KEY = Key(0, b"\x03www\x00", 1, 1, 0)
OTHER = KEY._replace(qtype=28)


class Tower:
    """Starts fetches and ends them by hand."""

    def __init__(self, **limits):
        self.now = 0.0
        self.started = []
        self.flights = Flights(
            lambda key, done: self.started.append((key, done)),
            lambda _key, fetched: fetched,
            lambda: self.now,
            **{"max_flights": 10, "max_waiters": 10, **limits},
        )

    def land(self, result):
        key, done = self.started.pop(0)
        done(result)
        return key


@pytest.fixture
def tower():
    return Tower()


def test_one_fetch_for_all_who_wait(tower):
    got = []
    for number in range(3):
        assert tower.flights.join(KEY, lambda landed, number=number: got.append((number, landed)))
    assert len(tower.started) == 1
    tower.land("answer")
    assert got == [(0, "answer"), (1, "answer"), (2, "answer")]
    assert (len(tower.flights), tower.flights.waiters, tower.flights.coalesced) == (0, 0, 2)


def test_different_questions_are_different_fetches(tower):
    tower.flights.join(KEY, print)
    tower.flights.join(OTHER, print)
    assert [key for key, _ in tower.started] == [KEY, OTHER]


def test_who_leaves_hears_nothing_and_the_fetch_goes_on(tower):
    got = []
    ticket = tower.flights.join(KEY, got.append)
    tower.flights.join(KEY, got.append)
    tower.flights.leave(KEY, ticket)
    tower.flights.leave(KEY, ticket)
    assert tower.flights.waiters == 1
    tower.land("answer")
    assert got == ["answer"]
    tower.flights.leave(KEY, ticket)
    assert tower.flights.waiters == 0


def test_a_fetch_may_end_before_join_returns():
    got = []
    flights = Flights(
        lambda _key, done: done("at once"), lambda _, it: it, float, max_flights=1, max_waiters=1
    )
    assert flights.join(KEY, got.append)
    assert got == ["at once"]
    assert (len(flights), flights.waiters) == (0, 0)


@pytest.mark.parametrize("limits", [{"max_flights": 1}, {"max_waiters": 1}])
def test_both_bounds_hold_and_are_counted(limits):
    tower = Tower(**limits)
    assert tower.flights.join(KEY, print)
    assert tower.flights.join(OTHER, print) is None
    assert tower.flights.shed == 1
    assert (tower.flights.join(KEY, print) is None) == ("max_waiters" in limits)


def test_the_age_of_a_question(tower):
    tower.flights.join(KEY, print)
    tower.now = 3.0
    tower.flights.join(KEY, print)
    assert tower.flights.age(KEY, 3.0) == 3.0
    assert tower.flights.age(OTHER, 3.0) == 0.0
