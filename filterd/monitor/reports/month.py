"""A calendar month of the monitor's zone: its number, its days, its hours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, Self

from filterd.errors import ReportError

HOUR: Final = 3600
STEPS: Final = 12  # 5-minute steps of an hour
_EPOCH: Final = date(1970, 1, 1)
_WRITTEN: Final = re.compile(r"(\d{4})-(\d{2})")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month, as the store numbers it.

    Args:
        number: year * 12 + month - 1.
    """

    number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the month written ``2026-10``.

        Raises:
            ReportError: it is not.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 2999:
            raise ReportError(f"{text!r} is not a month", remedy="write year and month, as 2026-10")
        return cls.of(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, year: int, month: int) -> Self:
        """Return the month of a year."""
        return cls(year * 12 + month - 1)

    @classmethod
    def at(cls, seconds: float, zone: tzinfo) -> Self:
        """Return the month in which an instant falls."""
        now = datetime.fromtimestamp(seconds, zone)
        return cls.of(now.year, now.month)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def before(self) -> Month:
        """The month before."""
        return Month(self.number - 1)

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.number // 12, self.number % 12 + 1, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return Month(self.number + 1).first - timedelta(days=1)

    @property
    def days(self) -> tuple[date, ...]:
        """All its days."""
        return tuple(self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))

    def span(self, zone: tzinfo) -> tuple[int, int]:
        """Return when it begins and when the next one begins, UTC seconds."""
        return _midnight(self.first, zone), _midnight(Month(self.number + 1).first, zone)


def day_number(day: date) -> int:
    """Return a day as the store numbers it: days since 1970-01-01."""
    return (day - _EPOCH).days


def _midnight(day: date, zone: tzinfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
