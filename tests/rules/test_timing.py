"""Timetables and schedules as people write them: what they mean in views, and where a mistake is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import PolicyError
from filterd.rules.policy import Policy
from filterd.rules.timing import edge, hours, named_instant
from filterd.wire.names import from_text

MakePolicy = Callable[..., Policy]
ALMATY = ZoneInfo("Asia/Almaty")

TIMETABLE = """\
timetable:
  bells:
    first:
      - {days: [mon, tue, wed, thu, fri], lessons: ["08:00-08:45", "08:55-09:40"]}
      - {dates: [2026-09-19], lessons: ["09:00-09:30"]}
    second:
      - {days: [mon, tue, wed, thu, fri], lessons: ["14:00-14:45"]}
  terms: [{from: 2026-09-01, to: 2026-12-30}]
  holidays: [{from: 2026-09-16, to: 2026-09-16}]
"""
TWO = """\
groups:
  - {id: guests, tier: middle, clients: []%s}
  - {id: late, tier: middle, bells: second}
"""
TIMED = "tiers: {middle: {video: T, games: B}}\n"


def at(text: str, zone: ZoneInfo = ALMATY) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def blocked(policy: Policy, group: str, when: str, category: str = "video") -> bool:
    view = policy.view(group, at(when))
    return bool(view.blocked >> policy.categories.by_id[category].bit & 1)


@pytest.mark.parametrize(
    ("when", "first", "second"),
    [
        ("2026-09-14 07:59:59", False, False),
        ("2026-09-14 08:00:00", True, False),
        ("2026-09-14 08:44:59", True, False),
        ("2026-09-14 08:45:00", False, False),
        ("2026-09-14 08:55:00", True, False),
        ("2026-09-14 14:00:00", False, True),
        ("2026-09-15 14:44:59", False, True),
        ("2026-09-16 08:30:00", False, False),  # a holiday
        ("2026-09-19 09:10:00", True, False),  # a working Saturday of the first shift
        ("2026-09-20 08:30:00", False, False),
        ("2026-08-31 08:30:00", False, False),  # before the term
        ("2026-12-30 08:30:00", True, False),
        ("2026-12-31 08:30:00", False, False),
    ],
)
def test_r3_timed_follows_the_lessons_of_the_group(
    make_policy: MakePolicy, when: str, first: bool, second: bool
) -> None:
    policy = make_policy(TIMED, TIMETABLE, TWO % "")
    assert (blocked(policy, "guests", when), blocked(policy, "late", when)) == (first, second)
    assert blocked(policy, "guests", when, "games")


def test_a_view_is_the_same_object_until_the_bell(make_policy: MakePolicy) -> None:
    policy = make_policy(TIMED, TIMETABLE, TWO % "")
    begin, bell = at("2026-09-14 08:00:00"), at("2026-09-14 08:45:00")
    view = policy.view("guests", begin)
    assert (view.valid_from, view.valid_until) == (begin, bell)
    assert policy.view("guests", bell - 0.001) is view
    after = policy.view("guests", bell)
    assert after is not view
    assert after.valid_until == at("2026-09-14 08:55:00")
    assert policy.view("guests", begin + 60) is not after, "the clock was set back"
    assert policy.view("guests", begin + 60).blocked == view.blocked


def test_without_bells_timed_is_blocked_always_and_a_view_never_ends(make_policy: MakePolicy) -> None:
    policy = make_policy(TIMED, "", TWO.replace(", bells: second", "") % "")
    assert blocked(policy, "guests", "2026-07-14 03:00:00")
    assert policy.view("guests", 0.0).valid_until is None


def test_no_time_given_is_the_safe_side(make_policy: MakePolicy) -> None:
    policy = make_policy(TIMED, TIMETABLE, TWO % "")
    assert policy.view("guests").blocked == policy.view("guests", at("2026-09-14 08:00")).blocked


def test_zone_bells_and_terms_of_the_lowest_layer_holidays_of_all(make_policy: MakePolicy) -> None:
    top = TIMED + TIMETABLE.replace("timetable:\n", "timetable:\n  zone: Europe/Berlin\n")
    groups = TWO.replace("bells: second", "bells: only") % ""
    school = """\
