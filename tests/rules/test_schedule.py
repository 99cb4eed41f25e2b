"""The timed part of a policy, against a plain second reading of its rules by datetime's own arithmetic."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.rules.schedule import HORIZON, Condition, Events, Schedule, State
from filterd.rules.timetable import DAY, DAYS, Phase, Ranges, Timetable, Window, number_of

# Almaty changed its offset in 2024; Lord Howe moves by half an hour, Cairo and Santiago at midnight,
# Casablanca for Ramadan; Kathmandu and Chatham have odd offsets.
ZONES = (
    "Asia/Almaty", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo",
    "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Chatham", "Pacific/Apia",
)  # fmt: skip


class Plain:
    """The same rules, said once more: no candidates, no shortcuts, datetime for every question."""

    def __init__(self, zone: ZoneInfo, timetable: Timetable | None, conditions: list[Condition]) -> None:
        self.zone, self.timetable, self.conditions = zone, timetable, conditions

    def lessons(self, day: date) -> tuple[Window, ...]:
        table = self.timetable
        assert table is not None
        number = number_of(day)
        if number in table.special:
            return table.special[number]
        off = any(a <= number < b for a, b in table.holidays.pairs())
        terms = list(table.terms.pairs())
        if off or (terms and not any(a <= number < b for a, b in terms)):
            return ()
        return table.week.get(day.weekday(), ())

    def in_lesson(self, wall: datetime) -> bool:
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            midnight = datetime.combine(day, datetime.min.time())
            for start, end in self.lessons(day):
                if midnight + timedelta(seconds=start) <= wall < midnight + timedelta(seconds=end):
                    return True
        return False

    def phase(self, wall: datetime) -> str:
        if self.in_lesson(wall):
            return "lessons"
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            midnight = datetime.combine(day, datetime.min.time())
            lessons = self.lessons(day)
            if lessons:
                first = midnight + timedelta(seconds=lessons[0].start)
                if first <= wall < midnight + timedelta(seconds=lessons[-1].end):
                    return "breaks"
        lessons = self.lessons(wall.date())
        if not lessons:
            assert self.timetable is not None
            weekday = self.timetable.week.get(wall.weekday(), ())
            special = number_of(wall.date()) in self.timetable.special
            number = number_of(wall.date())
            terms = list(self.timetable.terms.pairs())
            off = any(a <= number < b for a, b in self.timetable.holidays.pairs())
            off = off or bool(terms and not any(a <= number < b for a, b in terms))
            return "holidays" if special or off or weekday else "weekends"
        before = wall < datetime.combine(wall.date(), datetime.min.time()) + timedelta(
            seconds=lessons[0].start
        )
        return "before_school" if before else "after_school"

    def holds(self, one: Condition, at: int, wall: datetime) -> bool:  # noqa: PLR0911 - said plainly
        if one.during and self.phase(wall) not in {phase.value for phase in one.during}:
            return False
        epoch = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
        if one.since is not None and wall < epoch + timedelta(seconds=one.since):
            return False
        if one.until is not None and wall >= epoch + timedelta(seconds=one.until):
            return False
        if one.events is not None:
            number = number_of(wall.date())
            on_day = any(a <= number < b for a, b in one.events.days.pairs())
            if not on_day and not any(a <= at < b for a, b in one.events.spans.pairs()):
                return False
        if not one.hours:
            return not one.days or wall.weekday() in one.days
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            if one.days and day.weekday() not in one.days:
                continue
            midnight = datetime.combine(day, datetime.min.time())
            for start, end in one.hours:
                if midnight + timedelta(seconds=start) <= wall < midnight + timedelta(seconds=end):
                    return True
        return False

    def state(self, at: int) -> State:
        wall = datetime.fromtimestamp(at, UTC).astimezone(self.zone).replace(tzinfo=None, fold=0)
        lessons = True if self.timetable is None else self.in_lesson(wall)
        return State(lessons, tuple(n for n, one in enumerate(self.conditions) if self.holds(one, at, wall)))


def windows(minutes: list[int]) -> tuple[Window, ...]:
    ordered = sorted(set(minutes))
    return tuple(Window(a * 60, b * 60) for a, b in zip(ordered[::2], ordered[1::2], strict=False))


MINUTES = st.integers(0, 24 * 60 + 300)
LESSONS = st.lists(MINUTES, max_size=8).map(windows).filter(lambda w: all(one.start < DAY for one in w))
YEAR = (number_of(date(2026, 8, 20)), number_of(date(2027, 6, 30)))
DAY_NUMBERS = st.integers(*YEAR)
DAY_RANGES = st.lists(
    st.tuples(DAY_NUMBERS, st.integers(1, 20)).map(lambda p: (p[0], p[0] + p[1])), max_size=6
)
WINDOWS = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).map(
    lambda p: Window(p[0] * 60, (p[0] + p[1]) * 60)
)
EDGES = st.integers(YEAR[0] * DAY // 60, YEAR[1] * DAY // 60).map(lambda minute: minute * 60)


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    terms = draw(DAY_RANGES)
    return Timetable(
        week={day: draw(LESSONS) for day in draw(st.sets(st.integers(0, 6), min_size=1))},
        special={day: draw(LESSONS) for day in draw(st.sets(DAY_NUMBERS, max_size=3))},
        holidays=Ranges(draw(DAY_RANGES)),
        terms=Ranges([(YEAR[0], YEAR[0] + 90), *terms]) if terms else Ranges(),
    )


@st.composite
def conditions(draw: st.DrawFn, *, phases: bool) -> Condition:
    since = draw(st.none() | EDGES)
    return Condition(
        during=frozenset(draw(st.sets(st.sampled_from(Phase), max_size=3))) if phases else frozenset(),
        days=frozenset(draw(st.sets(st.integers(0, 6), max_size=4))),
        hours=tuple(draw(st.lists(WINDOWS, max_size=3))),
        since=since,
        until=draw(st.none() | EDGES.filter(lambda one: since is None or one > since)),
        events=draw(
            st.none()
            | st.builds(
                Events,
                DAY_RANGES.map(Ranges),
                st.lists(st.tuples(EDGES, st.integers(1, 90_000)), max_size=5).map(
                    lambda found: Ranges((a, a + b) for a, b in found)
                ),
            )
        ),
    )


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Schedule, Plain]:
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    timetable = draw(st.none() | timetables())
    lines = draw(
        st.lists(conditions(phases=timetable is not None), min_size=0 if timetable else 1, max_size=4)
    )
    return Schedule(zone, timetable, lines, lessons_matter=True), Plain(zone, timetable, lines)


def stretches(schedule: Schedule, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Follow the schedule from change to change, as the server does."""
    at = float(begin)
    while at < end:
        until = schedule.until(at)
        assert until is not None
        assert until > at
        assert until == int(until)
        yield int(at), int(until)
        at = until


