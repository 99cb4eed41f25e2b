"""Which lines of a schedule hold at an instant, and until when: exact to the second, in any zone.

Conditions are told by the clock on the wall. When clocks are set forward, what lies in the skipped hour does
not happen; when they are set back, what lies in the repeated hour happens twice. Never reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import floor
from typing import NamedTuple

from filterd.rules.timetable import DAY, Phase, Ranges, Timetable, Window, covers, weekday_of

HORIZON = 40  # days: a state that lasts longer is looked at again then; looking ahead takes time at a bell
_PROBE = 3 * 3600  # no zone has changed its offset twice within this time


class Wall(NamedTuple):
    """An instant as the wall clock shows it: number of the day, second of the day, phase of the timetable."""

    day: int
    second: int
    phase: Phase | None


@dataclass(frozen=True, slots=True)
class Events:
    """What a calendar says: whole days (by number), and spans of UTC seconds."""

    days: Ranges = field(default_factory=Ranges)
    spans: Ranges = field(default_factory=Ranges)


@dataclass(frozen=True, slots=True)
class Condition:
    """When a line of a schedule holds: all that is given must be so.

    Attributes:
        during: phases of the timetable.
        days: days of the week, Monday 0. A window over midnight belongs to the day it begins on.
        hours: windows of the day.
        since, until: seconds of the wall clock since 1970-01-01 00:00; ``until`` itself is outside.
        events: while one of them is on.
    """

    during: frozenset[Phase] = frozenset()
    days: frozenset[int] = frozenset()
    hours: tuple[Window, ...] = ()
    since: int | None = None
    until: int | None = None
    events: Events | None = None

    def holds(self, at: float, wall: Wall) -> bool:
        """Return whether the line holds at an instant."""
        if self.during and wall.phase not in self.during:
            return False
        if not self._on_day(wall):
            return False
        shown = wall.day * DAY + wall.second
        if (self.since is not None and shown < self.since) or (
            self.until is not None and shown >= self.until
        ):
            return False
        events = self.events
        return events is None or wall.day in events.days or at in events.spans

    def cuts(self, day: int) -> set[int]:
        """Return the seconds of a day at which it may begin or end to hold; midnight is always one."""
        found = {second % DAY for window in self.hours for second in window}
        for edge in (self.since, self.until):
            if edge is not None and edge // DAY == day:
                found.add(edge % DAY)
        return found

    def _on_day(self, wall: Wall) -> bool:
        today = weekday_of(wall.day)
        if not self.hours:
            return not self.days or today in self.days
        if (not self.days or today in self.days) and covers(self.hours, wall.second):
            return True
        return (not self.days or (today - 1) % 7 in self.days) and covers(self.hours, wall.second + DAY)


class State(NamedTuple):
    """What the schedule says at an instant: whether lessons are on, and which conditions hold, by number."""

    lessons: bool
    active: tuple[int, ...]


ALWAYS = State(lessons=True, active=())
"""The state where no time is known: on the safe side, as in lessons."""


class Span(NamedTuple):
    """A state, the instant at which it was found, and the first one at which another holds (None: never)."""

    state: State
    at: float
    until: float | None


class Schedule:
    """The timed part of the policy of groups that have the same hours.

    Args:
        zone: of the school.
        timetable: of the group; None: every time counts as a lesson.
        conditions: of the lines, in order.
        lessons_matter: some category is blocked in lessons only.
    """

    __slots__ = ("_lessons_matter", "_span", "_zone", "conditions", "timetable")

    def __init__(
        self,
        zone: tzinfo = UTC,
        timetable: Timetable | None = None,
        conditions: Sequence[Condition] = (),
        *,
        lessons_matter: bool = False,
    ) -> None:
        self._zone = zone
        self.timetable = timetable
        self.conditions = tuple(conditions)
        self._lessons_matter = lessons_matter and timetable is not None
        self._span: Span | None = None

    @property
    def timed(self) -> bool:
        """Whether anything ever changes."""
        return self._lessons_matter or bool(self.conditions)

    def span(self, at: float) -> Span:
        """Return what holds at an instant, and how long; found once for all groups that share this."""
        known = self._span
        if known is None or at < known.at or (known.until is not None and at >= known.until):
            known = self._span = Span(self.state(at), at, self.until(at))
        return known

    def state(self, at: float) -> State:
        """Return what holds at an instant (UTC seconds)."""
        if not self.timed:
            return ALWAYS
        wall = self.wall(at)
        lessons = not self._lessons_matter or wall.phase is Phase.LESSONS
        active = tuple(number for number, one in enumerate(self.conditions) if one.holds(at, wall))
        return State(lessons, active)

    def until(self, at: float) -> float | None:
        """Return the first instant after ``at`` with another state; None when none ever comes.

        Looks ahead at most :data:`HORIZON` days; what lasts longer is said to end there.
        """
        if not self.timed:
            return None
        now = self.state(at)
        begin = floor(at)
        for _ in range(HORIZON):
            for instant in self._candidates(begin, begin + DAY):
                if instant > at and self.state(instant) != now:
                    return float(instant)
            begin += DAY
        return float(begin)

    def wall(self, at: float) -> Wall:
        """Return an instant as the wall clock shows it."""
        day, second = divmod(floor(at) + self._offset(at), DAY)
        phase = self.timetable.phase(day, second) if self.timetable is not None else None
        return Wall(day, second, phase)

    def _candidates(self, begin: int, end: int) -> list[int]:
        """Return every instant in ``[begin, end)`` at which the state may change, in order.

        Each second of the wall clock at which something may change is brought to UTC with every offset that
        is in force within the time: too many instants are found when clocks change, never too few.
        """
        found = self._clock_changes(begin, end)
        offsets = {self._offset(begin), self._offset(end), *(self._offset(one) for one in found)}
        for offset in offsets:
            for day in range((begin + offset) // DAY, (end + offset) // DAY + 1):
                midnight = day * DAY - offset
                found.update(midnight + second for second in self._cuts(day))
        for condition in self.conditions:
            if condition.events is not None:
                found.update(condition.events.spans.edges(begin, end))
        return sorted(instant for instant in found if begin <= instant < end)

    def _cuts(self, day: int) -> set[int]:
        found = {0} if self.timetable is None else self.timetable.cuts(day)
        return found.union(*(condition.cuts(day) for condition in self.conditions))

    def _clock_changes(self, begin: int, end: int) -> set[int]:
        """Return the instants in ``[begin, end)`` at which clocks are set."""
        found = set()
        for probe in range(begin - 1, end - 1, _PROBE):
            low, high = probe, min(probe + _PROBE, end - 1)
            before = self._offset(low)
            if self._offset(high) == before:
                continue
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._offset(middle) == before else (low, middle)
            found.add(high)
        return found

    def _offset(self, at: float) -> int:
        offset = datetime.fromtimestamp(at, self._zone).utcoffset()
        return round(offset.total_seconds()) if offset is not None else 0
