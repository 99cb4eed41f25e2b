"""Engines, pragmas, migrations and the file of the store; knows no table but through migrations/.

SQLite is the school's store: one connection writes, some read, all in WAL. What is engine-dependent stands
here, in postgres.py and in sql.py, nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from filterd.errors import StoreError
from filterd.monitor.settings import MIB, MonitorLimits
from filterd.monitor.store import postgres

_READERS = 4
_MAX_PUT_ASIDE = 8
_CHECKED_BYTES = 512 * MIB  # a whole check of a larger file would hold up the start; damage shows in use
_WAL_BYTES = 64 * MIB
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SIDES = ("-shm", "-wal", "")


@dataclass(frozen=True, slots=True)
class Engines:
    """The writer and the readers of one database."""

    writer: AsyncEngine
    reader: AsyncEngine

    async def dispose(self) -> None:
        """Close all connections."""
        await self.reader.dispose()
        await self.writer.dispose()


def parse_url(text: str) -> URL:
    """Return the database URL with its asyncio driver filled in.

    Raises:
        StoreError: no URL, an engine without support, or SQLite without a file.
    """
    try:
        url = postgres.parse(text) if text.startswith("postgresql") else make_url(text)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "the database is not a URL", remedy="write sqlite:////path/to/monitor.sqlite"
        ) from error
    if url.drivername in {"sqlite", "sqlite+aiosqlite"}:
        if not url.database or url.database == ":memory:":
            raise StoreError("the store needs a file", remedy="write sqlite:////path/to/monitor.sqlite")
        return url.set(drivername="sqlite+aiosqlite", query={})
    if url.drivername == postgres.DRIVER:
        return url
    raise StoreError(
        f"no support for a database of kind {url.drivername!r}", remedy="use sqlite or postgresql"
    )


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite URL, ``None`` for a server's database."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def make_engines(url: URL, limits: MonitorLimits) -> Engines:
    """Return engines that connect when first used.

    Raises:
        StoreError: the engine's driver is not installed.
    """
    try:
        if url.get_backend_name() != "sqlite":
            engine = postgres.make_engine(url, limits)
            return Engines(engine, postgres.reading(engine))
        writer = create_async_engine(url, pool_size=1, max_overflow=0)
        reader = create_async_engine(url, pool_size=_READERS, max_overflow=0)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"no driver for {url.drivername}", remedy="install it: asyncpg or aiosqlite"
        ) from error
    _set_up(writer, limits.busy_seconds, begin="BEGIN IMMEDIATE", pragmas=_WRITER_PRAGMAS)
    _set_up(reader, limits.busy_seconds, begin="BEGIN", pragmas=("query_only = ON",))
    return Engines(writer, reader)


_WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a commit is on the disk: only then a box may forget
    "foreign_keys = ON",
    "secure_delete = ON",  # what retention deletes is overwritten, not only unlinked
    f"journal_size_limit = {_WAL_BYTES}",
)


def _set_up(engine: AsyncEngine, busy_seconds: float, *, begin: str, pragmas: tuple[str, ...]) -> None:
    """Take transactions into our own hands: sqlite3's implicit BEGIN is deferred and would fail at commit."""

    def connected(connection: Any, _record: object) -> None:
        try:
            connection.isolation_level = None
            cursor = connection.cursor()
            for pragma in (f"busy_timeout = {int(busy_seconds * 1000)}", *pragmas):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # the pool has not taken it yet and would leave it open
            raise

    def began(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", began)


def make_file(path: Path) -> None:
    """Make the SQLite file, readable by its owner only, if there is none.

    Raises:
        StoreError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            f"cannot write the database {path}: {error.strerror}",
            remedy=f"let the user that runs filterd write {path.parent}, or name another place",
        ) from error


def is_damaged(path: Path, busy_seconds: float) -> bool:
    """Tell whether SQLite finds the file corrupt; a lock or an unreadable file is not damage."""
    if path.stat().st_size > _CHECKED_BYTES:
        return False
    try:
        connection = sqlite3.connect(path, timeout=busy_seconds)
        try:
            return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok"
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return is_corruption(error)


def is_corruption(error: BaseException | None) -> bool:
    """Tell whether a database error means that the SQLite file is damaged."""
    if isinstance(error, DBAPIError):
        error = error.orig
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _CORRUPT


def put_aside(path: Path, now: float) -> Path:
    """Rename a damaged file and its journals, so that a person can look at them; return the new name.

    Raises:
        StoreError: it cannot be renamed, or so many lie there that the disk itself must be bad.
    """
    if len(files_put_aside(path)) >= _MAX_PUT_ASIDE:
        raise StoreError(
            f"{_MAX_PUT_ASIDE} damaged databases already lie beside {path}",
            remedy="check the disk, then move those files away",
        )
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path}.corrupt-{stamp}{extra}" for extra in ("", *(f".{n}" for n in range(1, 100))))
    target = next(name for name in names if not Path(name).exists())
    try:
        # The journals first: a journal left beside a new file would be played into it.
        for side in _SIDES:
            if (source := Path(f"{path}{side}")).exists():
                source.rename(f"{target}{side}")
    except OSError as error:
        raise StoreError(
            f"cannot put the damaged database {path} aside: {error.strerror}",
            remedy=f"let the user that runs filterd write {path.parent}",
        ) from error
    return Path(target)


def files_put_aside(path: Path) -> list[Path]:
    """Return the damaged databases that lie beside ``path``."""
    found = path.parent.glob(f"{path.name}.corrupt-*")
    return sorted(file for file in found if not file.name.endswith(("-wal", "-shm")))


def empty_log(connection: Connection) -> bool:
    """Move SQLite's write-ahead log into the file and cut it to nothing; tell whether that was possible."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = cursor.fetchone()
        return row is not None and row[0] == 0
    finally:
        cursor.close()


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up (or down) to a revision, in the caller's transaction.

    Args:
        connection: whose database.
        revision: ``head``, a number up to which to go, ``-1`` for a step down, ``base`` for all of them.

    Raises:
        StoreError: the schema was made by a newer version.
    """
    if connection.dialect.name == "postgresql":
        postgres.wait_for_migrations(connection)
    config = Config()
    config.set_main_option("script_location", "filterd.monitor.store:migrations")
    config.attributes["connection"] = connection
    try:
        if revision == "base" or revision.startswith("-"):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
    except CommandError as error:
        raise StoreError(
            f"the database's schema is not known here: {error}",
            remedy="it was made by a newer filterd: install that version, or restore an older copy",
        ) from error
