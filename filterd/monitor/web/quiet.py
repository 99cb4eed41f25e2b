"""Log lines that a stranger could call forth without end: one a minute each, with how many were left out."""

from __future__ import annotations

import time
from collections.abc import Hashable

_EVERY_SECONDS = 60.0
_MOST = 4096


class Quiet:
    """Tells whether a line may be written."""

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[float, int]] = {}

    def may(self, line: Hashable) -> tuple[bool, int]:
        """Return whether to write the line now, and how often it was left out since the last time."""
        now = time.monotonic()
        at, left_out = self._last.get(line, (-_EVERY_SECONDS, 0))
        if now - at < _EVERY_SECONDS:
            self._last[line] = (at, left_out + 1)
            return False, 0
        if line not in self._last and len(self._last) >= _MOST:
            self._last.clear()
        self._last[line] = (now, 0)
        return True, left_out
