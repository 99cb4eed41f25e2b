"""R26: the yearly review pack, made of what was kept."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from io import BytesIO

import pytest
from _reportseed import CELLS, ZONE, Seed
from openpyxl import load_workbook

from filterd.i18n import LANGUAGES, language
from filterd.monitor.reports import shelf
from filterd.monitor.reports.document import texts_of
from filterd.monitor.reports.domains import names_domain
from filterd.monitor.reports.month import Month
from filterd.monitor.reports.outline import Chart, Kind, Table
from filterd.monitor.reports.read import Area
from filterd.monitor.reports.render import FORMATS, rendered
from filterd.monitor.reports.sections import Standing
from filterd.monitor.reports.yearly import MonthOf, Overdue, PolicyChange, YearPack, year_outline

STANDING = Standing(0, 1_798_000_000, "0" * 64)


@pytest.fixture
async def pack(desk_of, report_of):
    months = [Month.of(2026, number) for number in (9, 10, 11)]
    small = {("adult", "middle"): (2, 9), ("games", "middle"): (2, 4)}
    seeds = [Seed("s001", small if month.number % 12 == 9 else dict(CELLS), month=month) for month in months]
    for seed in seeds[1:]:
        seed.listed = False
    rows = [
        (table, rows)
        for seed in seeds
        for table, rows in seed.rows()
        if table.name not in {"boxes", "processes"}
    ]
    first = [(table, rows) for table, rows in seeds[0].rows() if table.name in {"boxes", "processes"}]
    desk = await desk_of(*rows, *first)
    found = []
    for month in months:
        kept = await report_of(desk, "s001", month=month, now=month.span(ZONE)[1] + 86_400.0)
        if month.number % 12 == 8:
            kept = await shelf.sign(desk.store, Area("school", "s001"), month, "А. Серікова", now=1.0)
        found.append(
            MonthOf(
                month=month.number,
                version=kept.standing.version,
                sha256=kept.standing.sha256,
                signed_by=kept.standing.signed_by,
                document=kept.document,
            )
        )
    change = PolicyChange(
        at=datetime(2026, 9, 2, 6, tzinfo=UTC), what="reload", who="Асқар", old="a" * 12, new="b" * 12
    )
    overdue = Overdue(review=date(2026, 6, 1), action="allow", author="Гүлнар")
    return YearPack(year=2026, months=tuple(found), changes=(change,), changes_in_all=3, overdue=(overdue,))


def tables(page) -> dict[str, Table]:
    return {table.title or section.title: table for section, table in page.tables}


async def test_r26_the_year_on_one_paper(pack):
    page = year_outline(pack, language("en"), STANDING)
    titles = [section.title for section in page.sections]
    assert titles[:7] == [
        "The months", "Trend", "Categories by month", "Self-tests", "Policy changes",
        "Exceptions to be reviewed", "What people did",
    ]  # fmt: skip
    months = tables(page)["The months"]
    assert [row[0].raw for row in months.rows] == ["September 2026", "October 2026", "November 2026"]
    assert [row[8].raw for row in months.rows] == ["А. Серікова", "not signed", "not signed"]
    notes = [block.text for block in page.sections[0].blocks if not isinstance(block, Table)]
    assert "January 2026" in notes[0]
    assert "October" not in notes[0]
    assert [row[1].raw for row in tables(page)["Self-tests"].rows] == [30, 31, 30]
    assert [[value.raw for value in row] for row in tables(page)["Change log of the policy"].rows] == [
        ["2026-09-02 11:00", "reload", "Асқар", "a" * 12, "b" * 12]
    ]
    assert [[value.raw for value in row] for row in tables(page)["Exceptions to be reviewed"].rows] == [
        ["2026-06-01", "allowed by exception", "Гүлнар"]
    ]


async def test_r26_what_a_month_hides_the_year_hides(pack):
    page = year_outline(pack, language("en"), STANDING)
    assert tables(page)["The months"].rows[1][2].kind is Kind.HIDDEN
    blocked = tables(page)["Blocked queries"]
    assert not blocked.total, "a sum over hidden months would tell them"
    by_name = {row[0].raw: row[1:] for row in blocked.rows}
    assert [value.raw for value in by_name["Pornography"]] == [647, None, 647]
    trend = [block for block in page.sections[1].blocks if isinstance(block, Chart)]
    assert [bar.value is None for bar in trend[0].bars] == [False, True, False]
    assert trend[0].bars[1].shown == "x"


async def test_r23_the_pack_states_purpose_and_retention(pack):
    for code, word in (("kk", "Мақсаты"), ("ru", "Цель"), ("en", "Purpose")):
        words = " ".join(
            block.text for block in year_outline(pack, language(code), STANDING).sections[-1].blocks
        )
        assert word in words


async def test_a_region_without_the_box_says_so(pack):
    bare = pack.model_copy(update={"changes": None, "overdue": None})
    page = year_outline(bare, language("en"), STANDING)
    words = [block.text for section in page.sections for block in section.blocks if hasattr(block, "text")]
    assert any("change log is kept on the school's box" in one for one in words)
    assert any("exceptions are kept on the school's box" in one for one in words)
    empty = pack.model_copy(update={"changes": (), "overdue": ()})
    words = [
        block.text
        for section in year_outline(empty, language("en"), STANDING).sections
        for block in section.blocks
        if hasattr(block, "text")
    ]
    assert "No exception is overdue." in words


@pytest.mark.parametrize("code", LANGUAGES)
async def test_all_formats(pack, code):
    page = year_outline(pack, language(code), STANDING)
    text = pack.model_dump_json()
    for form in FORMATS:
        assert len(rendered(page, text, form)) > 1000
    book = load_workbook(BytesIO(rendered(page, text, "xlsx")))
    assert book.worksheets[1]["B2"].value == pack.months[0].document.traffic.queries
    assert json.loads(rendered(page, text, "json"))["year"] == 2026
    assert not [one for one in texts_of(pack.model_dump(mode="json")) if names_domain(one)]
