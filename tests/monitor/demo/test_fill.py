"""`filterd demo`: believable, repeatable, marked as made up, and never among real data."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from filterd.errors import StoreError
from filterd.monitor.demo.fill import Filled, fill
from filterd.monitor.demo.schools import DRIFT, OLD_LISTS, SCHOOLS, SILENT
from filterd.monitor.demo.times import hours, is_school_day
from filterd.monitor.demo.traffic import pseudonym
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store

FIRST, DAYS = date(2026, 10, 5), 13  # a Monday; to the Saturday of the week after


def settings(path: Path) -> MonitorSettings:
    boxes = {school.id: (school.id, f"{school.number:064x}") for school in SCHOOLS}
    return MonitorSettings(listen=(("127.0.0.1", 0),), database=f"sqlite:///{path}", boxes=boxes)


async def filled(path: Path, *, days: int = 2, seed: int = 1) -> Filled:
    return await fill(settings(path), FIRST, days, seed, lambda _done, _all: None)


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A demonstration of three school weeks, shared: nothing here changes it."""
    import asyncio  # noqa: PLC0415 - the fixture is shared by tests that have loops of their own

    path = tmp_path_factory.mktemp("demo") / "monitor.sqlite"
    asyncio.run(filled(path, days=DAYS))
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def rows(store: sqlite3.Connection, statement: str, *values: object) -> list[tuple[Any, ...]]:
    return store.execute(statement, values).fetchall()


async def test_the_same_seed_gives_the_same_store(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        await filled(tmp_path / name, seed=seed)
    assert dump(tmp_path / "one") == dump(tmp_path / "two")
    assert dump(tmp_path / "one") != dump(tmp_path / "three")


async def test_a_store_with_a_demonstration_is_refused(tmp_path: Path) -> None:
    await filled(tmp_path / "db", days=1)
    before = dump(tmp_path / "db")
    with pytest.raises(StoreError, match="holds a demonstration already"):
        await filled(tmp_path / "db", days=1)
    assert dump(tmp_path / "db") == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO usage_totals VALUES ('s', 'g', 't', 'c', 'allowed', 1)",
        "INSERT INTO facts VALUES ('s', 1, 'n', 'v', 'b', 1)",
    ],
)
async def test_a_store_with_anything_is_refused(tmp_path: Path, statement: str) -> None:
    store = await Store.open(settings(tmp_path / "db"))
    await store.close()
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.execute(statement)
        connection.commit()
    before = dump(tmp_path / "db")
    with pytest.raises(StoreError, match="not empty"):
        await filled(tmp_path / "db", days=1)
    assert dump(tmp_path / "db") == before


def test_every_school_is_marked(store: sqlite3.Connection) -> None:
    schools = rows(store, "SELECT school, title_kk, title_ru, title_en FROM schools")
    assert len(schools) == 20
    for school, kk, ru, en in schools:
        assert school.startswith("demo-")
        assert "(демонстрация)" in kk
        assert "(демонстрация)" in ru
        assert "(demonstration)" in en
    assert rows(store, "SELECT count(*) FROM marks WHERE name = 'demonstration'") == [(1,)]
    assert rows(store, "SELECT DISTINCT value FROM facts WHERE name = 'demonstration'") == [("yes",)]
    tables = rows(store, "SELECT name FROM sqlite_master WHERE type = 'table'")
    for (table,) in tables:
        columns = {column[1] for column in rows(store, f"PRAGMA table_info({table})")}
        if "school" in columns:
            assert rows(
                store,
                f"SELECT count(*) FROM {table} WHERE school != '' AND school NOT LIKE 'demo-%'",  # noqa: S608
            ) == [(0,)]


def test_the_roll_ups_come_out(store: sqlite3.Connection) -> None:
    (total,) = rows(store, "SELECT sum(queries) FROM usage")[0]
    assert total > 200_000
    for table in ("usage_days", "usage_months", "usage_totals"):
        assert rows(store, f"SELECT sum(queries) FROM {table}") == [(total,)]  # noqa: S608
    for table in ("device_days", "box_hours", "selftests", "processes", "review_requests", "submissions"):
        assert rows(store, f"SELECT count(*) FROM {table}")[0][0] > 10, table  # noqa: S608
    assert rows(store, "SELECT count(*) FROM dirty_days") == [(0,)]


