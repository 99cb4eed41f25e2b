"""What a log line of a fault shows, asked of a process that logs as ours do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAULTY = """
import sys
import structlog
from filterd.app import logs

logs.configure(human=sys.argv[1] == "human")
log = structlog.get_logger("test")

def look_up(name, client):
    raise ValueError("nothing good")

try:
    look_up("help" + "line.example", "10.0." + "0.7")
except ValueError:
    log.exception("lookup_failed", qtype=1)
"""


def said(how):
    done = subprocess.run([sys.executable, "-c", FAULTY, how], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("how", ["human", "machine"])
def test_a_trace_shows_where_and_never_whom_or_what(how):
    text = said(how)
    assert "lookup_failed" in text
    assert "nothing good" in text
    assert "look_up" in text
    assert "helpline" not in text
    assert "10.0.0.7" not in text


def test_machines_get_a_fault_on_one_line():
    (line,) = said("machine").splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["qtype"]) == ("lookup_failed", "error", 1)
    assert found["exception"][0]["exc_type"] == "ValueError"
