"""One school's report: all fourteen parts, from rows as boxes and people leave them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from _reportseed import BEGIN, CELLS, END, HOUR, ZONE, Seed, fact, people
from pydantic import ValidationError

from filterd.errors import ReportError
from filterd.monitor.reports.document import Texts
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.outline import Table
from filterd.monitor.store import schema
from filterd.monitor.store.paperwork import FACTS, REVIEW_REQUESTS

FACTS_OF_MONTH = [
    fact("", "specialists_connected", "41"),
    fact("", "specialists_total", "45"),
    fact("s001", "incidents", "12 қазанда провайдер ауысты; youtube.com ашылмады."),
    fact("s001", "incidents", "another month", Month.of(2026, 9)),
]


@pytest.fixture
async def kept(desk_of, report_of):
    desk = await desk_of(Seed("s001", dict(CELLS)), *people("s001"), (FACTS, FACTS_OF_MONTH))
    return await report_of(desk, "s001")


def table(page, number: int, place: int = 0) -> dict[str, list]:
    """The rows of a part's table: first column -> the other values, hidden ones as None."""
    section = next(one for one in page.sections if one.number == number)
    found = [block for block in section.blocks if isinstance(block, Table)][place]
    return {row[0].raw: [value.raw for value in row[1:]] for row in found.rows}


async def test_all_fourteen_parts_stand_in_order(kept, told):
    for code in ("kk", "ru", "en"):
        numbers = [section.number for section in told(kept, code).sections if section.number]
        assert numbers == list(range(1, 15))


async def test_r15_blocked_rewritten_and_allowed_are_told_apart(kept, told):
    blocked = sum(queries for _devices, queries in CELLS.values())
    traffic = kept.document.traffic
    assert (traffic.allowed, traffic.blocked, traffic.rewritten) == (100_017, blocked, 900)
    assert traffic.queries == 100_017 + blocked + 900 + 321 + 45
    rows = table(told(kept), 4)
    assert rows["Blocked"] == [blocked, round(blocked / traffic.queries, 4)]
    assert rows["Rewritten (safe search)"][0] == 900
    assert rows["Allowed"][0] == 100_017  # an answer that was stale was allowed, too
    assert sum(row[0] for name, row in rows.items() if name != "All queries") == rows["All queries"][0]
    beside = table(told(kept), 4, 1)
    assert beside["Blocked, without advertising and trackers"] == [blocked - 107_299]
    assert beside["The same as a share of all queries"] == [round((blocked - 107_299) / traffic.queries, 4)]


async def test_coverage(kept, told):
    coverage = kept.document.coverage
    assert (coverage.schools, coverage.reporting, coverage.devices) == (1, 1, 400)
    assert coverage.uptime.steps == coverage.uptime.expected == 31 * 288
    rows = table(told(kept), 2)
    assert rows["Uptime of the filter"] == [1.0]
    assert rows["Operator's child-protection service contracted"] == ["yes"]
    assert rows["Contracted since"] == [date(2025, 9, 1)]


@pytest.mark.parametrize(
    ("answer", "shown"), [("yes", "yes"), ("no", "no"), ("", "not told"), ("x", "not told")]
)
async def test_the_operators_service_yes_no_or_not_told(answer, shown, desk_of, report_of, told):
    desk = await desk_of(Seed("s001", changes={"operator_service": answer, "operator_since": "soon"}))
    rows = table(told(await report_of(desk, "s001")), 2)
    assert rows["Operator's child-protection service contracted"] == [shown]
    assert rows.get("Contracted since") == ([None] if answer == "yes" else None)


async def test_policy_and_self_tests(kept, told):
    policy = kept.document.policy
    assert policy.versions == ("a1b2c3d4e5f6", "0f9e8d7c6b5a")
    assert (policy.tests.made, policy.tests.passed, policy.tests.failed) == (31, 30, ("gambling",))
    assert policy.tests.last == datetime(2026, 10, 31, 3, tzinfo=UTC)
    assert policy.lists.built == date(2026, 10, 31)
    assert policy.lists.confirmed == date(2026, 10, 29)
    page = told(kept)
    assert table(page, 3)["Categories that failed a self-test"] == ["Gambling, betting"]
    notes = [block.text for block in page.sections[2].blocks if not isinstance(block, Table)]
    without = "Child abuse material; Terrorism, extremism; Self-harm, suicide; Eating disorders"
    assert notes == [f"No source is known for: {without}."]


