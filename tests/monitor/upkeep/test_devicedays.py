from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.monitor.days import DAY_SECONDS, day_of, start_of
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.devicedays import DeviceDays, summary
from filterd.monitor.upkeep.retention import Retention

pytestmark = pytest.mark.both_engines
ALMATY = ZoneInfo("Asia/Almaty")
DAY = day_of(1_795_000_000, ALMATY)
START = start_of(DAY, ALMATY)
COLUMNS = "pseudonym, category, group_id, tier, hits, doubtful, domains, episodes, buckets"


async def made(settings: Any, clock: Any) -> int:
    store = await Store.open(settings, clock)
    try:
        return await DeviceDays(store, settings, clock).make()
    finally:
        await store.close()


def device_days(monitor: Any, day: int = DAY) -> list[tuple[Any, ...]]:
    query = f"SELECT {COLUMNS} FROM device_days WHERE day = {day} ORDER BY school, pseudonym, category"  # noqa: S608
    return list(monitor.sql(query))


async def test_a_device_day_says_what_school_asks(monitor: Any, make: Any, clock: Any) -> None:
    def event(step: int, domain: str, **changes: Any) -> Any:
        named = {"name": f"www.{domain}"} | changes
        return make.event(bucket=START + 300 * step, domain=domain, **named)

    events = [
        event(100, "a.example"),
        event(
            100, "a.example", name="img.a.example", hints="page_burst"
        ),  # the same hit, and one sure lookup
        event(101, "b.example", hints="ad_parent"),
        event(101, "b.example", name="c.b.example", hints="automatic,out_of_hours"),  # all of it doubtful
        event(102, "c.example", group="class-8"),
        event(104, "a.example", group="class-8"),
        event(104, "x.example", verdict="rewrite"),  # no attempt at anything
        event(104, "drugs.example", category="drugs"),
        event(104, "a.example", pseudonym="zzzzzzzz", tier="senior"),
    ]
    await monitor.post(make.delivery(make.batch(1, events)))
    assert await made(monitor.settings, clock) == 1
    assert device_days(monitor) == [
        ("abcdefgh", "drugs", "class-7", "middle", 1, 0, 1, 0, "104"),
        ("abcdefgh", "gambling", "class-8", "middle", 4, 1, 3, 1, "100,102,104"),
        ("zzzzzzzz", "gambling", "class-7", "senior", 1, 0, 1, 0, "104"),
    ]
    assert monitor.sql("SELECT * FROM dirty_days") == []
    assert await made(monitor.settings, clock) == 0


async def test_days_begin_at_midnight_of_the_zone(monitor: Any, make: Any, clock: Any) -> None:
    edges = [START - 300, START, START + 86_100, START + 86_400]
    clock.now = START + 2 * DAY_SECONDS
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=bucket) for bucket in edges])))
    assert await made(monitor.settings, clock) == 3
    assert [row[-1] for row in device_days(monitor)] == ["0,287"]
    assert datetime.fromtimestamp(START, ALMATY).hour == 0


async def test_late_and_repeated_deliveries_correct_the_day(monitor: Any, make: Any, clock: Any) -> None:
    batches = [
        make.batch(n, [make.event(bucket=START + 300 * n, domain=f"d{n}.example")]) for n in range(1, 5)
    ]
    await monitor.post(make.delivery(batches[0], batches[3]))
    await made(monitor.settings, clock)
    assert [row[4:] for row in device_days(monitor)] == [(2, 0, 2, 0, "1,4")]
    clock.now += 5 * DAY_SECONDS
    for _ in range(2):
        await monitor.post(make.delivery(batches[1], batches[2]))
        await made(monitor.settings, clock)
        assert [row[4:] for row in device_days(monitor)] == [(4, 0, 4, 1, "1,2,3,4")]


async def test_another_school_and_day_are_left_alone(monitor: Any, make: Any, clock: Any) -> None:
    for box in ("box1", "far1"):
        days = [make.event(bucket=START), make.event(bucket=START - DAY_SECONDS)]
        await monitor.post(make.delivery(make.batch(1, days), box=box))
    assert await made(monitor.settings, clock) == 4
    await monitor.post(make.delivery(make.batch(2, [make.event(bucket=START + 300)]), box="far1"))
    assert await made(monitor.settings, clock) == 1
    assert [row[-1] for row in device_days(monitor)] == ["0", "0,1"]
    assert [row[-1] for row in device_days(monitor, DAY - 1)] == ["0", "0"]


