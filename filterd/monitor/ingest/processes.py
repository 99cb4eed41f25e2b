"""The boxes' reports of their health in the store: the latest of each process, only what health.py knows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery, Health
from filterd.monitor.health import KNOWN_KEYS
from filterd.monitor.ingest.streams import StreamKey, stream_key
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.schema import PROCESSES
from filterd.monitor.store.sql import pick, put, same

_REORDERED_SECONDS = 60  # an older report that comes within so long of a newer one was overtaken by it
_KEY = ("school", "box", "stream")
_VALUES = ("received", "at", "started", "version", "policy_version", "index_version", "health")
_ALL_OF_BOX = (
    select(PROCESSES.c.stream)
    .where(*same(PROCESSES, "school", "box"))
    .order_by(PROCESSES.c.received.desc(), PROCESSES.c.stream)
)


@dataclass(frozen=True, slots=True)
class _Last:
    """When the last report of a process was made, by its clock, and when it came."""

    at: int
    started: int
    received: int


async def store_reports(
    connection: AsyncConnection, deliveries: Sequence[Delivery], limits: MonitorLimits, now: int
) -> list[int]:
    """Keep the reports that are news; return for each delivery how many values of its report were ignored."""
    keys = sorted({stream_key(one) for one in deliveries if one.health is not None})
    # Not locked: should two monitors take two reports of a process at once, the next one is right again.
    stored = await pick(connection, PROCESSES, _KEY, keys, ("at", "started", "received"))
    last = {(row[0], row[1], row[2]): _Last(*row[3:]) for row in stored}
    new = [key for key in keys if key not in last]
    rows: dict[StreamKey, tuple[Any, ...]] = {}
    ignored = [0] * len(deliveries)
    for place, delivery in enumerate(deliveries):
        health = delivery.health
        if health is None or not _is_news(last.get(stream_key(delivery)), health, now):
            continue
        known = {k: v for k, v in health.values.items() if k in KNOWN_KEYS and math.isfinite(v)}
        key = stream_key(delivery)
        rows[key] = (*key, *_row(health, known, now))
        last[key] = _Last(health.at, health.started, now)
        ignored[place] = len(health.values) - len(known)
    await put(connection, PROCESSES, (*_KEY, *_VALUES), [rows[key] for key in sorted(rows)], replace=_VALUES)
    for key in new:
        await _forget_oldest(connection, key, limits.streams_per_box)
    return ignored


def _row(health: Health, known: dict[str, float], now: int) -> tuple[Any, ...]:
    versions = (health.version, health.policy_version, health.index_version)
    return (now, health.at, health.started, *versions, json.dumps(known))


def _is_news(last: _Last | None, health: Health, now: int) -> bool:
    """Tell whether a report says something new.

    The outbox of a process that is dead is still emptied, and its last report sent again and again: that
    must not look like life. A report that a newer one has overtaken is none either. Beyond a minute times
    are not compared: a box whose clock is set back must not fall silent.
    """
    if last is None or last.started != health.started or health.at > last.at:
        return True
    return bool(health.at < last.at and abs(now - last.received) >= _REORDERED_SECONDS)


async def _forget_oldest(connection: AsyncConnection, key: StreamKey, keep: int) -> None:
    school, box, new = key
    bound = {"key_school": school, "key_box": box}
    known = (await connection.scalars(_ALL_OF_BOX, bound)).all()
    if surplus := [stream for stream in known if stream != new][keep - 1 :]:
        statement = delete(PROCESSES).where(
            *same(PROCESSES, "school", "box"), PROCESSES.c.stream.in_(surplus)
        )
        await connection.execute(statement, bound)
