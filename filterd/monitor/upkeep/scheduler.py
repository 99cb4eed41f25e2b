"""The endpoint's work in the background: tasks that run again and again, each at its own pace.

A task that fails is logged, counted and tried again at its next turn; the time of its last success stands in
MARKS and so in /metrics. Knows nothing of what the tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from filterd.errors import FilterdError
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.store.store import Store

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done again and again.

    Args:
        name: of its mark, of its label in /metrics and in the log; stable.
        every: seconds from its end to its next start.
        work: does it; safe to be run twice at once, for several monitors may share a store.
    """

    name: str
    every: float
    work: Callable[[], Awaitable[object]]


class Scheduler:
    """Runs tasks."""

    def __init__(self, tasks: Sequence[Task], store: Store, meter: Meter) -> None:
        self._tasks = tasks
        self._store = store
        self._meter = meter

    async def run(self) -> None:
        """Run all tasks at once and then at their pace, until cancelled."""
        await asyncio.gather(*(self._repeat(task) for task in self._tasks))

    async def _repeat(self, task: Task) -> None:
        failures = self._meter.upkeep_failures.labels(task.name)
        while True:
            try:
                await task.work()
                await self._store.mark(task.name)
            except FilterdError as error:
                failures.inc()
                _log.error("upkeep_failed", task=task.name, error=error.message, remedy=error.remedy)
            except Exception:  # noqa: BLE001 - a fault of ours must end neither this task nor the endpoint
                failures.inc()
                _log.exception("upkeep_failed", task=task.name)
            await asyncio.sleep(task.every)
