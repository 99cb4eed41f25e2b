"""Months of growing size in PostgreSQL, and how long the queries of a region's monthly report take on them.

The schema is made by the store's own migrations; rows are made inside the database, the roll-ups from the
events as filterd makes them. Never measures the writing: ingest.py does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

import asyncpg

from filterd.monitor.days import DAY_SECONDS
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.partitions import PARTITIONED, make_ahead
from filterd.monitor.store.store import Store
from harness.postgres import Cluster

SCHOOLS = 100
_DEVICES, _DAYS = 300, 28
_MILLION = 1_000_000
Say: TypeAlias = Callable[[str], None]
Figures: TypeAlias = dict[str, Any]

# One event from its number: hashint8 scatters it over school, device, time, category and name.
_EVENTS = """
INSERT INTO events (school, bucket, key, group_id, tier, pseudonym, domain, name, category, list_id, rule,
                    layer, verdict, reason, hints, count, received)
SELECT 'school-' || lpad(school::text, 4, '0'), at, decode(md5(n::text), 'hex'), 'class-' || device % 20,
       (ARRAY['primary', 'middle', 'senior'])[device % 3 + 1],
       substr(translate(md5(school || '-' || device), '0189', 'wxyz'), 1, 26),
       domain, 'www.' || domain, category, 'ut1-' || category, domain, 'baseline', 'block', 'category', '',
       1 + n % 3, at + 60
FROM (
  SELECT n, (h % {schools})::int AS school, (h / 1009 % {devices})::int AS device,
         {start} + (h / 7 % {days}) * 86400 + 10800 + (h / 31 % 84) * 300 AS at,
         (ARRAY['ads','ads','ads','ads','games','social','video','malware','gambling','vpn'])[h / 13 % 10 + 1]
           AS category,
         'name-' || (h / 17 % 20000) || '.com' AS domain
  FROM (SELECT n, abs(hashint8extended(n, 1) % 1000000007000000) AS h
        FROM generate_series({first}::bigint, {last}::bigint) AS n) AS numbers
) AS made
"""
_DEVICE_DAYS = """
INSERT INTO device_days (school, day, pseudonym, category, group_id, tier, hits, doubtful, domains,
                         episodes, buckets)
SELECT school, bucket / 86400, pseudonym, category, min(group_id), min(tier),
       count(DISTINCT (domain, bucket)), 0, count(DISTINCT domain), 0,
       string_agg(DISTINCT (bucket % 86400 / 300)::text, ',')
FROM events GROUP BY school, bucket / 86400, pseudonym, category
"""
_USAGE = """
INSERT INTO usage_months (school, month, tier, category, outcome, queries)
SELECT 'school-' || lpad(school::text, 4, '0'), {month}, tier, category, outcome, 1000 + school
FROM generate_series(0, {schools} - 1) AS school,
     unnest(ARRAY['primary', 'middle', 'senior', 'staff', 'guest']) AS tier,
     unnest(ARRAY['', 'ads', 'games', 'social', 'video', 'malware', 'gambling', 'vpn']) AS category,
     unnest(ARRAY['allowed', 'blocked', 'rewritten']) AS outcome
