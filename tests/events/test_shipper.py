from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web

from filterd.events.batch import Event, Health, SelfTest
from filterd.events.outbox import Outbox
from filterd.events.shipper import Shipper, ShipperSettings

NOW = 1_760_000_000
USAGE = {(NOW - NOW % 3600, "class-7a", "middle", "", "allowed"): 10}
SESAME = "sesame-9000"
FAST = {"poll": 0.01, "backoff_base": 0.01, "backoff_cap": 0.05, "slow_retry": 0.05}


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "outboxes"
    path.mkdir()
    return path


@pytest.fixture
def outbox(folder):
    opened = Outbox(folder / "dns.outbox", wait=5)
    opened.commit([], {}, now=NOW)
    yield opened
    opened.close()


@dataclass
class Rig:
    """All that a test of the shipper needs: an outbox, an endpoint, and a shipper when it is asked for."""

    folder: Path
    outbox: Outbox
    endpoint: Any
    event: Callable[..., Event]
    health: Health
    until: Callable[[Callable[[], Any]], Awaitable[None]]

    def make(self, **changes: Any) -> Shipper:
        values = changes.pop("values", None)
        selftest = changes.pop("selftest", lambda: None)
        given = {"endpoint": self.endpoint.url, "token": "right", "box": "box-1", "school": "school-1"}
        return Shipper(
            ShipperSettings(**(given | {"outboxes": self.folder} | FAST | changes)),
            values=values,
            selftest=selftest,
        )


@pytest.fixture
def rig(request, folder, outbox) -> Rig:
    others = ("endpoint", "event", "health", "aeventually")
    return Rig(folder, outbox, *map(request.getfixturevalue, others))


@asynccontextmanager
async def running(shipper: Shipper):
    task = asyncio.create_task(shipper.run())
    try:
        yield shipper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def reply(status: int, **headers: str) -> Callable[[str], web.Response | None]:
    return lambda stage: web.Response(status=status, headers=headers) if stage == "before" else None


def lost(stage: str) -> web.Response | None:
    """The batches are stored, the acknowledgement does not arrive."""
    return web.Response(status=502) if stage == "after" else None


def rows(path: Path, statement: str) -> list[tuple]:
    connection = sqlite3.connect(path, timeout=10)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def test_what_is_committed_arrives_and_is_forgotten(rig):
    async with running(rig.make()) as shipper:
        rig.outbox.commit([rig.event("a.kz", 2)], USAGE, now=NOW)
        await rig.until(lambda: shipper.stats.batches == 2)
        rig.outbox.commit([rig.event("b.kz")], {}, now=NOW)
        await rig.until(lambda: shipper.stats.batches == 3)
    assert rig.endpoint.store.events() == [("a.kz", 2), ("b.kz", 1)]
    assert rig.endpoint.store.usage() == {("class-7a", "allowed"): 10}
    assert rig.outbox.waiting().batches == 0
    (first, *_) = rig.endpoint.deliveries
    assert (first.box, first.school) == ("box-1", "school-1")


async def test_every_outbox_of_the_folder_is_shipped(rig, folder):
    for n in range(3):
        outbox = Outbox(folder / f"{n}.outbox")
        outbox.commit([rig.event(f"{n}.kz")], {}, now=NOW)
        outbox.close()
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 3)
    assert sorted(rig.endpoint.store.events()) == [("0.kz", 1), ("1.kz", 1), ("2.kz", 1)]
    assert len({delivery.stream for delivery in rig.endpoint.deliveries}) == 3


async def test_a_lost_acknowledgement_stores_nothing_twice(rig):
    rig.endpoint.script.extend([lost, lost])
    rig.outbox.commit([rig.event("a.kz")], USAGE, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 2)
    assert len(rig.endpoint.deliveries) == 3
    assert rig.endpoint.store.events() == [("a.kz", 1)]
    assert rig.endpoint.store.usage() == {("class-7a", "allowed"): 10}


async def test_a_connection_cut_after_storing_stores_nothing_twice(rig):
    class Cut(web.Response):
        async def prepare(self, request):
            request.transport.abort()
            return await super().prepare(request)

    rig.endpoint.script.append(lambda stage: Cut() if stage == "after" else None)
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 1)
        assert shipper.stats.failures == 1
    assert rig.endpoint.store.events() == [("a.kz", 1)]


