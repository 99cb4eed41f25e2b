"""The box's own outbox and shipper against the endpoint: both ends of the contract together."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from filterd.events.batch import Event, Health
from filterd.events.outbox import Outbox
from filterd.events.shipper import Shipper, ShipperSettings
from filterd.monitor.health import KNOWN_KEYS

pytestmark = pytest.mark.both_engines

OF_BOX1 = "token of box one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "outboxes"
    found.mkdir()
    return found


def shipper(monitor: Any, folder: Path, *, token: str = OF_BOX1) -> Shipper:
    settings = ShipperSettings(
        endpoint=monitor.url,
        token=token,
        box="box1",
        school="school-1",
        outboxes=folder,
        poll=0.01,
        backoff_base=0.01,
        backoff_cap=0.02,
    )
    return Shipper(settings, values=lambda: {"process_restarts": 2.0})


def fill(folder: Path, make: Any, numbers: range, *, worker: int = 0) -> None:
    outbox = Outbox(folder / f"dns-{worker}.outbox", wait=5)
    for number in numbers:
        events = [Event.model_validate(make.event(name=f"n{number}.w{worker}.example"))]
        health = Health.model_validate(make.health(at=make.now + number))
        outbox.commit(
            events,
            {(make.now - make.now % 3600, "class-7", "middle", "", "allowed"): 3},
            health,
            now=make.now,
        )
    outbox.close()


async def until_stored(monitor: Any, events: int) -> None:
    async with asyncio.timeout(30):
        while monitor.sql("SELECT count(*) FROM events") < [(events,)]:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)


async def test_what_the_workers_commit_arrives_once(monitor: Any, make: Any, folder: Path) -> None:
    for worker in range(3):
        fill(folder, make, range(1, 41), worker=worker)
    assert await shipper(monitor, folder).drain(30)
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(120, 120)]
    assert monitor.sql("SELECT count(*) FROM streams") == [(3,)]
    assert monitor.sql("SELECT count(*) FROM gaps") == [(0,)]
    status, page = await monitor.get("/v1/events?name=n7.w1.example")
    assert (status, len(page["events"])) == (200, 1)
    assert await monitor.metric("filterd_process_restarts_total") == {'{box="box1",school="school-1"}': 2}
    assert (await monitor.metric("filterd_box_ignored_values_total"))['{box="box1",school="school-1"}'] == 0


async def test_what_waited_while_the_endpoint_was_away_arrives_once(
    start: Any, make: Any, folder: Path, free_port: int
) -> None:
    listen = (("127.0.0.1", free_port),)
    monitor = await start(listen=listen)
    running = asyncio.create_task(shipper(monitor, folder).run())
    try:
        for turn in range(3):
            fill(folder, make, range(turn * 10 + 1, turn * 10 + 6))
            await until_stored(monitor, turn * 10 + 5)
            await monitor.end()
            fill(folder, make, range(turn * 10 + 6, turn * 10 + 11))
            monitor = await start(listen=listen)
            await until_stored(monitor, turn * 10 + 10)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(30, 30)]


async def test_one_batch_the_endpoint_cannot_take_does_not_hold_up_the_others(
    monitor: Any, make: Any, folder: Path
) -> None:
    fill(folder, make, range(1, 21))
    with closing(sqlite3.connect(folder / "dns-0.outbox")) as connection:
        connection.execute(
            "UPDATE batches SET payload = CAST(replace(payload, 'block', 'eat') AS BLOB) WHERE sequence = 7"
        )
        connection.commit()
        (batches,) = connection.execute("SELECT count(*) FROM batches").fetchone()
    assert await shipper(monitor, folder).drain(30)
    assert monitor.sql("SELECT count(*) FROM events") == [(19,)]
    assert monitor.sql("SELECT stored_batches FROM boxes") >= [(batches - 1,)]
    assert monitor.sql("SELECT first, last FROM gaps") == [(7, 7)]
    with closing(sqlite3.connect(folder / "dns-0.outbox")) as connection:
        assert connection.execute("SELECT sequence FROM rejected").fetchall() == [(7,)]


async def test_a_withdrawn_token_loses_nothing(monitor: Any, make: Any, folder: Path) -> None:
    fill(folder, make, range(1, 6))
    assert not await shipper(monitor, folder, token="withdrawn").drain(5)  # noqa: S106
    assert await shipper(monitor, folder).drain(30)
    assert monitor.sql("SELECT count(*) FROM events") == [(5,)]


def test_what_the_shipper_adds_has_its_metric() -> None:
    assert {"deliveries_failed", "process_restarts", "reload_ok"} <= KNOWN_KEYS
