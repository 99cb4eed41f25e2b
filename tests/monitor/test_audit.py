from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.audit import Entry
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store
from filterd.monitor.upkeep.retention import Retention

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000


@pytest.fixture
async def store(settings: MonitorSettings) -> AsyncIterator[Store]:
    opened = await Store.open(settings)
    yield opened
    await opened.close()


def entry(school: str = "school-1", **changes: Any) -> Entry:
    return Entry(
        **({"school": school, "who": "Aliya", "what": "school.set", "details": {"new": "мектеп"}} | changes)
    )


async def note(store: Store, *entries: Entry, at: int = NOW) -> None:
    await store.write(lambda c: audit.append(c, at, *entries))


async def faults(store: Store, kept: dict[str, tuple[int, str]] | None = None) -> list[str]:
    async def work(connection: Any) -> list[str]:
        return [fault async for fault in audit.faults(connection, kept)]

    return await store.read(work)


async def test_one_chain_a_school_each_row_holding_the_hash_before(store: Store) -> None:
    await note(store, entry(), entry(""), entry())
    await note(store, entry("school-2"), entry())
    rows = await store.read(lambda c: audit.show(c, "school-1", 10))
    assert [row.number for row in rows] == [3, 2, 1]
    assert (rows[2].before, rows[1].before, rows[0].before) == (audit.FIRST, rows[2].hash, rows[1].hash)
    assert {row.school for row in await store.read(lambda c: audit.show(c, None, 10))} == {
        "school-1",
        "school-2",
        "",
    }
    assert await faults(store) == []
    heads = await store.read(audit.heads)
    assert heads["school-1"] == (3, rows[0].hash)
    assert set(heads) == {"school-1", "school-2", ""}


async def test_nothing_is_noted_when_the_change_fails_and_nothing_changes_when_it_cannot_be_noted(
    store: Store,
) -> None:
    async def fails(connection: Any) -> None:
        await audit.append(connection, NOW, entry())
        raise PaperworkError("no")

    with pytest.raises(PaperworkError):
        await store.write(fails)
    for nobody in ("", "  ", "x" * 300, "a\x00b"):
        with pytest.raises(PaperworkError):
            await note(store, entry(), entry(who=nobody))
    assert await store.read(audit.heads) == {}


async def test_writers_at_once_keep_one_chain(settings: MonitorSettings) -> None:
    stores = [await Store.open(settings) for _ in range(3)]
    try:
        await asyncio.gather(
            *(note(stores[n % 3], entry(f"school-{n % 2}"), entry("", details={"n": n})) for n in range(30))
        )
        assert await faults(stores[0]) == []
        heads = await stores[0].read(audit.heads)
        assert {school: number for school, (number, _) in heads.items()} == {
            "school-0": 15,
            "school-1": 15,
            "": 30,
        }
    finally:
        for store in stores:
            await store.close()


async def test_what_was_kept_elsewhere_shows_a_chain_made_anew(store: Store) -> None:
    await note(store, entry(), entry(), entry())
    number, seal = (await store.read(audit.heads))["school-1"]
    assert await faults(store, {"school-1": (number, seal)}) == []
    assert await faults(store, {"school-1": (number, "f" * 64)}) == [
        "school-1: row 3 is not the one whose hash was kept"
    ]
    assert await faults(store, {"school-9": (1, "f" * 64)}) == ["school-9: rows after 0 are missing"]


async def test_retention_takes_whole_beginnings_and_the_rest_stays_whole(store: Store) -> None:
    for day in range(5):
        await note(store, entry(), entry("school-2"), at=NOW + day)
    assert await store.write(lambda c: audit.purge(c, NOW + 3)) == 6
    assert await faults(store) == []
    assert await store.write(lambda c: audit.purge(c, NOW + 9)) == 4
    assert await faults(store) == []
    await note(store, entry(), at=NOW + 20)
    assert await faults(store) == []
    (row,) = await store.read(lambda c: audit.show(c, "school-1", 10))
    assert row.number == 6


async def test_retention_of_the_endpoint_leaves_a_chain_that_can_be_verified(
    store: Store, settings: MonitorSettings
) -> None:
    await note(store, entry(), at=NOW - 1200 * 86_400)
    await note(store, entry(), at=NOW)
    deleted = await Retention(store, settings, Meter(), lambda: NOW).purge()
    assert deleted["audit"] == 1
    assert await faults(store) == []
    assert [row.number for row in await store.read(lambda c: audit.show(c, None, 9))] == [2]


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with ten rows in two chains, as the bytes of its file."""
    path = tmp_path_factory.mktemp("audit") / "x.sqlite"

    async def fill() -> None:
        store = await Store.open(MonitorSettings((("127.0.0.1", 0),), f"sqlite:///{path}", {}))
        for number in range(5):
            await note(
                store, entry(details={"n": number}), entry("", who=f"Person {number}"), at=NOW + number
            )
        await store.close()

    asyncio.run(fill())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


_CHANGES = {
    "number": "number + 100",
    "at": "at - 1",
    "who": "who || ' '",
    "what": "'box.add'",
    "details": "details || ' '",
    "before": "substr(before, 2) || 'g'",
    "hash": "substr(hash, 2) || 'g'",
    "school": "'school-3'",
}


@pytest.mark.sqlite_only
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_row_altered_taken_out_or_put_in_is_found(
    noted: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tampered") / "x.sqlite"
    path.write_bytes(noted)
    row = f"{data.draw(st.integers(1, 5))} AND school = {data.draw(st.sampled_from(['', 'school-1']))!r}"
    where = f"number = {row}"
    kind = data.draw(st.sampled_from([*_CHANGES, "delete", "delete from", "insert"]))
    copied = "school, 6, at, who, what, details, hash, hash"
    statement = {
        "delete": f"DELETE FROM audit WHERE {where}",  # noqa: S608 - a test's own words
        "delete from": f"DELETE FROM audit WHERE number >= {row}",  # noqa: S608
        "insert": f"INSERT INTO audit SELECT {copied} FROM audit WHERE {where}",  # noqa: S608
    }.get(kind) or f"UPDATE audit SET {kind} = {_CHANGES[kind]} WHERE {where}"  # noqa: S608
    with closing(sqlite3.connect(path)) as connection:
        changed = connection.execute(statement).rowcount
        connection.commit()
    assert changed

    async def verify() -> tuple[list[str], list[str]]:
        store = await Store.open(MonitorSettings((("127.0.0.1", 0),), f"sqlite:///{path}", {}))
        try:
            found = await faults(store)
            await note(store, entry(), entry(""))  # what is noted later does not cover it
            return found, await faults(store)
        finally:
            await store.close()

    before, after = asyncio.run(verify())
    assert before
    assert after
