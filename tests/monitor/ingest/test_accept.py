from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.sql import MOST

pytestmark = pytest.mark.both_engines

WRONG, OF_BOX1 = "wrong", "token of box one"


async def test_a_delivery_is_stored_and_acknowledged(monitor: Any, make: Any) -> None:
    status, receipt = await monitor.post(make.delivery(make.batch(1), make.batch(2), health=make.health()))
    assert (status, receipt) == (200, {"acknowledged": [1, 2]})
    assert monitor.sql("SELECT school, name, count FROM events") == [("school-1", "www.casino.example", 2)]
    assert monitor.sql("SELECT school, outcome, queries FROM usage") == [("school-1", "allowed", 2)]


async def test_gzip(monitor: Any, make: Any) -> None:
    assert (await monitor.post(make.delivery(make.batch(1)), packed=True))[0] == 200
    assert monitor.sql("SELECT sum(count) FROM events") == [(1,)]


async def test_an_empty_delivery_is_a_sign_of_life(monitor: Any, make: Any) -> None:
    assert await monitor.post(make.delivery()) == (200, {"acknowledged": []})
    assert monitor.sql("SELECT box, last_seen FROM boxes") == [("box1", make.now)]
    assert monitor.sql("SELECT * FROM streams") == []


async def test_sent_again_is_acknowledged_and_not_stored_again(monitor: Any, make: Any) -> None:
    delivery = make.delivery(make.batch(1), make.batch(2))
    for _ in range(3):
        assert await monitor.post(delivery) == (200, {"acknowledged": [1, 2]})
    assert await monitor.post(make.delivery(make.batch(2), make.batch(3))) == (200, {"acknowledged": [2, 3]})
    assert monitor.sql("SELECT sum(count) FROM events") == [(3,)]
    assert monitor.sql("SELECT sum(queries) FROM usage") == [(3,)]
    assert monitor.sql("SELECT stored_batches, duplicate_batches FROM boxes") == [(3, 5)]


async def test_the_same_numbers_of_another_stream_or_box_are_other_batches(monitor: Any, make: Any) -> None:
    for stream in ("0" * 32, "f" * 32):
        for box in ("box1", "box2"):
            await monitor.post(make.delivery(make.batch(1), box=box, stream=stream))
    assert monitor.sql("SELECT sum(count) FROM events") == [(4,)]


async def test_reordered_batches_fill_their_gap(monitor: Any, make: Any) -> None:
    await monitor.post(make.delivery(make.batch(5)))
    assert monitor.sql("SELECT first, last FROM gaps") == [(1, 4)]
    assert await monitor.metric("filterd_box_missing_batches") == {
        '{box="box1",school="school-1"}': 4,
        '{box="box2",school="school-1"}': 0,
        '{box="far1",school="school-2"}': 0,
    }
    for numbers in ((2, 3), (1, 2), (4, 5)):
        assert (await monitor.post(make.delivery(*map(make.batch, numbers))))[0] == 200
    assert monitor.sql("SELECT first FROM gaps") == []
    assert monitor.sql("SELECT sum(count) FROM events") == [(5,)]


async def test_one_bad_batch_refuses_all_until_it_is_left_out(monitor: Any, make: Any) -> None:
    batches = [make.batch(n) for n in (1, 2, 3)]
    batches[1]["events"][0]["count"] = "many"
    status, problem = await monitor.post(make.delivery(*batches))
    assert (status, problem["sequence"], problem["status"]) == (422, 2, 422)
    assert monitor.sql("SELECT * FROM events") == []
    assert (await monitor.post(make.delivery(batches[0], batches[2])))[1] == {"acknowledged": [1, 3]}


async def test_control_characters_refuse_the_batch(monitor: Any, make: Any) -> None:
    bad = make.batch(2, [make.event(rule="a\0b")])
    status, problem = await monitor.post(make.delivery(make.batch(1), bad))
    assert (status, problem["sequence"]) == (422, 2)
    assert monitor.sql("SELECT * FROM streams") == []


async def test_gaps_are_bounded_and_what_is_given_up_is_told(start: Any, make: Any) -> None:
    monitor = await start(limits=MonitorLimits(gaps_per_stream=3))
    for number in range(2, 14, 2):
        assert (await monitor.post(make.delivery(make.batch(number))))[0] == 200
    assert monitor.sql("SELECT first, last FROM gaps") == [(7, 7), (9, 9), (11, 11)]
    status, problem = await monitor.post(make.delivery(make.batch(1), make.batch(7)))
    assert (status, problem["code"], problem["sequence"]) == (422, "forgotten", 1)
    assert (await monitor.post(make.delivery(make.batch(7))))[0] == 200
    assert (await monitor.metric("filterd_box_lost_batches_total"))['{box="box1",school="school-1"}'] == 3


