"""``GET /v1/events``: stored events, newest first, page by page.

Pages follow a key (bucket, school, digest), not an offset: events that arrive meanwhile neither repeat nor
hide others. Names of illegal content are never shown, and cannot be found out by asking for them (R1).
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, Row, Select, String, desc, literal, or_, select, tuple_

from filterd.monitor.metrics.labels import NONE
from filterd.monitor.store.schema import EVENTS
from filterd.monitor.web.paging import bad, bad_cursor, key_of, limit_of, make_cursor, values_of

PARAMETERS = ("school", "since", "category", "name", "limit", "cursor")
_HIDDEN = ("domain", "name", "rule")
_SHOWN = (
    "school",
    "group_id",
    "tier",
    "pseudonym",
    "domain",
    "name",
    "category",
    "list_id",
    "rule",
    "layer",
    "verdict",
    "reason",
    "count",
)
_RENAMED = {"group_id": "group", "list_id": "list"}


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list; ``None``: no restriction. ``after`` is the key of the last event already shown."""

    school: str | None
    since: int | None
    category: str | None
    name: str | None
    limit: int
    after: tuple[int, str, bytes] | None


def parse_filter(query: Iterable[tuple[str, str]], page: int) -> Filter:
    """Return the filter of a query string.

    Args:
        query: its (name, value) pairs.
        page: the most events a page may have.

    Raises:
        Problem: 400 naming the parameter that is unknown, given twice or wrong; 404 for a cursor not ours.
    """
    values = values_of(query, PARAMETERS)
    return Filter(
        school=values.get("school"),
        since=_since(values),
        category="" if values.get("category") == NONE else values.get("category"),
        name=values["name"].lower().removesuffix(".") if "name" in values else None,
        limit=limit_of(values, page),
        after=_cursor(values),
    )


def statement(wanted: Filter, hidden: frozenset[str]) -> Select[Any]:
    """Return the query of one page and one event more, which tells whether there is another page."""
    query = select(EVENTS)
    if wanted.school is not None:
        query = query.where(EVENTS.c.school == wanted.school)
    if wanted.since is not None:
        query = query.where(EVENTS.c.bucket >= wanted.since)
    if wanted.category is not None:
        query = query.where(EVENTS.c.category == wanted.category)
    if wanted.name is not None:
        below = EVENTS.c.name.endswith(f".{wanted.name}", autoescape=True)
        query = query.where(or_(EVENTS.c.name == wanted.name, below), EVENTS.c.category.not_in(hidden))
    key = (EVENTS.c.bucket, EVENTS.c.school, EVENTS.c.key)
    if wanted.after is not None:
        bucket, school, digest = wanted.after
        values = (literal(bucket, BigInteger), literal(school, String), literal(digest, LargeBinary))
        query = query.where(tuple_(*key) < tuple_(*values))
    return query.order_by(*(desc(column) for column in key)).limit(wanted.limit + 1)


def document(rows: list[Row[Any]], wanted: Filter, hidden: frozenset[str]) -> dict[str, object]:
    """Return the page as JSON values: ``events`` and ``next``, the cursor of the following page or null."""
    shown = rows[: wanted.limit]
    more = len(rows) > wanted.limit
    last = shown[-1] if more else None
    return {
        "events": [_event(row._asdict(), hidden) for row in shown],
        "next": None if last is None else _make_cursor(last.bucket, last.school, last.key),
    }


def _event(row: Mapping[str, Any], hidden: frozenset[str]) -> dict[str, object]:
    event: dict[str, object] = {"time": datetime.fromtimestamp(row["bucket"], UTC).isoformat()}
    event |= {_RENAMED.get(name, name): row[name] for name in _SHOWN}
    if row["category"] in hidden:
        event |= dict.fromkeys(_HIDDEN)
    return event


def _since(values: Mapping[str, str]) -> int | None:
    text = values.get("since")
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 13:
        return int(text)
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            raise ValueError  # noqa: TRY301 - the same answer as for any other wrong time
        return int(time.timestamp())
    except (ValueError, OverflowError):
        raise bad(
            "since is not a time", "write seconds since 1970 or a time with its zone, as 2026-11-23T08:00:00Z"
        ) from None


def _make_cursor(bucket: int, school: str, key: bytes) -> str:
    return make_cursor(key + f"{bucket}.{school}".encode())


def _cursor(values: Mapping[str, str]) -> tuple[int, str, bytes] | None:
    text = values.get("cursor")
    if text is None:
        return None
    try:
        raw = key_of(text)
        bucket, _, school = raw[16:].decode().partition(".")
        if not (school and bucket.isascii() and bucket.isdecimal() and len(bucket) < 15) or "\0" in school:
            raise ValueError  # noqa: TRY301 - the same answer as for any other wrong cursor
        return int(bucket), school, raw[:16]
    except (ValueError, binascii.Error):
        raise bad_cursor() from None
