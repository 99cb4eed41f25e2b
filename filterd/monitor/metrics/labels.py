"""Bounded label values: what a school may call its groups, tiers and categories in /metrics.

A label value that comes once stays a time series for ever, so the number of values is capped; what comes
after the cap is added up under ``other``. Decided when totals are written, not when they are read: a
counter that moves from one label to another would seem to fall.
"""

from __future__ import annotations

from collections.abc import Iterable

from filterd.monitor.settings import MonitorLimits

OTHER = "other"
NONE = "none"  # Prometheus takes an empty label for an absent one


class LabelBook:
    """The label values in use, per school and label.

    Args:
        limits: how many values a label may have in one school.
    """

    def __init__(self, limits: MonitorLimits) -> None:
        self._caps = {"group": limits.groups, "tier": limits.tiers, "category": limits.categories}
        self._known: dict[tuple[str, str], set[str]] = {}
        self._schools: set[str] = set()
        self.folded = dict.fromkeys(self._caps, 0)

    def knows(self, school: str) -> bool:
        """Tell whether the school's stored values were loaded."""
        return school in self._schools

    def load(self, school: str, values: Iterable[tuple[str, str]]) -> None:
        """Take over the (label, value) pairs that are stored."""
        self._schools.add(school)
        for label, value in values:
            self._known.setdefault((school, label), set()).add(value)

    def forget(self) -> None:
        """Start again, with a new store."""
        self._known.clear()
        self._schools.clear()

    def fold(self, school: str, label: str, value: str) -> str:
        """Return the label value to count under."""
        value = value or NONE
        known = self._known.setdefault((school, label), set())
        if value in known:
            return value
        if len(known) >= self._caps[label]:
            self.folded[label] += 1
            return OTHER
        known.add(value)
        return value
