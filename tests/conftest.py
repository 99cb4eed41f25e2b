"""Fixtures for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine must not fail a property: hypothesis' own limits of time are off, pytest's stay.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

DATA_VARIABLE = "FILTERD_TEST_DATA"


@pytest.fixture(scope="session")
def realdata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the unpacked sample data (``lists/``, ``queries/``, ``packets/``); never skips."""
    folder = Path(os.environ.get(DATA_VARIABLE, ""))
    if not os.environ.get(DATA_VARIABLE) or not (folder / "lists").is_dir():
        pytest.fail(f"{DATA_VARIABLE} does not name the unpacked sample data; ./tests/run sets it")
    return folder
