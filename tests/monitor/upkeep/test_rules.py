"""Retention of school.md, proved for every table: one row just within and one just beyond its time."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Boolean, LargeBinary, Table, insert

from filterd.monitor.days import DAY_SECONDS, first_day, month_of
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store import paperwork
from filterd.monitor.store.schema import METADATA
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.retention import Retention
from filterd.monitor.upkeep.rules import RULES, borders

pytestmark = pytest.mark.both_engines
NOW = int(datetime(2026, 11, 18, 11, 6, tzinfo=UTC).timestamp())
EVENTS_FROM = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp())  # the 30th day counted from the 18th
SUMMARIES_FROM = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp()) // DAY_SECONDS
YEARS_FROM = int(datetime(2023, 11, 1, tzinfo=UTC).timestamp())
YEARS_DAY, YEARS_MONTH = YEARS_FROM // DAY_SECONDS, 2023 * 12 + 10
YEAR_AGO = NOW - 365 * DAY_SECONDS

# table: (what else the row holds, column that tells its age, youngest value that goes)
BORDERS: list[tuple[str, dict[str, Any], str, int]] = [
    ("events", {"received": NOW}, "bucket", EVENTS_FROM - 1),
    ("events", {"bucket": NOW + 400 * DAY_SECONDS}, "received", EVENTS_FROM - 1),
    ("device_days", {}, "day", SUMMARIES_FROM - 1),
    ("dirty_days", {}, "day", EVENTS_FROM // DAY_SECONDS - 2),
    ("usage", {}, "hour", YEARS_FROM - 1),
    ("usage_days", {}, "day", YEARS_DAY - 1),
    ("usage_months", {}, "month", YEARS_MONTH - 1),
    ("box_hours", {}, "hour", YEARS_FROM - 1),
    ("selftests", {}, "at", YEARS_FROM - 1),
    ("streams", {}, "last_seen", YEARS_FROM - 1),
    ("gaps", {}, "noticed", YEARS_FROM - 1),
    ("processes", {}, "received", YEARS_FROM - 1),
    ("boxes", {}, "last_seen", YEARS_FROM - 1),
    ("tokens", {"expires": 0}, "revoked", YEARS_FROM - 1),
    ("tokens", {"revoked": 0}, "expires", YEARS_FROM - 1),
    ("review_requests", {}, "asked", YEARS_FROM - 1),
    ("submissions", {}, "changed", YEARS_FROM - 1),
    ("cards", {"opened": YEAR_AGO}, "closed", SUMMARIES_FROM * DAY_SECONDS - 1),
    ("cards", {"closed": 0}, "opened", YEAR_AGO - 1),
    ("releases", {}, "asked", YEARS_FROM - 1),
    ("facts", {}, "month", YEARS_MONTH - 1),
    ("reports", {}, "month", YEARS_MONTH - 1),
    ("audit", {}, "at", YEARS_FROM - 1),
]


def row(table: Table, school: str, values: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for column in table.columns:
        if isinstance(column.type, Boolean):
            made[column.name] = False
        elif isinstance(column.type, BigInteger):
            made[column.name] = NOW
        else:
            made[column.name] = b"x" if isinstance(column.type, LargeBinary) else "x"
    return made | values | {"school": school}


def test_every_table_has_a_rule_or_a_reason() -> None:
    assert paperwork.SCHOOLS.metadata is METADATA
    ruled = [rule.table.name for rule in RULES]
    assert sorted(ruled) == sorted(METADATA.tables)
    for rule in RULES:
        assert (rule.old is None) == bool(rule.kept), rule.table.name


def test_every_rule_is_proved_here() -> None:
    assert {name for name, *_ in BORDERS} == {rule.table.name for rule in RULES if rule.old is not None}


def test_what_is_kept_for_ever_names_no_device() -> None:
    for rule in RULES:
        if rule.old is None:
            assert not {"pseudonym", "domain", "url", "note"} & set(rule.table.columns.keys()), (
                rule.table.name
            )


async def test_r23_each_table_forgets_in_time_and_not_before(settings: Any, clock: Any) -> None:
    clock.now = NOW
    store = await Store.open(settings, clock)
    for number, (name, values, column, gone) in enumerate(BORDERS):
        table = METADATA.tables[name]
        rows = [
            row(table, f"{number}-old", values | {column: gone}),
            row(table, f"{number}-young", values | {column: gone + 1}),
        ]
        await store.write(lambda connection, table=table, rows=rows: connection.execute(insert(table), rows))
    kept = [rule.table for rule in RULES if rule.old is None]
    for table in kept:
        values = row(table, "kept", {c.name: 0 for c in table.columns if isinstance(c.type, BigInteger)})
        await store.write(lambda connection, table=table, v=values: connection.execute(insert(table), v))
    deleted = await Retention(store, settings, Meter(), clock).purge()
    expected = {name: sum(other == name for other, *_ in BORDERS) for name, *_ in BORDERS}
    assert {name: count for name, count in deleted.items() if count} == expected
    for number, (name, *_rest) in enumerate(BORDERS):
        query = f"SELECT school FROM {name} WHERE school LIKE '{number}-%'"  # noqa: S608
        assert (await store.read(lambda c, q=query: c.exec_driver_sql(q))).all() == [(f"{number}-young",)], (
            name
        )
    for table in kept:
        query = f"SELECT count(*) FROM {table.name} WHERE school = 'kept'"  # noqa: S608
        assert (await store.read(lambda c, q=query: c.exec_driver_sql(q))).scalar() == 1, table.name
    await store.close()


@given(st.integers(1_600_000_000, 3_000_000_000))
def test_borders_never_keep_longer_than_promised(now: int) -> None:
    settings = MonitorSettings(listen=(("127.0.0.1", 0),), database="", boxes={})
    found = borders(settings, now)
    assert 29 * DAY_SECONDS <= now - found.events < 30 * DAY_SECONDS
    today = now // DAY_SECONDS
    assert month_of(today) - month_of(found.summaries) == 3
    assert found.summaries == first_day(month_of(found.summaries))
    assert 89 <= today - found.summaries <= 122
    assert 3 * 365 <= (now - found.aggregates) // DAY_SECONDS <= 3 * 365 + 31


def test_the_privacy_page_says_the_same() -> None:
    page = (Path(__file__).parents[3] / "docs/privacy.md").read_text("utf-8")
    settings = MonitorSettings(listen=(("127.0.0.1", 0),), database="", boxes={})
    assert set(re.findall(r"endpoint, (\d+) days", page)) == {str(settings.retention_days_events)}
    assert set(re.findall(r"at most (\d+) months", page)) == {str(settings.retention_months_summaries)}
    assert {int(years) * 365 for years in re.findall(r"endpoint, (\d+) years", page)} == {
        settings.retention_days_usage
    }
