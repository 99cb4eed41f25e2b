"""``filterd demo``: a folder with a store of made-up data and the configuration that serves it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from filterd.app.endpoint import settings
from filterd.app.prepare import write_atomically
from filterd.config.load import load_config
from filterd.errors import StartError
from filterd.monitor.demo.fill import Filled, fill
from filterd.monitor.demo.schools import SCHOOLS

CONFIG = "demo.yaml"
_HEAD = "# A DEMONSTRATION made by `filterd demo`: no school, device or site in it is real.\n"


def period(month: str | None, today: date) -> tuple[date, int]:
    """Return the first day and the number of days: a month, or the last one and what has gone by since.

    Args:
        month: ``2026-10``, that month alone; ``None``: the month before today's until yesterday.
        today: by the calendar.

    Raises:
        StartError: it is not a month.
    """
    if month is None:
        first = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
        return first, (today - first).days
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError as error:
        raise StartError(f"{month!r} is not a month", remedy="write year and month, as 2026-10") from error
    return first, ((first + timedelta(days=31)).replace(day=1) - first).days


def prepare(folder: Path, database: str | None, listen: str) -> Path:
    """Make the folder with the configuration of its monitor; return the configuration's path.

    Raises:
        StartError: the folder holds something else, or cannot be written.
    """
    path = folder / CONFIG
    try:
        if not path.exists() and folder.exists() and any(folder.iterdir()):
            raise StartError(
                f"{folder} is not empty and no demonstration", remedy="name a folder that is empty or new"
            )
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            text = yaml.safe_dump(_model(folder, database, listen), sort_keys=False, allow_unicode=True)
            write_atomically(path, (_HEAD + text).encode())
    except OSError as error:
        raise StartError(f"{folder}: {error.strerror}", remedy="name a folder you may write") from error
    return path


async def make(path: Path, when: tuple[date, int], seed: int, show: Callable[[int, int], None]) -> Filled:
    """Fill the store of a prepared configuration.

    Raises:
        FilterdError: the store is not empty or cannot be written.
    """
    config = load_config(path, {})
    config.state.make()
    return await fill(settings(config), *when, seed, show)


def _model(folder: Path, database: str | None, listen: str) -> dict[str, Any]:
    monitor: dict[str, Any] = {"listen": [listen], "retention_days": 62}
    if database:
        monitor["database"] = database
    # Tokens that nobody knows: no box can deliver into the demonstration.
    monitor["boxes"] = {
        school.id: {
            "school": school.id,
            "token_sha256": hashlib.sha256(secrets.token_bytes(32)).hexdigest(),
        }
        for school in SCHOOLS
    }
    # The monitor is no box of its own: it would stand among the schools, silent.
    return {"box": SCHOOLS[0].id, "state": str(folder.absolute() / "state"), "monitor": monitor}
