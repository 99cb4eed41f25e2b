"""What lists, bundle and self-tests add to this box's health reports: read from small files, never computed.

Light to import and cheap to call: the supervisor does so with every report. A file that is missing or damaged
says nothing; health must not depend on health.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filterd.config.paths import StatePaths

if TYPE_CHECKING:
    from filterd.events.batch import SelfTest

_TAIL: Final = 64 * 1024  # bytes; one line of evidence has about 4 kB


def box_values(state: StatePaths) -> dict[str, float]:
    """Return the values; never raises."""
    return {**_lists(state.lists_status), **_selftest(state.selftests)}


def _lists(path: Path) -> dict[str, float]:
    """Return the ``health`` of what the last update wrote."""
    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        found = json.loads(path.read_bytes())["health"]
        return {str(key): float(value) for key, value in found.items()}
    return {}


def last_selftest(state: StatePaths) -> SelfTest | None:
    """Return the latest self-test as health reports carry it; None when there is none to read."""
    from filterd.events.batch import SelfTest  # noqa: PLC0415 - the supervisor needs it only to ship

    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        last: dict[str, Any] = json.loads(_last_line(state.selftests))
        return SelfTest(
            at=int(datetime.fromisoformat(last["at"]).timestamp()),
            tested=last["tested"],
            failed=last["failed"],
            no_source=last["no_source"],
            learning_tested=last.get("learning_tested", 0),
            learning_answered=last.get("learning_answered", 0),
            error=last["error"][:200],
        )
    return None


def _selftest(path: Path) -> dict[str, float]:
    """Return when the last self-test was and how many categories failed it."""
    with suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
        last: dict[str, Any] = json.loads(_last_line(path))
        failed = len(last["failed"]) or int(bool(last["error"]))
        return {
            "selftest_at": datetime.fromisoformat(last["at"]).timestamp(),
            "selftest_failed": float(failed),
        }
    return {}


def _last_line(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read().splitlines()[-1]
