"""When the schools of the demonstration are open: weekdays, two shifts, autumn holidays. Pure."""

from __future__ import annotations

from datetime import date
from typing import Final

# Share of a day's lookups in each hour, local time: two shifts with a dip at their change.
_SCHOOL_DAY: Final = {
    8: 0.11, 9: 0.13, 10: 0.14, 11: 0.13, 12: 0.10, 13: 0.07,
    14: 0.10, 15: 0.09, 16: 0.07, 17: 0.04, 18: 0.02,
}  # fmt: skip
_QUIET_DAY: Final = {3: 0.012, 10: 0.02, 12: 0.02}  # updates of devices, somebody on duty
_SATURDAY, _SUNDAY = 5, 6


def is_school_day(day: date) -> bool:
    """Tell whether there are lessons: not at weekends, on Republic Day and in the week of autumn holidays."""
    holiday = (day.month == 10 and day.day >= 25) or (day.month, day.day) == (11, 1)
    return day.weekday() < _SATURDAY and not holiday


def hours(day: date) -> dict[int, float]:
    """Return how much of a school day's traffic falls into which hour."""
    if is_school_day(day):
        return dict(_SCHOOL_DAY)
    return {} if day.weekday() == _SUNDAY else dict(_QUIET_DAY)
