from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import StartError
from filterd.monitor.days import date_of, day_of, first_day, month_of, start_of

ZONES = st.sampled_from(
    ["Asia/Almaty", "Asia/Oral", "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Europe/London"]
).map(ZoneInfo)


@given(st.integers(200_000, 4_000_000_000), ZONES)
def test_an_instant_falls_into_its_day(at: int, zone: ZoneInfo) -> None:
    day = day_of(at, zone)
    assert date_of(day) == datetime.fromtimestamp(at, UTC).astimezone(zone).date()
    assert start_of(day, zone) <= at < start_of(day + 1, zone)


@given(st.integers(0, 40_000))
def test_a_day_falls_into_its_month(day: int) -> None:
    month = month_of(day)
    assert first_day(month) <= day < first_day(month + 1)
    assert (month // 12, month % 12 + 1) == (date_of(day).year, date_of(day).month)


def test_kazakhstan_has_one_zone_since_march_2024() -> None:
    almaty = ZoneInfo("Asia/Almaty")
    before, after = datetime(2024, 2, 28, 18, 30, tzinfo=UTC), datetime(2024, 3, 1, 18, 30, tzinfo=UTC)
    assert date_of(day_of(int(before.timestamp()), almaty)) == date(2024, 2, 29)  # UTC+6
    assert date_of(day_of(int(after.timestamp()), almaty)) == date(2024, 3, 1)  # UTC+5


@given(st.one_of(st.integers(-(2**63), 0), st.integers(2**37, 2**63)), ZONES)
def test_times_without_a_calendar_are_days_too(at: int, zone: ZoneInfo) -> None:
    day = day_of(at, zone)
    assert start_of(day, zone) >= 0 or at <= 0
    assert first_day(month_of(day)) <= max(day, 0)


@pytest.mark.parametrize("zone", ["Asia/Nowhere", "", "../../etc/passwd", "/etc/localtime"])
def test_a_zone_that_is_none_is_told(settings: object, zone: str) -> None:
    with pytest.raises(StartError, match="time zone") as caught:
        type(settings)(listen=(("127.0.0.1", 0),), database="", boxes={}, zone=zone)  # type: ignore[call-arg]
    assert caught.value.remedy