async def test_deliveries_and_two_monitors_at_once_end_in_the_right_rows(
    start: Any, make: Any, clock: Any
) -> None:
    # All of them wait for SQLite's one lock, and its waiting knows no turns.
    patient = MonitorLimits(busy_seconds=90.0, store_seconds=90.0)
    monitor = await start(clock=clock, limits=patient)
    stop = asyncio.Event()

    async def summing(store: Store) -> None:
        days = DeviceDays(store, monitor.settings, clock)
        while not stop.is_set():
            await days.make()
            await asyncio.sleep(0.02)
        await store.close()

    async def box(name: str, stream: int) -> None:
        for number in range(1, 13):
            events = [
                make.event(
                    bucket=START + 300 * ((7 * number + stream) % 90),
                    domain=f"d{number % 5}.example",
                    pseudonym="abcdefg" + "hij"[stream % 3],
                )
            ]
            delivery = make.delivery(make.batch(number, events), box=name, stream=f"{stream:032x}")
            assert (await monitor.post(delivery))[0] == 200

    stores = [await Store.open(monitor.settings, clock) for _ in range(2)]
    workers = [asyncio.create_task(summing(store)) for store in stores]
    await asyncio.gather(*(box(name, n) for n, name in enumerate(["box1", "box2", "far1"] * 2)))
    stop.set()
    await asyncio.gather(*workers)
    await made(monitor.settings, clock)
    found = monitor.sql("SELECT school, pseudonym, hits, domains FROM device_days ORDER BY 1, 2")
    assert found == monitor.sql(
        "SELECT school, pseudonym, count(*), count(DISTINCT domain) FROM"
        " (SELECT DISTINCT school, pseudonym, bucket, domain FROM events) AS hit GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert len(found) == 3
    assert monitor.sql("SELECT * FROM dirty_days") == []


@pytest.mark.postgresql_only
async def test_a_delivery_under_way_is_waited_for(monitor: Any, make: Any, clock: Any, settings: Any) -> None:
    """The mark is set, its events are not committed: nobody may clear it before they can be seen."""
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=START)])))
    with psycopg.connect(settings.database) as other:
        other.execute("UPDATE dirty_days SET touched = touched")
        other.execute(
            "INSERT INTO events SELECT school, bucket + 300, decode('00', 'hex'), group_id, tier,"
            " pseudonym, domain, name, category, list_id, rule, layer, verdict, reason, count, received,"
            " hints FROM events"
        )
        summing = asyncio.create_task(
            made(dataclasses.replace(settings, limits=MonitorLimits(busy_seconds=60.0)), clock)
        )
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        async with asyncio.timeout(60):
            while monitor.sql(waiting) == [(0,)]:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.01)
        assert monitor.sql("SELECT * FROM device_days") == []
        other.commit()
    assert await summing == 1
    assert [row[-1] for row in device_days(monitor)] == ["0,1"]


async def test_a_day_of_which_events_are_gone_is_not_made_anew(monitor: Any, make: Any, clock: Any) -> None:
    await monitor.post(
        make.delivery(make.batch(1, [make.event(bucket=START), make.event(bucket=START + 900)]))
    )
    await made(monitor.settings, clock)
    before = device_days(monitor)
    clock.now += 30 * DAY_SECONDS
    store = await Store.open(monitor.settings, clock)
    await Retention(store, monitor.settings, Meter(), clock).purge()
    await store.close()
    assert monitor.sql("SELECT * FROM events") == []
    await monitor.post(make.delivery(make.batch(2, [make.event(bucket=START + 600)])))
    assert await made(monitor.settings, clock) == 0
    assert device_days(monitor) == before
    assert monitor.sql("SELECT * FROM dirty_days") == []


async def test_a_summary_names_no_site_and_no_time_but_steps(monitor: Any, make: Any, clock: Any) -> None:
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=START + 300)])))
    await made(monitor.settings, clock)
    text = repr(monitor.sql("SELECT * FROM device_days"))
    for secret in ("casino", "example", "local-gambling", str(START + 300)):
        assert secret not in text


class Event:
    def __init__(self, bucket: int, domain: str, hints: str, group_id: str) -> None:
        self.bucket, self.domain, self.hints, self.group_id = bucket, domain, hints, group_id
        self.pseudonym, self.category, self.tier = "abcdefgh", "gambling", "middle"


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, 287).map(lambda step: START + 300 * step),
        st.sampled_from("abcd"),
        st.sampled_from(["", "ad_parent"]),
        st.sampled_from("xyz"),
    ),
    min_size=1,
    max_size=40,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_a_summary_adds_up_and_does_not_depend_on_order(events: list[Event], chance: Any) -> None:
    names = (
        "pseudonym",
        "category",
        "group_id",
        "tier",
        "hits",
        "doubtful",
        "domains",
        "episodes",
        "buckets",
    )
    found = dict(zip(names, summary(events, START), strict=True))
    again = list(events)
    chance.shuffle(again)
    assert summary(again, START) == summary(events, START)
    steps = [int(step) for step in found["buckets"].split(",") if step]
    assert steps == sorted(set(steps))
    assert found["hits"] == len({(event.bucket, event.domain) for event in events})
    assert found["domains"] == len({event.domain for event in events}) <= found["hits"]
    assert len(steps) <= found["hits"] - found["doubtful"]
    assert bool(steps) == (found["doubtful"] < found["hits"])
