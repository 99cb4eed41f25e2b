"""How people write times in a policy: hours, dates, timetables, conditions; and the values these become.

Models and their meaning; timetable.py and schedule.py work with the values. Reads no file: the texts of
calendars are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from filterd.rules.calendar import days_of, read_events
from filterd.rules.fields import Identifier, Text
from filterd.rules.schedule import Condition, Events
from filterd.rules.timetable import DAY, DAYS, Phase, Ranges, Timetable, Window, number_of
from filterd.rules.yamlsource import Section, meant

DEFAULT_ZONE = "Asia/Almaty"
MAX_LINES = 100  # of bells, of a schedule
MAX_PERIODS = 500
MAX_CALENDARS = 8
MAX_LESSONS = 24

_HOURS = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([01][0-9]|2[0-3]):([0-5][0-9]))?")


class Edge(NamedTuple):
    """An end of a period: a date, and the second of it when a time was written."""

    day: date
    second: int | None

    @property
    def first(self) -> int:
        """Second of the wall clock since 1970 at which a period that begins with it begins."""
        return number_of(self.day) * DAY + (self.second or 0)

    @property
    def behind(self) -> int:
        """The same of a period's end: a date alone is meant to its midnight."""
        return number_of(self.day) * DAY + (DAY if self.second is None else self.second)


def hours(value: Any) -> Window:
    """Return ``HH:MM-HH:MM`` as a window; an end before the start lies on the next day.

    Raises:
        ValueError: not written so.
    """
    if isinstance(value, Window):
        return value
    found = _HOURS.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a time of day; write 08:00-08:45")
    begin, end = (int(found[one]) * 3600 + int(found[one + 1]) * 60 for one in (1, 3))
    if begin >= DAY or end > DAY:
        raise ValueError(f"{value!r} lies behind the end of the day; the last is 24:00")
    if begin == end:
        raise ValueError(f"{value!r} is empty; write 00:00-24:00 for the whole day")
    return Window(begin, end if end > begin else end + DAY)


def day(value: Any) -> date:
    """Return ``YYYY-MM-DD`` as a date.

    Raises:
        ValueError: not written so, or no such day.
    """
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(f"{value!r} is not a date; write 2026-09-01")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"there is no day {value}") from error


def edge(value: Any) -> Edge:
    """Return a date, or a date and a time, as the end of a period.

    Raises:
        ValueError: not written so, or no such day.
    """
    if isinstance(value, Edge):
        return value
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is not a date; write 2026-09-01 or 2026-09-01 14:00")
    second = None if found[2] is None else int(found[2]) * 3600 + int(found[3]) * 60
    return Edge(day(found[1]), second)


def _written(check: Callable[[Any], Any], pattern: re.Pattern[str], example: str) -> Any:
    """Return what pydantic needs to read a text by a function and to describe it in a JSON Schema."""
    schema = {"type": "string", "pattern": f"^{pattern.pattern}$", "examples": [example]}
    return PlainValidator(check), WithJsonSchema(schema)


