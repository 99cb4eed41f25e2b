"""Tokens of boxes: issued, rotated, revoked, each time with a row of the audit log; kept as SHA-256 only.

The token itself is returned once, to be put on the box, and stands nowhere else.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import PaperworkError
from filterd.monitor import audit
from filterd.monitor.access.directory import Directory
from filterd.monitor.access.registry import touch
from filterd.monitor.audit import Entry, named
from filterd.monitor.store.paperwork import TOKENS

DAY: Final = 86_400
MOST_TOKENS: Final = 8  # of one box at a time
_ID = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")


def identifier(text: str, what: str) -> str:
    """Return an id of a box or school as deliveries may carry it.

    Raises:
        PaperworkError: it is none.
    """
    if not _ID.fullmatch(text):
        raise PaperworkError(
            f"{text[:70]!r} cannot be the id of a {what}",
            remedy="write 1-64 of a-z 0-9 _ . : - beginning with a letter or digit",
        )
    return text


async def add(
    connection: AsyncConnection, known: Directory, box: str, school: str, *, by: str, now: int
) -> str:
    """Issue the first token of a box and return it.

    Args:
        connection: of a write transaction.
        known: what the configuration names (Directory.of_settings).
        box: its id.
        school: id of its school.
        by: the person who does it.
        now: UTC seconds.

    Raises:
        PaperworkError: a wrong id, or the box has a token.
    """
    identifier(box, "box")
    identifier(school, "school")
    await touch(connection)
    if box in known.boxes(now):
        raise PaperworkError(
            f"the configuration names a box {box!r}", remedy="choose another id, or take it out there"
        )
    if rows := await _valid(connection, box, now):
        raise PaperworkError(
            f"box {box!r} of school {rows[0].school!r} has a token",
            remedy=f"filterd box rotate {box} makes a new one, filterd box revoke {box} ends all",
        )
    token, digest = _make()
    await _insert(connection, (school, box, digest), by, now)
    await audit.append(connection, now, Entry(school, by, "box.add", {"box": box, "token": digest[:8]}))
    return token


async def rotate(connection: AsyncConnection, box: str, *, days: float, by: str, now: int) -> str:
    """Issue a new token of a box; the ones it has stay valid for so many days more, at most.

    Raises:
        PaperworkError: no such box in the store, or it has too many tokens.
    """
    await touch(connection)
    rows = await _valid(connection, box, now)
    if not rows:
        raise _unknown(box)
    if len(rows) >= MOST_TOKENS:
        raise PaperworkError(
            f"box {box!r} has {len(rows)} valid tokens", remedy="give fewer --days, or revoke and add it anew"
        )
    school, end = rows[0].school, now + int(days * DAY)
    shortened = update(TOKENS).where(TOKENS.c.school == school, TOKENS.c.box == box, TOKENS.c.revoked == 0)
    sooner = or_(TOKENS.c.expires == 0, TOKENS.c.expires > end)
    await connection.execute(shortened.where(sooner).values(expires=end))
    token, digest = _make()
    await _insert(connection, (school, box, digest), by, now)
    details = {"box": box, "token": digest[:8], "older_until": end}
    await audit.append(connection, now, Entry(school, by, "box.rotate", details))
    return token


async def revoke(connection: AsyncConnection, box: str, *, by: str, why: str, now: int) -> int:
    """End every token of a box at once; return how many.

    Raises:
        PaperworkError: no such box in the store.
    """
    await touch(connection)
    rows = await _valid(connection, box, now)
    if not rows:
        raise _unknown(box)
    school = rows[0].school
    mine = update(TOKENS).where(TOKENS.c.school == school, TOKENS.c.box == box, TOKENS.c.revoked == 0)
    await connection.execute(mine.values(revoked=now))
    await audit.append(connection, now, Entry(school, by, "box.revoke", {"box": box, "why": why[:1000]}))
    return len(rows)


def _make() -> tuple[str, str]:
    token = secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


async def _insert(connection: AsyncConnection, key: tuple[str, str, str], by: str, now: int) -> None:
    school, box, digest = key
    values = {"school": school, "box": box, "sha256": digest, "issued": now, "issued_by": named(by)}
    await connection.execute(insert(TOKENS), values | {"expires": 0, "revoked": 0})


async def _valid(connection: AsyncConnection, box: str, now: int) -> list[Row[tuple[str]]]:
    query = select(TOKENS.c.school).where(
        TOKENS.c.box == box, TOKENS.c.revoked == 0, or_(TOKENS.c.expires == 0, TOKENS.c.expires > now)
    )
    return list((await connection.execute(query)).all())


def _unknown(box: str) -> PaperworkError:
    return PaperworkError(
        f"the store knows no box {box[:70]!r} with a valid token",
        remedy="filterd box list shows them; boxes of the configuration are changed there",
    )
