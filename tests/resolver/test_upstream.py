from __future__ import annotations

import pytest

from filterd.resolver.settings import UpstreamAddress
from filterd.resolver.upstream import (
    DOWN_AFTER,
    FIRST_RTO,
    LONGEST_PAUSE,
    MAX_RTO,
    MIN_RTO,
    SILENT_FOR,
    UNWILLING_AFTER,
    Upstream,
)


@pytest.fixture
def upstream():
    return Upstream(UpstreamAddress("192.0.2.1"), 0)


def test_a_new_upstream_gets_the_first_timeout(upstream):
    assert upstream.rto == FIRST_RTO


def test_the_timeout_follows_what_is_measured(upstream):
    for _ in range(50):
        upstream.answered(0.1, 1.0)
    assert 0.1 < upstream.rto < 0.13
    assert upstream.srtt == pytest.approx(0.1)


@pytest.mark.parametrize(("rtt", "limit"), [(0.0001, MIN_RTO), (5.0, MAX_RTO)])
def test_the_timeout_has_limits(upstream, rtt, limit):
    for _ in range(50):
        upstream.answered(rtt, 1.0)
    assert upstream.rto == limit


def test_a_burst_of_losses_is_no_outage(upstream):
    upstream.answered(0.01, 100.0)
    assert not any(upstream.lost_one(0.1, 100.5) for _ in range(50))
    assert not upstream.down


def test_losses_and_silence_are_an_outage_told_once(upstream):
    upstream.answered(0.01, 100.0)
    later = 100.0 + SILENT_FOR
    assert [upstream.lost_one(0.1, later) for _ in range(DOWN_AFTER + 2)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert upstream.down


def test_any_answer_ends_an_outage(upstream):
    for _ in range(DOWN_AFTER):
        upstream.lost_one(0.1, 1.0)
    assert upstream.down
    assert upstream.answered(0.01, 2.0)
    assert not upstream.down
    assert not upstream.answered(0.01, 2.0)


def test_probes_back_off_up_to_a_cap_and_start_anew(upstream):
    pauses = [upstream.next_pause() for _ in range(8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    upstream.answered(0.01, 1.0)
    assert upstream.next_pause() == pauses[0]


def test_the_fast_go_before_the_slow_and_the_willing_before_the_unwilling(upstream):
    slow, unwilling = (Upstream(UpstreamAddress("192.0.2.1"), number) for number in (1, 2))
    upstream.answered(0.01, 1.0)
    slow.answered(0.1, 1.0)
    unwilling.answered(0.001, 1.0)
    unwilling.unwilling = UNWILLING_AFTER
    assert sorted([unwilling, slow, upstream], key=lambda one: one.rank(1.0)) == [upstream, slow, unwilling]


def test_losses_move_an_upstream_back(upstream):
    steady = Upstream(UpstreamAddress("192.0.2.1"), 1)
    upstream.answered(0.02, 1.0)
    steady.answered(0.025, 1.0)
    upstream.lost_one(0.1, 1.0)
    assert steady.rank(1.0) < upstream.rank(1.0)


def test_one_slow_name_does_not_move_an_upstream_far(upstream):
    other = Upstream(UpstreamAddress("192.0.2.1"), 1)
    for _ in range(50):
        upstream.answered(0.02, 1.0)
        other.answered(0.06, 1.0)
    upstream.lost_one(0.03, 1.0)
    assert upstream.rank(1.0) < other.rank(1.0)


def test_losses_of_an_upstream_never_measured_count_too(upstream):
    assert upstream.rank(1.0)[1] == 0
    upstream.lost_one(0.4, 1.0)
    assert upstream.srtt > 0


def test_an_old_measurement_is_made_again(upstream):
    used = Upstream(UpstreamAddress("192.0.2.1"), 1)
    upstream.answered(0.03, 1.0)
    used.answered(0.02, 1.0)
    assert used.rank(1.0) < upstream.rank(1.0)
    used.answered(0.02, 601.0)
    assert upstream.rank(601.0) < used.rank(601.0)
