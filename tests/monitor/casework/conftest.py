"""An open store of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Store


@pytest.fixture
async def store(settings: MonitorSettings) -> AsyncIterator[Store]:
    opened = await Store.open(settings)
    yield opened
    await opened.close()
