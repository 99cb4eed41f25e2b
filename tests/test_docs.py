"""Every command shown in the documents works, in a fresh clone set up by the first of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
START = "./deploy/quickstart"
TESTS = "./tests/run"


def commands() -> list[str]:
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```console\n(.*?)```", document.read_text("utf-8"), re.DOTALL):
            found += [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return found


def links() -> list[tuple[Path, str]]:
    found = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8")):
            found.append((document, target))
    return found


@pytest.mark.parametrize(
    ("document", "target"), [link for link in links() if not link[1].startswith("http")], ids=str
)
def test_links_lead_somewhere(document, target):
    assert (document.parent / target).exists()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of what git knows, without an environment, and the filter that quickstart starts in it."""
    folder = tmp_path_factory.mktemp("clone") / "filterd"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    environment = {
        key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")
    }
    path = folder.parent / "log"

    def said() -> str:
        return path.read_text("utf-8", "replace")

    with path.open("wb") as log:
        process = subprocess.Popen(
            [START], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 240
        while "Ctrl-C ends it." not in said():
            assert process.poll() is None, said()
            assert time.monotonic() < deadline, said()
            time.sleep(0.2)
        yield folder, said()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, said()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert "Traceback" not in said()


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.timeout(400)
def test_quickstart_prints_lines_that_work(clone):
    folder, said = clone
    shown = dict(re.findall(r"^ +([\w ]+): +((?:dig|curl|\S*filterd) .*)$", said, re.MULTILINE))
    assert {"a blocked name", "an allowed name", "why", "what was blocked", "metrics"} <= set(shown)
    blocked = run(shown["a blocked name"], folder).stdout
    assert "status: NXDOMAIN" in blocked
    assert "EDE: 15 (Blocked): (category: gambling" in blocked
    deadline = time.monotonic() + 20
    while '"1xbet.com"' not in run(shown["what was blocked"], folder).stdout:
        assert time.monotonic() < deadline, "the blocked lookup did not arrive"
        time.sleep(0.3)
    metrics = run(shown["metrics"], folder).stdout
    assert re.search(r'^filterd_events_total\{.*category="gambling".*\} 1\.0$', metrics, re.MULTILINE)
    with urllib.request.urlopen("http://127.0.0.1:8053/readyz", timeout=5) as answer:
        assert answer.status == 200


@pytest.mark.timeout(400)
def test_every_metric_is_documented(clone):
    folder, _ = clone
    run("dig @127.0.0.1 -p 5353 1xbet.com", folder)
    deadline = time.monotonic() + 40
    while "filterd_upstream" not in (metrics := run("curl -s http://127.0.0.1:8053/metrics", folder).stdout):
        assert time.monotonic() < deadline, metrics
        time.sleep(0.5)
    shown = set(re.findall(r"^# HELP (\w+)", metrics, re.MULTILINE))
    documented = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE)
    )
    assert shown - documented == set()
    assert re.findall(r"^filterd_box_ignored_values_total.* (\S+)$", metrics, re.MULTILINE) == ["0.0"], (
        "the box tells something that the endpoint does not know"
    )


def test_the_documents_begin_with_the_two_commands():
    assert commands()[0] == START
    assert TESTS in commands()


@pytest.mark.parametrize("command", [command for command in dict.fromkeys(commands()) if command != START])
def test_a_documented_command_works(clone, command):
    folder, _ = clone
    if command == TESTS:  # it is what runs this; its help shows that it is there and speaks
        command = f"{TESTS} --help"
    done = run(command, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stdout + done.stderr
