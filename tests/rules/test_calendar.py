"""iCalendar files: what schools export, what calendars repeat, and files that are none."""

from __future__ import annotations

import contextlib
import random
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import PolicyError
from filterd.rules.calendar import days_of, read_events
from filterd.rules.schedule import Events
from filterd.rules.timetable import date_of

ALMATY = ZoneInfo("Asia/Almaty")
HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n"


def calendar(*events: str) -> str:
    body = "".join(
        f"BEGIN:VEVENT\r\nUID:{number}@test\r\nDTSTAMP:20260101T000000Z\r\n"
        + "".join(f"{line}\r\n" for line in event.split("|"))
        + "END:VEVENT\r\n"
        for number, event in enumerate(events)
    )
    return f"{HEAD}{body}END:VCALENDAR\r\n"


def read(*events: str) -> Events:
    return read_events(calendar(*events), file="x.ics", zone=ALMATY)


def days(*events: str) -> list[str]:
    ranges = days_of(read(*events), ALMATY).pairs()
    return [str(date_of(day)) for first, behind in ranges for day in range(first, behind)]


def test_whole_days() -> None:
    assert days("SUMMARY:Independence Day|DTSTART;VALUE=DATE:20261216") == ["2026-12-16"]
    assert days("DTSTART;VALUE=DATE:20270321|DTEND;VALUE=DATE:20270324") == [
        "2027-03-21", "2027-03-22", "2027-03-23",
    ]  # fmt: skip
    assert days("DTSTART;VALUE=DATE:20270321|DURATION:P2D") == ["2027-03-21", "2027-03-22"]


def test_a_holiday_that_comes_back_every_year() -> None:
    found = days("DTSTART;VALUE=DATE:19911216|RRULE:FREQ=YEARLY")
    assert found[:2] == ["2020-12-16", "2021-12-16"]
    assert "2026-12-16" in found


def test_repeating_with_exceptions_and_a_moved_one() -> None:
    weekly = "DTSTART;VALUE=DATE:20260905|RRULE:FREQ=WEEKLY;COUNT=4|EXDATE;VALUE=DATE:20260912"
    assert days(weekly) == ["2026-09-05", "2026-09-19", "2026-09-26"]
    text = calendar(weekly).replace(
        "END:VCALENDAR",
        "BEGIN:VEVENT\r\nUID:0@test\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID;VALUE=DATE:20260919\r\n"
        "DTSTART;VALUE=DATE:20260920\r\nEND:VEVENT\r\nEND:VCALENDAR",
    )
    found = days_of(read_events(text, file="x.ics", zone=ALMATY), ALMATY)
    assert [str(date_of(first)) for first, _ in found.pairs()] == ["2026-09-05", "2026-09-20", "2026-09-26"]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("DTSTART:20270528T040000Z", "DTEND:20270528T090000Z"),
        ("DTSTART:20270528T090000", "DTEND:20270528T140000"),
        ("DTSTART;TZID=Asia/Almaty:20270528T090000", "DTEND;TZID=Asia/Almaty:20270528T140000"),
        ("DTSTART;TZID=Europe/Berlin:20270528T060000", "DURATION:PT5H"),
    ],
)
def test_hours_in_every_zone(start: str, end: str) -> None:
    spans = list(read(f"{start}|{end}").spans.pairs())
    assert spans == [(1811476800, 1811494800)]
    assert days(f"{start}|{end}") == ["2027-05-28"]


def test_what_was_cancelled_and_what_takes_no_time_is_left_out() -> None:
    assert not days("DTSTART;VALUE=DATE:20261216|STATUS:CANCELLED")
    assert not days("DTSTART:20270528T040000Z")
    assert not days()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a calendar"),
        ("<html></html>", "not a calendar"),
        (calendar("SUMMARY:without a start"), "not a calendar"),
        (calendar("DTSTART:20271399T000000Z"), "not a calendar"),
        (calendar("DTSTART:20260901T000000Z|DTEND:20260901T010000Z|RRULE:FREQ=SECONDLY"), "within a day"),
        (calendar("DTSTART:20260901T000000Z|DTEND:20260901T010000Z|RRULE:FREQ=HOURLY"), "within a day"),
        (calendar("DTSTART;VALUE=DATE:20260901|RRULE:FREQ=DAILY"), "come to [0-9]+ until 2050"),
    ],
)
def test_what_is_no_calendar_names_the_file(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        read_events(text, file="holidays.ics", zone=ALMATY)
    assert caught.value.file == "holidays.ics"


GOOD = calendar(
    "SUMMARY:Almaty|DTSTART;TZID=Asia/Almaty:20270528T090000|DTEND;TZID=Asia/Almaty:20270528T140000",
    "DTSTART;VALUE=DATE:20261216|RRULE:FREQ=YEARLY;UNTIL=20301216",
)
PIECES = [
    ":",
    ";",
    "\r\n",
    "BEGIN:VEVENT\r\n",
    "END:VEVENT",
    "99",
    "FREQ=",
    "\x00",
    "Z",
    "DTEND",
    "TZID=X",
    "é",
    "",
]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_mutated_calendars_give_events_or_a_policy_error(seed: int) -> None:
    chance = random.Random(seed)
    text = GOOD
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(text))
        text = text[:start] + chance.choice(PIECES) + text[start + chance.choice([0, 1, 3, 12]) :]
    with contextlib.suppress(PolicyError):
        days_of(read_events(text, file="x.ics", zone=ALMATY), ALMATY)


def test_days_outside_the_years_written_out_are_dates_still() -> None:
    assert date.fromisoformat(days("DTSTART;VALUE=DATE:20301216")[0]).year == 2030
