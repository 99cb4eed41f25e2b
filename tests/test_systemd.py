"""The units are right and hardened, by systemd's own judgement."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
TIMERS = sorted((ROOT / "systemd").glob("*.timer"))


@pytest.fixture(params=UNITS, ids=lambda path: path.name)
def unit(request, tmp_path):
    """A copy of a unit whose command is this environment's, so that it exists."""
    copy = tmp_path / request.param.name
    shutil.copy(request.param, copy)
    here = Path(sys.executable).parents[1]
    copy.write_text(copy.read_text("utf-8").replace("/opt/filterd/.venv", str(here)), "utf-8")
    return copy


def test_systemd_finds_nothing_wrong(unit):
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_exposure_is_under_two(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    assert float(exposure[1]) < 2.0


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
def test_a_timer_is_right_and_has_its_service(timer, tmp_path):
    for one in (timer, timer.with_suffix(".service")):
        text = one.read_text("utf-8").replace("/opt/filterd/.venv", str(Path(sys.executable).parents[1]))
        (tmp_path / one.name).write_text(text, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / timer.name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "RandomizedDelaySec=" in timer.read_text("utf-8"), "a fleet must not come at once"


@pytest.mark.parametrize("unit_file", UNITS, ids=lambda path: path.name)
def test_commands_of_units_exist(unit_file):
    for command in re.findall(r"^Exec\w+=\S+/filterd (\w+)", unit_file.read_text("utf-8"), re.MULTILINE):
        done = subprocess.run(
            [sys.executable, "-m", "filterd", command, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0
