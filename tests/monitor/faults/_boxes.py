"""Boxes that deliver whatever happens, and the count of what must be in the store afterwards."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

OF_BOX1 = "token of box one"
HEADERS = {"Authorization": f"Bearer {OF_BOX1}", "Content-Type": "application/json"}
_WAITING = 12
_PAUSE = 0.02  # after a refusal; a real box waits longer


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
        self.answers: Counter[int] = Counter()  # by status; 0 for none
        self.slowest = 0.0

    def name(self, number: int) -> str:
        """A name of its own per batch: the store shows exactly which batch came how often."""
        return f"b{number}.s{int(self.stream, 16)}.example"

    def fill(self) -> None:
        while len(self.waiting) < _WAITING:
            number = self.next
            self.next += 1
            event = self.make.event(name=self.name(number))
            self.waiting[number] = self.make.batch(number, [event, event], [self.make.usage(queries=3)])

    async def send(self, session: aiohttp.ClientSession) -> int:
        """Send some of what waits; return the status."""
        self.fill()
        chosen = sorted(self.chance.sample(sorted(self.waiting), self.chance.randint(1, 6)))
        status = await self.post(session, chosen)
        if status == 200:
            for number in chosen:
                if self.chance.random() < 0.9:  # else the acknowledgement is lost on its way
                    del self.waiting[number]
        else:
            await asyncio.sleep(_PAUSE)
        return status

    async def flush(self, session: aiohttp.ClientSession, seconds: float = 60) -> None:
        """Send all that waits until it is acknowledged."""
        async with asyncio.timeout(seconds):
            while self.waiting and await self.post(session, sorted(self.waiting)) != 200:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE)
        self.waiting.clear()

    async def post(self, session: aiohttp.ClientSession, numbers: list[int]) -> int:
        batches = [self.waiting[number] for number in numbers]
        body = json.dumps(self.make.delivery(*batches, stream=self.stream))
        begun = time.monotonic()
        status = 0
        try:
            async with session.post(self.url, data=body, headers=HEADERS) as reply:
                answer = await reply.json(content_type=None)
                status = reply.status
                if status == 200:
                    assert answer == {"acknowledged": numbers}
                    self.acknowledged += numbers
                else:
                    assert reply.headers.get("Retry-After"), answer
        except (aiohttp.ClientError, OSError):
            status = 0  # cut: nobody knows whether it is stored
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self.answers[status] += 1
        return status


def some_boxes(url: str, make: Any, count: int) -> list[Box]:
    """Return boxes with chances of their own; the seed is shown when the test fails."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    return [Box(url, stream, make, random.Random(seed + stream)) for stream in range(count)]


@asynccontextmanager
async def connected() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that opens a connection for each request, as boxes of many schools do."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@asynccontextmanager
async def delivering(boxes: list[Box], session: aiohttp.ClientSession) -> AsyncIterator[None]:
    """All boxes deliver without end while this is open."""

    async def post(box: Box) -> None:
        while True:
            await box.send(session)

    posting = [asyncio.create_task(post(box)) for box in boxes]
    try:
        yield
    finally:
        for task in posting:
            task.cancel()
        for result in await asyncio.gather(*posting, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def until_acknowledged(boxes: list[Box], more: int, seconds: float = 60) -> None:
    """Wait until the boxes together have so many more batches acknowledged."""
    wanted = sum(len(box.acknowledged) for box in boxes) + more
    async with asyncio.timeout(seconds):
        while sum(len(box.acknowledged) for box in boxes) < wanted:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.01)


async def until_refused(boxes: list[Box], seconds: float = 60) -> None:
    """Wait until a box got an answer that is no acknowledgement (or none at all)."""
    before = sum(box.answers.total() - box.answers[200] for box in boxes)
    async with asyncio.timeout(seconds):
        while sum(box.answers.total() - box.answers[200] for box in boxes) <= before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def check_acknowledged(monitor: Any, boxes: list[Box]) -> dict[str, int]:
    """Every acknowledged batch is stored once; holds also while deliveries go on. Returns what is stored."""
    acknowledged = {box.name(number) for box in boxes for number in box.acknowledged}
    counts = dict(monitor.sql("SELECT name, count FROM events"))
    assert set(counts.values()) <= {2}
    assert acknowledged <= counts.keys()
    assert counts.keys() <= {box.name(number) for box in boxes for number in range(1, box.next)}
    return counts


def check(monitor: Any, boxes: list[Box]) -> None:
    """As `check_acknowledged`, and the sums agree with it: what was stored without an answer was once too."""
    counts = check_acknowledged(monitor, boxes)
    for table in ("usage", "usage_days", "usage_months", "usage_totals"):
        assert monitor.sql(f"SELECT coalesce(sum(queries), 0) FROM {table}") == [(3 * len(counts),)]  # noqa: S608


def check_all(monitor: Any, boxes: list[Box]) -> None:
    """As `check`, when everything sent is acknowledged: nothing is missing, no gap is open."""
    check(monitor, boxes)
    sent = sum(box.next - 1 for box in boxes)
    assert sum(len(set(box.acknowledged)) for box in boxes) == sent
    assert monitor.sql("SELECT count(*) FROM events") == [(sent,)]
    assert monitor.sql("SELECT count(*) FROM gaps") == [(0,)]