Hours = Annotated[Window, *_written(hours, _HOURS, "08:00-08:45")]
Day = Annotated[date, *_written(day, _DATE, "2026-09-01")]
Moment = Annotated[Edge, *_written(edge, _MOMENT, "2026-09-01 14:00")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
PhaseName = Literal["lessons", "breaks", "before_school", "after_school", "weekends", "holidays"]


def file_name(value: Any) -> str:
    """Return the name of a calendar in the policy file's folder or below it.

    Raises:
        ValueError: it leads elsewhere, or is no calendar.
    """
    if not isinstance(value, str) or not value.endswith(".ics") or not 5 <= len(value) <= 400:
        raise ValueError(f"{value!r} is not a calendar; write a name like holidays.ics")
    if PurePosixPath(value).is_absolute() or ".." in PurePosixPath(value).parts or "\\" in value:
        raise ValueError(f"{value!r} leads out of this folder; put the calendar beside this file")
    return value


FileName = Annotated[
    str,
    PlainValidator(file_name),
    WithJsonSchema({"type": "string", "pattern": r"\.ics$", "examples": ["holidays.ics"]}),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Bells(_Model):
    """Lessons of some days: of the week, or single dates, which outrank week and holidays."""

    days: list[Weekday] = Field(default_factory=list, max_length=7)
    dates: list[Day] = Field(default_factory=list, max_length=MAX_PERIODS)
    lessons: list[Hours] = Field(max_length=MAX_LESSONS)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.days) == bool(self.dates):
            raise ValueError("write either `days: [mon, tue]` or `dates: [2026-12-30]`")
        return self


class Period(_Model):
    """Days from one to another, both included."""

    first: Day = Field(alias="from")
    last: Day = Field(alias="to")
    title: Text | None = None

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.last < self.first:
            raise ValueError(f"ends on {self.last}, before it begins on {self.first}")
        return self


class CalendarUse(_Model):
    """An iCalendar file (.ics) beside the policy, and what its events are."""

    file: FileName
    kind: Literal["holidays", "terms"] = Field(alias="as")


class TimetableModel(_Model):
    """Zone, bells and calendar. Every layer may have one: see :func:`timetables` for how they are united."""

    zone: Annotated[str, Field(max_length=64)] | None = None
    bells: dict[Identifier, Annotated[list[Bells], Field(min_length=1, max_length=MAX_LINES)]] = Field(
        default_factory=dict, max_length=64
    )
    terms: list[Period] = Field(default_factory=list, max_length=MAX_PERIODS)
    holidays: list[Period] = Field(default_factory=list, max_length=MAX_PERIODS)
    calendars: list[CalendarUse] = Field(default_factory=list, max_length=MAX_CALENDARS)


class When(_Model):
    """When a line holds: everything that is given must be so."""

    during: list[PhaseName] = Field(default_factory=list, max_length=len(Phase))
    days: list[Weekday] = Field(default_factory=list, max_length=7)
    hours: list[Hours] = Field(default_factory=list, max_length=MAX_LESSONS)
    first: Moment | None = Field(default=None, alias="from")
    last: Moment | None = Field(default=None, alias="to")
    calendar: FileName | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.during or self.days or self.hours or self.first or self.last or self.calendar):
            raise ValueError("says no time: give during, days, hours, from, to or calendar")
        if self.first and self.last and self.last.behind <= self.first.first:
            raise ValueError("`to` is not after `from`")
        return self


Texts = Mapping[tuple[str, str], str]
"""The texts of calendars, by the policy file that names them and the name as written there."""


@dataclass(frozen=True, slots=True)
class Times:
    """What all groups of a school share: the zone, the timetables by name of their bells, the calendars.

    Attributes:
        read: calendars that were read, to read each once.
    """

    zone: ZoneInfo
    timetables: Mapping[str, Timetable] = field(default_factory=dict)
    texts: Texts = field(default_factory=dict)
    read: dict[tuple[str, str], Events] = field(default_factory=dict)

    def timetable(self, bells: str | None, here: Section) -> Timetable | None:
        """Return the timetable with these bells; None named: the first one; None when there are no bells.

        Raises:
            PolicyError: no such bells.
        """
        if bells is None:
            return next(iter(self.timetables.values()), None)
        if bells not in self.timetables:
            raise here.wrong(f"no bells {bells!r}", "bells", remedy=meant(bells, self.timetables))
        return self.timetables[bells]

    def condition(self, when: When, here: Section, timetable: Timetable | None) -> Condition:
        """Return when a line of a schedule holds.

        Raises:
            PolicyError: it needs bells that the group does not have, or a calendar that is none.
        """
        if when.during and timetable is None:
            raise here.wrong("there are no bells yet", "during", remedy="write them in `timetable: bells:`")
        events = None if when.calendar is None else self.events(when.calendar, here.inner("calendar"))
        return Condition(
            during=frozenset(Phase(one) for one in when.during),
            days=frozenset(DAYS.index(one) for one in when.days),
            hours=tuple(when.hours),
            since=when.first.first if when.first else None,
            until=when.last.behind if when.last else None,
            events=events,
        )

    def events(self, file: str, here: Section) -> Events:
        """Return what a calendar says.

        Raises:
            PolicyError: it was not given, or is none.
        """
        key = (here.source.file, file)
        if key not in self.texts:
            raise here.wrong(f"the calendar {file!r} is not there", remedy="check its name")
        if key not in self.read:
            self.read[key] = read_events(self.texts[key], file=file, zone=self.zone)
        return self.read[key]


