from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import ReportError
from filterd.monitor.reports.month import Month, day_number
from filterd.monitor.reports.tally import Tally
from filterd.monitor.reports.uptime import add_heartbeat

ZONE = timezone(timedelta(hours=5))
HOUR = 3600
ALL = 0xFFF


def test_a_month():
    month = Month.parse("2026-02")
    assert (str(month), month.number) == ("2026-02", 2026 * 12 + 1)
    assert (month.first, month.last, len(month.days)) == (date(2026, 2, 1), date(2026, 2, 28), 28)
    assert str(Month.parse("2026-01").before) == "2025-12"
    begin, end = month.span(ZONE)
    assert datetime.fromtimestamp(begin, UTC) == datetime(2026, 1, 31, 19, tzinfo=UTC)
    assert end - begin == 28 * 86_400
    assert Month.at(begin, ZONE) == month
    assert Month.at(begin - 1, ZONE) == month.before
    assert day_number(date(1970, 1, 2)) == 1


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "10-2026", "2026-1", "2026-10-01", "1960-01"]
)
def test_what_is_no_month(text):
    with pytest.raises(ReportError, match="not a month") as caught:
        Month.parse(text)
    assert caught.value.remedy


def beat(hours, begin, end) -> Tally:
    tally = Tally()
    add_heartbeat(tally, hours, begin=begin, end=end, zone=ZONE)
    return tally


def test_uptime_counts_the_bits_of_the_heartbeat():
    begin, end = Month.parse("2026-10").span(ZONE)
    hours = [(hour, ALL) for hour in range(begin, end, HOUR)]
    assert beat(hours, begin, end).heartbeat.steps == 31 * 24 * 12
    hours[5] = (hours[5][0], 0b000000001111)
    tally = beat(hours, begin, end)
    assert tally.heartbeat.steps == 31 * 24 * 12 - 8
    assert tally.heartbeat.expected == 31 * 24 * 12
    assert tally.heartbeat.days[date(2026, 10, 1)] == [280, 288]
    assert (tally.outages, tally.outage_steps) == (1, 8)
    outage = tally.longest[0]
    assert outage.end - outage.start == timedelta(minutes=40)
    assert outage.start.astimezone(ZONE) == datetime(2026, 10, 1, 5, 20, tzinfo=ZONE)


def test_two_boxes_are_one_filter():
    assert beat([(0, 0b111111000000), (0, 0b000000111111)], 0, HOUR).outages == 0
    assert beat([(0, 0b111111000000), (0, 0b111111000000)], 0, HOUR).heartbeat.steps == 6


def test_a_restart_is_no_outage():
    assert beat([(0, 0b111100111111)], 0, HOUR).outages == 0
    assert beat([(0, 0b111000111111)], 0, HOUR).outages == 1


def test_an_outage_across_hours_is_one():
    tally = beat([(0, 0b000000000001), (2 * HOUR, 0b100000000000)], 0, 3 * HOUR)
    assert (tally.outages, tally.outage_steps) == (1, 34)


def test_steps_cut_by_the_borders_are_not_expected():
    tally = beat([(0, ALL)], 100, 1000)
    assert (tally.heartbeat.steps, tally.heartbeat.expected) == (2, 2)  # from 300 to 900


def test_lessons_are_counted_apart():
    sunday = int(datetime(2026, 10, 4, 10, tzinfo=ZONE).timestamp())
    monday = sunday + 86_400
    assert beat([(sunday, ALL)], sunday, sunday + HOUR).heartbeat.lesson_expected == 0
    assert beat([], monday, monday + HOUR).heartbeat.lesson_expected == 12
    night = monday + 10 * HOUR
    assert beat([], night, night + HOUR).heartbeat.lesson_expected == 0


def test_only_the_longest_outages_are_listed():
    begin, end = Month.parse("2026-10").span(ZONE)
    tally = beat([(hour, ALL) for hour in range(begin, end, 2 * HOUR)], begin, end)
    assert tally.outages == 31 * 12
    assert len(tally.longest) == 20


@given(
    st.dictionaries(st.integers(0, 30), st.integers(0, 0xFFFF)),
    st.integers(0, 3 * HOUR),
    st.integers(0, 20 * HOUR),
)
def test_what_is_missing_is_expected_less_present(hours, begin, length):
    rows = [(number * HOUR, steps) for number, steps in hours.items()]
    tally = beat(rows, begin, begin + length)
    found = tally.heartbeat
    assert 0 <= found.steps <= found.expected <= length // 300
    assert tally.outage_steps <= found.expected - found.steps + 2
    assert sum(expected for _steps, expected in found.days.values()) == found.expected
