from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("FILTERD_KILLS", "10"))


@pytest.mark.timeout(120 + 5 * KILLS)
def test_kill_9_loses_nothing_committed_and_stores_nothing_twice(tmp_path):
    program = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(program), "--kills", str(KILLS), "--folder", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert sum(figures["kills"].values()) == KILLS
    assert figures["stored"] >= figures["promised"] > 0
