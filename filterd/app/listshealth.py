"""How the lists of this box stand, in one file: for pages, and for health reports (boxhealth.py).

Written by every command that changes something about lists; a damaged one means that nothing is known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from filterd.config.load import Config
from filterd.lists import activate, history
from filterd.lists.catalogue import load_catalogue
from filterd.lists.gathering import exceptions_of
from filterd.lists.limits import DAY
from filterd.lists.shelf import Shelf, write_atomically
from filterd.lists.status import health, standings
from filterd.rules.categories import load_categories


def lists_now(config: Config, *, last: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return how the lists stand, as JSON values.

    Args:
        config: of the box.
        last: what the last update did; None: what is written of it.

    Raises:
        FilterdError: the catalogue or the exceptions are wrong.
    """
    now = time.time()
    papers = config.papers
    categories = load_categories(papers.categories)
    catalogue = load_catalogue(papers.catalogue, categories)
    found = standings(
        catalogue.chosen(papers.choice),
        Shelf(papers.fetched),
        now=now,
        max_age=config.model.lists.update.max_age_days * DAY,
    )
    today = datetime.fromtimestamp(now).astimezone().date()
    overdue = exceptions_of(papers, categories).overdue(today)
    serial = int(config.bundle.name) if config.bundle is not None else 0
    standing = history.standing(history.read(config.state.lists))
    held = now < standing.hold_until
    return {
        "at": int(now),
        "bundle": serial,
        "version": activate.current_version(config.state.lists) or "",
        "last": dict(last if last is not None else _read(config.state.lists_status).get("last", {})),
        "held_until": standing.hold_until if held else 0,
        "held_why": f"{standing.held_by}: {standing.held_why}" if held else "",
        "lists": [one.to_dict() for one in found],
        "exceptions_overdue": [
            {"name": one.name, "action": one.action, "author": one.author, "review": one.review.isoformat()}
            for one in overdue
        ],
        "health": {
            **health(found),
            **({"bundle_serial": float(serial)} if serial else {}),
            "lists_overdue": float(len(overdue)),
            "lists_held": float(held),
        },
    }


def write_lists(config: Config, *, last: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write how the lists stand to the state folder, for pages and health, and return it.

    Raises:
        FilterdError: as :func:`lists_now`.
        OSError: the file cannot be written.
    """
    found = lists_now(config, last=last)
    write_atomically(config.state.lists_status, json.dumps(found, ensure_ascii=False, indent=1).encode())
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
