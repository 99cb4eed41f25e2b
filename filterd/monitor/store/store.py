"""The store: one writer, some readers, and what happens when the database is locked, full or damaged.

Knows transactions, not their contents. A damaged SQLite file is put aside and a new one started: the boxes'
outboxes go on being emptied, an alarm says what happened, and a person can look at the old file.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store import engine as files
from filterd.monitor.store import postgres
from filterd.monitor.store.engine import Engines
from filterd.monitor.store.schema import MARKS
from filterd.monitor.store.sql import upsert

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
Clock = Callable[[], float]

PROBE = "probe"  # the mark by which `check` proves that a row can be committed
_PROBE_SECONDS = 5.0  # a readiness probe writes at most so often
_MAX_PAUSE = 2.0  # seconds between two attempts
_DRAIN_SECONDS = 30.0  # for readers to finish before a damaged file is put aside
_log = structlog.get_logger(__name__)


class Store:
    """An open database at the newest schema; made by ``Store.open``.

    Attributes:
        generation: grows when a damaged file was put aside and a new one started.
        errors: writes and reads that failed since the start.
        retries: transactions that were done again.
    """

    def __init__(self, settings: MonitorSettings, url: URL, clock: Clock) -> None:
        self._limits = settings.limits
        self._url = url
        self._file = files.file_of(url)
        self._clock = clock
        self._engines: Engines | None = None
        self._turn = asyncio.Lock() if self._file else None
        self._open = asyncio.Event()
        self._reads = 0
        self._working: set[asyncio.Future[Any]] = set()
        self._drained = asyncio.Condition()
        self._probed = (-_PROBE_SECONDS, "")
        self._probing = asyncio.Lock()
        self.generation = 0
        self.errors = 0
        self.retries = 0

    @classmethod
    async def open(cls, settings: MonitorSettings, clock: Clock = time.time) -> Store:
        """Open the database, putting a damaged SQLite file aside, and bring its schema up to date.

        Raises:
            StoreError: it cannot be opened; says what to do.
        """
        store = cls(settings, files.parse_url(settings.database), clock)
        await store._start()
        return store

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._open.clear()
        if self._working:
            await asyncio.wait(self._working, timeout=_DRAIN_SECONDS)
        if self._engines is not None:
            await self._engines.dispose()
            self._engines = None

    @property
    def put_aside(self) -> int:
        """How many damaged files lie beside the database (until a person takes them away)."""
        return len(files.files_put_aside(self._file)) if self._file else 0

    async def write(self, work: Work[T], *, repeatable: bool = False) -> T:
        """Run ``work`` in one transaction, alone on SQLite; committed and synced when this returns.

        On PostgreSQL a transaction that surely left nothing behind is done again for a while, so that a
        fail-over or a deadlock is a delay and no error.

        Args:
            work: what to do; may be called several times.
            repeatable: doing it again after it was committed changes nothing, so it is done again also when
                the connection broke at the commit and nobody knows.

        Raises:
            StoreError: not stored, or not known to be stored. Whatever ``work`` raises itself passes through
                after a rollback.
        """
        return await self._whole(self._write(work, repeatable))

    async def _write(self, work: Work[T], repeatable: bool) -> T:
        end = time.monotonic() + self._limits.failover_seconds
        for attempt in count():
            async with self._my_turn():
                generation, committing = self.generation, False
                try:
                    async with self._bounded(), self._ready().writer.begin() as connection:
                        result = await work(connection)
                        committing = True
                except SQLAlchemyError as error:
                    fault = error
                else:
                    return result
                unknown = committing and not repeatable
                again = self._file is None and postgres.may_repeat(fault, committing=unknown)
                if not again or time.monotonic() >= end:
                    raise await self._failed(fault, generation) from fault
            self.retries += 1
            pause = min(0.05 * 2.0**attempt, _MAX_PAUSE)
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - spreads monitors, no secret
        raise AssertionError

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on a connection that sees one snapshot.

        Raises:
            StoreError: it cannot be read now.
        """
        return await self._whole(self._read(work))

    async def _read(self, work: Work[T]) -> T:
        await self._wait_open()
        generation = self.generation
        self._reads += 1
        try:
            async with self._ready().reader.connect() as connection:
                return await work(connection)
        except SQLAlchemyError as error:
            fault = error
        finally:
            self._reads -= 1
            async with self._drained:
                self._drained.notify_all()
        if files.is_corruption(fault):
            async with self._my_turn():
                raise await self._failed(fault, generation)
        raise await self._failed(fault, generation)

    async def check(self) -> None:
        """Prove that a row can be committed, at most once in five seconds.

        Raises:
            StoreError: it cannot.
        """
        async with self._probing:
            at, fault = self._probed
            if time.monotonic() - at >= _PROBE_SECONDS:
                fault = ""
                try:
                    await self.mark(PROBE)
                except StoreError as error:
                    fault = error.message
                self._probed = (time.monotonic(), fault)
        if fault:
            raise StoreError(fault, remedy="see the monitor's log")

    async def mark(self, name: str) -> None:
        """Note that the endpoint did ``name`` now."""
        at = int(self._clock())

        async def work(connection: AsyncConnection) -> None:
            statement = upsert(connection, MARKS, replace=("at",))
            await connection.execute(statement, {"school": "", "name": name, "at": at})

        await self.write(work, repeatable=True)

    async def scrub(self) -> bool:
        """Empty SQLite's write-ahead log, which still holds what was deleted; tell whether it is empty.

        Raises:
            StoreError: it cannot be written.
        """
        if self._file is None:
            return True
        async with self._my_turn():
            generation = self.generation
            try:
                async with self._ready().writer.connect() as connection:
                    return await connection.run_sync(files.empty_log)
            except SQLAlchemyError as error:
                fault = error
            raise await self._failed(fault, generation)

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that is not broken off in its middle when its caller is: a driver may never end then.

        The caller is still cancelled, when the transaction is over; `close` waits for it too.
        """
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    def _ready(self) -> Engines:
        if self._engines is None:
            raise StoreError(
                "the store is closed", remedy="the monitor is stopping or failed to open its store"
            )
        return self._engines

    async def _wait_open(self) -> None:
        try:
            async with asyncio.timeout(self._limits.store_seconds):
                await self._open.wait()
        except TimeoutError:
            raise StoreError("the store is not open", remedy="try again; see the monitor's log") from None

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Give up a transaction of a server that does not answer: it may have lost its power."""
        if self._file is not None:  # a file's locks have a bound of their own
            yield
            return
        try:
            async with asyncio.timeout(self._limits.store_seconds):
                yield
        except TimeoutError:
            self.errors += 1
            _log.error("store_failed", error="the database did not answer in time")
            raise StoreError(
                "the database did not answer in time", remedy="send it again; see the database server's log"
            ) from None

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """Wait for the one writer's place; PostgreSQL needs no such queue."""
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(self._limits.store_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise StoreError("the store has been busy for too long", remedy="try again") from None
        try:
            yield
        finally:
            self._turn.release()

    async def _start(self) -> None:
        if self._file is not None:
            files.make_file(self._file)
            if await asyncio.to_thread(files.is_damaged, self._file, self._limits.busy_seconds):
                await self._renew(self._file)
                return
        await self._connect()

    async def _connect(self) -> None:
        """Open engines and migrate.

        Raises:
            StoreError: the database cannot be used.
        """
        engines = files.make_engines(self._url, self._limits)
        try:
            async with engines.writer.begin() as connection:
                await connection.run_sync(files.migrate)
        except (SQLAlchemyError, OSError) as error:
            await engines.dispose()
            raise _explained(error) from error
        except BaseException:
            await engines.dispose()
            raise
        self._engines = engines
        self._open.set()

    async def _renew(self, file: Path) -> None:
        """Put the damaged file aside and start a new one; the caller holds the writer's place."""
        self._open.clear()
        if self._engines is not None:
            # SQLite removes "its" journals by name when the last connection closes: all must be closed
            # before another file takes that name.
            async with asyncio.timeout(_DRAIN_SECONDS), self._drained:
                await self._drained.wait_for(lambda: self._reads == 0)
            await self._engines.dispose()
            self._engines = None
        target = files.put_aside(file, self._clock())
        self.generation += 1
        _log.critical(
            "store_put_aside",
            file=str(target),
            remedy="acknowledged events are in that file; look at it and at the disk, then move it away",
        )
        files.make_file(file)
        await self._connect()

    async def _failed(self, error: SQLAlchemyError, generation: int) -> StoreError:
        """Count and explain a failure; after damage start a new file. The caller holds the writer's place."""
        self.errors += 1
        explained = _explained(error)
        if self._file is None or not files.is_corruption(error):
            _log.error("store_failed", error=explained.message)
        elif generation == self.generation:
            try:
                await self._renew(self._file)
            except (StoreError, TimeoutError) as fault:
                _log.critical("store_lost", error=str(fault) or "readers did not finish")
                return StoreError(
                    "the store is damaged and cannot be renewed", remedy="see the monitor's log"
                )
        return explained


def _explained(error: Exception) -> StoreError:
    """Turn a driver's error into one with a remedy; never shows SQL or values."""
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    if files.is_corruption(error):
        return StoreError(
            "the store was damaged and was put aside", remedy="send it again; a new one was started"
        )
    if (known := postgres.explain(error)) is not None:
        return StoreError(known[0], remedy=known[1])
    for sign, message, remedy in _EXPLANATIONS:
        if sign in text:
            return StoreError(message, remedy=remedy)
    return StoreError(f"the store failed: {type(error).__name__}", remedy="try again; see the monitor's log")


_EXPLANATIONS = (
    ("locked", "another program holds the store", "try again; end the program that has the database open"),
    ("is full", "the store's disk is full", "free some space"),
    ("disk I/O error", "the store's disk fails or is full", "free some space, check the disk"),
    ("readonly", "the store is read-only", "let the monitor's user write the database and its folder"),
    (
        "unable to open",
        "the store cannot be opened",
        "let the monitor's user write the database and its folder",
    ),
)
