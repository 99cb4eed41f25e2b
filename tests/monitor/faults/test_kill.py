"""The monitor ended at any moment: no acknowledged batch is lost, none is stored twice."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from typing import Any

import pytest
from _boxes import check, check_all, connected, delivering, some_boxes

KILLS = int(os.environ.get("FILTERD_KILLS", "5"))

pytestmark = pytest.mark.both_engines


async def test_kill_9_loses_no_acknowledged_batch_and_doubles_none(program: Any, make: Any) -> None:
    monitor = program()
    boxes = some_boxes(monitor.url, make, 4)
    async with connected() as session:
        for _ in range(KILLS):
            await asyncio.to_thread(monitor.start)
            async with delivering(boxes, session):
                await asyncio.sleep(random.uniform(0.01, 0.5))
                monitor.kill()
            check(monitor, boxes)
        await asyncio.to_thread(monitor.start)
        for box in boxes:
            await box.flush(session)
        monitor.kill()
    check_all(monitor, boxes)


@pytest.mark.sqlite_only
async def test_terminate_ends_it_cleanly(program: Any, make: Any) -> None:
    monitor = program()
    await asyncio.to_thread(monitor.start)
    process: subprocess.Popen[bytes] = monitor.process
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert not list(monitor.path.parent.glob("*-wal"))
