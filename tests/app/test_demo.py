from __future__ import annotations

from datetime import date

import pytest

from filterd.app.demo import period
from filterd.errors import StartError


@pytest.mark.parametrize(
    ("month", "today", "first", "days"),
    [
        ("2026-10", date(2026, 11, 25), date(2026, 10, 1), 31),
        ("2024-02", date(2026, 11, 25), date(2024, 2, 1), 29),
        ("2026-12", date(2026, 11, 25), date(2026, 12, 1), 31),
        (None, date(2026, 11, 25), date(2026, 10, 1), 55),
        (None, date(2027, 1, 1), date(2026, 12, 1), 31),
    ],
)
def test_a_month_or_the_last_and_what_has_gone_by(
    month: str | None, today: date, first: date, days: int
) -> None:
    assert period(month, today) == (first, days)


@pytest.mark.parametrize("month", ["October", "2026-13", "2026", ""])
def test_what_is_no_month_is_said(month: str) -> None:
    with pytest.raises(StartError, match="not a month"):
        period(month, date(2026, 11, 25))