async def test_categories_by_tier_with_small_ones_hidden(kept, told):
    rows = table(told(kept), 5)
    assert rows["Pornography"][0] is None  # two devices
    assert rows["Pornography"][-1] == 647
    assert rows["Self-harm, suicide"] == [0, None, 0, 0, 0, None]
    assert rows["Malware"][-1] is None
    assert rows["Names blocked by the policy itself"] == [0, 31, 0, 0, 0, 31]
    assert kept.document.row("ads").total == 107_299
    assert list(rows)[-1] == "All categories"
    notes = [note for _section, one in told(kept).tables for note in one.notes]
    assert any("fewer than 5 devices" in note for note in notes)


async def test_circumvention_attempts(kept, told):
    rows = table(told(kept), 6)
    assert rows == {
        "VPN, proxy, Tor": [156],
        "Encrypted DNS": [410],
        "Search without safe mode": [0],
        "Refused to software that asked to go round the filter": [321],
    }


async def test_what_people_did(kept, told):
    page = told(kept)
    assert list(table(page, 7).values()) == [[4], [3], [1], [1], [17.5]]
    assert list(table(page, 8).values()) == [[2]]
    assert list(table(page, 9).values()) == [[3], [2], [1], [0]]
    assert list(table(page, 10).values()) == [[41], [45], [0.9111]]
    assert list(table(page, 11).values()) == [[2], [2], [2], [1]]
    assert table(page, 12)["Availability"] == [0.95]


async def test_incidents_limits_and_responsible(kept, told):
    page = told(kept, "kk")
    words = [block.text for section in page.sections for block in section.blocks if hasattr(block, "text")]
    assert "12 қазанда провайдер ауысты; […] ашылмады." in words
    assert any("алмастырмайды" in one for one in words), "a second layer, not a substitute"
    assert any("іздеу сөздерін" in one for one in words), "what DNS cannot see"
    assert table(page, 14)["Жауапты тұлға"] == ["Әсел Ғабитқызы Өмірбекова"]
    assert page.marks == ("Әлі қол қойылмаған.",)


async def test_r23_purpose_and_retention_are_stated(kept, told):
    for code, words in (("kk", "30 күн"), ("ru", "30 дней"), ("en", "30 days")):
        last = told(kept, code).sections[-1]
        text = " ".join(block.text for block in last.blocks)
        assert words in text
        assert any(word in text for word in ("Мақсаты:", "Цель:", "Purpose:"))


async def test_no_device_no_domain_no_address(kept, told):
    for text in ("casino.example", "wrongly-blocked", "abcdefgh", "s001middle", "class-7", "youtube"):
        assert text not in kept.text
    with pytest.raises(ValidationError, match="must not name a domain"):
        kept.document.model_validate(kept.document.model_dump() | {"responsible": "see casino.kz"})


async def test_a_school_with_too_few_devices_shows_only_what_all_may_know(desk_of, report_of, told):
    desk = await desk_of(Seed("s001", {("adult", "middle"): (2, 9), ("games", "middle"): (3, 4)}))
    kept = await report_of(desk, "s001")
    traffic = kept.document.traffic
    assert (traffic.blocked, traffic.allowed) == (None, None)
    assert traffic.queries == 100_017 + 13 + 900 + 321 + 45
    assert kept.document.coverage.devices_blocked is None
    rows = kept.document.categories.rows
    assert all(row.total is None for row in rows)
    assert table(told(kept), 4)["Blocked"] == [None, None]
    assert list(table(told(kept), 4, 1).values()) == [[None], [None]]


async def test_devices_are_counted_once_over_the_days(desk_of, report_of):
    """Each device of the seed is seen on two days."""
    desk = await desk_of(Seed("s001", {("adult", "middle"): (3, 9)}))
    assert (await report_of(desk, "s001")).document.categories.rows[0].total is None


async def test_a_new_term_within_the_month_makes_no_second_device(desk_of, report_of):
    """Pseudonyms change on 22 March: three devices must not look like six."""
    march = Month.of(2027, 3)
    days = [row | {"pseudonym": f"new{number:013}", "day": row["day"] + 22} for number, row in enumerate(
        Seed("s001", {("adult", "middle"): (3, 9)}, month=march).devices()
    ) if number % 2]  # fmt: skip
    seed = Seed("s001", {("adult", "middle"): (3, 9)}, month=march)
    desk = await desk_of(seed, (schema.DEVICE_DAYS, days))
    kept = await report_of(desk, "s001", month=march, now=march.span(ZONE)[1] + 1.0)
    assert kept.document.categories.rows[0].total is None


async def test_a_silent_school_is_shown_as_silent_not_as_clean(desk_of, report_of, told):
    desk = await desk_of(Seed("s001", box=False))
    kept = await report_of(desk, "s001")
    assert kept.document.coverage.reporting == 0
    assert kept.document.coverage.uptime is None
    words = [block.text for block in told(kept).sections[1].blocks if hasattr(block, "text")]
    assert any("not heard of in this month" in one for one in words)


