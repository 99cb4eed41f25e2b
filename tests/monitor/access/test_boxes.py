from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.access import boxes
from filterd.monitor.access.directory import Directory
from filterd.monitor.access.registry import LOOK_SECONDS, Registry
from filterd.monitor.metrics.boxstatus import statuses
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000
DAY = 86_400


@pytest.fixture
async def store(settings: MonitorSettings) -> AsyncIterator[Store]:
    opened = await Store.open(settings)
    yield opened
    await opened.close()


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


class Commands:
    """What `filterd box` does, on the store."""

    def __init__(self, store: Store, settings: MonitorSettings) -> None:
        self.store = store
        self.known = Directory.of_settings(settings)

    async def add(self, box: str = "new1", school: str = "school-9", now: int = NOW) -> str:
        return await self.store.write(lambda c: boxes.add(c, self.known, box, school, by="Aliya", now=now))

    async def rotate(self, box: str = "new1", days: float = 7, now: int = NOW) -> str:
        return await self.store.write(lambda c: boxes.rotate(c, box, days=days, by="Aliya", now=now))

    async def revoke(self, box: str = "new1", now: int = NOW) -> int:
        return await self.store.write(lambda c: boxes.revoke(c, box, by="Aliya", why="stolen", now=now))


@pytest.fixture
def commands(store: Store, settings: MonitorSettings) -> Commands:
    return Commands(store, settings)


async def directory(commands: Commands, settings: MonitorSettings) -> Directory:
    return await Registry(commands.store, settings).directory()


async def test_a_token_through_its_life(commands: Commands, settings: MonitorSettings) -> None:
    first = await commands.add()
    second = await commands.rotate(now=NOW + 100)
    assert len({first, second}) == 2
    found = await directory(commands, settings)
    for token in (first, second):
        one = found.pass_of(digest(token), NOW + 7 * DAY + 99)
        assert one is not None
        assert (one.box, one.school) == ("new1", "school-9")
    assert found.pass_of(digest(first), NOW + 100 + 7 * DAY) is None
    assert found.pass_of(digest(second), NOW + 1000 * DAY) is not None
    assert await commands.revoke(now=NOW + 200) == 2
    found = await directory(commands, settings)
    assert found.pass_of(digest(second), NOW) is None
    assert "new1" not in found.boxes(NOW)
    assert found.boxes(NOW)["box1"] == "school-1"  # the configuration's stay
    again = await commands.add(school="school-8", now=NOW + 300)
    assert (await directory(commands, settings)).pass_of(digest(again), NOW + 400) is not None
    told = await commands.store.read(lambda c: audit.show(c, "school-9", 10))
    assert [row.what for row in told] == ["box.revoke", "box.rotate", "box.add"]
    assert "stolen" in told[0].details


async def test_the_token_itself_stands_nowhere(commands: Commands, monitor_files: Any) -> None:
    tokens = [await commands.add(), await commands.rotate()]
    for content in monitor_files():
        for token in tokens:
            assert token.encode() not in content


@pytest.fixture
def monitor_files(settings: MonitorSettings, tmp_path: Path) -> Any:
    """A function that returns what the database holds, as bytes."""

    def read() -> list[bytes]:
        if settings.database.startswith("sqlite"):
            return [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
        engine = create_engine(settings.database.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            rows = [
                str(connection.execute(text(f"TABLE {table}")).all()).encode()
                for table in ("tokens", "audit")
            ]
        engine.dispose()
        return rows

    return read


async def test_what_cannot_be_done_says_what_can(commands: Commands) -> None:
    await commands.add()
    for attempt, remedy in (
        (commands.add(), "rotate"),
        (commands.add(school="other"), "rotate"),
        (commands.add("box1"), "another id"),
        (commands.add("UPPER"), "a-z"),
        (commands.add("x" * 65), "1-64"),
        (commands.add("ok", school="a b"), "a-z"),
        (commands.rotate("nobody"), "box list"),
        (commands.revoke("nobody"), "box list"),
        (commands.rotate("box1"), "configuration"),
    ):
        with pytest.raises(PaperworkError) as caught:
            await attempt
        assert remedy in caught.value.remedy
    assert (await commands.store.read(audit.heads))["school-9"][0] == 1


async def test_adding_the_same_box_twice_at_once_gives_one_token(settings: MonitorSettings) -> None:
    stores = [await Store.open(settings) for _ in range(2)]
    try:
        done = await asyncio.gather(
            *(Commands(store, settings).add(school=f"school-{n}") for n, store in enumerate(stores)),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in done) == ["PaperworkError", "str"]
    finally:
        for store in stores:
            await store.close()


async def test_too_many_tokens_of_one_box(commands: Commands) -> None:
    await commands.add()
    for _ in range(boxes.MOST_TOKENS - 1):
        await commands.rotate()
    with pytest.raises(PaperworkError):
        await commands.rotate()
    assert await commands.rotate(now=NOW + 8 * DAY)


async def until(check: Any) -> None:
    """Wait until a running monitor has noticed; it looks every two seconds."""
    deadline = time.monotonic() + 30
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(LOOK_SECONDS / 20)


async def test_a_running_monitor_notices(start: Any, make: Any, settings: MonitorSettings) -> None:
    monitor = await start()
    store = await Store.open(settings)
    commands = Commands(store, settings)
    try:
        delivery = make.delivery(make.batch(1), box="new1", school="school-9")
        assert (await monitor.post(delivery))[0] == 403  # its school's other boxes cannot speak for it
        token = await commands.add(now=int(time.time()))

        async def accepted() -> bool:
            return (await monitor.post(delivery, token=token))[0] == 200

        async def refused() -> bool:
            return (await monitor.post(delivery, token=token))[0] == 401

        await until(accepted)
        assert (await monitor.metric("filterd_box_up"))['{box="new1",school="school-9"}'] == 1.0
        queries = await monitor.metric("filterd_queries_total")
        assert any('school="school-9"' in labels for labels in queries)
        status, page = await monitor.get("/v1/boxes?school=school-9")
        assert (status, page["boxes"][0]["state"], page["boxes"][0]["origin"]) == (200, "reporting", "store")
        assert (await monitor.post(make.delivery(make.batch(1), box="box1")))[0] == 200  # the configuration's
        foreign = make.delivery(make.batch(1), box="box1")
        assert (await monitor.post(foreign, token=token))[0] == 403
        await commands.revoke(now=int(time.time()))
        await until(refused)
        assert '{box="new1",school="school-9"}' not in await monitor.metric("filterd_box_up")
    finally:
        await store.close()


async def test_a_silent_box_is_silent_and_one_never_heard_of_is_not_clean(
    start: Any, make: Any, clock: Any, settings: MonitorSettings
) -> None:
    monitor = await start(clock=clock)
    await monitor.post(make.delivery(make.batch(1), health=make.health(at=NOW + 40)))
    store = await Store.open(settings)
    try:
        known = Directory.of_settings(settings)

        async def states(now: float) -> dict[str, str]:
            found = await store.read(lambda c: statuses(c, known, silent_seconds=900, now=now))
            return {one.box: one.state for one in found}

        assert await states(NOW + 900) == {"box1": "reporting", "box2": "never", "far1": "never"}
        assert (await states(NOW + 901))["box1"] == "silent"
        assert (await states(NOW - 3600))["box1"] == "silent"  # a clock set back is no health
        (one, *_others) = await store.read(lambda c: statuses(c, known, silent_seconds=900, now=NOW))
        assert (one.clock_offset, one.version, one.policy_version) == (40, "0.1.0", "p1")
    finally:
        await store.close()
