from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.store import Store


def tear(path: Path, *, keep: int = 4096) -> None:
    """Overwrite everything behind the first pages of a database with garbage."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(keep)
        file.write(b"\xa5" * (size - keep))


def aside(path: Path) -> list[Path]:
    return [file for file in path.parent.glob("*.corrupt-*") if not file.name.endswith(("-wal", "-shm"))]


async def test_a_new_file_is_the_owners_only(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "monitor.sqlite"
    store = await Store.open(type(settings)(listen=settings.listen, database=f"sqlite:///{path}", boxes={}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    await store.mark("x")
    assert all(file.stat().st_mode & 0o077 == 0 for file in path.parent.iterdir())
    await store.close()


async def test_what_is_acknowledged_is_synced(settings: Any) -> None:
    store = await Store.open(settings)

    async def pragmas(connection: AsyncConnection) -> dict[str, Any]:
        names = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
        return {name: await connection.scalar(text(f"PRAGMA {name}")) for name in names}

    assert await store.write(pragmas) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 2000,
    }
    await store.close()


async def test_readers_cannot_write(settings: Any) -> None:
    store = await Store.open(settings)
    with pytest.raises(StoreError, match="read-only"):
        await store.read(lambda connection: connection.execute(text("DELETE FROM marks")))
    await store.close()


async def test_a_failed_transaction_leaves_nothing(settings: Any) -> None:
    store = await Store.open(settings)

    async def fails(connection: AsyncConnection) -> None:
        await connection.execute(text("INSERT INTO marks VALUES ('', 'half', 1)"))
        raise ValueError

    with pytest.raises(ValueError):
        await store.write(fails)
    assert await store.read(lambda c: c.scalar(text("SELECT count(*) FROM marks"))) == 0
    await store.close()


async def test_a_closed_store_says_so(settings: Any) -> None:
    store = await Store.open(settings)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.mark("x")


@pytest.mark.parametrize(
    "content", [b"this is no database, but it is there" * 200, b"SQLite format 3\0" + b"\xff" * 9000]
)
async def test_a_file_that_is_no_database_is_put_aside(
    start: Any, make: Any, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "monitor.sqlite"
    path.write_bytes(content)
    monitor = await start()
    (old,) = aside(path)
    assert old.read_bytes() == content
    assert (await monitor.post(make.delivery(make.batch(1))))[0] == 200
    assert await monitor.metric("filterd_store_files_put_aside") == {"": 1}


async def test_a_torn_file_is_put_aside_at_the_start(start: Any, make: Any) -> None:
    monitor = await start()
    await monitor.post(make.delivery(make.batch(1, [make.event(name=f"n{n}.example") for n in range(500)])))
    await monitor.end()
    tear(monitor.path)
    monitor = await start()
    assert len(aside(monitor.path)) == 1
    assert (await monitor.get("/v1/events"))[1]["events"] == []
    assert (await monitor.post(make.delivery(make.batch(2))))[0] == 200


async def test_damage_found_in_use_puts_the_file_aside_and_the_box_sends_again(start: Any, make: Any) -> None:
    monitor = await start()
    events = [make.event(name=f"n{n}.example") for n in range(2000)]
    await monitor.post(make.delivery(make.batch(1, events)))
    with closing(sqlite3.connect(monitor.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tear(monitor.path)
    waiting = [
        monitor.post(make.delivery(make.batch(n, events), box=box))
        for n in (2, 3)
        for box in ("box1", "far1")
    ]
    # The writer may have all it needs in memory; a reader looks into the file.
    replies = await asyncio.gather(*waiting, monitor.get("/v1/events"))
    assert {status for status, _ in replies} <= {200, 503}
    assert len(aside(monitor.path)) == 1
    for n in (2, 3):
        for box in ("box1", "far1"):
            assert (await monitor.post(make.delivery(make.batch(n, events), box=box)))[0] == 200
    assert monitor.sql("SELECT count(*), sum(count) FROM events") == [(4000, 8000)]
    assert monitor.sql("PRAGMA integrity_check") == [("ok",)]
    assert (await monitor.get("/readyz"))[0] == 200
    assert await monitor.metric("filterd_store_files_put_aside") == {"": 1}


async def test_damage_found_by_a_writer(settings: Any, tmp_path: Path) -> None:
    store = await Store.open(settings)

    async def fill(connection: AsyncConnection) -> None:
        rows = [{"school": f"s{n:0100}"} for n in range(40_000)]  # more than SQLite keeps in memory
        await connection.execute(text("INSERT INTO marks VALUES (:school, 'x', 1)"), rows)

    await store.write(fill)
    assert await store.scrub()
    tear(tmp_path / "monitor.sqlite")
    try:
        with pytest.raises(StoreError, match="put aside") as caught:
            await store.write(lambda c: c.execute(text("UPDATE marks SET at = at + 1")))
        assert "send it again" in caught.value.remedy
        assert (store.generation, store.put_aside, store.errors) == (1, 1, 1)
        await store.write(fill)
        assert await store.read(lambda c: c.scalar(text("SELECT count(*) FROM marks"))) == 40_000
    finally:
        await store.close()


async def test_damage_found_by_a_reader_while_others_read(start: Any, make: Any) -> None:
    monitor = await start()
    events = [make.event(name=f"n{n}.example", bucket=300 * n) for n in range(3000)]
    await monitor.post(make.delivery(make.batch(1, events)))
    with closing(sqlite3.connect(monitor.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tear(monitor.path)
    replies = await asyncio.gather(*(monitor.get("/v1/events?name=nothing.example") for _ in range(12)))
    assert {status for status, _ in replies} <= {200, 503}
    assert len(aside(monitor.path)) == 1
    assert (await monitor.get("/v1/events"))[1]["events"] == []
    assert (await monitor.post(make.delivery(make.batch(2))))[0] == 200


async def test_a_stale_journal_is_put_aside_with_its_file(start: Any, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "monitor.sqlite"
    path.write_bytes(b"garbage" * 1000)
    Path(f"{path}-wal").write_bytes(b"journal of the old file" * 500)
    monitor = await start()
    assert (await monitor.post(make.delivery(make.batch(1))))[0] == 200
    assert monitor.sql("PRAGMA integrity_check") == [("ok",)]


async def test_a_disk_that_damages_file_after_file_is_reported_at_last(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "monitor.sqlite"
    for _ in range(8):
        path.write_bytes(b"garbage" * 1000)
        await (await Store.open(settings)).close()
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="damaged databases"):
        await Store.open(settings)
    assert len(aside(path)) == 8


async def test_a_place_that_cannot_be_written(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bad = type(settings)(listen=settings.listen, database=f"sqlite:///{tmp_path}/file/x.sqlite", boxes={})
    with pytest.raises(StoreError) as caught:
        await Store.open(bad)
    assert caught.value.remedy


async def test_a_lock_held_by_another_program(start: Any, make: Any) -> None:
    limits = MonitorLimits(busy_seconds=0.2, store_seconds=5.0)
    monitor = await start(limits=limits)
    with closing(sqlite3.connect(monitor.path, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        status, problem = await monitor.post(make.delivery(make.batch(1)))
        assert (status, problem["code"]) == (503, "store")
        assert "another program" in problem["detail"]
        assert (await monitor.get("/readyz", admin=False))[0] == 503
        assert (await monitor.get("/healthz", admin=False))[0] == 200
        assert (await monitor.get("/v1/events"))[0] == 200  # reading goes on
        other.execute("ROLLBACK")
    assert (await monitor.post(make.delivery(make.batch(1))))[0] == 200
    assert aside(monitor.path) == []
    assert (await monitor.metric("filterd_store_failures_total"))[""] >= 2


async def test_waiting_for_the_turn_to_write_is_bounded(settings: Any) -> None:
    bounded = type(settings)(
        listen=settings.listen, database=settings.database, boxes={}, limits=MonitorLimits(store_seconds=0.1)
    )
    store = await Store.open(bounded)
    go_on = asyncio.Event()

    async def slow(_connection: AsyncConnection) -> None:
        await go_on.wait()

    first = asyncio.create_task(store.write(slow))
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="busy"):
        await store.mark("x")
    go_on.set()
    await first
    await store.mark("x")
    await store.close()


async def test_a_missing_driver_is_told(settings: Any) -> None:
    far = type(settings)(listen=settings.listen, database="postgresql+nonsense://h/d", boxes={})
    with pytest.raises(StoreError) as caught:
        await Store.open(far)
    assert caught.value.remedy
