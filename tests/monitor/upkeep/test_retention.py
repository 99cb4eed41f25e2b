from __future__ import annotations

import asyncio
from typing import Any

import pytest

from filterd.monitor.days import DAY_SECONDS as DAY
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.retention import Retention

pytestmark = pytest.mark.both_engines


async def purge(monitor: Any, clock: Any) -> dict[str, int]:
    store = await Store.open(monitor.settings, clock)
    try:
        return await Retention(store, monitor.settings, Meter(), clock).purge()
    finally:
        await store.close()


def bucket(clock: Any, days: float) -> int:
    at = int(clock.now - days * DAY)
    return at - at % 300


async def test_events_live_for_thirty_calendar_days_and_never_longer(
    monitor: Any, make: Any, clock: Any
) -> None:
    # 11:06 UTC: 29.4 days ago it was 01:30 of the 30th day counted from today.
    ages = {"young.example": 29.4, "old.example": 29.5, "older.example": 300}
    events = [make.event(name=name, bucket=bucket(clock, days)) for name, days in ages.items()]
    await monitor.post(make.delivery(make.batch(1, events)))
    assert (await purge(monitor, clock))["events"] == 2
    assert monitor.sql("SELECT name FROM events") == [("young.example",)]
    clock.now += DAY
    assert (await purge(monitor, clock))["events"] == 1
    assert monitor.sql("SELECT count(*) FROM events") == [(0,)]


@pytest.mark.sqlite_only  # PostgreSQL's pages are its own; its backups and WAL are the region's duty
async def test_nothing_of_a_deleted_event_is_left_on_the_disk(monitor: Any, make: Any, clock: Any) -> None:
    secret = b"a-name-that-must-be-forgotten"
    event = make.event(name=f"{secret.decode()}.example", bucket=bucket(clock, 1))
    await monitor.post(
        make.delivery(make.batch(1, [event, *(make.event(name=f"n{n}.example") for n in range(300))]))
    )
    files = [file for file in monitor.path.parent.iterdir() if file.name.startswith("monitor.sqlite")]
    assert any(secret in file.read_bytes() for file in files)
    clock.now += 29.5 * DAY
    await purge(monitor, clock)
    assert monitor.sql("SELECT count(*) FROM events") == [(300,)]
    assert not any(secret in file.read_bytes() for file in files if file.exists())


async def test_an_event_of_a_wrong_clock_goes_when_it_has_been_here_for_thirty_days(
    monitor: Any, make: Any, clock: Any
) -> None:
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=bucket(clock, -3650))])))
    clock.now += 29 * DAY
    assert (await purge(monitor, clock))["events"] == 0
    clock.now += 2 * DAY
    assert (await purge(monitor, clock))["events"] == 1


async def test_counts_stay_for_three_years_and_totals_for_ever(monitor: Any, make: Any, clock: Any) -> None:
    await monitor.post(make.delivery(make.batch(1), health=make.health()))
    clock.now += 3 * 365 * DAY - DAY
    assert (await purge(monitor, clock))["usage"] == 0
    clock.now += 31 * DAY
    deleted = await purge(monitor, clock)
    assert (deleted["usage"], deleted["boxes"], deleted["processes"], deleted["streams"]) == (1, 1, 1, 1)
    queries = await monitor.metric("filterd_queries_total")
    assert sum(queries.values()) == 1


async def test_many_rows_go_in_small_steps(monitor: Any, make: Any, clock: Any) -> None:
    events = [make.event(name=f"n{n}.example", bucket=bucket(clock, 40)) for n in range(4999)]
    assert (await monitor.post(make.delivery(make.batch(1, events)), packed=True))[0] == 200
    assert (await purge(monitor, clock))["events"] == 4999


async def test_the_service_purges_by_itself_and_shows_when(start: Any, make: Any, clock: Any) -> None:
    monitor = await start(clock=clock)
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=bucket(clock, 29))])))
    await monitor.end()
    clock.now += 2 * DAY
    monitor = await start(clock=clock)
    async with asyncio.timeout(60):
        last = "filterd_upkeep_last_success_timestamp_seconds"
        while (await monitor.metric(last)).get('{task="retention"}') != clock.now:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.01)
    assert (await monitor.get("/v1/events"))[1]["events"] == []
    assert await monitor.metric("filterd_retention_deleted_rows_total") == {'{table="events"}': 1}
