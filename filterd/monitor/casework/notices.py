"""The durable queue of what is to be told by webhook, and the form in which it is told.

A notice says that there is something to read, where and of what kind: no pseudonym, no category, no number
of a card. It is signed, so that the receiver knows it from a stranger's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor.access.boxes import identifier
from filterd.monitor.store.paperwork import NOTICES

KINDS: Final = ("card", "review")
TIMESTAMP: Final = "X-Filterd-Timestamp"
SIGNATURE: Final = "X-Filterd-Signature"
_AT_ONCE = 20


async def add(connection: AsyncConnection, school: str, kind: str, *, most: int, now: int) -> str:
    """Put a notice into the queue, in the transaction of what it tells of; return its id.

    Args:
        connection: of a write transaction.
        school: id.
        kind: one of KINDS.
        most: how many may wait.
        now: UTC seconds.

    Raises:
        PaperworkError: no such kind, or the queue is full.
    """
    identifier(school, "school")
    if kind not in KINDS:
        raise PaperworkError(f"there is no notice of kind {kind[:70]!r}", remedy=f"one of {', '.join(KINDS)}")
    if int(await connection.scalar(select(func.count()).select_from(NOTICES)) or 0) >= most:
        raise PaperworkError("too many notices wait", remedy="see why the webhook's receiver does not answer")
    name = secrets.token_hex(16)
    values = {"school": school, "id": name, "kind": kind, "created": now, "attempts": 0, "next": now}
    await connection.execute(insert(NOTICES), values)
    return name


def body_of(notice: Row[Any]) -> bytes:
    """Return what is posted: that there is something to read."""
    said = {
        "version": 1,
        "id": notice.id,
        "kind": notice.kind,
        "school": notice.school,
        "text": "There is something to read in filterd.",
    }
    return json.dumps(said, separators=(",", ":")).encode()


def signature(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the value of the header SIGNATURE: HMAC-SHA256 of ``TIMESTAMP.BODY``.

    The receiver makes the same, compares in constant time, and refuses old timestamps.
    """
    return "sha256=" + hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


async def due(connection: AsyncConnection, now: int) -> list[Row[Any]]:
    """Return some notices whose time has come."""
    query = select(NOTICES).where(NOTICES.c.next <= now).order_by(NOTICES.c.next).limit(_AT_ONCE)
    return list((await connection.execute(query)).all())


async def claim(connection: AsyncConnection, notice: Row[Any], until: int) -> bool:
    """Take a notice for this monitor until then; False when another has it."""
    mine = update(NOTICES).where(*_key(notice), NOTICES.c.next == notice.next).values(next=until)
    return bool((await connection.execute(mine)).rowcount)


async def forget(connection: AsyncConnection, notice: Row[Any]) -> None:
    """Take a notice out."""
    await connection.execute(delete(NOTICES).where(*_key(notice)))


async def postpone(connection: AsyncConnection, notice: Row[Any], until: int) -> None:
    """Count a try that failed, and wait until then."""
    values = {"attempts": notice.attempts + 1, "next": until}
    await connection.execute(update(NOTICES).where(*_key(notice)).values(values))


def _key(notice: Row[Any]) -> tuple[Any, ...]:
    return NOTICES.c.school == notice.school, NOTICES.c.id == notice.id
