"""Histogram of the time from a query's arrival to its answer, in seconds; counts only, never a name."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Histogram:
    """Cumulative on request only: observing costs a bisection and two additions."""

    __slots__ = ("_counts", "count", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.count = 0

    def observe(self, seconds: float) -> None:
        """Count one answer that took ``seconds``."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self.count += 1

    def values(self) -> dict[str, float]:
        """Return cumulative counts as health values: ``answer_seconds_le_<microseconds>``, sum and count."""
        found: dict[str, float] = {}
        running = 0
        for bound, count in zip(BOUNDS, self._counts, strict=False):
            running += count
            found[f"answer_seconds_le_{round(bound * 1_000_000)}us"] = float(running)
        found["answer_seconds_sum"] = self.total
        found["answer_seconds_count"] = float(self.count)
        return found
