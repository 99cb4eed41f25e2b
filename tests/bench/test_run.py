"""The generator against the stub and the reflector, then a whole short comparison with Unbound."""

from __future__ import annotations

import json
import os

import pytest
from harness import tools
from harness.entrants import Bench
from harness.load import Generator, LoadFailed, Target
from harness.peers import all_peers
from harness.process import Command, Server
from harness.report import text
from harness.results import Results
from harness.runner import run, stub
from harness.settings import Settings
from harness.workloads import Asked, make_workloads

ALLOWED = tuple(f"good{number}.kz" for number in range(200))
BLOCKED = tuple(f"bad{number}.kz" for number in range(200))
CORE = max(os.sched_getaffinity(0))
BASE_PORT = 15_301


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    tools.make_c_tools(folder)
    return folder


@pytest.fixture
def bench(build, tmp_path):
    settings = Settings(
        build, rounds=1, seconds=0.3, calibration=0.1, starts=1, workloads=("hits", "rate-500", "misses"),
        server_cores=str(min(os.sched_getaffinity(0))), load_core=CORE, base_port=BASE_PORT,
    )  # fmt: skip
    names = tmp_path / "names.txt"
    names.write_text("".join(f"{name}\n" for name in BLOCKED))
    asked = make_workloads(tmp_path / "asked", names, Asked(ALLOWED, ALLOWED))
    return Bench(settings, len(BLOCKED), names, asked, lambda _text: None, [], {})


@pytest.fixture
def questions(tmp_path):
    def write(*lines):
        path = tmp_path / "questions.txt"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


@pytest.fixture
def upstream(build, tmp_path):
    command = Command([str(build / "bin" / "stub"), "127.0.0.1", str(BASE_PORT + 50)], tmp_path)
    with Server(command, str(CORE)):
        yield Target(BASE_PORT + 50)


def test_right_answers_are_counted(build, upstream, questions):
    file = questions("A.example.kz A a", "b.example.kz AAAA ae", "c.kz HTTPS a", "d.kz A au", "e.kz TXT n")
    values, wrong = Generator(build / "bin" / "load", CORE, clients=2).once(upstream, file)
    assert (values["sent"], values["answered"], values["lost"], values["wrong"]) == (5, 5, 0, 0)
    assert wrong == ""
    assert values["p99_us"] > 0


def test_wrong_answers_are_counted(build, upstream, questions):
    file = questions("a.kz A a", "bad.kz A b")
    values, wrong = Generator(build / "bin" / "load", CORE, clients=1).once(upstream, file)
    assert values["wrong"] == 1
    assert wrong == "query 2, rcode 0"


def test_a_rate_is_not_exceeded(build, upstream, questions):
    values = Generator(build / "bin" / "load", CORE).run(
        upstream, questions("a.kz A a"), seconds=1, seed=1, rate=1000
    )
    assert 0 < values["sent"] < 2000
    assert values["answered"] + values["lost"] == values["sent"]


@pytest.mark.parametrize("line", ["a.kz A", "a..kz A a", "a.kz LOC a"])
def test_a_wrong_line_is_named(build, upstream, questions, line):
    with pytest.raises(LoadFailed, match=r"questions\.txt:1"):
        Generator(build / "bin" / "load", CORE).once(upstream, questions(line))


def test_a_short_comparison(bench, tmp_path):
    peers = all_peers()
    run(bench, [peers["unbound"], peers["reflector"]])
    assert bench.standings["unbound"].state == "ok", bench.standings["unbound"].reason
    assert bench.standings["unbound"].below is True
    measured = {(sample.peer, sample.workload) for sample in bench.samples}
    assert {
        ("unbound", "hits"),
        ("unbound", "misses"),
        ("unbound", "memory"),
        ("reflector", "hits"),
    } <= measured
    assert not any(sample.values.get("wrong") for sample in bench.samples)
    machine = dict.fromkeys(
        ("date", "processor", "cores", "memory_mib", "kernel", "system", "python", "source", "settings"), ""
    )
    results = Results(machine, {bench.size: bench.standings}, bench.samples)
    results.save(tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["samples"]
    assert "unbound" in text(results)


def test_a_server_that_does_not_filter_is_broken(bench, build):
    peers = all_peers()
    stand_in = peers["unbound"].__class__(
        "open", "Filters nothing",
        lambda site: Command([str(build / "bin" / "stub"), "127.0.0.1", str(site.port)], site.folder),
        "stub",
    )  # fmt: skip
    with stub(bench):
        entrant = bench.ready(stand_in, BASE_PORT + 60, timeout=1.0)
    assert entrant is None
    assert bench.standings["open"].state == "broken"
    assert "did not block in time" in bench.standings["open"].reason