def united(layers: Sequence[tuple[TimetableModel | None, Section]], texts: Texts) -> Times:
    """Return the timetables of a school.

    Zone, bells and terms are those of the lowest layer that gives them; holidays of all layers are added up.

    Args:
        layers: what each layer writes and where, the highest first.
        texts: of the calendars that they name.

    Raises:
        PolicyError: an unknown zone, overlapping lessons, a day written twice, a calendar that is none.
    """
    given = [(model, section) for model, section in layers if model is not None]
    zone = ZoneInfo(DEFAULT_ZONE)
    for model, section in given:
        if model.zone is not None:
            zone = _zone(model.zone, section.inner("zone"))
    times = Times(zone, texts=texts)
    holidays: list[tuple[int, int]] = []
    terms = Ranges()
    bells: Mapping[str, list[Bells]] = {}
    place: Section | None = None
    for model, section in given:
        found = _periods(model.terms, "terms", model, section, times)
        terms = Ranges(found) if found else terms
        holidays += _periods(model.holidays, "holidays", model, section, times)
        if model.bells:
            bells, place = model.bells, section.inner("bells")
    made = {} if place is None else {
        name: _timetable(lines, place.inner(name), Ranges(holidays), terms) for name, lines in bells.items()
    }  # fmt: skip
    return Times(zone, made, texts)


def _zone(name: str, here: Section) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise _no_zone(name, here) from error
    except KeyError as error:
        raise _no_zone(name, here) from error


def _no_zone(name: str, here: Section) -> Exception:
    known = sorted(available_timezones())
    folded = {one.lower(): one for one in known}
    hint = meant(name, folded)
    for lower, right in folded.items():
        hint = hint.replace(repr(lower), repr(right))
    return here.wrong(f"no time zone {name!r}", remedy=hint or "write, for example, Asia/Almaty")


def _periods(
    periods: Sequence[Period], kind: str, model: TimetableModel, section: Section, times: Times
) -> list[tuple[int, int]]:
    found = [(number_of(one.first), number_of(one.last + timedelta(days=1))) for one in periods]
    for number, use in enumerate(model.calendars):
        if use.kind == kind:
            events = times.events(use.file, section.inner("calendars", number, "file"))
            found += days_of(events, times.zone).pairs()
    return found


def _timetable(lines: Sequence[Bells], here: Section, holidays: Ranges, terms: Ranges) -> Timetable:
    week: dict[int, tuple[Window, ...]] = {}
    special: dict[int, tuple[Window, ...]] = {}
    places: dict[str, Any] = {}
    for number, line in enumerate(lines):
        lessons = _in_order(line.lessons, here.inner(number, "lessons"))
        for kind, written in (("days", line.days), ("dates", line.dates)):
            for position, one in enumerate(written):
                place = here.place(number, kind, position)
                earlier = places.setdefault(str(one), place)
                if earlier is not place:
                    raise here.wrong(f"{one} is already at {earlier}", number, kind, position)
        week.update((DAYS.index(one), lessons) for one in line.days)
        special.update((number_of(one), lessons) for one in line.dates)
    return Timetable(week, special, holidays, terms)


def _in_order(lessons: Sequence[Window], here: Section) -> tuple[Window, ...]:
    for number in range(1, len(lessons)):
        if lessons[number].start < lessons[number - 1].end:
            raise here.wrong(
                f"{lessons[number].text} begins before {lessons[number - 1].text} ends",
                number,
                remedy="write lessons in order, without overlap",
            )
    return tuple(lessons)


def instant(value: str, zone: ZoneInfo) -> float:
    """Return a date and time on the wall clock as UTC seconds; of an hour that happens twice, the first.

    Raises:
        ValueError: not a date and a time.
    """
    found = edge(value)
    wall = datetime.combine(found.day, datetime.min.time(), tzinfo=zone)
    return (wall.replace(hour=(found.second or 0) // 3600, minute=(found.second or 0) // 60 % 60)).timestamp()


def named_instant(text: str, zone: ZoneInfo, now: float) -> float:
    """Return a time as people name it: ``now``, ``10:00`` (today), ``mon 10:00`` (the next), a date and time.

    Raises:
        ValueError: none of these.
    """
    words = text.strip().lower().split()
    if words == ["now"]:
        return now
    today = datetime.fromtimestamp(now, zone).date()
    if len(words) == 1 and ":" in words[0]:
        return instant(f"{today} {words[0]}", zone)
    if len(words) == 2 and words[0][:3] in DAYS:
        ahead = (DAYS.index(words[0][:3]) - today.weekday()) % 7
        return instant(f"{today + timedelta(days=ahead)} {words[1]}", zone)
    return instant(text.strip(), zone)
