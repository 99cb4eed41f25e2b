from __future__ import annotations

from typing import Any

import pytest

from filterd.monitor.metrics.boxstate import BoxState, Heard, box_states
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
KNOWN = [("school-1", "box1"), ("school-1", "box2"), ("school-2", "far1")]


async def states(
    monitor: Any, clock: Any, school: str | None = None, known: Any = KNOWN
) -> dict[str, BoxState]:
    store = await Store.open(monitor.settings, clock)
    try:
        found = await store.read(
            lambda connection: box_states(connection, known, now=clock.now, silent_seconds=900, school=school)
        )
    finally:
        await store.close()
    return {state.box: state for state in found}


async def test_a_silent_box_is_silent_and_not_clean(monitor: Any, make: Any, clock: Any) -> None:
    await monitor.post(make.delivery(make.batch(1), health=make.health()))
    clock.now += 901
    await monitor.post(make.delivery(box="far1"))
    found = await states(monitor, clock)
    assert {box: state.heard for box, state in found.items()} == {
        "box1": Heard.SILENT,
        "box2": Heard.NEVER,
        "far1": Heard.ALIVE,
    }
    assert found["box1"].last_seen == make.now
    assert found["box2"] == BoxState("school-1", "box2", Heard.NEVER)
    assert found["far1"].clock_offset is None  # it has not reported
    up = await monitor.metric("filterd_box_up")
    assert {box: up[f'{{box="{box}",school="{state.school}"}}'] for box, state in found.items()} == {
        "box1": 0, "box2": 0, "far1": 1,
    }  # fmt: skip


async def test_clock_gaps_and_losses_are_told(start: Any, make: Any, clock: Any) -> None:
    monitor = await start(clock=clock, limits=MonitorLimits(gaps_per_stream=1))
    health = make.health(at=make.now - 4000, selftest={
        "at": make.now - 60, "tested": 30, "failed": ["games"], "no_source": [], "learning_tested": 1,
        "learning_answered": 1,
    })  # fmt: skip
    await monitor.post(make.delivery(make.batch(3), make.batch(7), health=health))
    await monitor.post(make.delivery(make.batch(1, [make.event(bucket=2**39 - 2**39 % 300)]), box="far1"))
    found = await states(monitor, clock)
    box = found["box1"]
    assert (box.clock_offset, box.clock_wrong) == (-4000, True)
    assert (box.missing, box.lost, box.gaps) == (3, 2, True)
    assert (box.version, box.policy_version, box.index_version) == ("0.1.0", "p1", "i1")
    assert (box.tested, box.failed) == (make.now - 60, ("games",))
    assert (found["far1"].misdated, found["far1"].clock_wrong, found["far1"].gaps) == (1, True, False)


async def test_the_latest_report_and_self_test_count(monitor: Any, make: Any, clock: Any) -> None:
    for n, stream in enumerate("ab"):
        clock.now += 10
        test = {
            "at": make.now + n, "tested": 30, "failed": ["adult", "games"][:n], "no_source": [],
            "learning_tested": 1, "learning_answered": 1,
        }  # fmt: skip
        health = make.health(at=int(clock.now) + n, version=f"0.{n}", selftest=test)
        await monitor.post(make.delivery(stream=stream * 32, health=health))
    box = (await states(monitor, clock))["box1"]
    assert (box.version, box.clock_offset, box.tested, box.failed) == ("0.1", 1, make.now + 1, ("adult",))
    assert not box.clock_wrong


async def test_one_school_and_boxes_no_longer_known(monitor: Any, make: Any, clock: Any) -> None:
    for box in ("box1", "far1"):
        await monitor.post(make.delivery(make.batch(2), box=box, health=make.health()))
    assert set(await states(monitor, clock, school="school-1")) == {"box1", "box2"}
    assert set(await states(monitor, clock, school="school-2", known=[])) == {"far1"}
    assert (await states(monitor, clock, school="school-2", known=[]))["far1"].missing == 1


async def test_a_clock_of_ours_that_was_set_back_does_not_show_life(
    monitor: Any, make: Any, clock: Any
) -> None:
    await monitor.post(make.delivery())
    clock.now -= 86_400
    assert (await states(monitor, clock))["box1"].heard is Heard.SILENT
