"""What became of each box that may deliver: reporting, silent or never heard of.

A silent box is silent, whatever it said before: silence must not look like health.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.access.directory import Directory, Pass
from filterd.monitor.store.schema import BOXES, PROCESSES

REPORTING: Final = "reporting"
SILENT: Final = "silent"
NEVER: Final = "never"
State = Literal["reporting", "silent", "never"]
_CLOCK_SLACK = 60.0


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """One box.

    Args:
        school, box: ids.
        state: ``reporting``, ``silent`` or ``never``.
        origin: ``configuration`` or ``store``.
        last_seen: UTC seconds of its last delivery; 0: never.
        token_issued: of its newest token; 0: not known.
        older_token_until: when the token before it ends; 0: there is none.
        version, policy_version, index_version: what it said it runs; ``""``: nothing.
        clock_offset: its clock minus the endpoint's at its last report, seconds; None: not known.
    """

    school: str
    box: str
    state: State
    origin: str
    last_seen: int = 0
    token_issued: int = 0
    older_token_until: int = 0
    version: str = ""
    policy_version: str = ""
    index_version: str = ""
    clock_offset: int | None = None


def is_recent(at: float, silent_seconds: float, now: float) -> bool:
    """Tell whether a time of our own clock is recent; one in the future is not.

    It was taken before the clock was set back.
    """
    return now - silent_seconds <= at <= now + _CLOCK_SLACK


async def statuses(
    connection: AsyncConnection, directory: Directory, *, silent_seconds: float, now: float
) -> list[BoxStatus]:
    """Return all boxes, by school and box."""
    seen = {(row.school, row.box): row.last_seen for row in await connection.execute(select(BOXES))}
    newest: dict[tuple[str, str], Any] = {}  # rows
    columns = (
        *(PROCESSES.c.school, PROCESSES.c.box, PROCESSES.c.received, PROCESSES.c.at),
        *(PROCESSES.c.version, PROCESSES.c.policy_version, PROCESSES.c.index_version),
    )
    for row in await connection.execute(select(*columns)):
        key = (row.school, row.box)
        if key not in newest or (row.received, row.at) > (newest[key].received, newest[key].at):
            newest[key] = row
    passes: dict[tuple[str, str], list[Pass]] = {}
    for one in directory.passes(now):
        passes.setdefault((one.school, one.box), []).append(one)
    return [
        _status(key, passes[key], seen.get(key, 0), newest.get(key), recent=(silent_seconds, now))
        for key in sorted(passes)
    ]


def _status(
    key: tuple[str, str],
    passes: Iterable[Pass],
    last_seen: int,
    report: Any,
    *,
    recent: tuple[float, float],
) -> BoxStatus:
    by_age = sorted(passes, key=lambda one: (one.expires, one.issued))
    state: State = NEVER if not last_seen else REPORTING if is_recent(last_seen, *recent) else SILENT
    return BoxStatus(
        school=key[0],
        box=key[1],
        state=state,
        origin=by_age[-1].origin,
        last_seen=last_seen,
        token_issued=by_age[-1].issued,
        older_token_until=int(by_age[-2].expires) if len(by_age) > 1 else 0,
        version=report.version if report is not None else "",
        policy_version=report.policy_version if report is not None else "",
        index_version=report.index_version if report is not None else "",
        clock_offset=report.at - report.received if report is not None else None,
    )
