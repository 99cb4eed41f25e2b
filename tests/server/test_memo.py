from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.server.memo import Memos

ENTRY = (b"reply", [0], None)


class View:
    """Memos only needs identity of a view, and whose it is."""

    def __init__(self, group=None):
        self.group = group or f"group of {id(self)}"


def offered(memos, memo, question, *, now=100.0, keep=10.0, entry=ENTRY):
    for _ in range(2):
        memos.offer(memo, question, entry, now, keep)


def test_a_question_is_remembered_only_when_it_comes_again():
    memos = Memos()
    memo = memos.of(View())
    memos.offer(memo, b"q", ENTRY, 100.0, 10.0)
    assert memo.entries == {}
    memos.offer(memo, b"q", ENTRY, 100.0, 10.0)
    assert memo.entries == {b"q": ENTRY}


def test_cacheflush_a_scan_of_random_names_pushes_nothing_out():
    memos = Memos(maximum=100)
    memo = memos.of(View())
    offered(memos, memo, b"popular")
    for number in range(10_000):
        memos.offer(memo, b"random %d" % number, ENTRY, 100.0, 10.0)
    assert b"popular" in memo.entries
    assert len(memos) == 1


def test_it_is_bounded_over_all_views_and_counts_what_goes():
    memos = Memos(maximum=100)
    views = [memos.of(View()) for _ in range(4)]
    for number in range(1000):
        offered(memos, views[number % 4], b"%d" % number, keep=5.0 + number % 50)
        assert len(memos) == sum(len(memo.entries) for memo in views) <= 100
    assert memos.evicted >= 900


def test_views_do_not_share_replies():
    memos = Memos()
    one, other = memos.of(View()), memos.of(View())
    offered(memos, one, b"q")
    assert other.entries == {}


def test_the_view_after_the_bell_begins_with_nothing_and_the_one_before_is_forgotten():
    memos = Memos()
    before = memos.of(View("grade 5"))
    kept = memos.of(View("teachers"))
    for memo in (before, kept):
        offered(memos, memo, b"q")
    after = memos.of(View("grade 5"))
    assert (after.entries, before.entries, len(memos)) == ({}, {}, 1)
    assert memos.of(kept.view) is kept
    memos.expire(200.0)
    assert len(memos) == 0


def test_a_year_of_bells_leaves_one_memo_a_group():
    memos = Memos()
    for _ in range(5000):
        memos.of(View("grade 5"))
    assert len(memos._memos) == 1


def test_large_replies_and_replies_that_may_not_be_kept_are_not_remembered():
    memos = Memos()
    memo = memos.of(View())
    offered(memos, memo, b"large", entry=(bytes(5000), [0], None))
    offered(memos, memo, b"now", keep=0.0)
    assert memo.entries == {}


def test_clear_forgets_everything():
    memos = Memos()
    view = View()
    offered(memos, memos.of(view), b"q")
    memos.clear()
    assert memos.of(view).entries == {}
    assert len(memos) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c", b"d"]), st.floats(0, 300), st.floats(0, 40), st.booleans()
        ),
        max_size=60,
    )
)
def test_2181_nothing_is_served_past_the_time_it_is_right(steps):
    """Whatever comes when: after expire(now) every entry there may still be given out at now."""
    memos = Memos(maximum=3)
    memo = memos.of(View())
    right_until = {}
    now = 1000.0
    for question, wait, keep, twice in steps:
        now += wait
        memos.expire(now)
        for known in memo.entries:
            assert right_until[known] >= now
        if question not in memo.entries:
            for _ in range(1 + twice):
                memos.offer(memo, question, ENTRY, now, keep)
            if question in memo.entries:
                right_until[question] = now + keep
        assert len(memos) == len(memo.entries) <= 3


@pytest.mark.parametrize("jump", [-50.0, 5000.0])
def test_a_clock_that_jumps_leaves_it_usable(jump):
    memos = Memos()
    memo = memos.of(View())
    memos.expire(1000.0)
    offered(memos, memo, b"q", now=1000.0 + jump)
    memos.expire(1000.0 + jump + 20)
    memos.expire(1020.0 + 6000)
    assert memo.entries == {}
