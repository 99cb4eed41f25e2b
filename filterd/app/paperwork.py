"""Commands that work on the monitor's database, while the monitor runs or not: open, do one thing, close.

SQLite's writers and PostgreSQL's transactions keep such a command and the running monitor apart; the monitor
notices what changed by itself (access/registry.py).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from filterd.app import endpoint
from filterd.config.load import Config
from filterd.errors import StoreError
from filterd.monitor.access.directory import Directory, configured
from filterd.monitor.access.registry import load
from filterd.monitor.metrics.boxstatus import BoxStatus, statuses
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.engine import file_of, parse_url
from filterd.monitor.store.store import Store, Work

T = TypeVar("T")


@asynccontextmanager
async def opened(settings: MonitorSettings) -> AsyncIterator[Store]:
    """Open the store of the settings, and close it.

    Raises:
        StoreError: it cannot be used.
    """
    store = await Store.open(settings)
    try:
        yield store
    finally:
        await store.close()


def settings_of(config: Config) -> MonitorSettings:
    """Return the endpoint's settings for a command.

    Raises:
        PolicyError, StartError: the configuration cannot be used.
        StoreError: the database belongs to another user of this machine: what root would write beside it
            (SQLite's journals) the monitor could not use afterwards.
    """
    config.state.make()
    settings = endpoint.settings(config)
    file = file_of(parse_url(settings.database))
    if file is not None and file.exists() and file.stat().st_uid != os.geteuid():
        raise StoreError(
            f"{file} belongs to another user",
            remedy=f"run this as its owner: sudo -u '#{file.stat().st_uid}'",
        )
    return settings


def write(config: Config, work: Work[T]) -> T:
    """Run one write transaction.

    Raises:
        StoreError: not done.
    """

    async def run() -> T:
        async with opened(settings_of(config)) as store:
            return await store.write(work)

    return asyncio.run(run())


def read(config: Config, work: Work[T]) -> T:
    """Run one read transaction.

    Raises:
        StoreError: it cannot be read.
    """

    async def run() -> T:
        async with opened(settings_of(config)) as store:
            return await store.read(work)

    return asyncio.run(run())


def boxes(config: Config) -> list[BoxStatus]:
    """Return every box with its state.

    Raises:
        StoreError: the store cannot be read.
    """
    settings, now = settings_of(config), time.time()
    silent = settings.limits.silent_seconds

    async def run() -> list[BoxStatus]:
        async with opened(settings) as store:
            directory = await store.read(lambda c: load(c, configured(settings)))
            return await store.read(lambda c: statuses(c, directory, silent_seconds=silent, now=now))

    return asyncio.run(run())


def known(config: Config) -> Directory:
    """Return the boxes that the configuration names."""
    return Directory.of_settings(settings_of(config))
