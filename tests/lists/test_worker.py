"""A compilation in a process of its own: the same result, the same errors, low priority."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from filterd.errors import ListError, PolicyError
from filterd.lists import activate, history, worker
from filterd.lists.compile import Progress
from filterd.lists.papers import Papers
from filterd.lists.report import read_report
from filterd.lists.worker import Job, build, compile_in_process
from filterd.rules.index import Index
from filterd.wire import names

CATEGORIES = """\
format: 1
categories:
  gambling:
    bit: 3
    severity: welfare
    tiers: {primary: B, middle: B, senior: B, staff: B, guest: B}
    names: {kk: "Құмар ойын", ru: "Азартные игры", en: "Gambling"}
    sources: []
"""
CATALOGUE = """\
sources:
  - {id: one, title: One, path: one.txt, format: domains, category: gambling, origin: local, licence: CC0-1.0}
  - {id: far, title: F, url: https://x.example, format: auto, category: gambling, origin: public, licence: X}
"""
EXCEPTIONS = """\
format: 1
exceptions:
  - name: new-casino.example
    action: block
    category: gambling
    reason: Seen in grade 9
    author: IT admin
    since: 2026-11-23
    review: 2026-12-31
    until: 2026-12-01
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "categories.yaml").write_text(CATEGORIES)
    (tmp_path / "sources.yaml").write_text(CATALOGUE)
    (tmp_path / "one.txt").write_text("a.example\n1.2.3.4\n")
    papers = Papers(tmp_path / "sources.yaml", tmp_path / "categories.yaml", tmp_path / "state" / "fetched")
    return Job(papers, tmp_path / "state" / "lists")


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_a_version_is_made_and_switched_to(job: Job, run):
    steps: list[Progress] = []
    report = run(job, steps.append)
    assert report is not None
    path = activate.current(job.folder)
    assert path == job.folder / report.version / "index.mdb"
    index = Index.open(path)
    assert index.lookup(names.from_text("www.a.example"))
    index.close()
    assert read_report(path.with_name("report.json")) == report
    assert [step.what for step in steps] == ["one", "far", ""]
    assert [one.problem for one in report.lists] == ["", "not fetched yet"]


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_without_switching_the_version_in_use_stays(job: Job, run):
    first = run(job)
    second = run(replace(job, switch=False))
    assert first is not None
    assert second is not None
    assert activate.current_version(job.folder) == first.version
    assert activate.versions(job.folder) == (first.version, second.version)


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_nothing_is_done_when_nothing_changed_and_that_was_asked(job: Job, run):
    careful = replace(job, only_if_changed=True)
    assert run(careful) is not None
    assert run(careful) is None
    (job.papers.catalogue.parent / "one.txt").write_text("b.example\n")
    changed = run(careful)
    assert changed is not None
    assert len(activate.versions(job.folder)) == 2


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_nothing_is_put_in_use_by_itself_that_was_rolled_back(job: Job, run):
    first = run(job)
    (job.papers.catalogue.parent / "one.txt").write_text("b.example\n")
    second = run(job)
    activate.activate(job.folder, first.version)
    history.write(job.folder, history.Event(1, "rolled-back", second.version, why="too much"))
    assert run(replace(job, only_if_changed=True)) is None
    assert activate.current_version(job.folder) == first.version
    (job.papers.catalogue.parent / "one.txt").write_text("c.example\n")
    assert run(replace(job, only_if_changed=True)) is not None


def test_exceptions_are_compiled_on_their_days(job: Job):
    path = job.papers.catalogue.parent / "exceptions.yaml"
    path.write_text(EXCEPTIONS)
    job = replace(job, papers=replace(job.papers, exceptions=(path,)))
    for today, listed in (("2026-11-22", 1), ("2026-11-23", 2), ("2026-12-01", 2), ("2026-12-02", 1)):
        report = compile_in_process(replace(job, today=today))
        assert report is not None
        assert report.names == listed


