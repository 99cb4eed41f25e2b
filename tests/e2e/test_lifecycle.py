"""Start, end, kill -9: nothing is left behind, and what should serve serves again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from itertools import cycle

import pytest
from _ask import ask, question, udp
from _load import Load
from _programs import DNS, MONITOR, marked, until

NAMES = ("mektep2.flood.example", "casino.example", "a.flood.example", "www.bet.example")


def expected(name):
    return {"198.51.100.7"} if "flood" in name else {"NXDOMAIN"}


def load(filterd, **more):
    return Load(filterd.v4, lambda number: NAMES[number % len(NAMES)], expected, **more)


def serves(filterd):
    """Every DNS process answers: sockets enough to meet them all."""
    for _ in range(16):
        assert ask(filterd.v4, "casino.example", timeout=30).blocked
        assert ask(filterd.v4, "b.flood.example", timeout=30).data == ["198.51.100.7"]


@pytest.fixture
def running(start, papers, unbound):
    return start(papers.config(unbound.server, workers=2))


@pytest.fixture
def single(start, papers, unbound):
    return start(papers.config(unbound.server))


def test_ctrl_c_ends_everything(running):
    serves(running)
    assert running.end(signal.SIGINT, seconds=5.0) == 0
    assert "Traceback" not in running.said
    assert not (running.state / "control.sock").exists()


def test_sigterm_ends_everything(single):
    assert single.end(signal.SIGTERM, seconds=5.0) == 0
    assert "Traceback" not in single.said


def test_ctrl_c_of_a_terminal_reaches_the_whole_process_group_and_twice_is_no_crash(single):
    os.killpg(single.process.pid, signal.SIGINT)
    time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(single.process.pid, signal.SIGINT)
    single.process.wait(10)
    single.gone()
    assert "Traceback" not in single.said


def test_what_lies_in_the_folder_it_is_started_from_is_not_run(start, papers, unbound, tmp_path):
    """A file of a standard module's name there must not become part of the filter."""
    folder = tmp_path / "f"
    folder.mkdir()
    for module in ("json", "asyncio", "filterd"):
        (folder / f"{module}.py").write_text('raise SystemExit("run from the folder")\n')
    serves(start(papers.config(unbound.server), folder=folder))


@pytest.mark.parametrize("after", [0.1, 0.5, 0.9, 1.3])
def test_ctrl_c_while_it_starts(start, papers, unbound, after):
    filterd = start(papers.config(unbound.server), wait=False)
    time.sleep(after)
    os.killpg(filterd.process.pid, signal.SIGINT)
    filterd.process.wait(10)
    filterd.gone()
    if filterd.said:  # else the interpreter itself was not up yet
        assert "Traceback" not in filterd.said or after == 0.1


def test_it_ends_although_upstream_and_endpoint_are_silent(start, papers, stub):
    """Questions under way and an endpoint that takes connections and never answers."""
    stub.behaviour = lambda _query: None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delivery = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        filterd = start(papers.config(stub.server, delivery=delivery))
        with udp(filterd.v4) as sock:
            for number in range(20):
                sock.send(question(f"w{number}.waiting.example").to_wire())
            assert ask(filterd.v4, "casino.example").blocked
            assert filterd.end(seconds=15.0) == 0
    assert "Traceback" not in filterd.said


def test_a_killed_dns_process_is_started_again_and_its_siblings_answer(running):
    for pid in running.children(DNS):
        with load(running) as asking:
            asking.more()
            os.kill(pid, signal.SIGKILL)
            asking.more(600)
            until(lambda: len(running.children(DNS)) == 2, "the replacement")
            outcome = asking.stop()
        assert not outcome.wrong
        assert len(outcome.lost) <= 64 + 50, "what the killed one had taken from its socket, at most"
        serves(running)
    assert len(running.logged("child_died", 2)) == 2
    found = json.loads(running.run("status", "--json").stdout)
    assert sum(process["restarts"] for process in found["processes"]) == 2


def test_a_dns_process_that_is_killed_again_and_again_comes_back(running):
    for _ in range(4):
        for pid in running.children(DNS):
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(running.children(DNS)) == 2, "the replacements")
    serves(running)


def test_lookups_never_notice_the_endpoint(running):
    """Killed, stopped, come back: not one answer is lost."""
    with load(running) as asking:
        asking.more()
        os.kill(running.child(MONITOR), signal.SIGKILL)
        asking.more()
        until(lambda: running.children(MONITOR), "the endpoint")
        os.kill(running.child(MONITOR), signal.SIGSTOP)
        asking.more()
        os.kill(running.child(MONITOR), signal.SIGCONT)
        asking.more()
        asking.stop().clean()


def test_the_killed_supervisor_leaves_no_orphan_and_the_next_start_works(start, papers, unbound, running):
    serves(running)
    running.process.kill()
    running.process.wait()
    running.gone()
    again = start(papers.config(unbound.server), folder=running.folder)
    serves(again)
    assert again.end() == 0


def test_a_power_cut_leaves_what_the_next_start_needs(start, papers, unbound, running):
    serves(running)
    for pid in [running.process.pid, *marked(running.mark)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    running.process.wait()
    running.gone()
    again = start(papers.config(unbound.server), folder=running.folder)
    serves(again)


def test_two_filters_beside_each_other(start, papers, unbound):
    """Each with its own state and ports; neither disturbs the other."""
    one, two = (start(papers.config(unbound.server), wait=False) for _ in range(2))
    for filterd in (one.wait(), two.wait()):
        serves(filterd)
    one.end()
    serves(two)


def test_out_of_file_descriptors_udp_lives(start, papers, unbound):
    """One client after another opens connections until nothing is left to open."""
    filterd = start(
        papers.config(unbound.server, limits={"tcp_connections_per_client": 1000, "tcp_idle": 60}),
        limit_files=128,
    )
    opened = []
    try:
        for number in cycle(range(1, 200)):
            sock = socket.socket()
            opened.append(sock)
            sock.bind((f"127.0.0.{number}", 0))
            sock.settimeout(5)
            sock.connect((filterd.v4.host, filterd.v4.port))
            if len(opened) == 200:
                break
        for _ in range(5):
            assert ask(filterd.v4, "casino.example").blocked
            assert ask(filterd.v4, "localhost").data == ["127.0.0.1"]
    finally:
        for sock in opened:
            sock.close()
    until(lambda: ask(filterd.v4, "c.flood.example").data, "lookups upstream")
    assert ask(filterd.v4, "casino.example", tcp=True).blocked