"""
_UPTIME = """
INSERT INTO box_hours (school, box, hour, steps)
SELECT 'school-' || lpad(school::text, 4, '0'), 'box', {start} + hour * 3600, 4095
FROM generate_series(0, {schools} - 1) AS school, generate_series(0, 24 * {days} - 1) AS hour
"""
_QUERIES = {
    "lookups by school, tier, category, outcome": (
        "SELECT school, tier, category, outcome, sum(queries) FROM usage_months WHERE month = {month}"
        " GROUP BY school, tier, category, outcome"
    ),
    # A pseudonym is made with a secret of its box: the region's devices are the sum of its schools'.
    "devices of each school by category and tier": (
        "SELECT school, category, tier, count(DISTINCT pseudonym), sum(hits) FROM device_days"
        " WHERE day BETWEEN {first_day} AND {last_day} GROUP BY school, category, tier"
    ),
    "uptime of each school": (
        "SELECT school, sum(bit_count(steps::bit(12))) FROM box_hours"
        " WHERE hour BETWEEN {start} AND {end} GROUP BY school"
    ),
    "one school: devices by category and tier": (
        "SELECT category, tier, count(DISTINCT pseudonym) FROM device_days WHERE school = 'school-0042'"
        " AND day BETWEEN {first_day} AND {last_day} GROUP BY category, tier"
    ),
    "for comparison, from the events": (
        "SELECT school, category, tier, count(DISTINCT pseudonym) FROM events"
        " WHERE bucket BETWEEN {start} AND {end} GROUP BY school, category, tier"
    ),
}
REPORT = tuple(_QUERIES)[:3]  # what the region's report needs


def run(millions: Sequence[float], say: Say) -> list[Figures]:
    """Fill a database step by step and time the queries at each size."""
    with Cluster.make() as cluster:
        cluster.start(shared_buffers="1GB", max_wal_size="8GB", work_mem="64MB", max_parallel_workers="2")
        return asyncio.run(_grow(cluster.url("postgres"), sorted(millions), say))


async def _grow(url: str, millions: Sequence[float], say: Say) -> list[Figures]:
    today = datetime.now(UTC)
    start = int(datetime(today.year, today.month, 1, tzinfo=UTC).timestamp())
    store = await Store.open(MonitorSettings(listen=(("127.0.0.1", 0),), database=url, boxes={}))
    for part in PARTITIONED:
        for week in range(0, _DAYS, 7):  # as the month would have made them, each a week ahead
            await store.write(partial(make_ahead, part=part, now=start + week * DAY_SECONDS))
    await store.close()
    values = {
        "start": start,
        "end": start + _DAYS * DAY_SECONDS - 1,
        "first_day": start // DAY_SECONDS,
        "last_day": start // DAY_SECONDS + _DAYS - 1,
        "month": today.year * 12 + today.month - 1,
        "schools": SCHOOLS,
        "devices": _DEVICES,
        "days": _DAYS,
    }
    connection = await asyncpg.connect(url)
    try:
        for statement in (_USAGE, _UPTIME):
            await connection.execute(statement.format(**values))
        found = []
        filled = 0
        for million in millions:
            events = int(million * _MILLION)
            say(f"filling to {events:,} events of {SCHOOLS} schools ...")
            await connection.execute(_EVENTS.format(**values, first=filled + 1, last=events))
            filled = events
            await connection.execute("TRUNCATE device_days")
            await connection.execute(_DEVICE_DAYS)
            await connection.execute("VACUUM (ANALYZE)")
            found.append(await _figures(connection, values, say))
            say(f"the report's queries took {found[-1]['report_seconds']} s")
        return found
    finally:
        await connection.close()


async def _figures(connection: Any, values: dict[str, int], say: Say) -> Figures:
    say("asking ...")
    size = (  # a table that is not partitioned has no tree
        "SELECT coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1::regclass)"
        " WHERE isleaf), pg_total_relation_size($1::regclass))"
    )
    figures: Figures = {
        "events": await connection.fetchval("SELECT count(*) FROM events"),
        "device_days": await connection.fetchval("SELECT count(*) FROM device_days"),
        "events_bytes": int(await connection.fetchval(size, "events")),
        "device_days_bytes": int(await connection.fetchval(size, "device_days")),
        "seconds": {},
    }
    for name, query in _QUERIES.items():
        text = query.format(**values)
        await connection.fetch(text)
        begun = time.perf_counter()
        await connection.fetch(text)
        figures["seconds"][name] = round(time.perf_counter() - begun, 3)
    figures["report_seconds"] = round(sum(figures["seconds"][name] for name in REPORT), 3)
    return figures


def table(found: Sequence[Figures]) -> str:
    """Return the sizes side by side, for a person."""
    rows: list[tuple[str, list[str]]] = [
        ("events", [f"{one['events']:,}" for one in found]),
        ("rows of device_days", [f"{one['device_days']:,}" for one in found]),
        ("events on disk, MB", [f"{one['events_bytes'] / 1e6:,.0f}" for one in found]),
        ("device_days on disk, MB", [f"{one['device_days_bytes'] / 1e6:,.0f}" for one in found]),
    ]
    rows += [(f"{name}, s", [f"{one['seconds'][name]:.2f}" for one in found]) for name in _QUERIES]
    rows.append(("all that the region's report needs, s", [f"{one['report_seconds']:.2f}" for one in found]))
    return "".join(f"{title:48}" + "".join(f"{cell:>13}" for cell in cells) + "\n" for title, cells in rows)
