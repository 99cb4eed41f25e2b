"""Deadlines of many short waits: one timer of the loop for all, and a list to add to.

A question waits milliseconds and has two deadlines that hardly ever come; a timer of the loop for each would
cost more than asking. A deadline here comes up to ``STEP`` seconds late, never early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

STEP = 0.01  # seconds


class Deadline:
    """One wait; `cancel` ends it."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Let the action not be called any more."""
        self._action = None

    def fire(self) -> None:
        """Call the action, once, unless it was cancelled."""
        action, self._action = self._action, None
        if action is None:
            return
        try:
            action()
        except Exception:  # the deadlines beside it must come all the same
            log.exception("deadline_failed")


class Wheel:
    """All deadlines of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, list[Deadline]] = {}
        self._turned = int(loop.time() / STEP)
        self._timer: asyncio.TimerHandle | None = None

    def after(self, seconds: float, action: Callable[[], None]) -> Deadline:
        """Call ``action`` in ``seconds``; return the deadline, to be cancelled."""
        deadline = Deadline(action)
        slot = int((self._loop.time() + max(seconds, 0.0)) / STEP) + 1
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = [deadline]
        else:
            waiting.append(deadline)
        if self._timer is None:
            self._turned = int(self._loop.time() / STEP)
            self._timer = self._loop.call_later(STEP, self._turn)
        return deadline

    def _turn(self) -> None:
        now = int(self._loop.time() / STEP)
        late = sorted(slot for slot in self._slots if slot <= now) if now - self._turned > 1 else [now]
        self._timer = None
        self._turned = now
        for slot in late:
            for deadline in self._slots.pop(slot, ()):
                deadline.fire()
        if self._slots and self._timer is None:
            self._timer = self._loop.call_later(STEP, self._turn)
