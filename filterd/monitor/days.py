"""Days and months of a time zone as numbers; the one place where the endpoint does such arithmetic. Pure.

A day is its number since 1970-01-01 in the zone, a month ``year * 12 + month - 1``. Times that no calendar
holds (a hostile box may send any) fall on the last day there is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_SECONDS = 86_400
_EPOCH = date(1970, 1, 1)
_LAST_DAY = (date(9998, 12, 31) - _EPOCH).days  # a year before the end: a zone may add a day
_LAST_SECOND = _LAST_DAY * DAY_SECONDS


def day_of(at: int, zone: ZoneInfo) -> int:
    """Return the day on which an instant (UTC seconds) falls."""
    return _day_of_quarter(
        min(max(at, 0), _LAST_SECOND) // 900, zone
    )  # no zone is off by less than 15 minutes


@lru_cache(maxsize=4096)
def _day_of_quarter(quarter: int, zone: ZoneInfo) -> int:
    return (datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone).date() - _EPOCH).days


def start_of(day: int, zone: ZoneInfo) -> int:
    """Return the UTC seconds at which a day begins; it ends where the next begins (23 to 25 hours later)."""
    found = datetime.combine(date_of(day), time.min, zone)
    return int(found.timestamp())


def date_of(day: int) -> date:
    """Return a day as a date."""
    return _EPOCH + timedelta(days=min(max(day, 0), _LAST_DAY))


def month_of(day: int) -> int:
    """Return the month of a day."""
    found = date_of(day)
    return found.year * 12 + found.month - 1


def first_day(month: int) -> int:
    """Return the first day of a month; it ends where the next begins."""
    return (date(month // 12, month % 12 + 1, 1) - _EPOCH).days