async def test_after_an_outage_many_batches_go_in_a_request(rig):
    for n in range(200):
        rig.outbox.commit([rig.event(f"{n}.kz")], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 200)
    assert [name for name, _ in rig.endpoint.store.events()] == [f"{n}.kz" for n in range(200)]
    assert [len(delivery.batches) for delivery in rig.endpoint.deliveries] == [64, 64, 64, 8]
    assert set(rig.endpoint.encodings) == {"gzip"}


async def test_a_small_body_is_not_packed(rig):
    rig.outbox.commit([rig.event()], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 1)
    assert rig.endpoint.encodings == [""]


async def test_a_request_is_bounded_in_bytes(rig):
    for n in range(10):
        rig.outbox.commit([rig.event(f"{n}-{m}.{'x' * 200}.kz") for m in range(20)], {}, now=NOW)
    async with running(rig.make(max_bytes=30_000)) as shipper:
        await rig.until(lambda: shipper.stats.batches == 10)
    assert [len(delivery.batches) for delivery in rig.endpoint.deliveries] == [3, 3, 3, 1]
    assert len(rig.endpoint.store.events()) == 200


async def test_the_endpoint_down_keeps_everything_and_is_said_once(rig, unused_tcp_port):
    rig.outbox.commit([rig.event()], {}, now=NOW)
    with structlog.testing.capture_logs() as logs:
        async with running(rig.make(endpoint=f"http://127.0.0.1:{unused_tcp_port}")) as shipper:
            await rig.until(lambda: shipper.stats.failures >= 3)
    assert [entry["event"] for entry in logs] == ["delivery_delayed"]
    assert rig.outbox.waiting().batches == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405, 301, 415, 500, 503, 429])
async def test_an_answer_that_is_not_about_the_batch_keeps_it(rig, status):
    rig.endpoint.script.extend([reply(status, Location="/elsewhere")] * 3)
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    with structlog.testing.capture_logs() as logs:
        async with running(rig.make()) as shipper:
            await rig.until(lambda: shipper.stats.batches == 1)
    assert shipper.stats.failures == 3
    assert shipper.stats.rejected == 0
    assert rig.endpoint.store.events() == [("a.kz", 1)]
    assert [entry["event"] for entry in logs] == ["delivery_delayed", "delivery_works_again"]


async def test_a_wrong_token_is_shown_nowhere(rig):
    rig.outbox.commit([rig.event()], {}, now=NOW)
    with structlog.testing.capture_logs() as logs:
        async with running(rig.make(token=SESAME)) as shipper:
            await rig.until(lambda: shipper.stats.failures >= 2)
    assert SESAME not in repr(logs) + repr(shipper._settings)
    assert [entry["kind"] for entry in logs] == ["not_allowed"]


async def test_retry_after_is_honoured(rig):
    rig.endpoint.script.append(reply(503, **{"Retry-After": "17"}))
    shipper = rig.make()
    rig.outbox.commit([], USAGE, now=NOW)
    pause = await shipper._step()
    assert 17 <= pause <= 17.05
    assert await shipper._step() == shipper._settings.poll
    assert rig.outbox.waiting().batches == 0
    await shipper.close()


async def test_the_pause_gathers_batches_and_is_none_while_more_wait(rig):
    shipper = rig.make(poll=0.4, max_batches=5)
    for _ in range(12):
        rig.outbox.commit([rig.event()], {}, now=NOW)
    assert [await shipper._step() for _ in range(4)] == [0.0, 0.0, 0.4, 0.4]
    assert rig.outbox.waiting().batches == 0
    await shipper.close()
    shipper = rig.make(poll=0.4, max_bytes=1)  # each batch alone is bigger
    for _ in range(2):
        rig.outbox.commit([rig.event()], {}, now=NOW)
    assert [await shipper._step() for _ in range(3)] == [0.0, 0.0, 0.4]
    await shipper.close()


