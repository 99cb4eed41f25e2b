"""The temporary overrides on disk: written by the supervisor, read by every DNS process, durable.

What they do is rules/overrides.py's. A file that cannot be read is an empty one, told in the log: without
overrides the policy holds, which is what locks and people agreed on.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from filterd.app.prepare import write_atomically
from filterd.errors import PolicyError, StartError
from filterd.rules.overrides import EVERYONE, MAX_SECONDS, Override
from filterd.rules.timing import instant

log = structlog.get_logger(__name__)

MAX_OVERRIDES = 500
_FOR = re.compile(r"([0-9]{1,5})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class OverrideStore:
    """The overrides of one box.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Override]:
        """Return all overrides in the file, the oldest first, ended ones too."""
        try:
            found = json.loads(self._path.read_bytes())
            return sorted((Override(**one) for one in found["overrides"]), key=lambda one: one.id)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("overrides_unreadable", file=str(self._path), error=str(error))  # noqa: TRY400 - the line says all
            return []

    def active(self, at: float) -> list[Override]:
        """Return the overrides that have not ended at an instant."""
        return [one for one in self.read() if at < one.until]

    def write(self, overrides: list[Override]) -> None:
        """Replace the file, whole or not at all.

        Raises:
            StartError: it cannot be written; the overrides of before hold.
        """
        content = json.dumps(
            {"format": 1, "overrides": [asdict(one) for one in overrides]}, ensure_ascii=False, indent=1
        )
        try:
            write_atomically(self._path, content.encode())
        except OSError as error:
            raise StartError(
                f"cannot write {self._path}: {error.strerror}", remedy="nothing was changed"
            ) from error


def asked_for(
    given: dict[str, Any], number: int, *, zone: ZoneInfo, now: float, author: str, reason: str
) -> Override:
    """Return the override that a person asks for.

    Args:
        given: ``group``, ``allow`` (a boolean), ``kind``, ``value``, and ``until`` as written.
        number: its id.
        zone: of the school.
        now: UTC seconds.
        author: who asks.
        reason: why.

    Raises:
        PolicyError: something of it is missing or not understood.
    """
    if not reason.strip():
        raise PolicyError("an override needs a reason", remedy="say it with --why")
    kind = given.get("kind")
    if kind not in ("name", "category", "filtering"):
        raise PolicyError("an override is about a name, a category or all filtering")
    value = str(given.get("value") or "")
    until = end_of(str(given.get("until") or ""), zone=zone, now=now)
    return Override(
        id=number,
        group=str(given.get("group") or EVERYONE),
        kind=kind,
        value=value.strip().lower() if kind == "name" else value,
        allow=bool(given.get("allow")),
        until=until,
        reason=reason.strip()[:400],
        author=author,
        made=now,
    )


def end_of(text: str, *, zone: ZoneInfo, now: float) -> float:
    """Return the end of an override: ``11:40`` (the next), ``45m``, ``2h``, ``3d``, or a date and time.

    Raises:
        PolicyError: none of these, in the past, or further away than an override may last.
    """
    if (found := _FOR.fullmatch(text)) is not None:
        until = now + int(found[1]) * _SECONDS[found[2]]
    else:
        try:
            until = _next(text, zone, now) if _CLOCK.fullmatch(text) else instant(text, zone)
        except ValueError as error:
            raise PolicyError(
                f"{text!r} is no time", remedy="write 11:40, 45m, 2h, 3d or '2026-09-01 11:40'"
            ) from error
    if until <= now:
        raise PolicyError(f"{text!r} is over already", remedy="name a time to come")
    if until - now > MAX_SECONDS:
        raise PolicyError(
            f"{text!r} is more than {MAX_SECONDS // 86_400} days away",
            remedy="what should last belongs into the policy",
        )
    return until


def _next(clock: str, zone: ZoneInfo, now: float) -> float:
    today = datetime.fromtimestamp(now, zone).date()
    until = instant(f"{today} {clock}", zone)
    return until if until > now else instant(f"{today + timedelta(days=1)} {clock}", zone)