async def test_streams_are_bounded(start: Any, make: Any, clock: Any) -> None:
    monitor = await start(clock=clock, limits=MonitorLimits(streams_per_box=4))
    for number in range(10):
        clock.now += 1
        delivery = make.delivery(
            make.batch(2), stream=f"{number:032x}", health=make.health(at=int(clock.now))
        )
        assert (await monitor.post(delivery))[0] == 200
    kept = [(f"{number:032x}",) for number in range(6, 10)]
    for table in ("streams", "gaps", "processes"):
        assert monitor.sql(f"SELECT stream FROM {table} ORDER BY stream") == kept  # noqa: S608


async def test_a_forged_token_a_wrong_box_and_a_wrong_school(monitor: Any, make: Any) -> None:
    delivery = make.delivery(make.batch(1))
    assert (await monitor.post(delivery, token=WRONG))[0] == 401
    assert (await monitor.post(delivery, token=""))[0] == 401
    assert (await monitor.post(delivery | {"box": "box2"}, token=OF_BOX1))[0] == 403
    assert (await monitor.post(delivery | {"box": "unknown"}, token=OF_BOX1))[0] == 403
    assert (await monitor.post(delivery | {"school": "school-2"}))[0] == 403
    assert monitor.sql("SELECT * FROM events") == []


async def test_many_boxes_at_once(monitor: Any, make: Any) -> None:
    rounds = 25
    chance = random.Random(5)

    async def one(box: str, stream: str) -> None:
        for number in range(1, rounds + 1):
            delivery = make.delivery(make.batch(number), make.batch(number + 1), box=box, stream=stream)
            status, receipt = await monitor.post(delivery, packed=chance.random() < 0.5)
            assert (status, receipt) == (200, {"acknowledged": [number, number + 1]})

    await asyncio.gather(*(one(box, f"{n:032x}") for box in ("box1", "box2", "far1") for n in range(8)))
    expected = 8 * (rounds + 1)
    totals = monitor.sql("SELECT school, sum(count) FROM events GROUP BY school ORDER BY 1")
    assert totals == [("school-1", 2 * expected), ("school-2", expected)]
    assert monitor.sql("SELECT sum(queries) FROM usage_totals") == [(3 * expected,)]
    assert monitor.sql("SELECT count(*) FROM gaps") == [(0,)]


async def test_the_same_batch_from_many_connections_is_stored_once(monitor: Any, make: Any) -> None:
    replies = await asyncio.gather(*(monitor.post(make.delivery(make.batch(1))) for _ in range(30)))
    assert replies == [(200, {"acknowledged": [1]})] * 30
    assert monitor.sql("SELECT count FROM events") == [(1,)]


async def test_wrong_clocks_are_counted(monitor: Any, make: Any) -> None:
    far = make.now - make.now % 300 + 3 * 86_400
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=far), make.event()])))
    counts = await monitor.metric("filterd_box_future_events_total")
    assert counts['{box="box1",school="school-1"}'] == 1
    await monitor.post(make.delivery(health=make.health(at=make.now + 400 * 86_400)))
    offsets = await monitor.metric("filterd_box_clock_offset_seconds")
    assert offsets['{box="box1",school="school-1"}'] == 400 * 86_400


async def test_the_latest_report_counts(monitor: Any, make: Any, clock: Any) -> None:
    async def report(**changes: object) -> float | None:
        await monitor.post(make.delivery(health=make.health(**changes)))
        found = await monitor.metric("filterd_cache_entries")
        return found.get('{box="box1",school="school-1"}')

    assert await report(values={"cache_entries": 1}) == 1
    assert await report(at=make.now + 10, values={"cache_entries": 2}) == 2
    assert await report(at=make.now + 5, values={"cache_entries": 3}) == 2  # overtaken on its way
    assert await report(at=make.now + 5, started=make.now, values={"cache_entries": 4}) == 4  # restarted
    clock.now += 120
    # The clock was set back.
    assert await report(at=make.now - 9999, started=make.now, values={"cache_entries": 5}) == 5


async def test_the_last_words_of_a_dead_process_are_not_life(monitor: Any, make: Any, clock: Any) -> None:
    for _ in range(5):
        await monitor.post(make.delivery(health=make.health()))
        clock.now += 300
    up = await monitor.metric("filterd_box_up")
    assert up['{box="box1",school="school-1"}'] == 1
    assert await monitor.metric("filterd_cache_entries") == {}