class TestPoison:
    @pytest.mark.parametrize("named", [False, True])
    async def test_one_bad_batch_is_put_apart_and_blocks_nobody(self, rig, named):
        rig.endpoint.poison = {"bad.kz", "evil.kz"}
        rig.endpoint.names_culprit = named
        names = [f"{n}.kz" for n in range(50)]
        for name in [*names[:7], "bad.kz", *names[7:30], "evil.kz", *names[30:]]:
            rig.outbox.commit([rig.event(name)], {}, rig.health, now=NOW)
        with structlog.testing.capture_logs() as logs:
            async with running(rig.make()) as shipper:
                await rig.until(lambda: shipper.stats.batches == 50)
                await rig.until(lambda: shipper.stats.rejected == 2)
        assert sorted(rig.endpoint.store.events()) == sorted((name, 1) for name in names)
        assert rig.outbox.waiting().batches == 0
        assert rig.outbox.counters() == {"rejected_batches": 2, "rejected_lookups": 2}
        refused = rows(rig.outbox.path, "SELECT reason, payload FROM rejected ORDER BY sequence")
        assert [b"bad.kz" in payload or b"evil.kz" in payload for _, payload in refused] == [True, True]
        assert refused[0][0].startswith("422")
        assert sum(entry["event"] == "batch_rejected" for entry in logs) == 2
        assert shipper._client.requests < (20 if named else 45)

    async def test_a_refusal_of_everything_puts_nothing_apart(self, rig):
        rig.endpoint.always = reply(400)
        for n in range(5):
            rig.outbox.commit([rig.event(f"{n}.kz")], {}, now=NOW)
        async with running(rig.make()) as shipper:
            await rig.until(lambda: shipper.stats.failures >= 3)
            assert (shipper.stats.rejected, rig.outbox.waiting().batches) == (0, 5)
            rig.endpoint.always = None
            await rig.until(lambda: shipper.stats.batches == 5)
        assert len(rig.endpoint.store.events()) == 5

    async def test_too_large_together_is_sent_apart(self, rig):
        rig.endpoint.script.extend([reply(413), reply(413)])
        for n in range(8):
            rig.outbox.commit([rig.event(f"{n}.kz")], {}, now=NOW)
        async with running(rig.make()) as shipper:
            await rig.until(lambda: shipper.stats.batches == 8)
        assert shipper.stats.rejected == 0
        assert len(rig.endpoint.deliveries[0].batches) == 2

    async def test_trouble_while_looking_for_it_loses_nothing(self, rig):
        rig.endpoint.poison = {"bad.kz"}
        for name in ["a.kz", "b.kz", "bad.kz", "c.kz"]:
            rig.outbox.commit([rig.event(name)], {}, now=NOW)
        rig.endpoint.script.extend([lambda _: None, reply(500), lambda _: None, lost, lost])
        async with running(rig.make()) as shipper:
            await rig.until(lambda: shipper.stats.rejected == 1 and rig.outbox.waiting().batches == 0)
        assert sorted(rig.endpoint.store.events()) == [("a.kz", 1), ("b.kz", 1), ("c.kz", 1)]

    async def test_bad_health_keeps_no_batch_back(self, rig):
        rig.outbox.commit([rig.event("a.kz")], {}, rig.health, now=NOW)
        with structlog.testing.capture_logs():
            async with running(rig.make(values=lambda: {"Not A Name": 1.0})) as shipper:
                await rig.until(lambda: shipper.stats.batches == 1)
        assert shipper.stats.rejected == 0
        assert rig.endpoint.store.events() == [("a.kz", 1)]


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[]", '{"acknowledged": "all"}', '{"acknowledged": []}', '{"acknowledged": [999]}'],
)
async def test_a_receipt_that_is_none_forgets_nothing(rig, text):
    rig.endpoint.script.append(lambda stage: web.Response(text=text) if stage == "after" else None)
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 1)
        assert shipper.stats.failures == 1
    assert rig.endpoint.store.events() == [("a.kz", 1)]


async def test_an_endless_answer_is_not_read_to_its_end(rig):
    rig.endpoint.script.append(
        lambda stage: web.Response(body=b"x" * (2 << 20)) if stage == "after" else None
    )
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 1)
        assert shipper.stats.failures == 1
    assert rig.endpoint.store.events() == [("a.kz", 1)]


