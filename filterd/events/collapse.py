"""Many equal lookups become one event with a count; here the client's address ends.

Pure: the time, the pseudonyms and the names come in as arguments; no I/O, no clock. A browser asks A, AAAA
and HTTPS of one name and asks again: in a 5-minute bucket that is one event of a device. The lookups of one
call come in their order and fall within a tenth of a second: what hints need (hints.py) is still there at
this place and nowhere after it. A repetition within a call belongs to the first ask and has its hints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from filterd.events.batch import BUCKET_SECONDS, Event
from filterd.events.hints import no_hints
from filterd.events.recorder import Lookup
from filterd.rules.verdict import Action

_MAX_ID = 64
_MAX_RULE = 1100


class EventKey(NamedTuple):
    """What makes two lookups equal: every field of `Event` but the count."""

    bucket: int
    group: str
    tier: str
    pseudonym: str
    domain: str
    name: str
    category: str
    list: str
    rule: str
    layer: str
    verdict: str
    reason: str
    hints: str = ""


def collapse(
    lookups: Iterable[Lookup],
    *,
    at: int,
    pseudonym: Callable[[bytes, bytes | None, int], str],
    spoken: Callable[[bytes], tuple[str, str]],
    hints: Callable[[bytes, str, str, str, int], str] = no_hints,
) -> dict[EventKey, int]:
    """Return how often each event happened among lookups made at about `at`.

    Args:
        lookups: what the recorder held. One whose verdict is "allow" is left out: allowed names are never
            recorded, whatever a caller does.
        at: UTC seconds.
        pseudonym: `(address, mac, at) -> pseudonym`.
        spoken: `name -> (text, registrable domain)`.
        hints: `(address, pseudonym, registrable domain, category, at) -> hints`, called in order.
    """
    counts: dict[EventKey, int] = {}
    for (client, mac, view, name, _, verdict), times in _repeats(lookups):
        if verdict.action is Action.ALLOW:
            continue
        text, domain = spoken(name)
        device = pseudonym(client, mac, at)
        category = verdict.category or ""
        key = EventKey(
            bucket=at - at % BUCKET_SECONDS,
            group=view.group,
            tier=view.tier,
            pseudonym=device,
            domain=domain,
            name=text,
            category=category,
            list=(verdict.list_id or "")[:_MAX_ID],
            rule=(verdict.rule or "")[:_MAX_RULE],
            layer=(verdict.layer or "")[:_MAX_ID],
            verdict=str(verdict.action),
            reason=str(verdict.reason),
            hints=hints(client, device, domain, category, at),
        )
        counts[key] = counts.get(key, 0) + times
    return counts


def _repeats(lookups: Iterable[Lookup]) -> Iterable[tuple[Lookup, int]]:
    # Views and verdicts of a repeated lookup are the same objects (the memo holds them), so their identity
    # is a cheap first sieve; objects that are equal only in value meet again in the second one.
    seen: dict[tuple[bytes, bytes | None, int, bytes, int], int] = {}
    first: list[Lookup] = []
    for lookup in lookups:
        client, mac, view, name, _, verdict = lookup
        key = (client, mac, id(view), name, id(verdict))
        if key in seen:
            seen[key] += 1
        else:
            seen[key] = 1
            first.append(lookup)
    return zip(first, seen.values(), strict=True)


def add(into: dict[EventKey, int], counts: Mapping[EventKey, int], *, limit: int) -> int:
    """Add counts to those that wait; return how many lookups found no room.

    Args:
        into: changed in place; an event already there always has room.
        counts: what `collapse` returned.
        limit: most events that may wait.
    """
    dropped = 0
    for key, times in counts.items():
        waiting = into.get(key)
        if waiting is not None:
            into[key] = waiting + times
        elif len(into) < limit:
            into[key] = times
        else:
            dropped += times
    return dropped


def to_events(counts: Mapping[EventKey, int]) -> tuple[list[Event], int]:
    """Return the events, and how many lookups could not be expressed as one.

    An id of a group or category that is none is found here, because one such event would make the endpoint
    refuse its whole batch.
    """
    events = []
    refused = 0
    for key, times in counts.items():
        try:
            events.append(Event.model_validate({**key._asdict(), "count": times}))
        except ValidationError:
            refused += times
    return events, refused