@settings(max_examples=60, deadline=None)
@given(schedules(), st.integers(0, 2**32))
def test_r3_r4_no_second_of_a_school_year_is_wrong(pair: tuple[Schedule, Plain], seed: int) -> None:
    schedule, plain = pair
    chance = random.Random(seed)
    begin, end = YEAR[0] * DAY - 5 * 3600, YEAR[1] * DAY
    for first, behind in stretches(schedule, begin, end):
        state = schedule.state(first)
        assert state == plain.state(first)
        last = min(behind, end)
        inside = (chance.randrange(first, last) for _ in range(4))
        assert all(plain.state(one) == state for one in (last - 1, *inside))
        if behind - first < HORIZON * DAY:
            assert plain.state(behind) != state, "a change was told where there is none"


@settings(max_examples=25, deadline=None)
@given(schedules(), st.sampled_from(["2026-10-25", "2026-11-01", "2027-03-14", "2027-03-28", "2026-09-06"]))
def test_r4_every_second_of_a_day_on_which_clocks_are_set(pair: tuple[Schedule, Plain], day: str) -> None:
    schedule, plain = pair
    begin = number_of(date.fromisoformat(day)) * DAY - 3 * 3600
    for first, behind in stretches(schedule, begin, begin + DAY + 6 * 3600):
        state = schedule.state(first)
        for second in range(first, min(behind, begin + DAY + 6 * 3600), 7):
            assert plain.state(second) == state
        assert plain.state(min(behind, begin + DAY + 6 * 3600) - 1) == state


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
def test_a_bell_rings_at_the_second(fraction: float) -> None:
    table = Timetable({0: (Window(8 * 3600, 8 * 3600 + 2700),)})
    schedule = Schedule(ZoneInfo("Asia/Almaty"), table, lessons_matter=True)
    bell = datetime(2026, 9, 7, 3, 0, tzinfo=UTC).timestamp()  # 08:00 in Almaty, which is UTC+5 since 2024
    assert not schedule.state(bell - 1 + fraction).lessons
    assert schedule.until(bell - 1 + fraction) == bell
    assert schedule.state(bell + fraction).lessons
    assert schedule.until(bell + fraction) == bell + 2700


