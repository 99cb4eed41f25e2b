"""Days and hours from an iCalendar file (RFC 5545): holidays, terms, exams as a ministry or school has them.

Repeating events are written out once, when a policy is built, so nothing can fail at a bell.
Never fetches anything and asks nobody what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from filterd.errors import PolicyError
from filterd.rules.schedule import Events
from filterd.rules.timetable import DAY, Ranges, number_of

FIRST_YEAR, LAST_YEAR = 2020, 2050  # repeating events are written out for these years
MAX_EVENTS = 5000  # components of a file, and days that they come to
_OFTEN = frozenset(("SECONDLY", "MINUTELY", "HOURLY"))


class _Span(NamedTuple):
    """One event: two dates (the second is behind it), or two instants."""

    start: date
    end: date


def read_events(text: str, *, file: str, zone: tzinfo) -> Events:
    """Return what a calendar says.

    Args:
        text: the file's content.
        file: its name, for errors.
        zone: of events that name none.

    Raises:
        PolicyError: not a calendar, an event that cannot be understood, or too many of them.
    """
    days: list[tuple[int, int]] = []
    spans: list[tuple[int, int]] = []
    for start, end in _occurrences(text, file):
        if isinstance(start, datetime):
            spans.append((_second(start, zone), _second(end, zone)))
        else:
            days.append((number_of(start), number_of(end)))
    return Events(Ranges(days), Ranges(spans))


def days_of(events: Events, zone: tzinfo) -> Ranges:
    """Return every day that an event touches, for holidays and terms."""
    touched = [(_day(start, zone), _day(end - 1, zone) + 1) for start, end in events.spans.pairs()]
    return Ranges([*events.days.pairs(), *touched])


def _occurrences(text: str, file: str) -> Iterable[_Span]:
    # Loaded here: it takes a tenth of a second, and most policies name no calendar.
    import icalendar  # noqa: PLC0415
    import recurring_ical_events  # noqa: PLC0415

    try:
        calendar = icalendar.Calendar.from_ical(text)
        _check(calendar, file)
        found = recurring_ical_events.of(calendar, components=["VEVENT"]).between(
            datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
        )
        spans = [_span(event) for event in found if str(event.get("STATUS", "")).upper() != "CANCELLED"]
    except PolicyError:
        raise
    except Exception as error:  # the library declares none, and raises whatever a broken file provokes
        raise PolicyError(
            f"not a calendar (iCalendar): {error}", file=file, remedy="export it again as .ics"
        ) from error
    if len(spans) > MAX_EVENTS:
        raise PolicyError(
            f"its events come to {len(spans)} until {LAST_YEAR}, over {MAX_EVENTS}",
            file=file,
            remedy="let repeating events end (UNTIL or COUNT), or name the hours in the schedule",
        )
    return spans


def _check(calendar: Any, file: str) -> None:
    events = calendar.walk("VEVENT")
    if len(events) > MAX_EVENTS:
        raise PolicyError(f"more than {MAX_EVENTS} events", file=file, remedy="export fewer years")
    for event in events:
        rules = event.get("RRULE", [])
        for rule in rules if isinstance(rules, list) else [rules]:
            if _OFTEN & {str(one).upper() for one in rule.get("FREQ", [])}:
                raise PolicyError(
                    f"event {str(event.get('SUMMARY', ''))[:60]!r} repeats within a day",
                    file=file,
                    remedy="name the hours in the schedule instead",
                )


def _span(event: Any) -> _Span:
    start = event["DTSTART"].dt
    end = event["DTEND"].dt if "DTEND" in event else None
    if end is None or (not isinstance(start, datetime) and end <= start):
        end = start if isinstance(start, datetime) else start + timedelta(days=1)
    return _Span(start, end)


def _second(moment: date, zone: tzinfo) -> int:
    if not isinstance(moment, datetime):  # DTEND as a date though DTSTART has a time
        moment = datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - the zone follows
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp())


def _day(second: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset() or timedelta()
    return (second + round(offset.total_seconds())) // DAY
