"""Many callers, one transaction: what comes while a group is being stored makes up the next group.

A lone caller waits for nobody; the busier the store, the larger the groups, and the fewer commits. Knows
neither the store nor what a delivery is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Groups(Generic[Item, Result]):
    """Hands items to ``work`` in groups, one group at a time, and each caller its own result.

    Args:
        work: returns for each item its result, or the exception for its caller; what it raises, all get.
        weigh: how much an item adds to its group.
        most: a group ends before it weighs more; a heavier item goes alone.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        weigh: Callable[[Item], int],
        most: int,
    ) -> None:
        self._work = work
        self._weigh = weigh
        self._most = most
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: Item, seconds: float) -> Result:
        """Return the item's result.

        Raises:
            TimeoutError: none in so many seconds. An item whose turn had not come is withdrawn.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="monitor-ingest")
        async with asyncio.timeout(seconds):
            return await future

    async def close(self) -> None:
        """Wait until nothing is under way."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while group := self._next():
                await self._settle(group)
        finally:
            self._task = None

    def _next(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        weight = 0
        while self._waiting:
            item, future = self._waiting[0]
            if future.done():  # its caller has gone
                self._waiting.popleft()
                continue
            weight += self._weigh(item)
            if group and weight > self._most:
                break
            group.append(self._waiting.popleft())
        return group

    async def _settle(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _future in group])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            results = [error] * len(group)
        for (_item, future), result in zip(group, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
