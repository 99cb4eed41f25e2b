"""Which batches of an outbox are already stored: a high mark and the ranges missing below it.

Pure. Batches are numbered 1, 2, 3, ... by the outbox; they may come late, twice, out of order or never
(an outbox over its bound drops the oldest). Remembering each number would grow for ever; one mark and a
few gaps do not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from enum import Enum


class Admission(Enum):
    """What is to be done with a batch."""

    NEW = "new"  # store it
    DUPLICATE = "duplicate"  # stored before: acknowledge it
    FORGOTTEN = "forgotten"  # its gap was given up: nobody can tell any more


class Ledger:
    """The numbers of one outbox stream.

    Args:
        high: highest sequence stored, 0 before the first.
        floor: sequences up to here lie in gaps given up.
        gaps: missing ranges ``(first, last)``, ascending, disjoint, all between ``floor`` and ``high``.
    """

    __slots__ = ("_firsts", "floor", "gaps", "high")

    def __init__(self, high: int = 0, floor: int = 0, gaps: Iterable[tuple[int, int]] = ()) -> None:
        self.high = high
        self.floor = floor
        self.gaps = list(gaps)
        self._firsts = [first for first, _last in self.gaps]

    def admit(self, sequence: int) -> Admission:
        """Note that ``sequence`` (1 or more) is being stored, or tell why it must not be."""
        if sequence > self.high:
            if sequence > self.high + 1:
                self._put(len(self.gaps), [(self.high + 1, sequence - 1)], width=0)
            self.high = sequence
            return Admission.NEW
        if sequence <= self.floor:
            return Admission.FORGOTTEN
        at = bisect_right(self._firsts, sequence) - 1
        if at < 0 or sequence > self.gaps[at][1]:
            return Admission.DUPLICATE
        first, last = self.gaps[at]
        left = [(first, sequence - 1)] if first < sequence else []
        right = [(sequence + 1, last)] if sequence < last else []
        self._put(at, left + right, width=1)
        return Admission.NEW

    def give_up(self, keep: int) -> int:
        """Forget the oldest gaps until at most ``keep`` are left; return how many batches they miss."""
        surplus = max(0, len(self.gaps) - keep)
        lost = sum(last - first + 1 for first, last in self.gaps[:surplus])
        if surplus:
            self.floor = self.gaps[surplus - 1][1]
            self._put(0, [], width=surplus)
        return lost

    @property
    def missing(self) -> int:
        """How many batches below the high mark have not come (given-up ones not counted)."""
        return sum(last - first + 1 for first, last in self.gaps)

    def _put(self, at: int, gaps: list[tuple[int, int]], *, width: int) -> None:
        self.gaps[at : at + width] = gaps
        self._firsts[at : at + width] = [first for first, _last in gaps]
