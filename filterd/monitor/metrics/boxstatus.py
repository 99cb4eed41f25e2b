"""What an admin is shown of each box that may deliver: its state, what it runs, how old its token is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.monitor.access.directory import Directory, Pass
from filterd.monitor.metrics.boxstate import BoxState, Heard, box_states

State = Literal["reporting", "silent", "never"]
_STATES: Final[dict[Heard, State]] = {
    Heard.ALIVE: "reporting",
    Heard.SILENT: "silent",
    Heard.NEVER: "never",
}


@dataclass(frozen=True, slots=True)
class BoxStatus:
    """One box.

    Args:
        school: its school.
        box: its id.
        state: ``reporting``, ``silent`` or ``never``: a silent box is silent, whatever it said before.
        origin: ``configuration`` or ``store``.
        last_seen: UTC seconds of its last delivery; 0: never.
        token_issued: of its newest token; 0: not known.
        older_token_until: when the token before it ends; 0: there is none.
        version: of its program, ``""`` without a report.
        policy_version: of its policy.
        index_version: of its lists.
        clock_offset: its clock minus the endpoint's at its last report, seconds; None: not known.
    """

    school: str
    box: str
    state: State
    origin: str
    last_seen: int
    token_issued: int
    older_token_until: int
    version: str
    policy_version: str
    index_version: str
    clock_offset: int | None


async def statuses(
    connection: AsyncConnection, directory: Directory, *, silent_seconds: float, now: float
) -> list[BoxStatus]:
    """Return all boxes that may deliver, by school and box.

    Args:
        connection: to read by.
        directory: who may deliver.
        silent_seconds: a box that says nothing for so long is silent.
        now: UTC seconds.
    """
    passes: dict[tuple[str, str], list[Pass]] = {}
    for one in directory.passes(now):
        passes.setdefault((one.school, one.box), []).append(one)
    states = await box_states(connection, passes, now=now, silent_seconds=silent_seconds)
    return [_status(one, passes[key]) for one in states if (key := (one.school, one.box)) in passes]


def _status(box: BoxState, passes: list[Pass]) -> BoxStatus:
    by_age = sorted(passes, key=lambda one: (one.expires, one.issued))
    return BoxStatus(
        school=box.school,
        box=box.box,
        state=_STATES[box.heard],
        origin=by_age[-1].origin,
        last_seen=box.last_seen,
        token_issued=by_age[-1].issued,
        older_token_until=int(by_age[-2].expires) if len(by_age) > 1 else 0,
        version=box.version,
        policy_version=box.policy_version,
        index_version=box.index_version,
        clock_offset=box.clock_offset,
    )
