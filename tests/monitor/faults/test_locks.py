"""Another program holds the store's lock: 503 in bounded time, nothing acknowledged lost, then all goes on.

The lock of a backup or of a person's transaction may last a minute; here it lasts many times the bound.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import psycopg
import pytest
from _boxes import check_all, connected, delivering, some_boxes, until_acknowledged, until_refused

from filterd.monitor.settings import MonitorLimits

LIMITS = MonitorLimits(busy_seconds=0.3, store_seconds=3.0, failover_seconds=0.5)
REFUSALS = 5  # one after the other while the lock is held: many times the bound
SLOWEST = 30.0  # of a delivery that is refused; generous, as the machine may be busy

pytestmark = pytest.mark.both_engines


@asynccontextmanager
async def locked(database: str) -> AsyncIterator[None]:
    """Hold the lock that a careless person would take; waits on a thread, as the monitor must go on."""
    if database.startswith("postgresql"):
        with psycopg.connect(database) as connection:
            statement = "LOCK TABLE events, usage, streams IN ACCESS EXCLUSIVE MODE"
            await asyncio.to_thread(connection.execute, statement)
            yield
            connection.rollback()
        return
    file = database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, 60, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_lock_held_for_long(start: Any, make: Any, database: str) -> None:
    monitor = await start(limits=LIMITS)
    boxes = some_boxes(monitor.url, make, 6)
    async with connected() as session:
        async with delivering(boxes, session):
            await until_acknowledged(boxes, 30)
            async with locked(database):
                for _ in range(REFUSALS):
                    await until_refused(boxes)
                status, problem = await monitor.post(make.delivery(make.batch(1), box="far1"))
                assert (status, problem["code"]) == (503, "store")
                assert problem["remedy"]
                assert (await monitor.get("/healthz"))[0] == 200
            await until_acknowledged(boxes, 30)
        for box in boxes:
            await box.flush(session)
    check_all(monitor, boxes)
    for box in boxes:
        assert set(box.answers) <= {200, 503}
        assert box.slowest < SLOWEST