def test_only_a_few_versions_are_kept(job: Job):
    for _ in range(5):
        build(job)
    assert [version[:6] for version in activate.versions(job.folder)] == ["000003", "000004", "000005"]


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_mistakes_come_back_with_their_place(job: Job, run):
    job.papers.catalogue.write_text(CATALOGUE.replace("format: domains", "format: domain"))
    with pytest.raises(ListError) as caught:
        run(job)
    assert (
        str(caught.value)
        == f"{job.papers.catalogue}:2:50: 'domain' is not known here (did you mean 'domains'?)"
    )
    assert (caught.value.line, caught.value.column) == (2, 50)


def test_a_mistake_in_the_categories_keeps_its_kind(job: Job):
    job.papers.categories.write_text(CATEGORIES.replace("severity: welfare", "severity: bad"))
    with pytest.raises(PolicyError, match="'bad' is not known here"):
        compile_in_process(job)


@pytest.mark.parametrize("run", [build, compile_in_process])
def test_a_failed_compilation_leaves_the_version_in_use(job: Job, run):
    good = run(job)
    assert good is not None
    (job.papers.catalogue.parent / "one.txt").unlink()
    with pytest.raises(ListError, match="'one' cannot be read"):
        run(job)
    assert activate.current_version(job.folder) == good.version
    assert activate.versions(job.folder) == (good.version,)


def test_another_compilation_is_waited_for_by_the_caller(job: Job):
    with activate.building(job.folder), pytest.raises(ListError, match="another compilation is running"):
        compile_in_process(job)


def test_a_crash_of_the_process_is_an_error_with_its_last_words(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(job.papers.catalogue.parent / "python"))
    (job.papers.catalogue.parent / "python").write_text("#!/bin/sh\necho out of memory >&2\nexit 9\n")
    (job.papers.catalogue.parent / "python").chmod(0o755)
    with pytest.raises(ListError, match="ended with 9: out of memory"):
        compile_in_process(job)


def test_an_interrupted_caller_leaves_no_process(job: Job):
    def interrupt(_step: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_in_process(job, interrupt)
    assert compile_in_process(job) is not None


def test_a_process_killed_at_work_leaves_the_version_in_use(job: Job):
    good = build(job)
    assert good is not None
    listed = "".join(f"host-{number}.example.com\n" for number in range(300_000))
    (job.papers.catalogue.parent / "one.txt").write_text(listed)
    given = job.to_json()
    command = [sys.executable, "-m", "filterd.lists.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(given + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()  # the list is read, the index is not written yet
        process.kill()
    assert activate.current_version(job.folder) == good.version
    again = build(job)
    assert again is not None
    assert again.names == 300_000
    assert sorted(entry.name for entry in job.folder.iterdir()) == [
        ".lock",
        good.version,
        again.version,
        "current",
    ]


def test_the_process_gives_way_to_others(job: Job):
    code = "import os, sys; from filterd.lists import worker; worker.main(); sys.exit(os.nice(0))"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(job.to_json() + b"\n")
        process.stdin.flush()
        assert process.wait(60) == min(os.nice(0) + worker.NICE, 19)


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_process_ends_with_its_caller(job: Job):
    """A caller killed by kill -9 says nothing: the end of the process' standard input does."""
    listed = "".join(f"host-{number}.example.com\n" for number in range(1_000_000))
    (job.papers.catalogue.parent / "one.txt").write_text(listed)
    code = (
        "import sys; from filterd.lists import worker; "
        "job = worker._JOB.validate_json(sys.stdin.buffer.read()); "
        "worker.compile_in_process(job, lambda step: print(step, flush=True))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdin.write(job.to_json())
        caller.stdin.close()
        assert caller.stdout.readline()
        (child,) = Path(f"/proc/{caller.pid}/task/{caller.pid}/children").read_text().split()
        caller.kill()
    deadline = time.monotonic() + 30
    while _lives(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert activate.versions(job.folder) == ()
