"""A store on disk, filled row by row, and the desk over it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

# With import mode "importlib" this folder is on no path.
sys.path.insert(0, str(Path(__file__).parent))

from _reportseed import AFTER, OCTOBER, Seed, fill, put

from filterd.config.paths import shipped
from filterd.i18n import language
from filterd.monitor.reports.desk import Desk
from filterd.monitor.reports.document import Retention
from filterd.monitor.reports.outline import Outline
from filterd.monitor.reports.read import Area, Period
from filterd.monitor.reports.sections import outline
from filterd.monitor.reports.shelf import Kept
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store
from filterd.rules.categories import load_categories

Opener = Callable[..., Awaitable[Desk]]
CATEGORIES = load_categories(shipped("blocklists", "categories.yaml"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "monitor.sqlite"


@pytest.fixture
async def desk_of(settings: MonitorSettings, database: Path) -> AsyncIterator[Opener]:
    """``await desk_of(seed, ...)``: the store filled with these, and the desk over it."""
    stores: list[Store] = []

    async def opened(*sources: Any, **changes: Any) -> Desk:
        url = fill(database, *sources)
        store = await Store.open(replace(settings, database=url))
        stores.append(store)
        retention = Retention(events_days=30, usage_days=1095)
        return Desk(store, CATEGORIES, retention, **changes)

    yield opened
    for store in stores:
        await store.close()


@pytest.fixture
def add(database: Path) -> Callable[..., None]:
    """Write more rows, as a late delivery does."""

    def more(table: Any, rows: list[dict[str, Any]]) -> None:
        engine = create_engine(f"sqlite:///{database}")
        with engine.begin() as connection:
            put(connection, table, rows)
        engine.dispose()

    return more


@pytest.fixture
def report_of() -> Callable[..., Awaitable[Kept]]:
    async def made(
        desk: Desk, name: str, kind: Any = "school", month: Any = OCTOBER, now: float = AFTER
    ) -> Kept:
        return await desk.monthly(Area(kind, name), Period(month, now))

    return made


@pytest.fixture
def told() -> Callable[..., Outline]:
    """The outline of a kept report in a language."""

    def in_language(kept: Kept, code: str = "en") -> Outline:
        return outline(kept.document, language(code), kept.standing)

    return in_language


__all__ = ["Seed"]
