"""PostgreSQL dies, hangs or fails over while boxes deliver: nothing acknowledged is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from _boxes import (
    check_acknowledged,
    check_all,
    connected,
    delivering,
    some_boxes,
    until_acknowledged,
    until_refused,
)
from harness.postgres import Cluster
from harness.process import descendants

LIMITS = {"busy_seconds": 2.0, "store_seconds": 5.0, "failover_seconds": 1.0}
SHORT = {"busy_seconds": 1.0, "store_seconds": 2.0, "failover_seconds": 0.5}


@pytest.fixture
def primary() -> Iterator[Cluster]:
    """A cluster that may be killed."""
    with Cluster.make() as cluster:
        yield cluster.start()


@pytest.fixture
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A standby that the primary waits for at every commit."""
    with primary.standby("second") as cluster:
        cluster.start()
        with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'second'")
            connection.execute("SELECT pg_reload_conf()")
            end = time.monotonic() + 60
            state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            while connection.execute(state).fetchone() != (1,):
                assert time.monotonic() < end, "the standby does not follow"
                time.sleep(0.02)
        yield cluster


def both(primary: Cluster, standby: Cluster) -> str:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"


async def test_a_primary_killed_and_its_standby_promoted(
    program: Any, make: Any, primary: Cluster, standby: Cluster
) -> None:
    monitor = program(database=both(primary, standby), limits=LIMITS)
    boxes = some_boxes(monitor.url, make, 6)
    await asyncio.to_thread(monitor.start)
    async with connected() as session:
        async with delivering(boxes, session):
            await until_acknowledged(boxes, 50)
            primary.kill()
            await until_refused(boxes)
            await asyncio.to_thread(standby.promote)
            await until_acknowledged(boxes, 50)
        monitor.database = standby.url("postgres")
        check_acknowledged(monitor, boxes)
        for box in boxes:
            await box.flush(session)
    check_all(monitor, boxes)
    assert all(set(box.answers) <= {0, 200, 503} for box in boxes)
    monitor.kill()


async def test_a_database_killed_again_and_again(program: Any, make: Any, primary: Cluster) -> None:
    monitor = program(database=primary.url("postgres"), limits=LIMITS)
    boxes = some_boxes(monitor.url, make, 4)
    await asyncio.to_thread(monitor.start)
    async with connected() as session:
        for _ in range(3):
            async with delivering(boxes, session):
                await until_acknowledged(boxes, 20)
                primary.kill()
                await until_refused(boxes)
            primary.start()
            check_acknowledged(monitor, boxes)
        for box in boxes:
            await box.flush(session)
    check_all(monitor, boxes)
    assert all(set(box.answers) <= {0, 200, 503} for box in boxes)
    monitor.kill()


async def test_a_database_that_hangs_is_given_up_in_time(program: Any, make: Any, primary: Cluster) -> None:
    monitor = program(database=primary.url("postgres"), limits=SHORT)
    boxes = some_boxes(monitor.url, make, 4)
    await asyncio.to_thread(monitor.start)
    async with connected() as session:
        async with delivering(boxes, session):
            await until_acknowledged(boxes, 20)
            assert primary.pid is not None
            processes = [primary.pid, *descendants(primary.pid)]
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            try:
                await until_refused(boxes)
            finally:
                for pid in processes:
                    os.kill(pid, signal.SIGCONT)
            await until_acknowledged(boxes, 20)
        for box in boxes:
            await box.flush(session)
    check_all(monitor, boxes)
    assert all(set(box.answers) <= {200, 503} for box in boxes)
    monitor.kill()
