"""What stands in the outbox's tables: events and usage to batches and back to counts; SQL without policy.

Works within the transaction of its caller. Never opens, closes or commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from filterd.events.batch import MAX_ALIVE, Alive, Event, Usage
from filterd.events.outboxfile import USAGE

BATCH_BYTES = 256 * 1024
BATCH_EVENTS = 1000
BATCH_USAGE = 2000

_USAGE_FIELDS = ("hour", "group", "tier", "category", "outcome", "queries")
_USAGE_WAITS = "SELECT 1 FROM batches WHERE kind = 1 LIMIT 1"  # a literal, so that the partial index serves

# Hour (UTC seconds), group, tier, category, outcome.
UsageKey = tuple[int, str, str, str, str]


def count(connection: sqlite3.Connection, name: str, amount: int) -> None:
    """Add to a counter kept in the file."""
    connection.execute(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        (name, amount),
    )


def bytes_used(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use: what the file would take if its free pages were given back."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def insert(connection: sqlite3.Connection, kind: int, now: int, lookups: int, payload: bytes) -> None:
    """Add a batch; `payload` is the JSON of a `Batch` without its sequence."""
    connection.execute(
        "INSERT INTO batches (kind, committed_at, lookups, payload) VALUES (?, ?, ?, ?)",
        (kind, now, lookups, payload),
    )


def payloads(events: Sequence[Event]) -> Iterator[tuple[bytes, int]]:
    """Yield the JSON of a `Batch` without its sequence, and the lookups in it; each under the limits."""
    texts: list[bytes] = []
    size = lookups = 0
    for event in events:
        text = event.model_dump_json().encode()
        if texts and (len(texts) == BATCH_EVENTS or size + len(text) > BATCH_BYTES):
            yield _payload(texts, []), lookups
            texts, size, lookups = [], 0, 0
        texts.append(text)
        size += len(text) + 1
        lookups += event.count
    if texts:
        yield _payload(texts, []), lookups


def _payload(events: Sequence[bytes], usage: Sequence[bytes], alive: Sequence[bytes] = ()) -> bytes:
    joined = (b",".join(events), b",".join(usage))
    if not alive:
        return b'{"events":[%b],"usage":[%b]}' % joined
    return b'{"events":[%b],"usage":[%b],"alive":[%b]}' % (*joined, b",".join(alive))


def gather(connection: sqlite3.Connection, usage: Mapping[UsageKey, int]) -> None:
    """Add usage to what gathers."""
    connection.executemany(
        "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET queries = queries + excluded.queries",
        [(*key, queries) for key, queries in usage.items()],
    )


def gather_alive(connection: sqlite3.Connection, alive: Mapping[int, int]) -> None:
    """Add uptime to what gathers: a step that is marked stays marked."""
    connection.executemany(
        "INSERT INTO alive VALUES (?, ?) ON CONFLICT DO UPDATE SET steps = steps | excluded.steps",
        list(alive.items()),
    )


def cut_usage(connection: sqlite3.Connection, now: int) -> None:
    """Make a batch of usage and uptime that gathered, the earliest first, unless one waits already."""
    if connection.execute(_USAGE_WAITS).fetchone():
        return  # it may be at the endpoint already: what came since goes into the next one
    rows = connection.execute("SELECT * FROM usage LIMIT ?", (BATCH_USAGE,)).fetchall()
    texts = []
    for row in rows:
        try:
            usage = Usage.model_validate(dict(zip(_USAGE_FIELDS, row, strict=True)))
        except ValidationError:  # one such row would make the endpoint refuse the batch
            count(connection, "dropped_usage", row[-1])
            continue
        texts.append(usage.model_dump_json().encode())
    alive = _cut_alive(connection)
    if texts or alive:
        insert(connection, USAGE, now, 0, _payload([], texts, alive))
    connection.executemany(
        "DELETE FROM usage WHERE (hour, grp, tier, category, outcome) = (?, ?, ?, ?, ?)",
        [row[:5] for row in rows],
    )


def _cut_alive(connection: sqlite3.Connection) -> list[bytes]:
    rows = connection.execute("SELECT hour, steps FROM alive ORDER BY hour LIMIT ?", (MAX_ALIVE,)).fetchall()
    connection.executemany("DELETE FROM alive WHERE hour = ?", [(hour,) for hour, _ in rows])
    return [Alive(hour=hour, steps=steps).model_dump_json().encode() for hour, steps in rows]
