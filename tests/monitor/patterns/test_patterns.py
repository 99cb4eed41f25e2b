from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.patterns.episodes import episodes, sure_steps
from filterd.monitor.patterns.hits import Hit, Lookup, collapse
from filterd.monitor.patterns.pattern import Day, Pattern, pattern_of

START = 1_794_942_000
LOOKUPS = st.lists(
    st.builds(
        Lookup,
        st.integers(START, START + 86_399),
        st.sampled_from(["a.example", "b.example", "c.example", "d.example"]),
        st.booleans(),
    ),
    max_size=60,
)
HITS = st.lists(
    st.builds(Hit, st.integers(0, 60), st.sampled_from("abcd"), st.booleans()), max_size=25
)  # close together, so that windows fill
DAYS = st.lists(
    st.builds(Day, st.integers(100, 140), st.integers(0, 5), st.integers(0, 2)),
    max_size=30,
    unique_by=lambda day: day.day,
)


def hits(*pairs: tuple[int, str]) -> list[Hit]:
    return [Hit(step, domain, doubtful=False) for step, domain in pairs]


@given(LOOKUPS)
def test_one_hit_per_domain_and_five_minutes(lookups: list[Lookup]) -> None:
    found = collapse(lookups, START)
    keys = [(hit.step, hit.domain) for hit in found]
    assert keys == sorted({((at - START) // 300, domain) for at, domain, _ in lookups})
    for hit in found:
        same = [x for x in lookups if ((x.at - START) // 300, x.domain) == (hit.step, hit.domain)]
        assert hit.doubtful == all(x.doubtful for x in same)


@given(LOOKUPS, st.randoms(use_true_random=False))
def test_order_and_repeats_change_nothing(lookups: list[Lookup], chance: random.Random) -> None:
    again = lookups + chance.sample(lookups, len(lookups) // 2)
    chance.shuffle(again)
    assert collapse(again, START) == collapse(lookups, START)
    assert episodes(collapse(again, START)) == episodes(collapse(lookups, START))


@given(LOOKUPS, LOOKUPS)
def test_more_lookups_never_make_less_of_what_is_sure(lookups: list[Lookup], more: list[Lookup]) -> None:
    before, after = collapse(lookups, START), collapse(lookups + more, START)
    assert set(sure_steps(before)) <= set(sure_steps(after))
    assert not episodes(before) or episodes(after)


@given(HITS)
def test_an_episode_is_what_school_says(found: list[Hit]) -> None:
    """Said again in the plainest way: some hour holds 3 buckets or 3 domains that are not doubtful."""
    sure = [hit for hit in found if not hit.doubtful]

    def fills(step: int) -> bool:
        hour = [hit for hit in sure if step <= hit.step < step + 12]
        return len({hit.step for hit in hour}) >= 3 or len({hit.domain for hit in hour}) >= 3

    begun = episodes(found)
    assert bool(begun) == any(fills(step) for step in range(61))
    assert all(fills(step) for step in begun)
    assert all(second - first >= 12 for first, second in pairwise(begun))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(100, "a")], []),
        ([(100, "a"), (101, "a")], []),
        ([(100, "a"), (101, "a"), (102, "a")], [100]),  # three buckets
        ([(100, "a"), (105, "a"), (111, "a")], [100]),  # just within the hour
        ([(100, "a"), (105, "a"), (112, "a")], []),  # just outside
        ([(100, "a"), (100, "b"), (100, "c")], [100]),  # three domains in one bucket
        ([(100, "a"), (100, "b"), (111, "c")], [100]),
        ([(100, "a"), (100, "b"), (112, "c")], []),
        ([(89, "a"), (100, "a"), (101, "a"), (102, "a")], [100]),  # 89 to 101 is over an hour
        ([(step, "a") for step in range(100, 124)], [100, 112]),  # two hours are two episodes
    ],
)
def test_borders_of_an_episode(pairs: list[tuple[int, str]], expected: list[int]) -> None:
    assert episodes(hits(*pairs)) == expected


def test_doubtful_hits_make_no_episode() -> None:
    doubtful = [Hit(step, "ads.example", doubtful=True) for step in range(50)]
    assert episodes(doubtful) == []
    assert sure_steps(doubtful) == []


@given(DAYS)
def test_a_pattern_is_what_school_says(days: list[Day]) -> None:
    def school(day: int) -> bool:
        return day % 7 < 5

    found = pattern_of(days, is_school_day=school)
    active = [day for day in days if day.buckets]
    with_episode = [day.day for day in active if day.episodes]
    three = combinations(sorted(day for day in with_episode if school(day)), 3)
    if any(last - first < 14 for first, _, last in three):
        assert found is Pattern.SUSTAINED
    elif with_episode:
        assert found is Pattern.EPISODE
    else:
        assert found is (Pattern.SINGLE if active else None)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([], None),
        ([Day(100, 0, 0)], None),  # all of it doubtful
        ([Day(100, 1, 0)], Pattern.SINGLE),
        ([Day(100, 1, 0), Day(101, 1, 0), Day(102, 1, 0)], Pattern.SINGLE),
        ([Day(100, 3, 1)], Pattern.EPISODE),
        ([Day(100, 3, 1), Day(101, 3, 1)], Pattern.EPISODE),
        ([Day(100, 3, 1), Day(101, 3, 1), Day(113, 3, 1)], Pattern.SUSTAINED),  # the 14th day
        ([Day(100, 3, 1), Day(101, 3, 1), Day(114, 3, 1)], Pattern.EPISODE),  # the 15th
        ([Day(100, 3, 5)], Pattern.EPISODE),  # many in one day are no habit
    ],
)
def test_borders_of_a_pattern(days: list[Day], expected: Pattern | None) -> None:
    assert pattern_of(days, is_school_day=lambda _: True) is expected
    assert pattern_of(reversed(days), is_school_day=lambda _: True) is expected


def test_holidays_do_not_count() -> None:
    days = [Day(100, 3, 1), Day(101, 3, 1), Day(102, 3, 1)]
    assert pattern_of(days, is_school_day=lambda day: day != 101) is Pattern.EPISODE
