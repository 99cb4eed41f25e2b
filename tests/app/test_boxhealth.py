from __future__ import annotations

import json

import pytest

from filterd.app.boxhealth import box_values, last_selftest
from filterd.config.paths import StatePaths

LINE = {
    "at": "2026-11-24T06:00:00+00:00", "server": "127.0.0.1:53", "school": "mektep-1", "policy": "p",
    "index": "i",
    "tested": 35, "failed": ["games"], "no_source": ["csam"], "error": "", "results": {},
    "learning_tested": 60, "learning_answered": 58,
}  # fmt: skip


@pytest.fixture
def state(tmp_path) -> StatePaths:
    return StatePaths(tmp_path)


def write(state: StatePaths, *lines: object) -> None:
    state.selftests.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_the_latest_selftest_is_carried(state):
    write(state, {**LINE, "failed": []}, LINE)
    found = last_selftest(state)
    assert found is not None
    assert (found.at, found.tested, found.failed, found.no_source) == (1795500000, 35, ["games"], ["csam"])
    assert (found.learning_tested, found.learning_answered, found.error) == (60, 58, "")
    assert box_values(state)["selftest_failed"] == 1.0


def test_one_of_before_learning_sites_were_asked_for(state):
    write(state, {key: value for key, value in LINE.items() if not key.startswith("learning")})
    found = last_selftest(state)
    assert found is not None
    assert found.learning_tested == 0


def test_a_long_error_is_cut(state):
    write(state, {**LINE, "error": "x" * 1000})
    found = last_selftest(state)
    assert found is not None
    assert len(found.error) == 200


@pytest.mark.parametrize(
    "line",
    [{}, [], "x", {**LINE, "tested": -1}, {**LINE, "failed": None}, {**LINE, "at": 5}, {**LINE, "error": 1}],
)
def test_a_damaged_line_is_no_selftest(state, line):
    write(state, line)
    assert last_selftest(state) is None


def test_no_file_is_no_selftest(state):
    assert last_selftest(state) is None
