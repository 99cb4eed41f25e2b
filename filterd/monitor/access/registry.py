"""The directory as the running monitor sees it: read from the store when it changed, kept in between.

A command that adds or revokes a box works on the database while the monitor runs; each such change moves one
mark, and the mark is looked at every two seconds at most, by whoever asks. With the store gone the last known
directory serves, so that a box is told "come again" and not "unknown".
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import StoreError
from filterd.monitor.access.directory import Directory, Pass, School, configured
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.paperwork import SCHOOLS, TOKENS
from filterd.monitor.store.schema import MARKS
from filterd.monitor.store.sql import upsert
from filterd.monitor.store.store import Store

LOOK_SECONDS = 2.0
NAME = "directory"  # in MARKS, with a number that grows in the place of a time


class Registry:
    """Hands out the directory.

    Args:
        store: the open store.
        settings: whose boxes stand beside those of the store.
        ticks: seconds that never go back.
    """

    def __init__(
        self, store: Store, settings: MonitorSettings, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._configured = configured(settings)
        self._ticks = ticks
        self._directory: Directory | None = None
        self._seen = (-1, -1)
        self._looked = -math.inf
        self._turn = asyncio.Lock()

    async def directory(self) -> Directory:
        """Return what is known, at most about two seconds old.

        Raises:
            StoreError: the store could not be read since the start.
        """
        if self._directory is None or self._ticks() - self._looked >= LOOK_SECONDS:
            async with self._turn:
                if self._directory is None or self._ticks() - self._looked >= LOOK_SECONDS:
                    await self._look()
        if self._directory is None:
            raise StoreError("the boxes cannot be read from the store", remedy="try again")
        return self._directory

    async def _look(self) -> None:
        try:
            seen = (self._store.generation, await self._store.read(_mark))
            if self._directory is None or seen != self._seen:
                self._directory = await self._store.read(self._load)
                self._seen = seen
        except StoreError:
            if self._directory is None:
                raise
        finally:
            self._looked = self._ticks()

    async def _load(self, connection: AsyncConnection) -> Directory:
        return await load(connection, self._configured)


async def load(connection: AsyncConnection, beside: list[Pass]) -> Directory:
    """Return what the store holds, with the tokens of the configuration before it."""
    tokens = await connection.execute(select(TOKENS).where(TOKENS.c.revoked == 0))
    passes = [
        Pass(row.box, row.school, row.sha256, row.issued, row.expires or math.inf)
        for row in tokens
        # An id that the configuration gives away is that box's alone.
    ]
    taken = {one.box: one.school for one in beside}
    passes = [one for one in passes if taken.get(one.box, one.school) == one.school]
    schools = [
        School(
            row.school,
            {"kk": row.title_kk, "ru": row.title_ru, "en": row.title_en},
            row.region,
            row.district,
            row.devices,
            row.operator_service,
            row.operator_since,
            row.responsible,
        )
        for row in await connection.execute(select(SCHOOLS))
    ]
    return Directory([*beside, *passes], schools)


async def touch(connection: AsyncConnection) -> None:
    """Tell running monitors, with the caller's transaction, that boxes or schools change.

    Call it first: its row is the lock by which one such change waits for another.
    """
    row = {"school": "", "name": NAME, "at": 1}
    await connection.execute(upsert(connection, MARKS, add=("at",)), row)


async def _mark(connection: AsyncConnection) -> int:
    query = select(MARKS.c.at).where(MARKS.c.school == "", MARKS.c.name == NAME)
    return int(await connection.scalar(query) or 0)
