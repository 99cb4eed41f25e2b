"""What a month of one school adds up to, before anything is hidden; tallies of schools add up to a region's.

Values and their sums only: the store is read by `read.py`, figures are hidden by `document.py`'s maker.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

from filterd.monitor.reports.document import Answer, Outage, Texts
from filterd.monitor.reports.suppress import Figure, Key

MAX_OUTAGES = 20


@dataclass(slots=True)
class Heartbeat:
    """5-minute steps with and without the filter."""

    steps: int = 0
    expected: int = 0
    lesson_steps: int = 0
    lesson_expected: int = 0
    days: dict[date, list[int]] = field(default_factory=dict)  # steps, expected

    def add(self, other: Heartbeat) -> None:
        """Add another school's."""
        self.steps += other.steps
        self.expected += other.expected
        self.lesson_steps += other.lesson_steps
        self.lesson_expected += other.lesson_expected
        for day, (steps, expected) in other.days.items():
            mine = self.days.setdefault(day, [0, 0])
            mine[0] += steps
            mine[1] += expected


@dataclass(slots=True)
class School:
    """A school as the region knows it."""

    id: str
    title: Texts
    region: str = ""
    district: str = ""
    devices: int = 0
    operator: Answer = ""
    operator_since: date | None = None
    responsible: str = ""
    has_box: bool = False


@dataclass(slots=True)
class Tally:
    """All that a report is made of. Every field adds up, but the few that only one school's report shows."""

    outcomes: Counter[str] = field(default_factory=Counter)
    blocked: Counter[Key] = field(default_factory=Counter)  # cells: category, tier
    devices: Counter[Key] = field(default_factory=Counter)  # cells and totals: different devices
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    outages: int = 0
    outage_steps: int = 0
    tests_made: int = 0
    tests_passed: int = 0
    tests_last: datetime | None = None
    tests_failed: Counter[str] = field(default_factory=Counter)
    without_source: Counter[str] = field(default_factory=Counter)
    learning_tested: int = 0
    learning_answered: int = 0
    versions: Counter[str] = field(default_factory=Counter)  # policy versions, in the order they were seen
    built: date | None = None
    confirmed: date | None = None
    received: int = 0
    granted: int = 0
    refused: int = 0
    open: int = 0
    waits: list[int] = field(default_factory=list)  # seconds from request to decision
    overblocks: int = 0
    submissions: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    closed: int = 0
    releases_asked: int = 0
    releases_approved: int = 0
    # of one school only
    longest: list[Outage] = field(default_factory=list)
    since: date | None = None

    @property
    def reported(self) -> bool:
        """Whether the school's filter was heard of in the month."""
        return bool(self.outcomes or self.heartbeat.steps)

    def figures(self) -> dict[Key, Figure]:
        """Return the blocked lookups by category and tier with all totals, and who made them."""
        counts: Counter[Key] = Counter()
        for (category, tier), count in self.blocked.items():
            for key in ((category, tier), (category, None), (None, tier), (None, None)):
                counts[key] += count
        return {key: Figure(count, self.devices[key]) for key, count in counts.items()}

    def add(self, other: Tally) -> None:
        """Add the tally of another school."""
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.heartbeat.add(other.heartbeat)
        self.waits += other.waits
        self.tests_last = max(filter(None, (self.tests_last, other.tests_last)), default=None)
        self.built = min(filter(None, (self.built, other.built)), default=None)
        self.confirmed = min(filter(None, (self.confirmed, other.confirmed)), default=None)


_COUNTERS = ("outcomes", "blocked", "devices", "tests_failed", "without_source", "versions", "submissions")
_NUMBERS = (
    *("outages", "outage_steps", "tests_made", "tests_passed", "learning_tested", "learning_answered"),
    *("received", "granted", "refused", "open", "overblocks"),
    *("opened", "closed", "releases_asked", "releases_approved"),
)