timetable:
  bells: {only: [{days: [mon, tue, wed], lessons: ["10:00-11:00"]}]}
  holidays: [{from: 2026-09-15, to: 2026-09-15}]
"""
    policy = make_policy(top, school, groups)
    berlin = ZoneInfo("Europe/Berlin")
    assert policy.zone == berlin
    bit = policy.categories.by_id["video"].bit
    times = (
        "2026-09-14 10:30",
        "2026-09-15 10:30",
        "2026-09-16 10:30",
        "2027-01-04 10:30",
        "2026-09-14 08:30",
    )
    found = [bool(policy.view("guests", at(when, berlin)).blocked >> bit & 1) for when in times]
    assert found == [True, False, False, False, False]


SCHEDULE = """\
schedule:
  - {title: Play, during: [breaks, after_school], categories: {allow: [games]}}
  - {hours: ["22:00-06:00"], categories: {block: [video]}, names: {block: [{name: late.kz, reason: r}]}}
"""


def test_r4_lines_of_a_schedule(make_policy: MakePolicy) -> None:
    own = ", schedule: [{during: [breaks], categories: {block: [games]}, services: {block: [tiktok]}}]"
    policy = make_policy(TIMED, TIMETABLE + SCHEDULE, TWO % own)
    assert not blocked(policy, "late", "2026-09-14 15:00", "games")
    assert blocked(policy, "late", "2026-09-14 14:10", "games")
    assert blocked(policy, "guests", "2026-09-14 08:50", "games"), "a group's line beats the school's"
    assert not blocked(policy, "guests", "2026-09-14 10:00", "games")
    assert blocked(policy, "guests", "2026-09-14 23:00")
    assert blocked(policy, "guests", "2026-09-15 05:59:59")
    assert not blocked(policy, "guests", "2026-09-15 06:00")
    late = from_text("late.kz")
    assert policy.view("guests", at("2026-09-14 23:00")).names.find(late)[0].timed
    assert not policy.view("guests", at("2026-09-14 12:00")).names.find(late)
    services = {rule.service for rule in policy.view("guests", at("2026-09-14 08:50")).names.all}
    assert services == {"tiktok"}
    assert policy.view("guests", at("2026-09-14 08:50")).layer_of[_bit(policy, "games")] == "group"


def _bit(policy: Policy, category: str) -> int:
    return policy.categories.by_id[category].bit


def test_a_timed_name_beats_what_its_layer_says_for_all_times(make_policy: MakePolicy) -> None:
    school = """\
