"""The report of a region and a district: all its schools, those that did not report by name."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import pytest
from _reportseed import AFTER, CELLS, OCTOBER, Seed, fact, region
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.config.paths import shipped
from filterd.errors import ReportError
from filterd.monitor.reports.document import Retention, Texts
from filterd.monitor.reports.make import AreaReport, Frame, school_document
from filterd.monitor.reports.outline import Kind, Table
from filterd.monitor.reports.read import Area, Period, tallies
from filterd.monitor.reports.tally import School, Tally
from filterd.monitor.store.paperwork import FACTS
from filterd.monitor.store.schema import USAGE_MONTHS
from filterd.rules.categories import load_categories

CATEGORIES = load_categories(shipped("blocklists", "categories.yaml"))
TITLE = Texts(kk="Өңір", ru="Регион", en="Region")


def absent(seed: Seed) -> Seed:
    seed.usage, seed.test_times = list, list
    return seed


@pytest.fixture
async def desk(desk_of):
    away = {"title_kk": "Қарағаш мектебі", "title_ru": "Школа села Карагаш", "title_en": "Karagash school"}
    return await desk_of(
        *region(6),
        Seed("far", box=False, changes=away | {"operator_service": "no", "district": "bostandyk"}),
        absent(Seed("mute", up=0.0, changes={"operator_service": ""})),
        Seed("other", dict(CELLS), changes={"region": "astana", "district": "esil"}),
        (FACTS, [fact("", "specialists_connected", "9"), fact("", "specialists_total", "12")]),
    )


async def test_a_region_is_the_sum_of_its_schools(desk, report_of):
    whole = (await report_of(desk, "almaty", "region")).document
    assert (whole.coverage.schools, whole.coverage.reporting, whole.coverage.devices) == (8, 6, 3200)
    schools = [(await report_of(desk, f"s00{number}")).document for number in range(1, 7)]
    for name in ("queries", "allowed", "blocked", "rewritten", "canaries", "failed"):
        assert getattr(whole.traffic, name) == sum(getattr(one.traffic, name) for one in schools), name
    assert whole.policy.tests.made == sum(one.policy.tests.made for one in schools)
    assert whole.policy.tests.schools_without == 2
    assert whole.policy.kinds == 2
    assert (whole.coverage.operator_yes, whole.coverage.operator_no, whole.coverage.operator_unknown) == (
        6,
        1,
        1,
    )
    assert (
        whole.coverage.uptime.expected == 7 * 31 * 288
    )  # the mute one is expected, the one without a box not
    assert (whole.specialists.connected, whole.specialists.total) == (9, 12)


async def test_schools_that_did_not_report_stand_there_by_name(desk, report_of, told):
    kept = await report_of(desk, "almaty", "region")
    for code, names in (
        ("kk", ["№ mute Құнанбай атындағы мектеп", "Қарағаш мектебі"]),
        ("ru", ["Школа № mute имени Кунанбая", "Школа села Карагаш"]),
    ):
        coverage = told(kept, code).sections[1]
        table = [block for block in coverage.blocks if isinstance(block, Table)][1]
        assert [row[0].raw for row in table.rows] == names
    states = Counter(row.state for row in kept.document.schools)
    assert states == {"reported": 6, "silent": 1, "no_box": 1}


async def test_a_box_that_came_later_was_not_silent(desk_of, report_of):
    seed = absent(Seed("later", up=0.0))
    heard = seed.heard()
    seed.heard = lambda: heard | {"first_seen": int(AFTER)}
    document = (await report_of(await desk_of(seed), "almaty", "region")).document
    assert [(row.state, row.uptime) for row in document.schools] == [("no_box", None)]


async def test_a_district_has_its_own_schools_only(desk, report_of):
    found = (await report_of(desk, "bostandyk", "district")).document
    assert [row.school for row in found.schools] == ["far"]
    assert (found.scope.region, found.scope.district) == ("almaty", "bostandyk")
    assert found.traffic.queries == 0
    with pytest.raises(ReportError, match="no district 'nowhere'"):
        await report_of(desk, "nowhere", "district")


async def test_all_reports_that_are_due(desk):
    due = Counter(area.kind for area in await desk.all_areas())
    assert due == {"school": 9, "district": 3, "region": 2}


async def test_every_school_when_no_region_is_told(desk_of, report_of):
    desk = await desk_of(Seed("a", dict(CELLS), listed=False), Seed("b", dict(CELLS), listed=False))
    assert Area("region", "") in await desk.all_areas()
    whole = (await report_of(desk, "", "region")).document
    assert whole.coverage.reporting == 2
    assert whole.scope.title.kk == "Барлық мектептер"


def tally(cells: dict[tuple[str, str], tuple[int, int]]) -> Tally:
    """A school whose figure in each cell was made by so many devices."""
    found = Tally()
    for (category, tier), (devices, queries) in cells.items():
        if not queries:
            continue
        found.outcomes["blocked"] += queries
        found.blocked[category, tier] += queries
        for key in ((category, tier), (category, None), (None, tier), (None, None)):
            found.devices[key] += min(devices, queries)
    return found


def frame() -> Frame:
    return Frame(Period(OCTOBER, AFTER), CATEGORIES, Retention(events_days=30, usage_days=1095))


CELL = st.tuples(st.integers(1, 15), st.integers(0, 40))
SCHOOLS = st.lists(
    st.fixed_dictionaries(
        {(category, tier): CELL for category in ("adult", "games") for tier in ("middle", "senior")}
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHOOLS)
def test_a_school_is_no_difference_between_its_region_and_the_others(schools):
    """Whoever has the region's report and all the schools' must not find a hidden figure by subtraction."""
    report = AreaReport(frame(), Area("region", "r"), TITLE)
    documents = []
    for number, cells in enumerate(schools):
        school = School(f"s{number}", TITLE)
        report.add(school, tally(cells))
        documents.append(school_document(frame(), school, tally(cells), {}))
    whole = report.document()
    for row in whole.categories.rows:
        theirs = [one.row(row.category) for one in documents]
        columns = [(row.total, [one.total if one else 0 for one in theirs])]
        columns += [
            (cell, [one.cells[n] if one else 0 for one in theirs]) for n, cell in enumerate(row.cells)
        ]
        for cell, parts in columns:
            assert cell is None or parts.count(None) != 1
    if whole.traffic.blocked is not None:
        listed = [row.blocked for row in whole.schools]
        assert listed.count(None) != 1
    else:
        assert not any(row.blocked for row in whole.schools)
    for row, cells in zip(whole.schools, schools, strict=True):
        devices = sum(min(devices, queries) for devices, queries in cells.values())
        if devices < 10 and any(queries for _devices, queries in cells.values()):
            assert row.blocked is None


async def test_hidden_figures_are_never_in_the_outline(desk, report_of, told):
    kept = await report_of(desk, "almaty", "region")
    hidden = [
        value
        for _section, table in told(kept).tables
        for row in table.rows
        for value in row
        if value.kind is Kind.HIDDEN
    ]
    assert hidden
    assert all(value.raw is None for value in hidden)


async def test_memory_does_not_grow_with_the_schools(desk_of, report_of):
    """Twice the schools: what is held grows by their lines in the list only."""
    few = {("ads", "middle"): (30, 400)}
    desk = await desk_of(*(Seed(f"s{number:03}", few) for number in range(1, 61)))
    await report_of(desk, "s001")  # loads what is loaded once

    async def peak(some: int) -> int:
        report = AreaReport(frame(), Area("region", "r"), TITLE)
        tracemalloc.start()
        async for school, found in tallies(
            desk.store, [f"s{n:03}" for n in range(1, some + 1)], Period(OCTOBER, AFTER)
        ):
            report.add(school, found)
        assert report.document().coverage.schools == some
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    small, large = await peak(30), await peak(60)
    assert large < small + 30 * 20_000  # a line of the list takes about 2 kB


async def test_lookups_of_another_month_are_not_in_it(desk_of, report_of):
    row = {"school": "s001", "month": OCTOBER.number + 1, "tier": "middle", "category": "adult"}
    desk = await desk_of(Seed("s001"), (USAGE_MONTHS, [row | {"outcome": "blocked", "queries": 7}]))
    assert (await report_of(desk, "s001")).document.traffic.blocked == 0
