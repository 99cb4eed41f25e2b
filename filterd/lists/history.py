"""What was activated, refused and rolled back, by whom and why; and what follows from it for the next update.

One JSON line for each event in ``history.jsonl`` beside the versions, the last 500. Content that was rolled
back or refused is not activated again by itself, whatever number it gets; what a person rolled back stays
away until a person activates something, or the hold ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError

from filterd.lists.identity import content_of
from filterd.lists.shelf import write_atomically, written

HISTORY: Final = "history.jsonl"
KEPT: Final = 500
MACHINE: Final = "filterd"  # who acts when nobody does

Action = Literal["activated", "refused", "rolled-back", "kept", "accepted"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        at: UTC seconds.
        action: ``activated`` (put in use), ``refused`` (the gate spoke against it), ``rolled-back`` (another
            one is in use instead), ``kept`` (watched, and found good), ``accepted`` (a person took a copy of
            a list that the gate had refused).
        version: which.
        before: the version that was in use before; empty when none was.
        by: who: a person, or ``filterd`` itself.
        why: in one sentence.
        hold_until: UTC seconds until which nothing is activated by itself; 0: no hold.
    """

    at: int
    action: Action
    version: str
    before: str = ""
    by: str = MACHINE
    why: str = ""
    hold_until: int = 0


_EVENT: Final = TypeAdapter(Event)


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows from the history.

    Attributes:
        barred: why content must not be activated by itself, by its digest.
        hold_until: UTC seconds until which nothing is, 0: no hold.
        held_by, held_why: whose hold it is.
    """

    barred: dict[str, str]
    hold_until: int = 0
    held_by: str = ""
    held_why: str = ""

    def objection(self, content: str, now: float) -> str:
        """Return why content must not be put in use by itself now; empty when it may."""
        if now < self.hold_until:
            return f"{self.held_by} rolled back ({self.held_why}) and holds updates"
        return self.barred.get(content, "")


def read(folder: Path) -> tuple[Event, ...]:
    """Return the events, oldest first; a line that is not one is left out."""
    try:
        lines = (folder / HISTORY).read_bytes().splitlines()
    except OSError:
        return ()
    events = []
    for line in lines:
        with suppress(ValidationError):
            events.append(_EVENT.validate_json(line))
    return tuple(events)


def write(folder: Path, event: Event) -> None:
    """Add an event.

    Raises:
        ListError: the file cannot be written.
    """
    events = (*read(folder), event)[-KEPT:]
    with written(folder):
        write_atomically(folder / HISTORY, b"".join(_EVENT.dump_json(one) + b"\n" for one in events))


def standing(events: Iterable[Event]) -> Standing:
    """Return what follows from the events, given oldest first."""
    found = Standing({})
    for event in events:
        content = content_of(event.version)
        if event.action == "activated":
            found.barred.pop(content, None)
            if event.by != MACHINE:
                found = Standing(found.barred)
        elif event.action in {"refused", "rolled-back"}:
            found.barred[content] = f"{event.action} by {event.by}: {event.why}"
            if event.hold_until:
                found = Standing(found.barred, event.hold_until, event.by, event.why)
    return found
