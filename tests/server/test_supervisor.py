"""Real child processes: started, killed, restarted, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from filterd.errors import StartError
from filterd.server.supervisor import ChildSpec, Supervisor

CHILD = """
import asyncio, sys
from filterd.server import child
async def main():
    plan = child.read_plan()
    stop = child.stop_event()
    open(sys.argv[1], "ab").write(plan + b"\\n")
    child.say_ready()
    await stop.wait()
    open(sys.argv[1], "ab").write(b"ended\\n")
asyncio.run(main())
"""


def spec(path, code=CHILD, plan=b"plan"):
    return ChildSpec("child", [sys.executable, "-c", code, str(path)], plan)


async def until(condition, seconds=20.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        await asyncio.sleep(0.01)


def status(supervisor):
    (found,) = supervisor.status()
    return found


async def test_a_child_gets_its_plan_and_ends_on_request(tmp_path):
    supervisor = Supervisor()
    await supervisor.start([spec(tmp_path / "log")])
    await supervisor.stop()
    assert (tmp_path / "log").read_bytes() == b"plan\nended\n"
    assert supervisor.status() == []


async def test_a_killed_child_is_started_again(tmp_path):
    supervisor = Supervisor()
    await supervisor.start([spec(tmp_path / "log")])
    first = status(supervisor).pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: status(supervisor).ready and status(supervisor).pid != first)
    assert status(supervisor).restarts == 1
    await supervisor.stop()
    assert (tmp_path / "log").read_bytes() == b"plan\nplan\nended\n"


async def test_a_replacement_serves_before_the_old_one_ends(tmp_path):
    supervisor = Supervisor()
    await supervisor.start([spec(tmp_path / "log", plan=b"old")])
    first = status(supervisor).pid
    await supervisor.start([spec(tmp_path / "log", plan=b"new")])
    assert (tmp_path / "log").read_bytes() == b"old\nnew\nended\n"
    assert status(supervisor).pid != first
    await supervisor.stop()


async def test_a_replacement_that_cannot_start_changes_nothing(tmp_path):
    supervisor = Supervisor()
    await supervisor.start([spec(tmp_path / "log")])
    first = status(supervisor).pid
    with pytest.raises(StartError):
        await supervisor.start([spec(tmp_path / "log", "raise SystemExit(3)")])
    assert status(supervisor).pid == first
    assert status(supervisor).ready
    await supervisor.stop()


async def test_a_child_that_cannot_start_is_an_error_and_not_a_loop(tmp_path):
    supervisor = Supervisor()
    with pytest.raises(StartError, match="child ended with status 3 before it was ready"):
        await supervisor.start([spec(tmp_path / "log", "raise SystemExit(3)")])
    assert supervisor.status() == []


async def test_a_command_that_cannot_be_run_is_an_error(tmp_path):
    supervisor = Supervisor()
    with pytest.raises(StartError, match="child ended with status 127 before it was ready"):
        await supervisor.start([ChildSpec("child", [str(tmp_path / "missing")], b"plan")])
    assert supervisor.status() == []


async def test_a_child_that_cannot_be_started_for_a_while_is_started_later(tmp_path):
    command = tmp_path / "command"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    command.chmod(0o700)
    supervisor = Supervisor()
    await supervisor.start([ChildSpec("child", [str(command), "-c", CHILD, str(tmp_path / "log")], b"plan")])
    first = status(supervisor).pid
    command.chmod(0)  # stands for every reason why a process cannot be made: no memory, no descriptor
    os.kill(first, signal.SIGKILL)
    await until(lambda: status(supervisor).restarts >= 2)
    assert not status(supervisor).ready
    command.chmod(0o700)
    await until(lambda: status(supervisor).ready)
    assert status(supervisor).pid != first
    await supervisor.stop()


async def test_a_child_that_never_gets_ready_is_an_error(tmp_path):
    supervisor = Supervisor()
    with pytest.raises(StartError, match="did not become ready in time"):
        await supervisor.start([spec(tmp_path / "log", "import time; time.sleep(60)")], within=1.0)


def test_children_end_when_the_supervisor_is_killed(tmp_path):
    parent = f"""
import asyncio, sys
from filterd.server.supervisor import ChildSpec, Supervisor
async def main():
    supervisor = Supervisor()
    command = [sys.executable, "-c", {CHILD!r}, {str(tmp_path / "log")!r}]
    await supervisor.start([ChildSpec("child", command, b"plan")])
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
    limit = time.monotonic() + 10
    while b"ended" not in (tmp_path / "log").read_bytes():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_child_that_does_not_end_after_its_supervisor_is_cut_off(tmp_path):
    stuck = CHILD.replace("await stop.wait()", "await stop.wait(); await asyncio.Event().wait()")
    stuck = stuck.replace("async def main", "child.LAST_SECONDS = 0.2\nasync def main")
    command = [sys.executable, "-c", stuck, str(tmp_path / "log")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    _, said = process.communicate((4).to_bytes(8) + b"plan", timeout=20)
    assert process.returncode == 1
    assert b"cut off" in said


def test_a_child_gets_ready_for_a_supervisor_that_is_gone_and_ends(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
        env={**os.environ, "FILTERD_READY_FD": str(writing)},
    )
    os.close(writing)
    _, said = process.communicate((4).to_bytes(8) + b"plan", timeout=20)
    assert (process.returncode, said) == (0, b"")
    assert (tmp_path / "log").read_bytes() == b"plan\nended\n"
