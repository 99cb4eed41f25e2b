from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from filterd.monitor.ingest.groups import Groups


class Work:
    """Doubles numbers, when it is let; refuses negative ones, and fails for a group that holds a zero."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.free = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        await self.free.wait()
        if 0 in items:
            raise ZeroDivisionError
        return [2 * item if item > 0 else ValueError(item) for item in items]


def weigh(item: int) -> int:
    return abs(item)


async def begin(groups: Groups[int, int], *items: int) -> list[asyncio.Task[int]]:
    tasks = []
    for item in items:
        tasks.append(asyncio.create_task(groups.put(item, 60)))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_makes_one_group_and_each_gets_its_own_result() -> None:
    work = Work()
    groups = Groups(work, weigh, 100)
    tasks = await begin(groups, 1, 2, 3, -4, 5)
    work.free.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert work.groups == [[1], [2, 3, -4, 5]]
    assert [results[n] for n in (0, 1, 2, 4)] == [2, 4, 6, 10]
    assert isinstance(results[3], ValueError)


async def test_a_group_is_bounded_and_a_heavy_item_goes_alone() -> None:
    work = Work()
    groups = Groups(work, weigh, 10)
    tasks = await begin(groups, 1, 4, 6, 5, 99, 3)
    work.free.set()
    await asyncio.gather(*tasks)
    assert work.groups == [[1], [4, 6], [5], [99], [3]]


async def test_a_failed_group_fails_all_of_it_and_no_other() -> None:
    work = Work()
    groups = Groups(work, weigh, 10)
    tasks = await begin(groups, 7, 0, 8)
    work.free.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == 14
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[2], ZeroDivisionError)
    assert await groups.put(9, 60) == 18


async def test_who_waits_too_long_is_withdrawn() -> None:
    work = Work()
    groups = Groups(work, weigh, 10)
    (first,) = await begin(groups, 1)
    with pytest.raises(TimeoutError):
        await groups.put(2, 0.01)
    work.free.set()
    assert await first == 2
    assert await groups.put(3, 60) == 6
    assert work.groups == [[1], [3]]


async def test_closing_waits_for_what_is_under_way() -> None:
    work = Work()
    groups = Groups(work, weigh, 10)
    tasks = await begin(groups, 1, 2)
    closing = asyncio.create_task(groups.close())
    await asyncio.sleep(0)
    assert not closing.done()
    work.free.set()
    await closing
    assert [task.result() for task in tasks] == [2, 4]
    await groups.close()
