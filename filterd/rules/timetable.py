"""What time it is in a school: lessons, breaks, before and after school, weekends, holidays.

Everything is told by the clock on the wall, as a bell is: a day is its number since 1970-01-01, a time its
second after midnight, both local. Never reads a clock and knows no zone; schedule.py brings instants here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

DAY = 86_400
EARLY = 2 * 3600  # who is at school before the first bell: staff, breakfast
LATE = 4 * 3600  # and after the last: clubs, homework, meetings
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Phase(StrEnum):
    """The parts into which a timetable divides all time; exactly one holds at any instant."""

    LESSONS = "lessons"
    BREAKS = "breaks"  # between the first bell and the last, outside lessons
    BEFORE_SCHOOL = "before_school"  # of a day with lessons: from midnight to the first bell
    AFTER_SCHOOL = "after_school"  # of a day with lessons: from the last bell to midnight
    WEEKENDS = "weekends"  # a day of the week without lessons
    HOLIDAYS = "holidays"  # a day off by the calendar, or outside the terms


class Window(NamedTuple):
    """A time of day, in seconds of the wall clock after midnight of the day it belongs to.

    A window over midnight belongs to the day it begins on: its end is then over 86,400.
    """

    start: int
    end: int

    @property
    def text(self) -> str:
        """The window as people write it."""
        return f"{clock(self.start)}-{clock(self.end if self.end <= DAY else self.end - DAY)}"


def clock(second: int) -> str:
    """Return a second of a day as ``HH:MM``."""
    return f"{second // 3600:02}:{second // 60 % 60:02}"


def number_of(day: date) -> int:
    """Return the number of a day."""
    return day.toordinal() - _EPOCH


def date_of(day: int) -> date:
    """Return the date of a numbered day."""
    return date.fromordinal(day + _EPOCH)


def weekday_of(day: int) -> int:
    """Return the day of the week, Monday 0."""
    return (day + _EPOCH_WEEKDAY) % 7


def covers(windows: Iterable[Window], second: int) -> bool:
    """Return whether a second lies in one of some windows of the same day."""
    return any(start <= second < end for start, end in windows)


class Ranges:
    """A set of whole numbers (days, or seconds) as sorted ranges that do not touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        """Unite ranges; each is ``(first, behind the last)``, empty ones count for nothing."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(one for one in ranges if one[0] < one[1]):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, number: float) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def pairs(self) -> Iterable[tuple[int, int]]:
        """Return the ranges, each ``(first, behind the last)``."""
        return zip(self._starts, self._ends, strict=True)

    def edges(self, begin: int, end: int) -> list[int]:
        """Return the numbers in ``[begin, end)`` at which membership changes."""
        found = []
        for numbers in (self._starts, self._ends):
            found += numbers[bisect_right(numbers, begin - 1) : bisect_right(numbers, end - 1)]
        return found


@dataclass(frozen=True, slots=True)
class Timetable:
    """Bells and calendar of some groups.

    Attributes:
        week: lessons by day of the week, Monday 0; no lessons: weekend. Sorted, without overlap.
        special: lessons of single days, by number; they outrank the week and the holidays.
        holidays: days off.
        terms: days of school; empty: all days but the holidays.
    """

    week: Mapping[int, tuple[Window, ...]]
    special: Mapping[int, tuple[Window, ...]] = field(default_factory=dict)
    holidays: Ranges = field(default_factory=Ranges)
    terms: Ranges = field(default_factory=Ranges)

    def lessons(self, day: int) -> tuple[Window, ...]:
        """Return the lessons of a day; none when it is off."""
        found = self.special.get(day)
        if found is not None:
            return found
        return () if self._is_off(day) else self.week.get(weekday_of(day), ())

    def phase(self, day: int, second: int) -> Phase:
        """Return the phase at a second of a day."""
        today, before = self.lessons(day), self.lessons(day - 1)
        late = second + DAY  # lessons over midnight belong to the day before
        if covers(today, second) or covers(before, late):
            return Phase.LESSONS
        if _within(today, second) or _within(before, late):
            return Phase.BREAKS
        if not today:
            off = self._is_off(day) or day in self.special
            return Phase.HOLIDAYS if off else Phase.WEEKENDS
        return Phase.BEFORE_SCHOOL if second < today[0].start else Phase.AFTER_SCHOOL

    def is_empty(self, day: int, second: int) -> bool:
        """Return whether nobody is at school: long before the first bell or after the last, or no lessons."""
        for number, now in ((day, second), (day - 1, second + DAY)):
            today = self.lessons(number)
            if today and today[0].start - EARLY <= now < today[-1].end + LATE:
                return False
        return True

    def cuts(self, day: int) -> set[int]:
        """Return every second of a day at which the phase may change."""
        found = {0}
        for window in self.lessons(day):
            found.update(second for second in window if second < DAY)
        for window in self.lessons(day - 1):
            found.update(second - DAY for second in window if second >= DAY)
        return found

    def _is_off(self, day: int) -> bool:
        return day in self.holidays or (bool(self.terms) and day not in self.terms)


def _within(lessons: tuple[Window, ...], second: int) -> bool:
    return bool(lessons) and lessons[0].start <= second < lessons[-1].end