names: {block: [{name: chat.kz, reason: r}]}
schedule: [{hours: ["12:00-13:00"], names: {allow: [{name: chat.kz, reason: lunch}]}}]
"""
    policy = make_policy(TIMED, school)
    rules = policy.view("guests", at("2026-09-14 12:30")).names.find(from_text("chat.kz"))
    assert max(rules, key=lambda rule: rule.rank).allow


def test_an_exam_line(make_policy: MakePolicy) -> None:
    line = "schedule: [{from: 2026-09-14 09:00, to: 2026-09-14 12:00, exam: true}]\n"
    policy = make_policy(TIMED, line)
    times = ("08:59:59", "09:00", "11:59:59", "12:00")
    assert [policy.view("guests", at(f"2026-09-14 {one}")).exam for one in times] == [
        "",
        "school",
        "school",
        "",
    ]


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("{from: 2026-09-14, to: 2026-09-15}", [0, 1, 1, 0]),
        ("{from: 2026-09-15}", [0, 0, 1, 1]),
        ("{to: 2026-09-14}", [1, 1, 0, 0]),
        ("{days: [mon, wed]}", [0, 1, 0, 1]),
    ],
)
def test_days_and_dates_of_a_line(make_policy: MakePolicy, line: str, times: list[int]) -> None:
    policy = make_policy(TIMED, f"schedule: [{line[:-1]}, exam: true}}]\n")
    days = ("2026-09-13", "2026-09-14", "2026-09-15", "2026-09-16")
    assert [bool(policy.view("guests", at(f"{day} 23:59:59")).exam) for day in days] == times


@pytest.mark.parametrize(
    ("school", "line", "words"),
    [
        ("timetable: {zone: Asia/Almty}\n", 5, "did you mean 'Asia/Almaty'"),
        ("timetable: {zone: ../../etc/passwd}\n", 5, "no time zone"),
        ("timetable: {bells: {a: [{days: [mon], lessons: ['8:00-9:00']}]}}\n", 5, "write 08:00-08:45"),
        ("timetable: {bells: {a: [{days: [mon], lessons: ['08:00-08:00']}]}}\n", 5, "is empty"),
        ("timetable: {bells: {a: [{days: [mon], lessons: ['24:00-25:00']}]}}\n", 5, "not a time of day"),
        (
            "timetable: {bells: {a: [{days: [mon], lessons: ['24:00-01:00']}]}}\n",
            5,
            "behind the end of the day",
        ),
        ("timetable: {bells: {a: [{days: [mo], lessons: []}]}}\n", 5, "did you mean 'mon'"),
        ("timetable: {bells: {a: [{lessons: []}]}}\n", 5, "either `days"),
        ("timetable: {bells: {a: [{days: [mon], dates: [2026-09-01], lessons: []}]}}\n", 5, "either `days"),
        (
            "timetable:\n  bells:\n    a:\n      - {days: [mon], lessons: ['08:00-09:00', '08:30-09:30']}\n",
            8,
            "08:30-09:30 begins before 08:00-09:00 ends",
        ),
        (
            "timetable:\n  bells:\n    a:\n" + 2 * "      - {days: [mon], lessons: []}\n",
            9,
            r"mon is already at school\.yaml:8:17",
        ),
        ("timetable: {terms: [{from: 2026-09-31, to: 2026-10-01}]}\n", 5, "there is no day 2026-09-31"),
        ("timetable: {terms: [{from: 2026-09-02, to: 2026-09-01}]}\n", 5, "before it begins"),
        ("timetable: {terms: [{frm: 2026-09-02, to: 2026-09-01}]}\n", 5, "did you mean 'from'"),
        ("timetable: {calendars: [{file: x.ics, as: holidays}]}\n", 5, "'x.ics' is not there"),
        ("timetable: {calendars: [{file: ../x.ics, as: holidays}]}\n", 5, "leads out of this folder"),
        ("timetable: {calendars: [{file: /etc/x.ics, as: holidays}]}\n", 5, "leads out of this folder"),
        ("timetable: {calendars: [{file: x.txt, as: holidays}]}\n", 5, "is not a calendar"),
        ("timetable: {calendars: [{file: x.ics, as: holiday}]}\n", 5, "did you mean 'holidays'"),
        ("schedule: [{exam: true}]\n", 5, "says no time"),
        ("schedule: [{during: [lesson], exam: true}]\n", 5, "did you mean 'lessons'"),
        ("schedule: [{during: [lessons], exam: true}]\n", 5, "there are no bells"),
        ("schedule: [{from: 2026-09-02, to: 2026-09-01, exam: true}]\n", 5, "not after"),
        ("schedule: [{days: [mon], categories: {allow: [malware]}}]\n", 5, "'malware' is locked at"),
        ("schedule: [{days: [mon], names: {allow: [{name: kz, reason: r}]}}]\n", 5, "too wide"),
        ("schedule: [{days: [mon], services: {block: [tictoc]}}]\n", 5, "unknown service"),
    ],
)
def test_a_mistake_says_where(make_policy: MakePolicy, school: str, line: int, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        make_policy(school=school)
    assert (caught.value.file, caught.value.line) == ("school.yaml", line)


def test_bells_that_are_not_there(make_policy: MakePolicy) -> None:
    with pytest.raises(PolicyError, match=r"no bells 'secnd'.*did you mean 'second'") as caught:
        make_policy(TIMED, TIMETABLE, TWO.replace("bells: second", "bells: secnd") % "")
    assert caught.value.line == 16


def test_r9_a_schedule_cannot_loosen_a_lock(make_policy: MakePolicy) -> None:
    top = "tiers:\n  middle:\n    doh: X\n"
    with pytest.raises(PolicyError) as caught:
        make_policy(
            top,
            "schedule: [{days: [mon], categories: {timed: [doh]}}]\n",
            TWO.replace(", bells: second", "") % "",
        )
    assert "locked at baseline.yaml:5:10" in str(caught.value)


@given(st.text(max_size=20))
def test_whatever_is_written_as_a_time_is_taken_or_refused(text: str) -> None:
    for read in (hours, edge, lambda value: named_instant(value, ALMATY, 0.0)):
        with contextlib.suppress(ValueError):
            read(text)


@given(st.integers(0, 1439), st.integers(0, 1440))
def test_hours_read_what_they_write(begin: int, end: int) -> None:
    text = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    if begin == end:
        with pytest.raises(ValueError, match="empty"):
            hours(text)
        return
    assert hours(text).text == text.replace("-00:00", "-24:00")
    assert 0 < hours(text).end - hours(text).start <= 86_400


def test_times_as_people_name_them() -> None:
    now = at("2026-09-16 12:00")  # a Wednesday
    for text, meant in (
        ("now", "2026-09-16 12:00"),
        ("10:00", "2026-09-16 10:00"),
        ("wed 10:00", "2026-09-16 10:00"),
        ("Monday 10:00", "2026-09-21 10:00"),
        ("2026-01-02 03:04", "2026-01-02 03:04"),
        ("2026-01-02", "2026-01-02 00:00"),
    ):
        assert named_instant(text, ALMATY, now) == at(meant)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 300 * 86_400), min_size=1, max_size=40))
def test_r3_views_asked_for_in_any_order_are_those_of_their_second(
    make_policy: MakePolicy, seconds: list[int]
) -> None:
    policy = make_policy(TIMED, TIMETABLE + SCHEDULE, TWO % "")
    begin = at("2026-08-25 00:00")
    for second in seconds:
        for group in policy.groups:
            view = policy.view(group, begin + second)
            assert view.valid_from is not None
            assert view.valid_until is not None
            assert view.valid_from <= begin + second < view.valid_until
            state = policy.plans[group].schedule.state(begin + second)
            video = 1 << policy.categories.by_id["video"].bit
            night = 1 in state.active
            assert bool(view.blocked & video) == (state.lessons or night)
            assert bool(view.names.find(from_text("late.kz"))) == night


@pytest.mark.parametrize(
    ("when", "empty"),
    [
        ("2026-09-14 05:59:59", True),
        ("2026-09-14 06:00:00", False),  # two hours before the first bell of the first shift
        ("2026-09-14 18:44:59", False),  # four hours after the last bell of the second
        ("2026-09-14 18:45:00", True),
        ("2026-09-16 10:00:00", True),  # a holiday
        ("2026-09-19 09:10:00", False),  # a working Saturday
        ("2026-09-20 10:00:00", True),
        ("2026-08-31 10:00:00", True),  # before the term
    ],
)
def test_nobody_is_there_when_all_timetables_say_so(make_policy: MakePolicy, when: str, empty: bool) -> None:
    assert make_policy(TIMED, TIMETABLE, TWO % "").nobody_there(at(when)) is empty


def test_without_bells_somebody_may_always_be_there(make_policy: MakePolicy) -> None:
    policy = make_policy(TIMED, "", TWO.replace(", bells: second", "") % "")
    assert not policy.nobody_there(at("2026-07-14 03:00:00"))