def test_almaty_before_and_after_its_zone_changed() -> None:
    table = Timetable({day: (Window(8 * 3600, 9 * 3600),) for day in range(7)})
    schedule = Schedule(ZoneInfo("Asia/Almaty"), table, lessons_matter=True)
    assert schedule.state(datetime(2024, 2, 28, 2, 30, tzinfo=UTC).timestamp()).lessons
    assert schedule.state(datetime(2024, 3, 2, 3, 30, tzinfo=UTC).timestamp()).lessons
    assert not schedule.state(datetime(2024, 3, 2, 2, 30, tzinfo=UTC).timestamp()).lessons


def test_what_lies_in_a_skipped_hour_does_not_happen_and_a_repeated_one_happens_twice() -> None:
    line = Condition(hours=(Window(2 * 3600 + 600, 2 * 3600 + 1200),))
    schedule = Schedule(ZoneInfo("Europe/Berlin"), None, [line])

    def times(day: datetime) -> int:
        begin = int(day.timestamp())
        return sum(
            schedule.state(first).active == (0,) for first, _ in stretches(schedule, begin, begin + 30 * 3600)
        )

    assert times(datetime(2027, 3, 27, 12, tzinfo=UTC)) == 0
    assert times(datetime(2026, 10, 24, 12, tzinfo=UTC)) == 2
    assert times(datetime(2026, 11, 24, 12, tzinfo=UTC)) == 1


def test_a_window_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    line = Condition(days=frozenset({DAYS.index("fri")}), hours=(Window(22 * 3600, 30 * 3600),))
    schedule = Schedule(UTC, None, [line])

    def on(day: int, hour: int) -> bool:
        return schedule.state(datetime(2026, 9, day, hour, tzinfo=UTC).timestamp()).active == (0,)

    assert [on(3, 23), on(4, 5), on(4, 22), on(5, 5), on(5, 6), on(5, 23)] == [
        False, False, True, True, False, False,
    ]  # fmt: skip


def test_without_anything_timed_nothing_ever_changes() -> None:
    assert Schedule().until(0.0) is None
    table = Timetable({0: (Window(0, 3600),)})
    assert Schedule(UTC, table).until(0.0) is None
    assert Schedule(UTC, None, lessons_matter=True).state(0.0) == State(lessons=True, active=())


def test_a_state_that_lasts_is_looked_at_again() -> None:
    schedule = Schedule(UTC, Timetable({}, terms=Ranges([(0, 1)])), lessons_matter=True)
    at = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    assert schedule.until(at) == at + HORIZON * DAY


def test_phases_of_a_school_day() -> None:
    table = Timetable(
        {0: (Window(8 * 3600, 9 * 3600), Window(10 * 3600, 11 * 3600)), 1: (Window(23 * 3600, 25 * 3600),)},
        special={7: ()},
        holidays=Ranges([(14, 15)]),
    )
    monday = number_of(date(1970, 1, 5))
    assert monday == 4
    told = [table.phase(monday, hour * 3600).value for hour in (0, 8, 9, 10, 11)]
    assert told == ["before_school", "lessons", "breaks", "lessons", "after_school"]
    assert table.phase(monday + 2, 1800) is Phase.LESSONS  # Tuesday's last, over midnight
    assert table.phase(monday + 2, 7200) is Phase.WEEKENDS
    assert table.phase(7, 0) is Phase.HOLIDAYS
    assert table.phase(14, 0) is Phase.HOLIDAYS


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=12), st.integers(-60, 60))
def test_ranges_are_sets(ranges: list[tuple[int, int]], number: int) -> None:
    found = Ranges(ranges)
    members = {one for a, b in ranges for one in range(a, b)}
    assert (number in found) == (number in members)
    edges = {one for one in range(-60, 61) if (one in members) != (one - 1 in members)}
    assert set(found.edges(-60, 61)) == edges
