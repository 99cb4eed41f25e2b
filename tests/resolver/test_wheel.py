from __future__ import annotations

import asyncio
import time

from filterd.resolver.wheel import STEP, Wheel


async def test_deadlines_come_in_their_order_and_never_early():
    wheel = Wheel(asyncio.get_running_loop())
    began = time.monotonic()
    fired = []
    for seconds in (0.05, 0.0, 0.2, 0.1):
        wheel.after(seconds, lambda seconds=seconds: fired.append((seconds, time.monotonic() - began)))
    await asyncio.sleep(0.3)
    assert [seconds for seconds, _ in fired] == [0.0, 0.05, 0.1, 0.2]
    assert all(after >= seconds for seconds, after in fired)


async def test_a_cancelled_deadline_never_comes():
    wheel = Wheel(asyncio.get_running_loop())
    fired = []
    deadline = wheel.after(0.02, lambda: fired.append(1))
    deadline.cancel()
    wheel.after(0.02, lambda: fired.append(2))
    await asyncio.sleep(0.1)
    assert fired == [2]


async def test_a_loop_held_up_for_long_misses_none():
    wheel = Wheel(asyncio.get_running_loop())
    fired = []
    for number in range(20):
        wheel.after(number * STEP, lambda number=number: fired.append(number))
    time.sleep(0.3)  # noqa: ASYNC251 - this is the hold-up
    await asyncio.sleep(0.05)
    assert fired == list(range(20))


async def test_a_deadline_may_set_the_next_one():
    wheel = Wheel(asyncio.get_running_loop())
    fired = []
    wheel.after(0.0, lambda: wheel.after(0.0, lambda: fired.append(1)))
    await asyncio.sleep(0.1)
    assert fired == [1]


async def test_a_deadline_that_fails_takes_no_other_with_it():
    wheel = Wheel(asyncio.get_running_loop())
    fired = []
    for seconds in (0.0, 0.0, 0.05):
        wheel.after(seconds, lambda: 1 / 0)
        wheel.after(seconds, lambda: fired.append(1))
    await asyncio.sleep(0.15)
    assert fired == [1, 1, 1]


async def test_after_a_pause_it_turns_again():
    wheel = Wheel(asyncio.get_running_loop())
    fired = []
    for _ in range(2):
        wheel.after(0.0, lambda: fired.append(1))
        await asyncio.sleep(0.1)
    assert fired == [1, 1]
