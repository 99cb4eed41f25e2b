"""The DNS path's side of events: it appends and adds, and never waits, computes, or touches a file.

One thread (the DNS loop) records, one thread (the writer) takes. No lock is needed: the list is only
appended to on one side and cut at its front on the other, and the counts only grow, so the taker copies them
and subtracts. Both rely on single list and dict operations being atomic in CPython.
"""

from __future__ import annotations

from typing import TypeAlias

from filterd.rules.verdict import Verdict
from filterd.rules.view import View

# Client address (packed, 4 or 16 bytes), MAC, view, name (lower wire), qtype, verdict.
Lookup: TypeAlias = tuple[bytes, bytes | None, View, bytes, int, Verdict]
# Group, tier, category ("" when none), outcome.
CountKey: TypeAlias = tuple[str, str, str, str]

MAX_PENDING = 50_000  # at 2,000 blocked lookups a second: 25 s in which the writer does not come; about 8 MB
MAX_COUNTS = 20_000  # group x tier x category x outcome; a large school has under 1,000


class Recorder:
    """Holds what was looked up until the writer takes it.

    Attributes:
        dropped: blocked lookups that found `max_pending` reached.
    """

    __slots__ = ("_counts", "_no_room", "_pending", "_taken", "dropped", "max_counts", "max_pending")

    def __init__(self, *, max_pending: int = MAX_PENDING, max_counts: int = MAX_COUNTS) -> None:
        self.max_pending = max_pending
        self.max_counts = max_counts
        self.dropped = 0
        self._pending: list[Lookup] = []
        self._counts: dict[CountKey, list[int]] = {}
        self._no_room = [0]
        self._taken: dict[CountKey, int] = {}

    def blocked(  # noqa: PLR0917 - keywords would cost a tenth more on the hot path
        self, client: bytes, mac: bytes | None, view: View, name: bytes, qtype: int, verdict: Verdict
    ) -> None:
        """Record a blocked or rewritten lookup by name; usage is counted apart, by `count`.

        Args:
            client: packed address, 4 or 16 bytes; it is forgotten once the pseudonym is made of it.
            mac: hardware address where known.
            view: the view that decided.
            name: lower-case wire name.
            qtype: the type asked for.
            verdict: a verdict that is not "allow".
        """
        if len(self._pending) < self.max_pending:
            self._pending.append((client, mac, view, name, qtype, verdict))
        else:
            self.dropped += 1

    def extend(self, lookups: list[Lookup]) -> None:
        """Record many blocked lookups at once, as `blocked` does one by one."""
        room = self.max_pending - len(self._pending)
        if room < len(lookups):
            self.dropped += len(lookups) - max(room, 0)
            lookups = lookups[: max(room, 0)]
        self._pending += lookups

    def count(self, group: str, tier: str, category: str, outcome: str, n: int = 1) -> None:
        """Count `n` lookups with an outcome (`batch.Outcome`); `category` is "" when there is none."""
        self.cell(group, tier, category, outcome)[0] += n

    def cell(self, group: str, tier: str, category: str, outcome: str) -> list[int]:
        """Return the one-element list in which such lookups are counted: a caller may add to it directly."""
        key = (group, tier, category, outcome)
        cell = self._counts.get(key)
        if cell is None:
            if len(self._counts) >= self.max_counts:
                return self._no_room
            cell = self._counts[key] = [0]
        return cell

    @property
    def dropped_counts(self) -> int:
        """Counted lookups whose key found `max_counts` reached."""
        return self._no_room[0]

    def totals(self) -> tuple[int, int]:
        """Return (lookups, of these blocked) counted since the start. From any thread."""
        counts = self._counts.copy()
        blocked = sum(cell[0] for key, cell in counts.items() if key[-1] == "blocked")
        return sum(cell[0] for cell in counts.values()), blocked

    def take(self) -> list[Lookup]:
        """Return the lookups recorded since the last call, oldest first. Writer thread only."""
        amount = len(self._pending)
        lookups = self._pending[:amount]
        del self._pending[:amount]
        return lookups

    def take_counts(self) -> dict[CountKey, int]:
        """Return what was counted since the last call. Writer thread only."""
        before, self._taken = self._taken, {key: cell[0] for key, cell in self._counts.copy().items()}
        return {key: n - before.get(key, 0) for key, n in self._taken.items() if n != before.get(key, 0)}

    def __len__(self) -> int:
        """Return the number of lookups waiting."""
        return len(self._pending)
