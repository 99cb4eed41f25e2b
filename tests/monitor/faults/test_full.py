"""No room left: deliveries are refused with 503, the program lives, and all goes on when there is room."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from _boxes import HEADERS, connected
from harness.postgres import Cluster

_EVENTS = 200  # of a delivery
Answer = tuple[int, Any, str]


def poster(session: aiohttp.ClientSession, monitor: Any, make: Any) -> Callable[[int], Awaitable[Answer]]:
    async def post(number: int) -> Answer:
        events = [make.event(name=f"n{n}.b{number}.example") for n in range(_EVENTS)]
        body = json.dumps(make.delivery(make.batch(number, events)))
        async with session.post(f"{monitor.url}/v1/batches", data=body, headers=HEADERS) as reply:
            return reply.status, await reply.json(content_type=None), reply.headers.get("Retry-After", "")

    return post


async def fill_up(post: Callable[[int], Awaitable[Answer]]) -> tuple[int, Answer]:
    """Deliver until refused; return how many were stored and the refusal."""
    stored = 0
    while (answer := await post(stored + 1))[0] == 200:
        stored += 1
        assert stored < 500
    return stored, answer


async def until_stored(post: Callable[[int], Awaitable[Answer]], number: int) -> None:
    async with asyncio.timeout(60):
        while (await post(number))[0] != 200:  # noqa: ASYNC110 - as a box does
            await asyncio.sleep(0.1)


async def test_a_full_file_system_under_sqlite(program: Any, make: Any) -> None:
    monitor = program(file_bytes=800_000)  # writes beyond fail as on a full disk
    await asyncio.to_thread(monitor.start)
    async with connected() as session:
        post = poster(session, monitor, make)
        stored, (status, problem, retry_after) = await fill_up(post)
        assert (status, problem["code"]) == (503, "store")
        assert "free" in problem["remedy"]
        assert int(retry_after) > 0
        async with session.get(f"{monitor.url}/healthz") as reply:
            assert reply.status == 200
        assert stored > 0
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(monitor.process.pid, resource.RLIMIT_FSIZE, unlimited)
        await until_stored(post, stored + 1)
    monitor.kill()
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(_EVENTS * (stored + 1),) * 2]
    assert monitor.sql("PRAGMA integrity_check") == [("ok",)]


def fill(filler: Path) -> None:
    """Fill the file system to the last block."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


@pytest.fixture
def small() -> Iterator[Cluster]:
    """A cluster on a file system of its own, in memory, seen by its own processes only."""
    with Cluster.make() as cluster:
        yield cluster.start(on_tmpfs="160m")


async def test_a_full_file_system_under_postgresql(program: Any, make: Any, small: Cluster) -> None:
    monitor = program(database=small.url("postgres"), limits={"busy_seconds": 2.0, "store_seconds": 10.0})
    await asyncio.to_thread(monitor.start)
    filler = Path(f"/proc/{small.pid}/root{small.data}/filler")
    async with connected() as session:
        post = poster(session, monitor, make)
        assert (await post(1))[0] == 200
        fill(filler)
        stored, (status, problem, retry_after) = await fill_up(post)
        assert (status, problem["code"]) == (503, "store")
        assert "free some space on the database server" in problem["remedy"]
        assert int(retry_after) > 0
        async with session.get(f"{monitor.url}/healthz") as reply:
            assert reply.status == 200
        filler.unlink()
        await until_stored(post, stored + 1)
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(_EVENTS * (stored + 1),) * 2]
    monitor.kill()
