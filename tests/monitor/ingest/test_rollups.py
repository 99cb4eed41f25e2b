from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.days import day_of, month_of
from filterd.monitor.ingest.rollups import by_day, by_month, days_touched

pytestmark = pytest.mark.both_engines
ALMATY = ZoneInfo("Asia/Almaty")
HOUR = 1_795_000_000 - 1_795_000_000 % 3600


def at(*parts: int) -> int:
    """Return the UTC seconds of a time in Almaty."""
    return int(datetime(*parts, tzinfo=ALMATY).timestamp())  # type: ignore[misc,arg-type]


def usage_of(monitor: Any, table: str, column: str) -> dict[int, int]:
    rows = monitor.sql(f"SELECT {column}, sum(queries) FROM {table} GROUP BY {column}")  # noqa: S608
    return {int(when): int(queries) for when, queries in rows}


async def test_usage_is_added_up_by_day_and_month_of_the_zone(monitor: Any, make: Any) -> None:
    hours = [at(2026, 10, 31, 22), at(2026, 10, 31, 23), at(2026, 11, 1, 0), at(2026, 11, 18, 12)]
    usage = [make.usage(hour=hour, queries=10**n) for n, hour in enumerate(hours)]
    await monitor.post(make.delivery(make.batch(1, [], usage)))
    days = [day_of(hour, ALMATY) for hour in hours]
    assert days[0] == days[1] == days[2] - 1
    assert usage_of(monitor, "usage_days", "day") == {days[0]: 11, days[2]: 100, days[3]: 1000}
    october = 2026 * 12 + 9
    assert usage_of(monitor, "usage_months", "month") == {october: 11, october + 1: 1100}
    assert datetime.fromtimestamp(hours[2], UTC).month == 10  # in UTC it would have been October's


async def test_late_and_repeated_batches_correct_the_roll_ups_once(monitor: Any, make: Any) -> None:
    for _ in range(3):
        await monitor.post(make.delivery(make.batch(2, [], [make.usage(queries=5)])))
    await monitor.post(make.delivery(make.batch(1, [], [make.usage(queries=7, group="class-8")])))
    for table, column in (("usage", "hour"), ("usage_days", "day"), ("usage_months", "month")):
        assert list(usage_of(monitor, table, column).values()) == [12], table
    assert monitor.sql("SELECT count(*) FROM usage_days") == [(2,)]
    assert monitor.sql("SELECT count(*) FROM usage_months") == [(1,)]  # groups of a tier together


async def test_a_month_is_the_sum_of_its_days_under_load(monitor: Any, make: Any) -> None:
    async def one(box: str, stream: int) -> None:
        for number in range(1, 9):
            usage = [
                make.usage(hour=HOUR - 3600 * n * 7, group=f"class-{n % 5}", outcome=outcome, queries=n + 1)
                for n in range(number)
                for outcome in ("blocked", "allowed")
            ]
            delivery = make.delivery(make.batch(number, [], usage), box=box, stream=f"{stream:032x}")
            assert (await monitor.post(delivery))[0] == 200

    await asyncio.gather(*(one(box, n) for n, box in enumerate(["box1", "box2", "far1"] * 4)))
    sums = "SELECT school, outcome, sum(queries) FROM {} GROUP BY 1, 2 ORDER BY 1, 2"
    expected = monitor.sql(sums.format("usage"))
    assert expected
    assert monitor.sql(sums.format("usage_days")) == expected
    assert monitor.sql(sums.format("usage_months")) == expected


async def test_days_with_new_events_are_marked(monitor: Any, make: Any, clock: Any) -> None:
    buckets = [at(2026, 11, 16, 23, 55), at(2026, 11, 17, 0, 0), at(2026, 11, 17, 9, 0)]
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=bucket) for bucket in buckets])))
    days = [day_of(buckets[0], ALMATY), day_of(buckets[1], ALMATY)]
    mark = "SELECT school, day, touched FROM dirty_days ORDER BY day"
    assert monitor.sql(mark) == [("school-1", day, int(clock.now)) for day in days]
    clock.now += 60
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=bucket) for bucket in buckets])))
    assert monitor.sql(mark)[0][2] == clock.now - 60  # nothing new came
    await monitor.post(make.delivery(make.batch(2, [make.event(bucket=buckets[0])])))
    assert [touched for *_, touched in monitor.sql(mark)] == [clock.now, clock.now - 60]


