"""Deliveries replayed, reordered, cut and forged: the right answer, counted, and nothing stored twice."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from typing import Any

import pytest

BOX = '{box="box1",school="school-1"}'
PACKED = {"Content-Encoding": "gzip"}

pytestmark = pytest.mark.both_engines


def named(make: Any, number: int, **changes: Any) -> Any:
    return make.batch(number, [make.event(name=f"b{number}.example", **changes)])


def stored(monitor: Any) -> list[tuple[Any, ...]]:
    return list(monitor.sql("SELECT name, count FROM events ORDER BY name"))


async def test_replayed_and_reordered_deliveries_are_stored_once(monitor: Any, make: Any) -> None:
    chance = random.Random(7)
    sent = [make.delivery(named(make, n), named(make, n + 1)) for n in range(1, 30, 2)] * 4
    chance.shuffle(sent)
    replies = await asyncio.gather(*(monitor.post(delivery, packed=True) for delivery in sent))
    assert [status for status, _ in replies] == [200] * len(sent)
    assert stored(monitor) == sorted((f"b{n}.example", 1) for n in range(1, 31))
    assert monitor.sql("SELECT sum(queries) FROM usage_totals") == [(30,)]
    assert monitor.sql("SELECT count(*) FROM gaps") == [(0,)]
    assert (await monitor.metric("filterd_box_duplicate_batches_total"))[BOX] == 90
    results = await monitor.metric("filterd_ingest_batches_total")
    assert results == {'{result="new"}': 30, '{result="duplicate"}': 90}


async def test_a_known_number_with_other_content_changes_nothing(monitor: Any, make: Any) -> None:
    await monitor.post(make.delivery(named(make, 1)))
    forged = make.batch(1, [make.event(name="forged.example", count=1000)])
    assert await monitor.post(make.delivery(forged)) == (200, {"acknowledged": [1]})
    assert stored(monitor) == [("b1.example", 1)]
    assert (await monitor.metric("filterd_box_duplicate_batches_total"))[BOX] == 1


async def test_a_delivery_cut_anywhere_is_refused_whole(monitor: Any, make: Any) -> None:
    body = json.dumps(make.delivery(named(make, 1), named(make, 2))).encode()
    packed = gzip.compress(body)
    for whole, headers in ((body, {}), (packed, PACKED)):
        for end in range(1, len(whole), len(whole) // 17):
            status, problem = await monitor.post(whole[:end], headers=headers)
            assert status == 400, problem
    assert stored(monitor) == []
    assert monitor.sql("SELECT count(*) FROM streams") == [(0,)]
    counts = await monitor.metric("filterd_ingest_deliveries_total")
    assert counts['{result="bad-json"}'] > 0
    assert counts['{result="bad-gzip"}'] > 0
    assert (await monitor.post(packed, headers=PACKED))[0] == 200


async def test_who_speaks_for_another_is_refused_and_leaves_no_trace(monitor: Any, make: Any) -> None:
    delivery = make.delivery(named(make, 1))
    for changes, token, wanted in (
        ({}, "made up", 401),
        ({}, "token of box two", 403),  # another box of the same school
        ({}, "token of the far school", 403),
        ({"box": "box2"}, "token of box one", 403),
        ({"school": "school-2"}, "token of box one", 403),
        ({"box": "far1", "school": "school-2"}, "token of box one", 403),
    ):
        status, problem = await monitor.post(delivery | changes, token=token)
        assert status == wanted, (changes, token)
        assert "made up" not in json.dumps(problem)
    for table in ("events", "usage", "boxes", "streams"):
        assert monitor.sql(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
    counts = await monitor.metric("filterd_ingest_deliveries_total")
    assert counts == {'{result="bad-token"}': 1, '{result="foreign-box"}': 5}


@pytest.mark.parametrize("sequence", [0, -1, 2**53 + 1, 1.5, "1", None, True])
async def test_a_sequence_that_is_none_refuses_the_delivery(monitor: Any, make: Any, sequence: Any) -> None:
    batch = named(make, 1) | {"sequence": sequence}
    assert (await monitor.post(make.delivery(batch)))[0] == 422
    assert stored(monitor) == []


async def test_a_sequence_far_ahead_hides_nothing_that_comes_later(monitor: Any, make: Any) -> None:
    """Somebody with the box's token skips ahead: the box's own batches still fit into the gap."""
    await monitor.post(make.delivery(named(make, 1)))
    assert (await monitor.post(make.delivery(named(make, 2**53))))[0] == 200
    missing = (await monitor.metric("filterd_box_missing_batches"))[BOX]
    assert missing == 2**53 - 2
    for number in (3, 2, 4):
        assert (await monitor.post(make.delivery(named(make, number))))[0] == 200
    assert [name for name, _ in stored(monitor)] == [
        "b1.example", "b2.example", "b3.example", "b4.example", f"b{2**53}.example"
    ]  # fmt: skip
