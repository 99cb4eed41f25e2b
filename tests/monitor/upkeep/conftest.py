"""An endpoint whose own work in the background is done for now: a test does the rest alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture
async def monitor(start: Any, clock: Any) -> Any:
    """An endpoint with its clock at ``NOW``, its tasks after their first turn, minutes before the next."""
    found = await start(clock=clock)
    done = "filterd_upkeep_last_success_timestamp_seconds"
    async with asyncio.timeout(60):
        while len(await found.metric(done)) < 3:  # noqa: ASYNC110 - seen from outside only
            await asyncio.sleep(0.01)
    return found
