"""When the filter worked, from the heartbeat of a school's boxes: one bit for each 5-minute step of an hour.

A school with several boxes has a filter while any of them works. What was before a box was first heard of in
the month is not expected of it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final

from filterd.monitor.reports.document import Outage
from filterd.monitor.reports.month import HOUR, STEPS
from filterd.monitor.reports.tally import MAX_OUTAGES, Heartbeat, Tally

_STEP: Final = HOUR // STEPS
_ALL: Final = (1 << STEPS) - 1
_MIN_OUTAGE: Final = 3  # steps: a restart or an update takes less
_LESSONS: Final = range(8, 19)  # hours of the two shifts
_SUNDAY: Final = 6


def add_heartbeat(
    tally: Tally, hours: Iterable[tuple[int, int]], *, begin: int, end: int, zone: tzinfo
) -> None:
    """Add uptime and outages of one school to its tally.

    Args:
        tally: of the school.
        hours: UTC seconds of an hour and its steps, of any of its boxes, in any order.
        begin: first second in which the filter is expected.
        end: the second after the last one.
        zone: of the days.
    """
    seen: dict[int, int] = {}
    for hour, steps in hours:
        seen[hour] = seen.get(hour, 0) | (steps & _ALL)
    gaps = _Gaps(tally)
    for hour in range(begin - begin % HOUR, end, HOUR):
        mask = _expected(hour, begin, end)
        present = seen.get(hour, 0) & mask
        _count(tally.heartbeat, hour, present.bit_count(), mask.bit_count(), zone)
        if present == _ALL:
            gaps.close(hour)
        else:
            for step in _steps(mask):
                gaps.step(hour + step * _STEP, up=bool(present >> step & 1))
    gaps.close(end)
    tally.longest.sort(key=lambda outage: (outage.start - outage.end, outage.start))
    del tally.longest[MAX_OUTAGES:]


def _expected(hour: int, begin: int, end: int) -> int:
    """Return the bits of the steps of an hour that lie wholly between two instants."""
    if begin <= hour and hour + HOUR <= end:
        return _ALL
    steps = range(STEPS)
    inside = (s for s in steps if begin <= hour + s * _STEP and hour + (s + 1) * _STEP <= end)
    return sum(1 << step for step in inside)


def _steps(mask: int) -> Iterator[int]:
    return (step for step in range(STEPS) if mask >> step & 1)


def _count(beat: Heartbeat, hour: int, present: int, expected: int, zone: tzinfo) -> None:
    local = datetime.fromtimestamp(hour, zone)
    beat.steps += present
    beat.expected += expected
    if local.weekday() != _SUNDAY and local.hour in _LESSONS:
        beat.lesson_steps += present
        beat.lesson_expected += expected
    day = beat.days.setdefault(local.date(), [0, 0])
    day[0] += present
    day[1] += expected


class _Gaps:
    """Finds the outages in a row of steps."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._since: int | None = None

    def step(self, at: int, *, up: bool) -> None:
        if up:
            self.close(at)
        elif self._since is None:
            self._since = at

    def close(self, at: int) -> None:
        if self._since is not None and at - self._since >= _MIN_OUTAGE * _STEP:
            self._tally.outages += 1
            self._tally.outage_steps += (at - self._since) // _STEP
            start, end = (datetime.fromtimestamp(second, UTC) for second in (self._since, at))
            self._tally.longest.append(Outage(start=start, end=end))
        self._since = None
