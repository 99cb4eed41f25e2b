"""The change log: a chain that shows what was altered, and a file that never grows without bound."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.app import policylog
from filterd.app.policylog import Asked, PolicyLog
from filterd.errors import StartError

WHO = Asked("Айгүл", "root", "себебі")


def filled(path, number=5):
    log = PolicyLog(path)
    for one in range(number):
        log.add(WHO, "reload", old=f"v{one}", new=f"v{one + 1}", at=1_800_000_000.0 + one)
    return log


def test_r6_the_newest_first_and_whole(tmp_path):
    log = filled(tmp_path / "log")
    assert [one.number for one in log.newest()] == [5, 4, 3, 2, 1]
    assert log.faults() == []
    newest = next(log.newest())
    assert (newest.who, newest.why, newest.old, newest.new) == ("Айгүл", "себебі", "v4", "v5")
    assert newest.hash == newest.sealed()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(0, 4), st.sampled_from(["who", "why", "at", "old", "new", "user", "what", "number", "more"])
)
def test_r6_a_changed_line_shows(tmp_path, line, key):
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    log = filled(path)
    lines = path.read_text("utf-8").splitlines()
    values = json.loads(lines[line])
    values[key] = {"x": 1} if key == "more" else 77 if key == "number" else "another"
    lines[line] = json.dumps(values)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert any("was altered" in fault for fault in log.faults())


def test_r6_a_line_taken_out_and_a_line_forged_show(tmp_path):
    path = tmp_path / "log"
    log = filled(path)
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], *lines[3:]]) + "\n", "utf-8")
    assert log.faults() == [f"{path}:3: something between 2 and 4 is missing"]
    forged = policylog.Change(**{**json.loads(lines[2]), "who": "nobody"})
    lines[2] = json.dumps({**json.loads(lines[2]), "who": "nobody", "hash": forged.sealed()})
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert log.faults() == [f"{path}:4: something between 3 and 4 is missing"]
    path.write_text("\n".join(lines[1:]) + "\n", "utf-8")
    assert log.faults() != []


def test_a_line_cut_by_a_crash_stays_to_be_seen_and_the_next_is_whole(tmp_path):
    path = tmp_path / "log"
    log = filled(path, 2)
    path.write_bytes(path.read_bytes()[:-20])
    change = log.add(WHO, "reload", old="a", new="b", at=1.0)
    assert change.number == 2
    assert next(log.newest()) == change
    assert any("cannot be read" in fault for fault in log.faults())


def test_it_is_bounded_and_the_chain_goes_on_over_files(tmp_path, monkeypatch):
    monkeypatch.setattr(policylog, "MAX_BYTES", 2000)
    path = tmp_path / "log"
    log = filled(path, 60)
    files = sorted(tmp_path.iterdir())
    assert len(files) == policylog.MAX_FILES
    assert all(file.stat().st_size < 2600 for file in files)
    numbers = [one.number for one in log.newest()]
    assert numbers == list(range(60, 60 - len(numbers), -1))
    assert log.faults() == []


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(StartError, match="cannot write the change log"):
        PolicyLog(tmp_path / "none" / "log").add(WHO, "reload", old="", new="x", at=0.0)
