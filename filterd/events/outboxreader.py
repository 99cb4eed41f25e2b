"""The outbox, the shipper's side: what waits, what may be forgotten, what is put apart as refused.

Works in another process than the writer, on the same file. Never creates or repairs a file. Blocking:
call it from a thread. Every change names the stream it is about, so that an answer that comes late cannot
touch a file that was begun anew meanwhile.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from filterd.events import outboxfile
from filterd.events.batch import Health
from filterd.events.outboxfile import OutboxBusy, OutboxFull, transaction, translated
from filterd.events.outboxrows import count

MAX_REJECTED = 20


class StoredBatch(NamedTuple):
    """One batch: its sequence and the JSON of a `Batch` without it."""

    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """What a request may carry: batches in ascending order, the latest health if there is any."""

    stream: str
    batches: tuple[StoredBatch, ...]
    health: Health | None


class OutboxReader:
    """Reads one outbox file and removes from it what the endpoint has. Safe from several threads.

    Args:
        path: the file; it may come and go.
        wait: seconds to wait for the writer's lock.
    """

    def __init__(self, path: Path, *, wait: float = 2.0) -> None:
        self.path = path
        self._wait = wait
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._stream = ""
        # Acknowledged, but still in the file because it could not be changed (disk full, locked).
        self._settled: set[int] = set()

    def load(self, *, max_batches: int, max_bytes: int) -> Load:
        """Return the oldest batches that wait: at least one if any does, else within both limits.

        Raises:
            OutboxError: and its kinds; also when there is no such file.
        """
        with self._lock:
            connection = self._open()
            with translated(self.path):
                self._forget(connection)
                batches = self._oldest(connection, max_batches, max_bytes)
                row = connection.execute("SELECT payload FROM health").fetchone()
            return Load(self._stream, tuple(batches), _health(row[0]) if row else None)

    def _oldest(self, connection: sqlite3.Connection, most: int, most_bytes: int) -> Iterable[StoredBatch]:
        batches: list[StoredBatch] = []
        size = 0
        cursor = connection.execute("SELECT sequence, payload FROM batches ORDER BY sequence")
        try:
            for sequence, payload in cursor:
                if sequence in self._settled:
                    continue
                size += len(payload)
                if batches and (len(batches) == most or size > most_bytes):
                    break
                batches.append(StoredBatch(sequence, payload))
        finally:
            cursor.close()  # an open read would keep the journal from being reset
        return batches

    def acknowledge(self, stream: str, sequences: Iterable[int]) -> None:
        """Forget batches that the endpoint has stored; a stream that is no more is left alone.

        When the file cannot be changed now, they are not sent again and removed later.

        Raises:
            OutboxError: the file cannot be opened, or is not whole.
        """
        with self._lock:
            connection = self._open()
            if stream != self._stream:
                return
            self._settled.update(sequences)
            with translated(self.path):
                self._forget(connection)

    def _forget(self, connection: sqlite3.Connection) -> None:
        if not self._settled:
            return
        rows = [(sequence,) for sequence in self._settled]
        try:
            with translated(self.path), transaction(connection):
                connection.executemany("DELETE FROM batches WHERE sequence = ?", rows)
        except (OutboxBusy, OutboxFull):
            return
        self._settled.clear()

    def reject(self, stream: str, sequence: int, reason: str, *, now: int) -> None:
        """Put a batch that the endpoint refuses apart, counted, out of the way of the others.

        The latest `MAX_REJECTED` are kept for a person to look at.

        Raises:
            OutboxError: and its kinds.
        """
        with self._lock:
            connection = self._open()
            if stream != self._stream:
                return
            with translated(self.path), transaction(connection):
                row = connection.execute(
                    "SELECT lookups FROM batches WHERE sequence = ?", (sequence,)
                ).fetchone()
                if row is None:
                    return
                connection.execute(
                    "INSERT INTO rejected SELECT sequence, ?, ?, payload FROM batches WHERE sequence = ?",
                    (now, reason[:500], sequence),
                )
                connection.execute("DELETE FROM batches WHERE sequence = ?", (sequence,))
                connection.execute(
                    "DELETE FROM rejected WHERE sequence NOT IN"
                    " (SELECT sequence FROM rejected ORDER BY rejected_at DESC, sequence DESC LIMIT ?)",
                    (MAX_REJECTED,),
                )
                count(connection, "rejected_batches", 1)
                count(connection, "rejected_lookups", row[0])

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and outboxfile.identity(self.path) != self._identity:
            self._close()
        if self._connection is None:
            identity = outboxfile.identity(self.path)
            connection = outboxfile.open_to_ship(self.path, wait=self._wait)
            (stream,) = connection.execute("SELECT stream FROM meta").fetchone()
            if stream != self._stream:
                self._settled.clear()
            self._connection, self._identity, self._stream = connection, identity, stream
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._close()


def _health(payload: bytes) -> Health | None:
    try:
        return Health.model_validate_json(payload)
    except ValidationError:  # of another version, or a value that is no number: the batches matter more
        return None
