from __future__ import annotations

import asyncio
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from filterd.errors import StartError, StoreError


async def test_a_port_in_use_is_told_with_its_remedy_and_nothing_is_left(
    start: Any, free_port: int, tmp_path: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", free_port))):
        with pytest.raises(StartError) as caught:
            await start(listen=(("127.0.0.1", 0), ("127.0.0.1", free_port)))
        assert f"port {free_port}" in caught.value.message
        assert "ss -ltnp" in caught.value.remedy
        assert not (tmp_path / "monitor.sqlite").exists()
    await start(listen=(("127.0.0.1", free_port),))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "2001:db8::1"])
async def test_addresses_that_are_not_ours(start: Any, host: str) -> None:
    with pytest.raises(StartError) as caught:
        await start(listen=((host, 0),))
    assert host in caught.value.message
    assert caught.value.remedy


async def test_a_store_that_cannot_be_opened_frees_the_port(
    start: Any, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    listen = (("127.0.0.1", free_port),)
    with pytest.raises(StoreError):
        await start(listen=listen, database=f"sqlite:///{tmp_path}/file/x.sqlite")
    await start(listen=listen)


async def test_a_delivery_in_hand_is_finished_at_the_stop(start: Any, make: Any) -> None:
    monitor = await start()
    await monitor.post(make.delivery(make.batch(1)))
    with closing(sqlite3.connect(monitor.path, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        sending = asyncio.create_task(monitor.post(make.delivery(make.batch(2))))
        async with asyncio.timeout(20):
            held = "filterd_ingest_held_bytes"
            while await monitor.metric(held) == {"": 0}:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.001)
        monitor.stop.set()
        for _ in range(10):
            await asyncio.sleep(0)
        other.execute("ROLLBACK")
    assert await sending == (200, {"acknowledged": [2]})
    await monitor.task
    monitor.task = None
    assert monitor.sql("SELECT sum(count) FROM events") == [(2,)]


async def test_several_addresses(start: Any) -> None:
    monitor = await start(listen=(("127.0.0.1", 0), ("::1", 0)))
    assert (await monitor.get("/healthz"))[0] == 200


async def test_it_can_be_started_again_at_once(start: Any, free_port: int) -> None:
    for _ in range(3):
        monitor = await start(listen=(("127.0.0.1", free_port),))
        assert (await monitor.get("/healthz"))[0] == 200
        await monitor.end()