def test_totals_are_plausible(store: sqlite3.Connection) -> None:
    outcomes = dict(rows(store, "SELECT outcome, sum(queries) FROM usage GROUP BY outcome"))
    total = sum(outcomes.values())
    assert 0.05 < outcomes["blocked"] / total < 0.15
    assert 0.8 < outcomes["allowed"] / total < 0.95
    assert outcomes["failed"] / total < 0.02
    blocked = dict(
        rows(store, "SELECT category, sum(queries) FROM usage WHERE outcome = 'blocked' GROUP BY category")
    )
    assert max(blocked, key=blocked.__getitem__) == "ads"
    days = rows(store, "SELECT day, sum(queries) FROM usage_days GROUP BY day ORDER BY day")
    assert len(days) == DAYS - 1  # Sundays are still
    by_weekday = {(date(1970, 1, 1).toordinal() + day - 1) % 7: count for day, count in days}
    assert by_weekday[5] < 0.2 * by_weekday[4]


def test_the_peculiar_schools_are_so(store: sqlite3.Connection) -> None:
    last = dict(rows(store, "SELECT school, last_seen FROM boxes"))
    others = {at for school, at in last.items() if school != f"demo-{SILENT}"}
    assert len(others) == 1
    assert last[f"demo-{SILENT}"] < others.pop() - 86_000
    policies = rows(store, "SELECT school FROM processes WHERE policy_version != 'demo-42'")
    assert policies == [(f"demo-{DRIFT}",)]
    assert {school for (school,) in rows(store, "SELECT school FROM selftests WHERE failed != ''")} == {
        f"demo-{OLD_LISTS}"
    }
    tries = dict(
        rows(
            store,
            "SELECT school, CAST(sum(CASE category WHEN 'bypass' THEN queries ELSE 0 END) AS REAL)"
            " / sum(queries) FROM usage GROUP BY school",
        )
    )
    assert {"demo-103", "demo-117"} == set(sorted(tries, key=tries.__getitem__)[-2:])
    steps = dict(rows(store, "SELECT school, count(*) FROM box_hours GROUP BY school"))
    assert steps["demo-106"] == steps["demo-101"] - 24


def test_a_sustained_pattern_can_be_found(store: sqlite3.Connection) -> None:
    school = next(one for one in SCHOOLS if one.number == 101)
    found = rows(
        store,
        "SELECT day, buckets FROM device_days WHERE school = 'demo-101' AND category = 'gambling'"
        " AND pseudonym = ?",
        pseudonym(school, 20_000),
    )
    episodes = [day for day, buckets in found if buckets.count(",") >= 2]
    assert len(episodes) >= 3


def test_nothing_forbidden_is_made_up(store: sqlite3.Connection) -> None:
    names = rows(store, "SELECT DISTINCT domain, name FROM events")
    assert names
    for domain, name in names:
        assert domain.endswith(".example")
        assert name.endswith(f".{domain}")
    texts: set[str] = set()
    for (table,) in rows(store, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        for column in rows(store, f"PRAGMA table_info({table})"):
            found = rows(store, f"SELECT DISTINCT {column[1]} FROM {table}")  # noqa: S608
            texts |= {value for (value,) in found if isinstance(value, str)}
    text = "\n".join(texts)
    assert not re.search(r"\b(csam|extremism)\b", text)
    assert not re.search(r"\b\d{12}\b", text)  # an ЖСН/ИИН
    assert not re.search(r"\b(?:\d{1,3}\.){3}\d{1,3}\b", text)
    assert not re.search(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", text, re.IGNORECASE)


def test_holidays_are_kept() -> None:
    assert is_school_day(date(2026, 10, 23))
    assert not any(is_school_day(date(2026, 10, day)) for day in (24, 25, 26, 30, 31))
    assert not is_school_day(date(2026, 11, 1))
    assert is_school_day(date(2026, 11, 2))
    assert hours(date(2026, 10, 25)) == {}
    assert sum(hours(date(2026, 10, 23)).values()) == pytest.approx(1)
