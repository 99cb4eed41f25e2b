"""Query strings of listings: which parameters there are, how long a page is, where the last one ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from filterd.monitor.problems import Problem

# Characters; all together fit the 8190 bytes of a request line, though each takes up to 12 of them there.
LONGEST_ID = 64
LONGEST_NAME = 255
LONGEST_CURSOR = 256
_LONGEST = {"name": LONGEST_NAME, "cursor": LONGEST_CURSOR, "since": 64, "limit": 16}
_DEFAULT_PAGE = 100
T = TypeVar("T")


def values_of(query: Iterable[tuple[str, str]], known: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query string.

    Args:
        query: its (name, value) pairs.
        known: the names there are.

    Raises:
        Problem: 400 naming the parameter that is unknown, given twice or wrong.
    """
    values: dict[str, str] = {}
    for name, value in query:
        if name not in known:
            raise bad("a parameter is not known here", f"the parameters are {', '.join(known) or 'none'}")
        if name in values or len(value) > _LONGEST.get(name, LONGEST_ID) or "\0" in value or not value:
            raise bad(f"{name} is empty, too long or given twice", "give it once")
        values[name] = value
    return values


def bad(detail: str, remedy: str) -> Problem:
    """Return the 400 of a wrong parameter."""
    return Problem(400, "bad-parameter", detail, remedy=remedy)


def limit_of(values: Mapping[str, str], page: int) -> int:
    """Return how many a page is to have, at most ``page``.

    Raises:
        Problem: 400.
    """
    text = values.get("limit", str(min(_DEFAULT_PAGE, page)))
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and 1 <= int(text) <= page):
        raise bad("limit is out of range", f"write a number from 1 to {page}")
    return int(text)


def make_cursor(key: bytes) -> str:
    """Return the cursor of the page after the item with this key."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def key_of(cursor: str) -> bytes:
    """Return the key that a cursor was made of.

    Raises:
        ValueError: it is none (binascii.Error among them).
    """
    return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)


def bad_cursor() -> Problem:
    """Return the 404 of a cursor that is none of ours: there is no such page."""
    return Problem(
        404, "no-page", "the cursor is none of ours", remedy="take next of the page before, or leave it away"
    )


def page_of(
    items: Sequence[tuple[str, T]], values: Mapping[str, str], page: int
) -> tuple[list[T], str | None]:
    """Return a page of items that are sorted by their key, and the cursor of the next one.

    Raises:
        Problem: 400 for a wrong limit, 404 for a cursor that is none of ours.
    """
    size, after = limit_of(values, page), ""
    if "cursor" in values:
        try:
            after = key_of(values["cursor"]).decode()
        except (ValueError, binascii.Error):
            raise bad_cursor() from None
    rest = [(key, item) for key, item in items if key > after][: size + 1]
    more = len(rest) > size
    return [item for _key, item in rest[:size]], make_cursor(rest[size - 1][0].encode()) if more else None
