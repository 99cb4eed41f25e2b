"""The lookups that the monitoring endpoint recorded, as lines for a simulation.

Only blocked lookups are recorded by name, so a simulation over them shows what a policy would open; what it
would newly block is among the allowed ones, which are never recorded. Reads, never writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from filterd.config.load import Config
from filterd.errors import StoreError
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.engine import file_of, make_engines, parse_url
from filterd.monitor.store.schema import EVENTS

MAX_NAMES = 1_000_000


def recorded_lines(config: Config, *, since: int, school: str, hidden: frozenset[str]) -> Iterator[bytes]:
    """Yield ``name count`` for each name that was blocked, the most asked first.

    Args:
        config: names the endpoint's database.
        since: UTC seconds.
        school: whose lookups.
        hidden: categories whose names are never displayed (R1); no policy opens them either.

    Raises:
        StoreError: there is no store here, or it cannot be read.
    """
    lookups = func.sum(EVENTS.c.count)
    query = (
        select(EVENTS.c.name, lookups)
        .where(EVENTS.c.school == school, EVENTS.c.bucket >= since, EVENTS.c.category.not_in(hidden))
        .group_by(EVENTS.c.name)
        .order_by(lookups.desc(), EVENTS.c.name)
        .limit(MAX_NAMES)
    )
    for name, count in asyncio.run(_rows(config, query)):
        yield f"{name} {count}\n".encode()


async def _rows(config: Config, query: Select[Any]) -> list[tuple[str, int]]:
    url = parse_url(config.database)
    file = file_of(url)
    if file is not None and not file.exists():
        raise StoreError(
            f"nothing was recorded here: there is no {file}",
            remedy="name the state folder of the running endpoint with --state, or give --queries FILE",
        )
    engines = make_engines(url, MonitorLimits())
    try:
        async with engines.reader.connect() as connection:
            return [(name, count) for name, count in (await connection.execute(query)).all()]
    except SQLAlchemyError as error:
        raise StoreError(
            f"the recorded lookups cannot be read: {type(error).__name__}",
            remedy="look whether the endpoint runs; or give --queries FILE",
        ) from error
    finally:
        await engines.dispose()
