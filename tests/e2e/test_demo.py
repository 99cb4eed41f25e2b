"""`filterd demo` as a person runs it: it fills, the printed command serves it, a report says what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from _endpoint import get
from _programs import COMMAND, Program, filterd, free_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "show"


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A demonstration of one day, served by the command that it printed: what it said, its URL."""
    port = free_port()
    options = ("--month", "2026-10", "--days", "1", "--listen", f"127.0.0.1:{port}")
    done = filterd("demo", "--folder", str(folder), *options, timeout=180)
    assert done.returncode == 0, done.stderr
    command = re.search(r"serve it: +filterd (.*)$", done.stdout, re.MULTILINE)
    assert command
    program = Program([COMMAND, *command[1].split()], tmp_path / "monitor")
    try:
        program.say("(Ctrl-C ends it)")
        yield done.stdout, f"http://127.0.0.1:{port}"
        assert program.end() == 0
    finally:
        program.kill()


@pytest.mark.timeout(300)
def test_a_demonstration_is_made_served_and_reported(served: tuple[str, str], folder: Path) -> None:
    said, url = served
    assert "nothing in it is real" in said
    assert f"curl -s {url}/metrics" in said
    status, body = get(f"{url}/metrics")
    assert status == 200
    text = body.decode()
    assert "filterd_demonstration 1.0" in text
    assert set(re.findall(r'school="([^"]+)"', text)) == {f"demo-{number}" for number in range(101, 121)}
    assert text.count("filterd_school_info{") == 20

    again = filterd("demo", "--folder", str(folder))
    assert again.returncode == 1
    assert "holds a demonstration already" in again.stderr
    assert "Traceback" not in again.stderr

    report = folder / "report.json"
    arguments = ["--config", str(folder / "demo.yaml"), "--region", "", "--month", "2026-10"]
    done = filterd("report", "monthly", *arguments, "--format", "json", "--output", str(report))
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["scope"]["demonstration"] is True


def test_a_folder_with_something_else_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "theirs").write_text("x")
    done = filterd("demo", "--folder", str(folder))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["theirs"]
