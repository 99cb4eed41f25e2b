from __future__ import annotations

import asyncio
from typing import Any

import pytest

from filterd.errors import StoreError
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.scheduler import Scheduler, Task

pytestmark = pytest.mark.both_engines


async def test_tasks_go_on_whatever_happens_to_one(start: Any, settings: Any, clock: Any) -> None:
    monitor = await start(clock=clock)
    store = await Store.open(settings, clock)
    meter = Meter()
    turns = {"good": 0, "bad": 0, "worse": 0}
    enough = asyncio.Event()

    def task(name: str, fault: Exception | None) -> Task:
        async def work() -> None:
            turns[name] += 1
            if min(turns.values()) >= 3:
                enough.set()
            if fault is not None:
                raise fault

        return Task(name, 0.01, work)

    tasks = [task("good", None), task("bad", StoreError("no room")), task("worse", ZeroDivisionError())]
    running = asyncio.create_task(Scheduler(tasks, store, meter).run())
    async with asyncio.timeout(60):
        await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()
    failures = meter.registry.get_sample_value
    assert failures("filterd_upkeep_failures_total", {"task": "good"}) == 0
    assert (failures("filterd_upkeep_failures_total", {"task": "bad"}) or 0) >= 2
    assert (failures("filterd_upkeep_failures_total", {"task": "worse"}) or 0) >= 2
    done = await monitor.metric("filterd_upkeep_last_success_timestamp_seconds")
    assert done['{task="good"}'] == clock.now
    assert not done.keys() & {'{task="bad"}', '{task="worse"}', '{task="probe"}'}


async def test_the_endpoint_shows_all_its_tasks(start: Any, clock: Any) -> None:
    monitor = await start(clock=clock)
    wanted = {'{task="partitions"}', '{task="retention"}', '{task="device_days"}'}
    async with asyncio.timeout(60):
        while set(await monitor.metric("filterd_upkeep_last_success_timestamp_seconds")) != wanted:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.01)
    assert set((await monitor.metric("filterd_upkeep_failures_total")).items()) == {(t, 0.0) for t in wanted}
