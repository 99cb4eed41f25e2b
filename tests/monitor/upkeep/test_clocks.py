"""Boxes whose clock is a year off: what they send is stored and counted, and not kept for ever."""

from __future__ import annotations

from typing import Any

import pytest

from filterd.monitor.days import DAY_SECONDS as DAY
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.retention import Retention

YEAR = 365 * DAY
BOX = '{box="box1",school="school-1"}'

pytestmark = pytest.mark.both_engines


@pytest.mark.parametrize(("off", "counted"), [(YEAR, 1), (-YEAR, 0)], ids=["ahead", "behind"])
async def test_a_clock_a_year_off(monitor: Any, make: Any, clock: Any, off: int, counted: int) -> None:
    at = make.now + off
    event = make.event(bucket=at - at % 300, name="wrong.example")
    right = make.event(name="right.example")
    usage = [make.usage(hour=at - at % 3600, queries=5)]
    delivery = make.delivery(make.batch(1, [event, right], usage), health=make.health(at=at))
    assert await monitor.post(delivery) == (200, {"acknowledged": [1]})
    assert monitor.sql("SELECT name FROM events ORDER BY name") == [("right.example",), ("wrong.example",)]
    assert monitor.sql("SELECT sum(queries) FROM usage") == [(5,)]
    future = (await monitor.metric("filterd_box_future_events_total"))[BOX]
    assert (future > 0) == bool(counted)
    assert (await monitor.metric("filterd_box_clock_offset_seconds"))[BOX] == off
    assert (await monitor.metric("filterd_box_up"))[BOX] == 1  # a wrong clock is not silence
    assert (await monitor.post(delivery))[0] == 200
    assert monitor.sql("SELECT sum(count) FROM events") == [(2,)]
    clock.now += 31 * DAY
    store = await Store.open(monitor.settings, clock)
    try:
        await Retention(store, monitor.settings, Meter(), clock).purge()
    finally:
        await store.close()
    assert monitor.sql("SELECT count(*) FROM events") == [(0,)]