async def test_uptime_before_the_first_sign_is_not_expected(desk_of, report_of, told):
    seed = Seed("s001")
    middle = BEGIN + 10 * 86_400
    late = {"first_seen": middle, "school": "s001", "box": "box1"}
    heard, hours = seed.heard(), seed.hours()
    seed.heard = lambda: heard | late
    seed.hours = lambda: [row for row in hours if row["hour"] >= middle]
    kept = await report_of(await desk_of(seed), "s001")
    assert kept.document.coverage.uptime.expected == 21 * 288
    assert kept.document.coverage.uptime.steps == 21 * 288
    assert table(told(kept), 2)["Counted from the day the filter was first heard of"] == [date(2026, 10, 11)]


async def test_a_month_that_is_not_over_is_provisional(desk_of, report_of, told):
    desk = await desk_of(Seed("s001", dict(CELLS)))
    kept = await report_of(desk, "s001", now=BEGIN + 5 * 86_400.0)
    assert kept.standing.version == 0
    assert kept.document.coverage.uptime.expected == 5 * 288
    assert "Provisional: the month was not over when this report was made." in told(kept).marks
    with pytest.raises(ReportError, match="has not begun"):
        await report_of(desk, "s001", now=BEGIN - 1.0)


async def test_a_box_without_a_table_of_schools_has_the_title_of_its_policy(desk_of, report_of, told):
    own = {("school", "s001"): Texts(kk="Үлгі мектеп", ru="Школа-пример", en="Example school")}
    desk = await desk_of(Seed("s001", listed=False), titles=own)
    assert told(await report_of(desk, "s001"), "kk").lines[0] == "Үлгі мектеп"
    assert [area.id for area in await desk.all_areas()] == ["s001"]


async def test_an_unknown_school_is_an_error_with_a_remedy(desk_of, report_of):
    with pytest.raises(ReportError, match="no school 'nowhere'") as caught:
        await report_of(await desk_of(Seed("s001")), "nowhere")
    assert caught.value.remedy


async def test_demonstration_is_marked(desk_of, report_of, told):
    kept = await report_of(await desk_of(Seed("s001"), demonstration=True), "s001")
    assert told(kept, "ru").marks[0] == "ДЕМОНСТРАЦИЯ: все показатели вымышлены."


async def test_damaged_values_of_a_box_do_not_spoil_the_report(desk_of, report_of):
    seed = Seed("s001", dict(CELLS))
    odd = seed.selftest(BEGIN + HOUR) | {
        "failed": ",,nonsense,",
        "learning_tested": 3,
        "learning_answered": 9,
    }
    desk = await desk_of(seed, (schema.SELFTESTS, [odd | {"box": "box2", "error": "no answer"}]))
    document = (await report_of(desk, "s001")).document
    assert document.policy.tests.failed == ("gambling", "nonsense")
    assert document.learning.answered <= document.learning.tested


async def test_a_hostile_box_cannot_put_a_domain_into_a_report(desk_of, report_of, told):
    seed = Seed("s001", {("casino.kz", "evil.com"): (9, 90), ("adult", "middle"): (9, 80)})
    bad = seed.selftest(END - HOUR) | {
        "policy_version": "bad.org",
        "failed": "x.ru",
        "no_source": "y.ru",
        "box": "b",
    }
    process = seed.process()
    seed.process = lambda: process | {"health": '{"index_built": 1e300, "lists_oldest": -5}'}
    desk = await desk_of(seed, (schema.SELFTESTS, [bad]))
    kept = await report_of(desk, "s001")
    for text in ("casino.kz", "evil.com", "bad.org", "x.ru", "y.ru"):
        assert text not in kept.text
    assert kept.document.traffic.blocked == 170
    assert kept.document.row("[…]").total == 90
    assert kept.document.policy.lists.built is None
    assert told(kept).sections


async def test_a_review_that_is_decided_later_is_open_at_the_end(desk_of, report_of):
    row = {
        "school": "s001",
        "number": 1,
        "asked": END - 10,
        "asked_as": "pupil",
        "domain": "x.kz",
        "category": "",
    }
    row |= {
        "text": "",
        "state": "granted",
        "decided": END + 10,
        "decided_by": "",
        "reason": "",
        "overblock": True,
    }
    desk = await desk_of(Seed("s001"), (REVIEW_REQUESTS, [row]))
    reviews = (await report_of(desk, "s001")).document.reviews
    assert (reviews.received, reviews.open, reviews.granted, reviews.overblocks) == (1, 1, 0, 0)
    assert reviews.median_hours is None
