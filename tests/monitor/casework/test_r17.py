"""R17: a review card can be handed to a safeguarding system, and the system is told that there is one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import insert, select

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.casework import cases, notices
from filterd.monitor.settings import WebhookSettings
from filterd.monitor.store.paperwork import CARDS, NOTICES
from filterd.monitor.store.schema import DEVICE_DAYS, EVENTS
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000
DAY = NOW // 86_400
SECRET = b"a secret of both sides"
PSEUDONYM = "abcdefghij234567"

CARD = {
    "school": "school-1",
    "number": 7,
    "category": "gambling",
    "tier": "middle",
    "pseudonym": PSEUDONYM,
    "pattern": "sustained",
    "opened": NOW,
    "closed": 0,
    "state": "open",
    "reviewer": "Aliya Serikovna",
    "note": b"sealed: talked with the class",
}
DAY_ROW = {
    "school": "school-1",
    "day": DAY,
    "pseudonym": PSEUDONYM,
    "category": "gambling",
    "group_id": "class-7",
    "tier": "middle",
    "hits": 5,
    "doubtful": 2,
    "domains": 3,
    "episodes": 1,
    "buckets": "120,121,125,126,150",
}


async def fill(store: Store, **changes: Any) -> None:
    other = DAY_ROW | {"pseudonym": "zzzzzzzz", "hits": 99}
    event = {
        "school": "school-1", "bucket": NOW, "key": b"0" * 16, "group_id": "class-7", "tier": "middle",
        "pseudonym": PSEUDONYM, "domain": "casino.example", "name": "www.casino.example",
        "category": "gambling",
        "list_id": "l", "rule": "casino.example", "layer": "baseline", "verdict": "block",
        "reason": "category",
        "hints": "", "count": 3, "received": NOW,
    }  # fmt: skip

    async def work(connection: Any) -> None:
        await connection.execute(insert(CARDS), [CARD | changes])
        await connection.execute(insert(DEVICE_DAYS), [DAY_ROW, other])
        await connection.execute(insert(EVENTS), [event])

    await store.write(work)


async def export(store: Store, **changes: Any) -> dict[str, Any]:
    values = {"by": "Aliya", "purpose": "council of the school", "now": NOW} | changes
    number = values.pop("number", 7)
    return await store.write(lambda c: cases.export(c, "school-1", number, **values))


async def test_r17_the_export_holds_what_may_be_seen_and_nothing_else(store: Store) -> None:
    await fill(store)
    found = await export(store)
    assert found["days"] == [
        {
            "date": "2026-11-18",
            "half_hours": ["10:00", "10:30", "12:30"],
            "hits": 5,
            "of_these_doubtful": 2,
            "distinct_sites": 3,
            "episodes": 1,
        }
    ]
    assert (found["device"], found["pattern"], found["confidence"]) == (
        PSEUDONYM,
        "sustained",
        {"hits": 5, "of_these_doubtful": 2},
    )
    text = json.dumps(found, ensure_ascii=False)
    # school.md, "never contains": names of sites, exact times, the sealed note, addresses, numbers.
    for never in ("casino", "class-7", "sealed", "zzzzzzzz", str(NOW), "www", ".example"):
        assert never not in text
    assert not re.search(r"\d{12}|@|\d+\.\d+\.\d+\.\d+|\d\d:\d\d:\d\d", text)
    assert all(half[-2:] in {"00", "30"} for day in found["days"] for half in day["half_hours"])
    assert {"client", "ip", "mac", "name", "domain", "url", "note", "iin"}.isdisjoint(found)
    (told,) = await store.read(lambda c: audit.show(c, "school-1", 5))
    assert (told.what, told.who) == ("case.export", "Aliya")
    assert "council" in told.details
    assert PSEUDONYM not in told.details


@pytest.mark.parametrize(
    "changes",
    [
        {"tier": "staff"},
        {"category": "allow_help"},
        {"reviewer": "Aliya, IIN 050101500123"},
        {"reviewer": "aliya@mail.kz"},
    ],
)
async def test_r17_cards_that_never_leave(store: Store, changes: dict[str, str]) -> None:
    await fill(store, **changes)
    with pytest.raises(PaperworkError):
        await export(store)
    assert await store.read(audit.heads) == {}


async def test_r17_no_export_without_a_person_and_a_purpose(store: Store) -> None:
    await fill(store)
    for changes in ({"by": ""}, {"purpose": " "}, {"purpose": "for 050101500123"}, {"number": 8}):
        with pytest.raises(PaperworkError):
            await export(store, **changes)


class Receiver:
    """A real server that fails as it is told to."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "cut":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if answer == 302:
            raise web.HTTPFound("/elsewhere")
        return web.Response(status=int(answer), text="x" * 100_000 if answer == 500 else "")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    one.url = f"http://{host}:{port}/hook"
    yield one
    await runner.cleanup()


