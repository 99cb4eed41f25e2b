"""Partitions on a real PostgreSQL; the rows of a partitioned table and their way into it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from filterd.monitor.days import DAY_SECONDS, date_of
from filterd.monitor.store.partitions import PARTITIONED, drop_old, existing, make_ahead
from filterd.monitor.store.schema import USAGE
from filterd.monitor.store.store import Store

pytestmark = [pytest.mark.both_engines, pytest.mark.postgresql_only]
NOW = 1_795_000_000
TODAY = NOW // DAY_SECONDS
OF_USAGE = PARTITIONED[1]


@pytest.fixture
async def store(settings: Any, clock: Any) -> Any:
    opened = await Store.open(settings, clock)
    yield opened
    await opened.close()


async def ahead(store: Store, now: float = NOW) -> list[str]:
    return [
        name for part in PARTITIONED for name in await store.write(partial(make_ahead, part=part, now=now))
    ]


async def put_usage(store: Store, *hours: int) -> None:
    rows = [
        {"school": "s", "hour": hour, "group_id": "g", "tier": "t", "category": "", "outcome": "allowed"}
        | {"queries": 1}
        for hour in hours
    ]
    await store.write(lambda connection: connection.execute(insert(USAGE), rows))


async def where(store: Store) -> dict[int, str]:
    query = "SELECT hour, tableoid::regclass::text FROM usage"
    rows = await store.read(lambda connection: connection.exec_driver_sql(query))
    return {int(hour): str(table) for hour, table in rows}


async def test_partitions_are_made_ahead_and_once(store: Store) -> None:
    assert await ahead(store) == [
        *(f"events_p202611{day}" for day in range(18, 26)),
        *("usage_p202611", "usage_p202612", "usage_p202701"),
        *("device_days_p202611", "device_days_p202612", "device_days_p202701"),
    ]
    assert await ahead(store) == []
    assert await ahead(store, NOW + DAY_SECONDS) == ["events_p20261126"]
    known = await store.read(partial(existing, table="events"))
    assert known["events_p20261118"] == (TODAY * DAY_SECONDS, (TODAY + 1) * DAY_SECONDS)


async def test_rows_that_waited_in_the_default_partition_are_moved(store: Store) -> None:
    late, now, far = NOW - 400 * DAY_SECONDS, NOW - NOW % 3600, NOW + 4000 * DAY_SECONDS
    await put_usage(store, late, now, far)
    assert set((await where(store)).values()) == {"usage_default"}
    await ahead(store)
    assert await where(store) == {late: "usage_default", now: "usage_p202611", far: "usage_default"}
    await put_usage(store, now + 3600)
    assert (await where(store))[now + 3600] == "usage_p202611"


async def test_whole_partitions_are_dropped_and_no_others(store: Store) -> None:
    await ahead(store)
    hours = [NOW - NOW % 3600, NOW - NOW % 3600 + 31 * DAY_SECONDS]
    await put_usage(store, *hours, NOW - 4000 * DAY_SECONDS)
    december = (await store.read(partial(existing, table="usage")))["usage_p202612"][0]
    assert await store.write(partial(drop_old, part=OF_USAGE, border=december - 1)) == {}
    assert await store.write(partial(drop_old, part=OF_USAGE, border=december)) == {"usage_p202611": 1}
    assert set((await where(store)).values()) == {"usage_p202612", "usage_default"}


async def test_deliveries_go_on_while_partitions_are_made_and_dropped(
    start: Any, make: Any, clock: Any
) -> None:
    """A row on its way into the default partition while its own is made is written again."""
    monitor = await start(clock=clock)
    store = await Store.open(monitor.settings, clock)

    async def box(stream: int) -> None:
        for number in range(1, 21):
            days = [DAY_SECONDS * ((number + stream) % 40 - 10)]
            usage = [make.usage(hour=NOW - NOW % 3600 - day) for day in days]
            events = [make.event(bucket=NOW - NOW % 300 - day) for day in days]
            delivery = make.delivery(make.batch(number, events, usage), stream=f"{stream:032x}")
            status, reply = await monitor.post(delivery)
            assert status == 200, reply

    async def partitions() -> None:
        for day in range(-40, 15):
            await ahead(store, NOW + day * DAY_SECONDS)

    await asyncio.gather(partitions(), *(box(n) for n in range(6)))
    await store.close()
    assert monitor.sql("SELECT sum(count) FROM events") == [(6 * 20,)]
    assert monitor.sql("SELECT sum(queries) FROM usage") == [(6 * 20,)]
    assert monitor.sql("SELECT sum(queries) FROM usage_totals") == [(6 * 20,)]
    assert monitor.sql("SELECT count(*) FROM events_default") == [(0,)]


async def test_the_endpoint_makes_its_partitions_by_itself(start: Any, clock: Any) -> None:
    monitor = await start(clock=clock)
    count = "SELECT count(*) FROM pg_inherits i WHERE i.inhparent = 'events'::regclass"
    async with asyncio.timeout(60):
        while monitor.sql(count) != [(9,)]:  # noqa: ASYNC110 - eight days and the default
            await asyncio.sleep(0.01)


@given(st.integers(0, 60_000))
def test_every_day_lies_in_one_partition_that_its_name_tells(day: int) -> None:
    for part in PARTITIONED:
        scale = DAY_SECONDS // part.unit
        name, first, end = part.period(day)
        assert first <= day * scale < end
        assert part.period(end // scale)[1] == end  # the next begins where it ends
        form = "%Y%m%d" if part.by == "day" else "%Y%m"
        assert name == f"{part.table.name}_p{date_of(day).strftime(form)}"
        assert (name, first, end) in part.ahead(day)
