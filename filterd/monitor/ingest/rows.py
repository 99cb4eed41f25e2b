"""Checked batches -> rows of the store, equal keys added up. Pure.

Keys begin with the school, so that the rows of many boxes can be written together. The key of an event is a
digest of every value that makes two events different within one bucket.
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

EventKey: TypeAlias = tuple[str, int, bytes]  # school, bucket, digest
UsageKey: TypeAlias = tuple[str, int, str, str, str, str]  # school, hour, group, tier, category, outcome
HourKey: TypeAlias = tuple[str, str, int]  # school, box, hour
BucketKey: TypeAlias = tuple[str, int]  # school, bucket
TotalKey: TypeAlias = tuple[str, str, str]  # school, category, verdict

# The columns of an event's row, in the order of `Rows.events` and then its count.
EVENT_COLUMNS = (
    *("school", "bucket", "key", "group_id", "tier", "pseudonym", "domain", "name", "category"),
    *("list_id", "rule", "layer", "verdict", "reason", "hints", "received", "count"),
)
USAGE_COLUMNS = ("school", "hour", "group_id", "tier", "category", "outcome", "queries")


@dataclass(slots=True)
class Rows:
    """What a batch, or several, add to the store; numbers are bounded by MOST when written."""

    events: dict[EventKey, tuple[Any, ...]] = field(default_factory=dict)  # EVENT_COLUMNS without the count
    counts: dict[EventKey, int] = field(default_factory=dict)
    usage: dict[UsageKey, int] = field(default_factory=dict)
    event_totals: dict[TotalKey, tuple[int, int]] = field(default_factory=dict)  # events, lookups
    alive: dict[HourKey, int] = field(default_factory=dict)  # bits of the hour's 5-minute steps
    buckets: set[BucketKey] = field(default_factory=set)  # of events whose clock can be right
    future: int = 0

    def add(self, other: Rows) -> None:
        """Add what another batch brings; the other is left as it is."""
        for key, row in other.events.items():
            self.events.setdefault(key, row)
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        for usage, queries in other.usage.items():
            self.usage[usage] = self.usage.get(usage, 0) + queries
        for total, (events, lookups) in other.event_totals.items():
            had = self.event_totals.get(total, (0, 0))
            self.event_totals[total] = (had[0] + events, had[1] + lookups)
        for hour, steps in other.alive.items():
            self.alive[hour] = self.alive.get(hour, 0) | steps
        self.buckets |= other.buckets
        self.future += other.future

    def event_rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of EVENT_COLUMNS in the order of the key."""
        return [(*self.events[key], clamp(self.counts[key])) for key in sorted(self.events)]

    def usage_rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of USAGE_COLUMNS in the order of the key."""
        return [(*key, clamp(self.usage[key])) for key in sorted(self.usage)]


def rows_of(school: str, box: str, batch: Batch, *, received: int, future_from: int) -> Rows:
    """Return the rows of one batch.

    What is dated over a day ahead is of a wrong clock: its events are kept as they are and make no summary,
    its usage is booked at the hour of arrival (so it neither is lost nor outlives retention), its uptime is
    not believed.

    Args:
        school: the box's school.
        box: that sends it.
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
            rows.buckets.add((school, event.bucket))
    for usage in batch.usage:
        hour = usage.hour
        if hour > future_from:
            rows.future += 1
            hour = received - received % HOUR_SECONDS
        key = (school, hour, usage.group, usage.tier, usage.category, usage.outcome)
        rows.usage[key] = rows.usage.get(key, 0) + usage.queries
    for alive in batch.alive:
        if alive.hour > future_from:
            rows.future += 1
        else:
            at = (school, box, alive.hour)
            rows.alive[at] = rows.alive.get(at, 0) | alive.steps
    return rows


def merged(parts: Iterable[Rows]) -> Rows:
    """Return the sum of several batches' rows, of one school or of many."""
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
    key = (school, event.bucket, digest)
    if key not in rows.events:
        rows.events[key] = _event_row(key, event, received)
    rows.counts[key] = rows.counts.get(key, 0) + event.count
    total = (school, event.category, event.verdict)
    events, lookups = rows.event_totals.get(total, (0, 0))
    rows.event_totals[total] = (events + 1, lookups + event.count)


def _control_in(text: str) -> bool:
    return _CONTROL.search(text) is not None or _SEPARATOR in text


def _event_row(key: EventKey, event: Event, received: int) -> tuple[Any, ...]:
    """Return the values of EVENT_COLUMNS but the count."""
    return (
        *key,
        event.group,
        event.tier,
        event.pseudonym,
        event.domain,
        event.name,
        event.category,
        event.list,
        event.rule,
        event.layer,
        event.verdict,
        event.reason,
        event.hints,
        received,
    )
