"""The outbox, the writer's side: what is committed here is on the disk until the endpoint has it.

Bounded in bytes, age and rows: the oldest event batches go first, usage counts are kept longest, each drop
is counted in the file. A file that is not whole is put aside and a new one begun, with a new stream.
Never talks to the network and never runs in the DNS loop.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from filterd.errors import OutboxError
from filterd.events import outboxfile, outboxrows
from filterd.events.batch import MAX_ALIVE, Event, Health
from filterd.events.outboxfile import EVENTS, OutboxBusy, OutboxCorrupt, transaction, translated
from filterd.events.outboxrows import UsageKey

_DROP_STEP = 16  # batches dropped at a time until there is room

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the outbox may hold.

    Attributes:
        max_bytes: pages in use, in bytes, at least 256 KiB; the journal beside it stays under about 8 MiB.
        max_age: seconds an event may wait; by default the 30 days events are kept anywhere.
        max_usage_rows: rows of gathered usage (hour x group x tier x category x outcome).
    """

    max_bytes: int = 64 * 1024 * 1024
    max_age: int = 30 * 86400
    max_usage_rows: int = 50_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """What has not been acknowledged.

    Attributes:
        batches: of events and of usage.
        lookups: in the batches of events.
        oldest: UTC seconds of the oldest one's commit, 0 when there is none.
        bytes: pages of the file in use.
    """

    batches: int = 0
    lookups: int = 0
    oldest: int = 0
    bytes: int = 0


class Outbox:
    """One outbox file, opened when first needed and again after any trouble. For one thread.

    Args:
        path: the file, by custom ``<name>.outbox``; the folder must exist.
        limits: see `Limits`.
        wait: seconds to wait for another connection's lock before `OutboxBusy`.
    """

    def __init__(self, path: Path, limits: Limits | None = None, *, wait: float = 0.25) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.corrupt_files = 0
        self._wait = wait
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def commit(
        self,
        events: Sequence[Event],
        usage: Mapping[UsageKey, int],
        health: Health | None = None,
        *,
        alive: Mapping[int, int] | None = None,
        now: int,
    ) -> None:
        """Make events, usage, health and uptime durable: all of them, or none when it raises.

        Events become batches; usage and uptime are added to what gathers, and cut into a batch when none is
        waiting.

        Args:
            events: collapsed.
            usage: lookups by hour and key.
            health: the latest; replaces the one before.
            alive: hour (UTC seconds) -> steps of it in which the process filtered, as in `batch.Alive`.
            now: UTC seconds.

        Raises:
            OutboxBusy: another connection holds the file.
            OutboxFull: the disk is full or fails.
            OutboxError: the file cannot be opened or written.
        """
        try:
            self._commit(events, usage, health, alive or {}, now)
        except OutboxCorrupt as error:
            self.close()
            aside = self._begin_anew(error)
            _log.critical("outbox_corrupt", error=str(error), put_aside=str(aside), path=str(self.path))
            self._commit(events, usage, health, alive or {}, now)
        except OutboxBusy:
            raise
        except OutboxError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        # A connection after an I/O error is not to be trusted. What is in the journal may still fit into
        # room that the file has, and free the journal's.
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()

    def _begin_anew(self, error: OutboxError) -> Path:
        try:
            aside = outboxfile.set_aside(self.path)
        except OSError as failure:
            raise OutboxError(
                f"{error.message}, and it cannot be put aside: {failure}",
                remedy=f"move {self.path} away",
            ) from failure
        self.corrupt_files += 1
        return aside

    def _commit(
        self,
        events: Sequence[Event],
        usage: Mapping[UsageKey, int],
        health: Health | None,
        alive: Mapping[int, int],
        now: int,
    ) -> None:
        connection = self._open()
        with translated(self.path), transaction(connection):
            for payload, lookups in outboxrows.payloads(events):
                outboxrows.insert(connection, EVENTS, now, lookups, payload)
            if usage:
                outboxrows.gather(connection, usage)
                self._limit_usage(connection)
            if alive:
                outboxrows.gather_alive(connection, alive)
                self._limit_alive(connection)
            outboxrows.cut_usage(connection, now)
            if health is not None:
                payload = health.model_dump_json().encode()
                connection.execute("INSERT OR REPLACE INTO health VALUES (1, ?)", (payload,))
            self._make_room(connection, now)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and outboxfile.identity(self.path) != self._identity:
            # What is committed to a file without a name would never be shipped.
            _log.critical("outbox_removed", path=str(self.path), remedy="do not touch the outbox by hand")
            self.close()
        if self._connection is None:
            self._connection = outboxfile.open_to_write(self.path, wait=self._wait)
            self._identity = outboxfile.identity(self.path)
        return self._connection

    def _make_room(self, connection: sqlite3.Connection, now: int) -> None:
        if self._over_bytes(connection):
            connection.execute("DELETE FROM rejected")  # already counted as rejected; of use to people only
        while True:
            oldest = connection.execute(
                "SELECT sequence, lookups, committed_at FROM batches WHERE kind = ?"
                " ORDER BY sequence LIMIT ?",
                (EVENTS, _DROP_STEP),
            ).fetchall()
            if not self._over_bytes(connection):
                oldest = [row for row in oldest if row[2] < now - self.limits.max_age]
            if not oldest:
                break
            connection.executemany("DELETE FROM batches WHERE sequence = ?", [(row[0],) for row in oldest])
            outboxrows.count(connection, "dropped_batches", len(oldest))
            outboxrows.count(connection, "dropped_lookups", sum(row[1] for row in oldest))

    def _over_bytes(self, connection: sqlite3.Connection) -> bool:
        return outboxrows.bytes_used(connection) > self.limits.max_bytes

    def _limit_usage(self, connection: sqlite3.Connection) -> None:
        (held,) = connection.execute("SELECT count(*) FROM usage").fetchone()
        while held > self.limits.max_usage_rows:
            hour, lost, removed = connection.execute(
                "SELECT hour, sum(queries), count(*) FROM usage WHERE hour = (SELECT min(hour) FROM usage)"
            ).fetchone()
            connection.execute("DELETE FROM usage WHERE hour = ?", (hour,))
            outboxrows.count(connection, "dropped_usage", lost)
            held -= removed

    def _limit_alive(self, connection: sqlite3.Connection) -> None:
        lost = connection.execute(
            "DELETE FROM alive WHERE hour NOT IN (SELECT hour FROM alive ORDER BY hour DESC LIMIT ?)",
            (MAX_ALIVE,),
        ).rowcount
        if lost:
            outboxrows.count(connection, "dropped_alive_hours", lost)

    def waiting(self) -> Waiting:
        """Return what waits for the endpoint. Raises `OutboxError` and its kinds."""
        connection = self._open()
        with translated(self.path):
            batches, lookups, oldest = connection.execute(
                "SELECT count(*), coalesce(sum(lookups), 0), coalesce(min(committed_at), 0) FROM batches"
            ).fetchone()
            return Waiting(batches, lookups, oldest, outboxrows.bytes_used(connection))

    def counters(self) -> dict[str, int]:
        """Return what was ever dropped from this file or rejected by the endpoint, by name.

        Names: ``dropped_batches``, ``dropped_lookups``, ``dropped_usage``, ``dropped_alive_hours``,
        ``rejected_batches``, ``rejected_lookups``; one that never happened is missing.
        Raises `OutboxError` and its kinds.
        """
        connection = self._open()
        with translated(self.path):
            return dict(connection.execute("SELECT name, value FROM counters"))

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