async def test_uptime_of_all_processes_of_a_box_is_united(monitor: Any, make: Any) -> None:
    for stream, number, steps in (
        ("a", 1, 0b0011),
        ("b", 1, 0b0110),
        ("a", 2, 0b1000_0000_0000),
        ("b", 1, 1),
    ):
        batch = make.batch(number, [], []) | {"alive": [{"hour": HOUR, "steps": steps}]}
        assert (await monitor.post(make.delivery(batch, stream=stream * 32)))[0] == 200
    assert monitor.sql("SELECT school, box, hour, steps FROM box_hours") == [
        ("school-1", "box1", HOUR, 0b1000_0000_0111)
    ]


@pytest.mark.parametrize(
    "alive",
    [
        {"hour": HOUR, "steps": 0}, {"hour": HOUR, "steps": 1 << 12}, {"hour": HOUR, "steps": -1},
        {"hour": HOUR + 300, "steps": 1}, {"hour": -3600, "steps": 1}, {"hour": HOUR, "steps": True},
        {"hour": HOUR}, {"steps": 1}, {"hour": HOUR, "steps": 1, "box": "box2"},
        {"hour": 3600 * 2**40, "steps": 1},
    ],
)  # fmt: skip
async def test_wrong_uptime_refuses_its_batch(monitor: Any, make: Any, alive: Any) -> None:
    status, problem = await monitor.post(make.delivery(make.batch(1), make.batch(2) | {"alive": [alive]}))
    assert (status, problem["sequence"]) == (422, 2)
    for table in ("box_hours", "usage_days", "usage_months", "dirty_days", "events"):
        assert monitor.sql(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608


async def test_a_wrong_clock_neither_outlives_retention_nor_makes_uptime(monitor: Any, make: Any) -> None:
    far = 2**40 - 2**40 % 3600
    batch = make.batch(1, [make.event(bucket=far)], [make.usage(hour=far, queries=3)])
    batch |= {"alive": [{"hour": far, "steps": 5}]}
    test = selftest(at=far)
    assert (await monitor.post(make.delivery(batch, health=make.health(selftest=test))))[0] == 200
    assert monitor.sql("SELECT hour, queries FROM usage") == [(HOUR, 3)]
    assert monitor.sql("SELECT day FROM usage_days") == [(day_of(HOUR, ALMATY),)]
    for table in ("box_hours", "dirty_days", "selftests"):
        assert monitor.sql(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
    assert monitor.sql("SELECT future_events FROM boxes") == [(3,)]


def selftest(**changes: Any) -> dict[str, Any]:
    return {
        "at": HOUR,
        "tested": 30,
        "failed": ["games", "adult"],
        "no_source": ["selfharm"],
        "learning_tested": 16,
        "learning_answered": 15,
        "error": "",
    } | changes


async def test_each_self_test_is_kept_once(monitor: Any, make: Any) -> None:
    for moment, test in enumerate(
        [selftest(), selftest(), selftest(at=HOUR + 60, failed=[], error="no lists")]
    ):
        health = make.health(at=make.now + moment, selftest=test)
        assert (await monitor.post(make.delivery(health=health)))[0] == 200
    await monitor.post(make.delivery(health=make.health(at=make.now + 9, selftest=None)))
    assert monitor.sql("SELECT * FROM selftests ORDER BY at") == [
        ("school-1", "box1", HOUR, "p1", "i1", 30, "adult,games", "selfharm", 16, 15, ""),
        ("school-1", "box1", HOUR + 60, "p1", "i1", 30, "", "selfharm", 16, 15, "no lists"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"error": "a\0b"},
        {"error": "\x1b[31m"},
        {"error": "x" * 201},
        {"failed": ["Ä"]},
        {"tested": -1},
        {"x": 1},
    ],
)
async def test_a_wrong_self_test_is_refused(monitor: Any, make: Any, change: Any) -> None:
    status, _ = await monitor.post(
        make.delivery(make.batch(1), health=make.health(selftest=selftest(**change)))
    )
    assert status == 422
    assert monitor.sql("SELECT count(*) FROM events") == [(0,)]


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("st"), st.integers(0, 50_000), *[st.sampled_from("ab")] * 4),
        st.integers(1, 2**40),
    )
)
def test_sums_agree_whatever_the_cut(usage: dict[Any, int]) -> None:
    hours = {(s, hour * 3600 + 1_600_000_000, *rest): queries for (s, hour, *rest), queries in usage.items()}
    days = by_day(hours, ALMATY)
    months = by_month(days)
    assert sum(hours.values()) == sum(days.values()) == sum(months.values())
    assert {month for _, month, *_ in months} == {month_of(day) for _, day, *_ in days}
    touched = days_touched([(school, hour) for school, hour, *_ in hours], ALMATY)
    assert touched == sorted({(school, day) for school, day, *_ in days})
