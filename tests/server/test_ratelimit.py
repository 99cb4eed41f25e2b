from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from filterd.server.ratelimit import Admission, Bucket
from filterd.server.settings import RateLimit


def test_amplification_a_burst_over_the_limit_is_slipped_and_dropped_in_turn():
    limit = RateLimit(per_second=10, burst=3, slip=2)
    bucket = Bucket(limit, 0.0)
    got = [bucket.admit(limit, 0.0) for _ in range(7)]
    assert got == [Admission.ANSWER] * 3 + [Admission.DROP, Admission.SLIP] * 2


def test_tokens_come_back_with_time():
    limit = RateLimit(per_second=10, burst=1)
    bucket = Bucket(limit, 0.0)
    assert bucket.admit(limit, 0.0) is Admission.ANSWER
    assert bucket.admit(limit, 0.05) is Admission.DROP
    assert bucket.admit(limit, 0.16) is Admission.ANSWER


def test_zero_switches_the_limit_off():
    limit = RateLimit(per_second=0, burst=1)
    bucket = Bucket(limit, 0.0)
    assert all(bucket.admit(limit, 0.0) is Admission.ANSWER for _ in range(100))


@given(
    st.lists(st.floats(-10, 10), max_size=200),
    st.integers(1, 100),
    st.integers(1, 50),
)
def test_never_more_than_burst_and_rate_allow(steps, per_second, burst):
    """Also when the clock stands still or jumps back."""
    limit = RateLimit(per_second=per_second, burst=burst)
    now = latest = 0.0
    bucket = Bucket(limit, now)
    answered = 0
    advanced = 0.0
    for step in steps:
        now += step
        advanced += max(0.0, step)
        latest = max(latest, now)
        answered += bucket.admit(limit, now) is Admission.ANSWER
    assert answered <= burst + advanced * per_second + 1e-6