async def test_unknown_and_odd_health_values_are_ignored_and_counted(monitor: Any, make: Any) -> None:
    values = {"cache_entries": 3, "made_up": 1, "cache_bytes": float("nan"), "clients": float("inf")}
    assert (await monitor.post(make.delivery(health=make.health(values=values))))[0] == 200
    counts = await monitor.metric("filterd_box_ignored_values_total")
    assert counts['{box="box1",school="school-1"}'] == 3


async def test_sums_stop_before_they_overflow(monitor: Any, make: Any) -> None:
    most = [make.event(count=2**40)] * 5000
    for number in range(1, 4):
        assert (await monitor.post(make.delivery(make.batch(number, most))))[0] == 200
    assert monitor.sql("SELECT count FROM events") == [(3 * 5000 * 2**40,)]


async def test_saturation_in_sql(settings: Any) -> None:
    from filterd.monitor.store.schema import USAGE_TOTALS  # noqa: PLC0415
    from filterd.monitor.store.sql import upsert  # noqa: PLC0415
    from filterd.monitor.store.store import Store  # noqa: PLC0415

    store = await Store.open(settings)
    row = {"school": "s", "group_id": "g", "tier": "t", "category": "c", "outcome": "o", "queries": MOST}

    async def work(connection: AsyncConnection) -> int:
        await connection.execute(upsert(connection, USAGE_TOTALS, add=("queries",)), row)
        return int((await connection.execute(USAGE_TOTALS.select())).one().queries)

    assert [await store.write(work) for _ in range(3)] == [MOST] * 3
    await store.close()


@pytest.mark.parametrize(("held", "deliveries"), [(2000, 256), (10**9, 1)])
async def test_too_much_at_once_is_put_off(start: Any, make: Any, held: int, deliveries: int) -> None:
    monitor = await start(limits=MonitorLimits(held_bytes=held, deliveries=deliveries))
    replies = await asyncio.gather(*(monitor.post(make.delivery(make.batch(n))) for n in range(1, 40)))
    refused = [problem for status, problem in replies if status == 503]
    assert refused
    assert all(problem["code"] == "overloaded" for problem in refused)
    stored = sum(status == 200 for status, _ in replies)
    assert stored + len(refused) == 39
    assert monitor.sql("SELECT sum(stored_batches) FROM boxes") == [(stored,)]
    assert await monitor.metric("filterd_ingest_held_bytes") == {"": 0}


async def test_settings_survive_a_restart(start: Any, make: Any) -> None:
    monitor = await start()
    await monitor.post(make.delivery(make.batch(1)))
    await monitor.end()
    monitor = await start()
    assert await monitor.post(make.delivery(make.batch(1), make.batch(2))) == (200, {"acknowledged": [1, 2]})
    assert monitor.sql("SELECT sum(count) FROM events") == [(2,)]


async def test_deliveries_of_many_schools_are_stored_together(start: Any, make: Any) -> None:
    boxes = {f"box{n}": (f"school-{n}", hashlib.sha256(b"token %d" % n).hexdigest()) for n in range(40)}
    monitor = await start(boxes=boxes)

    async def send(number: int, *batches: Any, **changes: Any) -> tuple[int, Any]:
        delivery = make.delivery(*batches, box=f"box{number}", school=f"school-{number}", **changes)
        return await monitor.post(delivery, token=f"token {number}")

    rounds = 6
    for turn in range(1, rounds + 1):
        replies = await asyncio.gather(
            *(send(n, make.batch(turn), health=make.health(at=make.now + turn)) for n in range(40))
        )
        assert replies == [(200, {"acknowledged": [turn]})] * 40
    for table in ("events", "usage", "usage_totals", "event_totals", "boxes", "streams", "processes"):
        assert monitor.sql(f"SELECT count(DISTINCT school) FROM {table}") == [(40,)]  # noqa: S608
    assert monitor.sql("SELECT DISTINCT count FROM events") == [(rounds,)]
    assert monitor.sql("SELECT DISTINCT stored_batches FROM boxes") == [(rounds,)]


async def test_one_delivery_that_is_refused_leaves_its_neighbours_alone(start: Any, make: Any) -> None:
    monitor = await start(limits=MonitorLimits(gaps_per_stream=1))
    await monitor.post(make.delivery(make.batch(2)))
    await monitor.post(make.delivery(make.batch(4)))  # 1 is given up
    replies = await asyncio.gather(
        *(monitor.post(make.delivery(make.batch(n), box="box2")) for n in range(1, 20)),
        monitor.post(make.delivery(make.batch(1), make.batch(5))),
        *(monitor.post(make.delivery(make.batch(n), box="far1")) for n in range(1, 20)),
    )
    statuses = [status for status, _ in replies]
    assert statuses[19] == 422
    assert {*statuses[:19], *statuses[20:]} == {200}
    assert monitor.sql("SELECT sum(stored_batches) FROM boxes") == [(2 + 38,)]
