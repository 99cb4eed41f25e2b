"""The outbox's file: its schema, how it is opened, what SQLite's errors mean, how a bad one is put aside.

Shared by the two sides that use the file at the same time from different processes: `outbox` (the writer)
and `outboxreader` (the shipper). Never opens the file by itself while SQLite has it open: closing such a
handle would drop SQLite's locks (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filterd.errors import OutboxError

FORMAT = 2
EVENTS, USAGE = 0, 1  # batches.kind
_SIDECARS = ("", "-wal", "-shm")
_KEEP_ASIDE = 3
_JOURNAL_LIMIT = 4 * 1024 * 1024

SCHEMA = f"""
CREATE TABLE meta (stream TEXT NOT NULL);
-- AUTOINCREMENT: a sequence is never given twice, also when all rows are gone.
CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    lookups INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX usage_batches ON batches (sequence) WHERE kind = {USAGE};
-- Usage gathers here until it is cut into a batch: an outage of weeks costs rows per hour, not per second.
CREATE TABLE usage (
    hour INTEGER NOT NULL,
    grp TEXT NOT NULL,
    tier TEXT NOT NULL,
    category TEXT NOT NULL,
    outcome TEXT NOT NULL,
    queries INTEGER NOT NULL,
    PRIMARY KEY (hour, grp, tier, category, outcome)
) WITHOUT ROWID;
-- When this process filtered: one bit for each 5-minute step of an hour; cut into the same batches as usage.
CREATE TABLE alive (hour INTEGER PRIMARY KEY, steps INTEGER NOT NULL);
CREATE TABLE health (id INTEGER PRIMARY KEY CHECK (id = 1), payload BLOB NOT NULL);
CREATE TABLE rejected (
    sequence INTEGER PRIMARY KEY,
    rejected_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""


class OutboxBusy(OutboxError):
    """Another connection holds the file; the same call will work later."""


class OutboxFull(OutboxError):
    """The disk is full or fails; the same call may work later."""


class OutboxCorrupt(OutboxError):
    """The file is not a whole outbox of this format."""


_KINDS: dict[int, type[OutboxError]] = {
    sqlite3.SQLITE_BUSY: OutboxBusy,
    sqlite3.SQLITE_LOCKED: OutboxBusy,
    sqlite3.SQLITE_PROTOCOL: OutboxBusy,  # lost the race for the WAL's locks too often
    sqlite3.SQLITE_FULL: OutboxFull,
    sqlite3.SQLITE_IOERR: OutboxFull,
    sqlite3.SQLITE_CORRUPT: OutboxCorrupt,
    sqlite3.SQLITE_NOTADB: OutboxCorrupt,
}
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_REMEDIES = {
    OutboxBusy: "close the program that holds the file open",
    OutboxFull: "free space on the disk",
    OutboxCorrupt: "",
    OutboxError: "let the user that runs filterd write to the file and its folder",
}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the system into the outbox errors above, else `OutboxError`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
        kind = _KINDS.get(code, OutboxError)
        raise kind(f"outbox {path.name}: {error}", remedy=_REMEDIES[kind]) from error
    except OSError as error:
        kind = OutboxFull if error.errno in _NO_ROOM else OutboxError
        raise kind(f"outbox {path.name}: {error}", remedy=_REMEDIES[kind]) from error


def open_to_write(path: Path, *, wait: float) -> sqlite3.Connection:
    """Open the file, making it (mode 0600) and its schema when it is new, and check that it is whole.

    Args:
        path: the outbox; its folder must exist.
        wait: seconds to wait for a lock.

    Raises:
        OutboxError: and its kinds, see `translated`.
    """
    with translated(path):
        if not path.exists():
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = _connect(path, wait)
        try:
            # FULL: a commit is on the disk when it returns, which is what "committed" promises.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT}")
            _ensure_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_to_ship(path: Path, *, wait: float) -> sqlite3.Connection:
    """Open a file that the writer has made.

    What this connection forgets need not be synced: were it undone by a power cut, the endpoint would see
    the batch again and know it.

    Raises:
        OutboxError: and its kinds; also when there is no such file, or no schema in it yet.
    """
    with translated(path):
        connection = _connect(path, wait)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("SELECT stream FROM meta")
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    # mode=rw: an outbox is only ever created on purpose. The sides serialise their own calls, so the check
    # that one thread uses the connection is off.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA secure_delete = FAST")  # what was shipped is not left behind in free pages
    return connection


def _ensure_schema(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        empty = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if version == 0 and empty:
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (?)", (secrets.token_hex(16),))
            return
    if version != FORMAT:
        raise OutboxCorrupt(f"outbox {path.name}: format {version}, not {FORMAT}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise OutboxCorrupt(f"outbox {path.name}: {verdict}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock at once, commit at the end, roll back on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):  # the first error tells more
                connection.execute("ROLLBACK")
        raise


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at the path from another one put there later; None without access to one.

    An emptied file is none: who kept it open would see what he remembers of it, and hold the lock that the
    other side needs to begin it anew.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def set_aside(path: Path) -> Path:
    """Rename a bad outbox, with its journal, for a person to look at; keep only the latest few.

    Returns:
        The new name, ``<name>.bad-<UTC time>-<nanoseconds>``; `outbox_files` does not find it.

    Raises:
        OSError: it cannot be renamed.
    """
    now = time.time_ns()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now // 1_000_000_000))
    aside = path.with_name(f"{path.name}.bad-{stamp}-{now % 1_000_000_000:09d}")
    for suffix in _SIDECARS:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    older = sorted(name for name in path.parent.glob(f"{path.name}.bad-*") if name.suffix.count("-") == 2)
    for name in older[:-_KEEP_ASIDE]:
        for suffix in _SIDECARS:
            Path(f"{name}{suffix}").unlink(missing_ok=True)
    return aside


def outbox_files(folder: Path) -> list[Path]:
    """Return the outboxes in a folder (``*.outbox``), those of workers that run no more among them."""
    return sorted(folder.glob("*.outbox"))
