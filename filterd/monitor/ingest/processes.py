"""The boxes' reports of their health in the store: the latest of each process, only what health.py knows."""

from __future__ import annotations

import json
import math

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.events.batch import Delivery, Health
from filterd.monitor.health import KNOWN_KEYS
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.schema import PROCESSES
from filterd.monitor.store.sql import same, upsert

_REORDERED_SECONDS = 60  # an older report that comes within so long of a newer one was overtaken by it
_VALUES = ("received", "at", "started", "version", "policy_version", "index_version", "health")
_LAST = select(PROCESSES.c.at, PROCESSES.c.started, PROCESSES.c.received).where(
    *same(PROCESSES, "school", "box", "stream")
)
_ALL_OF_BOX = (
    select(PROCESSES.c.stream)
    .where(*same(PROCESSES, "school", "box"))
    .order_by(PROCESSES.c.received.desc(), PROCESSES.c.stream)
)


async def store_report(
    connection: AsyncConnection, delivery: Delivery, health: Health, limits: MonitorLimits, now: int
) -> dict[str, int]:
    """Keep a report if it is news; return what is to be counted of the box."""
    if not await _is_news(connection, delivery, health, now):
        return {}
    known = {k: v for k, v in health.values.items() if k in KNOWN_KEYS and math.isfinite(v)}
    row = {
        "school": delivery.school,
        "box": delivery.box,
        "stream": delivery.stream,
        "received": now,
        "at": health.at,
        "started": health.started,
        "version": health.version,
        "policy_version": health.policy_version,
        "index_version": health.index_version,
        "health": json.dumps(known),
    }
    await connection.execute(upsert(connection, PROCESSES, replace=_VALUES), row)
    await _forget_oldest(connection, delivery, limits.streams_per_box)
    return {"ignored_values": len(health.values) - len(known)}


async def _is_news(connection: AsyncConnection, delivery: Delivery, health: Health, now: int) -> bool:
    """Tell whether a report says something new.

    The outbox of a process that is dead is still emptied, and its last report sent again and again: that
    must not look like life. A report that a newer one has overtaken is none either. Beyond a minute times
    are not compared: a box whose clock is set back must not fall silent.
    """
    key = {"key_school": delivery.school, "key_box": delivery.box, "key_stream": delivery.stream}
    last = (await connection.execute(_LAST, key)).one_or_none()
    if last is None or last.started != health.started or health.at > last.at:
        return True
    return bool(health.at < last.at and abs(now - last.received) >= _REORDERED_SECONDS)


async def _forget_oldest(connection: AsyncConnection, delivery: Delivery, keep: int) -> None:
    box = {"key_school": delivery.school, "key_box": delivery.box}
    known = (await connection.scalars(_ALL_OF_BOX, box)).all()
    if surplus := [stream for stream in known if stream != delivery.stream][keep - 1 :]:
        statement = delete(PROCESSES).where(
            *same(PROCESSES, "school", "box"), PROCESSES.c.stream.in_(surplus)
        )
        await connection.execute(statement, box)
