"""Checked batches -> rows of the store, equal keys added up. Pure.

The key of an event is a digest of every value that makes two events different within one bucket.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, TypeAlias

from filterd.events.batch import HOUR_SECONDS, Batch, Event
from filterd.monitor.ingest.decode import bad_batch
from filterd.monitor.store.sql import MOST

# No field may hold a control character (names are written escaped, a rule is one line of text), so the
# separator cannot be forged; and PostgreSQL cannot store NUL in a text.
_SEPARATOR = "\x1f"
_FIELDS = 11
_CONTROL = re.compile(r"[\x00-\x1e\x7f]")

Row: TypeAlias = dict[str, Any]
UsageKey: TypeAlias = tuple[int, str, str, str, str]


@dataclass(slots=True)
class Rows:
    """What a batch, or several, add to the store; numbers are bounded by MOST when written."""

    events: dict[tuple[int, bytes], Row] = field(default_factory=dict)
    usage: dict[UsageKey, int] = field(default_factory=dict)
    event_totals: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)  # events, lookups
    alive: dict[int, int] = field(default_factory=dict)  # hour -> bits of its 5-minute steps
    buckets: set[int] = field(default_factory=set)  # of events whose clock can be right
    future: int = 0

    def add(self, other: Rows) -> None:
        """Add what another batch brings."""
        for key, row in other.events.items():
            if (known := self.events.get(key)) is None:
                self.events[key] = row
            else:
                known["count"] += row["count"]
        for usage, queries in other.usage.items():
            self.usage[usage] = self.usage.get(usage, 0) + queries
        for total, (events, lookups) in other.event_totals.items():
            had = self.event_totals.get(total, (0, 0))
            self.event_totals[total] = (had[0] + events, had[1] + lookups)
        for hour, steps in other.alive.items():
            self.alive[hour] = self.alive.get(hour, 0) | steps
        self.buckets |= other.buckets
        self.future += other.future


def rows_of(school: str, batch: Batch, *, received: int, future_from: int) -> Rows:
    """Return the rows of one batch.

    What is dated over a day ahead is of a wrong clock: its events are kept as they are and make no summary,
    its usage is booked at the hour of arrival (so it neither is lost nor outlives retention), its uptime is
    not believed.

    Args:
        school: the box's school.
        batch: the checked batch.
        received: now, UTC seconds.
        future_from: records after this instant are counted as of a wrong clock.

    Raises:
        Problem: 422 for a text with control characters.
    """
    rows = Rows()
    for event in batch.events:
        _add_event(rows, school, event, received, batch.sequence)
        if event.bucket > future_from:
            rows.future += 1
        else:
            rows.buckets.add(event.bucket)
    for usage in batch.usage:
        hour = usage.hour
        if hour > future_from:
            rows.future += 1
            hour = received - received % HOUR_SECONDS
        key = (hour, usage.group, usage.tier, usage.category, usage.outcome)
        rows.usage[key] = rows.usage.get(key, 0) + usage.queries
    for alive in batch.alive:
        if alive.hour > future_from:
            rows.future += 1
        else:
            rows.alive[alive.hour] = rows.alive.get(alive.hour, 0) | alive.steps
    return rows


def merged(parts: Iterable[Rows]) -> Rows:
    """Return the sum of several batches' rows (their event rows are taken over, not copied)."""
    total = Rows()
    for part in parts:
        total.add(part)
    return total


def clamp(value: int) -> int:
    """Return a sum that the store can hold."""
    return min(value, MOST)


def _add_event(rows: Rows, school: str, event: Event, received: int, sequence: int) -> None:
    identity = _SEPARATOR.join(
        (
            event.group,
            event.tier,
            event.pseudonym,
            event.name,
            event.category,
            event.list,
            event.rule,
            event.layer,
            event.verdict,
            event.reason,
            event.hints,
        )
    )
    if _CONTROL.search(identity) or identity.count(_SEPARATOR) != _FIELDS - 1 or _control_in(event.domain):
        raise bad_batch("bad-batch", "a text holds a control character", sequence)
    digest = blake2b(identity.encode(), digest_size=16).digest()
    key = (event.bucket, digest)
    if (known := rows.events.get(key)) is None:
        rows.events[key] = _event_row(school, event, digest, received)
    else:
        known["count"] += event.count
    total = (event.category, event.verdict)
    events, lookups = rows.event_totals.get(total, (0, 0))
    rows.event_totals[total] = (events + 1, lookups + event.count)


def _control_in(text: str) -> bool:
    return _CONTROL.search(text) is not None or _SEPARATOR in text


def _event_row(school: str, event: Event, digest: bytes, received: int) -> Row:
    return {
        "school": school,
        "bucket": event.bucket,
        "key": digest,
        "group_id": event.group,
        "tier": event.tier,
        "pseudonym": event.pseudonym,
        "domain": event.domain,
        "name": event.name,
        "category": event.category,
        "list_id": event.list,
        "rule": event.rule,
        "layer": event.layer,
        "verdict": event.verdict,
        "reason": event.reason,
        "hints": event.hints,
        "count": event.count,
        "received": received,
    }