def settings_of(url: str, **changes: Any) -> WebhookSettings:
    patience = {"every": 0.05, "first_wait": 1.0, "longest_wait": 1.0}
    return WebhookSettings(url, SECRET, **(patience | changes))


async def until(check: Any) -> None:
    deadline = time.monotonic() + 60
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_r17_the_webhook_tells_until_it_is_heard(start: Any, store: Store, receiver: Receiver) -> None:
    receiver.answers = [500, "cut", 302, 404, 204]
    monitor = await start(webhook=settings_of(receiver.url))
    name = await store.write(lambda c: notices.add(c, "school-1", "card", most=9, now=int(time.time())))

    async def told() -> bool:
        return bool((await monitor.metric("filterd_webhook_notices_total")).get('{result="told"}'))

    await until(told)
    assert len(receiver.got) == 5  # four failures, no redirect followed, then heard
    assert (await monitor.metric("filterd_webhook_notices_total"))['{result="failed"}'] == 4
    assert await store.read(lambda c: c.scalar(select(NOTICES.c.id))) is None
    for headers, body in receiver.got:
        signed = hmac.new(SECRET, headers[notices.TIMESTAMP].encode() + b"." + body, hashlib.sha256)
        assert headers[notices.SIGNATURE] == f"sha256={signed.hexdigest()}"
        assert abs(int(headers[notices.TIMESTAMP]) - time.time()) < 120
        assert json.loads(body) == {
            "version": 1,
            "id": name,
            "kind": "card",
            "school": "school-1",
            "text": "There is something to read in filterd.",
        }


async def test_r17_what_waits_survives_the_monitor(start: Any, store: Store, receiver: Receiver) -> None:
    first = await start(webhook=settings_of("http://127.0.0.1:9/nobody-listens"))
    await store.write(lambda c: notices.add(c, "school-1", "card", most=9, now=int(time.time())))

    async def failed() -> bool:
        return bool((await first.metric("filterd_webhook_notices_total")).get('{result="failed"}'))

    await until(failed)
    await first.end()
    await start(webhook=settings_of(receiver.url))

    async def heard() -> bool:
        return bool(receiver.got)

    await until(heard)
    assert json.loads(receiver.got[0][1])["school"] == "school-1"


async def test_r17_in_the_end_it_is_given_up_and_counted(
    start: Any, store: Store, receiver: Receiver
) -> None:
    receiver.answers = [500] * 1000
    monitor = await start(webhook=settings_of(receiver.url, give_up=0.0))
    await store.write(lambda c: notices.add(c, "school-1", "card", most=9, now=int(time.time())))

    async def dropped() -> bool:
        return bool((await monitor.metric("filterd_webhook_notices_total")).get('{result="dropped"}'))

    await until(dropped)
    assert await store.read(lambda c: c.scalar(select(NOTICES.c.id))) is None


async def test_r17_the_queue_is_bounded_and_knows_its_kinds(store: Store) -> None:
    for _ in range(2):
        await store.write(lambda c: notices.add(c, "school-1", "review", most=2, now=NOW))
    for kind in ("card", "gambling"):
        with pytest.raises(PaperworkError):
            await store.write(lambda c, k=kind: notices.add(c, "school-1", k, most=2, now=NOW))


async def test_r17_two_monitors_tell_a_notice_once(store: Store) -> None:
    await store.write(lambda c: notices.add(c, "school-1", "card", most=9, now=NOW))
    (seen,) = await store.read(lambda c: notices.due(c, NOW))
    assert await store.write(lambda c: notices.claim(c, seen, NOW + 60))
    assert not await store.write(lambda c: notices.claim(c, seen, NOW + 60))
    assert await store.read(lambda c: notices.due(c, NOW + 59)) == []
    assert len(await store.read(lambda c: notices.due(c, NOW + 60))) == 1  # had its monitor died
