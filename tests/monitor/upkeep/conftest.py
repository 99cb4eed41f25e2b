"""An endpoint whose own work in the background is done for now: what a test then does nobody else does too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture
async def monitor(start: Any, clock: Any) -> Any:
    """An endpoint with its clock at ``NOW``; its tasks have had their first turn, the next is minutes away."""
    found = await start(clock=clock)
    async with asyncio.timeout(60):
        while len(await found.metric("filterd_upkeep_last_success_timestamp_seconds")) < 3:
            await asyncio.sleep(0.01)
    return found
