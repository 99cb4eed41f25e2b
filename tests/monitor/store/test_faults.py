"""What must not lose or double an acknowledged batch: kill -9, a full disk, the two together with retries."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import subprocess
from typing import Any

import aiohttp

KILLS = int(os.environ.get("FILTERD_KILLS", "8"))
STREAMS = 4
OF_BOX1 = "token of box one"


class Box:
    """A box's outbox: sends batches until each is acknowledged, some again although they are."""

    def __init__(self, url: str, stream: int, make: Any, chance: random.Random) -> None:
        self.url = f"{url}/v1/batches"
        self.stream = f"{stream:032x}"
        self.make = make
        self.chance = chance
        self.next = 1
        self.waiting: dict[int, Any] = {}
        self.acknowledged: list[int] = []

    def fill(self) -> None:
        while len(self.waiting) < 12:
            number = self.next
            self.next += 1
            # A name of its own per batch: the store shows exactly which batch came how often.
            event = self.make.event(name=f"b{number}.s{int(self.stream, 16)}.example")
            self.waiting[number] = self.make.batch(number, [event, event], [self.make.usage(queries=3)])

    async def send(self, session: aiohttp.ClientSession) -> None:
        self.fill()
        chosen = sorted(self.chance.sample(sorted(self.waiting), self.chance.randint(1, 6)))
        batches = [self.waiting[number] for number in chosen]
        body = json.dumps(self.make.delivery(*batches, stream=self.stream))
        headers = {"Authorization": f"Bearer {OF_BOX1}", "Content-Type": "application/json"}
        try:
            async with session.post(self.url, data=body, headers=headers) as reply:
                if reply.status != 200:
                    return
                receipt = await reply.json()
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.005)
            return
        assert receipt == {"acknowledged": chosen}
        self.acknowledged += chosen
        for number in chosen:
            if self.chance.random() < 0.9:  # else the acknowledgement is lost on its way
                del self.waiting[number]


async def test_kill_9_loses_no_acknowledged_batch_and_doubles_none(program: Any, make: Any) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    monitor = program()
    boxes = [Box(monitor.url, stream, make, random.Random(chance.random())) for stream in range(STREAMS)]
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def post(box: Box) -> None:
            while True:
                await box.send(session)

        for _ in range(KILLS):
            await asyncio.to_thread(monitor.start)
            posting = [asyncio.create_task(post(box)) for box in boxes]
            await asyncio.sleep(chance.uniform(0.01, 0.5))
            monitor.kill()
            for task in posting:
                task.cancel()
            for result in await asyncio.gather(*posting, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), result
            check(monitor, boxes)
        await asyncio.to_thread(monitor.start)
        for box in boxes:
            while box.waiting:
                box.chance = random.Random(1)
                await flush(box, session)
        monitor.kill()
    check(monitor, boxes)
    sent = sum(box.next - 1 for box in boxes)
    assert sum(len(set(box.acknowledged)) for box in boxes) == sent
    assert monitor.sql("SELECT sum(queries) FROM usage_totals") == [(3 * sent,)]
    assert monitor.sql("SELECT count(*) FROM gaps") == [(0,)]
    assert monitor.sql("PRAGMA integrity_check") == [("ok",)]


def check(monitor: Any, boxes: list[Box]) -> None:
    """Every acknowledged batch is stored once; what is stored otherwise was sent, once too."""
    counts = dict(monitor.sql("SELECT name, count FROM events"))
    assert set(counts.values()) <= {2}
    for box in boxes:
        for number in box.acknowledged:
            assert f"b{number}.s{int(box.stream, 16)}.example" in counts
    (queries,) = monitor.sql("SELECT coalesce(sum(queries), 0) FROM usage")[0]
    (totals,) = monitor.sql("SELECT coalesce(sum(queries), 0) FROM usage_totals")[0]
    assert queries == totals == 3 * len(counts)


async def flush(box: Box, session: aiohttp.ClientSession) -> None:
    chosen = sorted(box.waiting)
    body = json.dumps(box.make.delivery(*(box.waiting[n] for n in chosen), stream=box.stream))
    headers = {"Authorization": f"Bearer {OF_BOX1}", "Content-Type": "application/json"}
    async with session.post(box.url, data=body, headers=headers) as reply:
        assert reply.status == 200
    box.acknowledged += chosen
    box.waiting.clear()


async def test_a_full_disk_refuses_and_recovers(program: Any, make: Any) -> None:
    monitor = program(file_bytes=600_000)  # writes beyond fail as on a full disk
    await asyncio.to_thread(monitor.start)
    headers = {"Authorization": f"Bearer {OF_BOX1}", "Content-Type": "application/json"}
    stored = 0
    async with aiohttp.ClientSession() as session:

        async def post(number: int) -> tuple[int, Any]:
            events = [make.event(name=f"n{n}.b{number}.example") for n in range(200)]
            body = json.dumps(make.delivery(make.batch(number, events)))
            async with session.post(f"{monitor.url}/v1/batches", data=body, headers=headers) as reply:
                return reply.status, await reply.json(content_type=None)

        while (answer := await post(stored + 1))[0] == 200:
            stored += 1
            assert stored < 200
        status, problem = answer
        assert (status, problem["code"]) == (503, "store")
        assert "free" in problem["remedy"]
        async with session.get(f"{monitor.url}/healthz") as reply:
            assert reply.status == 200
        assert stored > 0
        resource.prlimit(
            monitor.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        assert (await post(stored + 1))[0] == 200
    monitor.kill()
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(200 * (stored + 1),) * 2]
    assert monitor.sql("PRAGMA integrity_check") == [("ok",)]


async def test_terminate_ends_it_cleanly(program: Any, make: Any) -> None:
    monitor = program()
    await asyncio.to_thread(monitor.start)
    process: subprocess.Popen[bytes] = monitor.process
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert not list(monitor.path.parent.glob("*-wal"))