async def test_health_goes_with_batches_and_alone(rig):
    rig.outbox.commit([], {}, rig.health, now=NOW)
    async with running(
        rig.make(health_interval=0.02, values=lambda: {"workers": 2.0, "worker_restarts": 1.0})
    ):
        await rig.until(lambda: len(rig.endpoint.deliveries) >= 3)
    for delivery in rig.endpoint.deliveries:
        assert delivery.batches == []
        assert delivery.health.values == {"workers": 2.0, "worker_restarts": 1.0, "deliveries_failed": 0.0}


async def test_health_is_not_sent_with_every_request(rig):
    async with running(rig.make()) as shipper:
        for n in range(5):
            rig.outbox.commit([rig.event(f"{n}.kz")], {}, rig.health, now=NOW)
            await rig.until(lambda n=n: shipper.stats.batches == n + 1)
    assert sum(delivery.health is not None for delivery in rig.endpoint.deliveries) == 1


async def test_a_corrupt_outbox_does_not_keep_the_others_back(rig, folder):
    (folder / "a.outbox").write_text("garbage " * 1000)
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    with structlog.testing.capture_logs() as logs:
        async with running(rig.make()) as shipper:
            await rig.until(lambda: shipper.stats.batches == 1)
    assert [entry["event"] for entry in logs] == ["outbox_unreadable"]
    assert rig.endpoint.store.events() == [("a.kz", 1)]


async def test_an_outbox_begun_anew_is_shipped(rig, folder):
    rig.outbox.commit([rig.event("old.kz")], {}, now=NOW)
    async with running(rig.make()) as shipper:
        await rig.until(lambda: shipper.stats.batches == 1)
        rig.outbox.close()
        rig.outbox.path.write_text("garbage " * 1000)
        for suffix in ("-wal", "-shm"):
            Path(f"{rig.outbox.path}{suffix}").unlink(missing_ok=True)
        with structlog.testing.capture_logs():
            rig.outbox.commit([rig.event("new.kz")], {}, now=NOW)
            await rig.until(lambda: shipper.stats.batches == 2)
    assert rig.endpoint.store.events() == [("old.kz", 1), ("new.kz", 1)]


async def test_a_locked_outbox_is_shipped_and_emptied_later(rig):
    rig.outbox.commit([rig.event("a.kz")], {}, now=NOW)
    rig.outbox.close()
    other = sqlite3.connect(rig.outbox.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with running(rig.make()) as shipper:
        await rig.until(lambda: rig.endpoint.store.events() == [("a.kz", 1)])
        other.execute("COMMIT")
        other.close()
        await rig.until(lambda: shipper.stats.batches == 1 and rig.outbox.waiting().batches == 0)
    assert len(rig.endpoint.deliveries) == 1


async def test_drain_ships_what_is_left(rig):
    for n in range(100):
        rig.outbox.commit([rig.event(f"{n}.kz")], {}, now=NOW)
    assert await rig.make().drain(30)
    assert len(rig.endpoint.store.events()) == 100
    assert rig.outbox.waiting().batches == 0


async def test_drain_gives_up_when_nobody_is_there(rig, unused_tcp_port):
    rig.outbox.commit([rig.event()], {}, now=NOW)
    assert not await rig.make(endpoint=f"http://127.0.0.1:{unused_tcp_port}").drain(30)
    assert rig.outbox.waiting().batches == 1


async def test_a_folder_that_is_not_there_yet(rig, tmp_path):
    shipper = rig.make(outboxes=tmp_path / "nowhere")
    assert await shipper._step() == shipper._settings.poll
    await shipper.close()


async def test_the_latest_selftest_goes_with_health(rig):
    rig.outbox.commit([], {}, rig.health, now=NOW)
    selftest = SelfTest(
        at=NOW, tested=35, failed=["games"], no_source=[], learning_tested=60, learning_answered=58
    )
    async with running(rig.make(health_interval=0.02, selftest=lambda: selftest)):
        await rig.until(lambda: rig.endpoint.deliveries)
    assert rig.endpoint.deliveries[0].health.selftest == selftest
