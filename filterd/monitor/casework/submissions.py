"""Resources to be submitted to Kibernadzor (item 1.13): a list that people keep, never an integration.

A person adds the full URL (DNS knows the domain only), the reason and an evidence note, sends it by the
system's own form and notes here what became of it. Nothing is ever sent or moved on by the program, and no
text may hold pupil data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from filterd.errors import BadName, PaperworkError
from filterd.monitor import audit
from filterd.monitor.access.boxes import identifier
from filterd.monitor.audit import Entry, named
from filterd.monitor.casework.numbers import next_number, row_of
from filterd.monitor.casework.privacy import checked, forbidden
from filterd.monitor.store.paperwork import REVIEW_REQUESTS, SUBMISSIONS
from filterd.wire import names

REASONS: Final = ("suicide", "drugs", "violence", "pornography", "casino", "extremism", "other")
STATES: Final = ("candidate", "prepared", "sent", "confirmed", "refused")
# From which state a person may go to which; a mistake is put right by going back one step.
NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "candidate": ("prepared", "refused"),
    "prepared": ("sent", "candidate"),
    "sent": ("confirmed", "refused", "prepared"),
    "confirmed": ("sent",),
    "refused": ("sent", "candidate"),
}
_STAMP = {"prepared": "prepared", "sent": "sent", "confirmed": "decided", "refused": "decided"}
_HIDDEN_REASONS: Final = frozenset({"extremism", "pornography"})  # where illegal categories come under
_MOST_URL: Final = 2000
MOST_OPEN: Final = 10_000  # of one school, all states
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person writes about a resource; None: left as it is.

    Args:
        url: full, http or https.
        reason: one of REASONS.
        evidence: what is to be seen there; no pupil data.
    """

    url: str | None = None
    reason: str | None = None
    evidence: str | None = None


def checked_url(text: str) -> tuple[str, str]:
    """Return a URL and its host, as a domain name or address.

    Raises:
        PaperworkError: it is no web address, or holds what could name a person.
    """
    text = text.strip()
    remedy = "copy the whole address of the page, as https://example.com/path"
    if len(text) > _MOST_URL or _SPACE.search(text):
        raise PaperworkError("the URL is too long or holds a space", remedy=remedy)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise PaperworkError("this is not a URL", remedy=remedy) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise PaperworkError("the URL is not one of http or https with a host", remedy=remedy)
    rest = f"{parts.path}?{parts.query}#{parts.fragment}"
    if "@" in parts.netloc or forbidden(rest) not in {"", "an IP address"}:
        raise PaperworkError(
            "the URL holds a user name, e-mail address or number of 12 digits",
            remedy="cut it off: no pupil data is ever noted here",
        )
    return text, checked_domain(host)


def checked_domain(text: str) -> str:
    """Return a domain name (or the address of a site) in lower case.

    Raises:
        PaperworkError: it is none.
    """
    if text.replace(":", "").replace(".", "").isalnum() and ":" in text:
        return text.lower()  # an IPv6 literal, as urlsplit gives it
    try:
        domain = names.to_text(names.from_text(text)).removesuffix(".").lower()
    except BadName:
        domain = ""
    if not domain or "\\" in domain:  # to_text escapes what no site's name holds
        raise PaperworkError(f"{text[:70]!r} is not a domain name", remedy="write example.com")
    return domain


async def add(
    connection: AsyncConnection,
    school: str,
    domain: str,
    draft: Draft,
    *,
    by: str,
    now: int,
    source: str = "",
) -> int:
    """Note a candidate and return its number.

    Args:
        connection: of a write transaction.
        school: id, ``""``: the region's own.
        domain: may be ``""`` when the draft has a URL.
        draft: what is known already.
        by: the person.
        now: UTC seconds.
        source: where it comes from, for the audit log, e.g. ``"review 17"``.

    Raises:
        PaperworkError: a value is wrong or holds what could name a pupil.
    """
    if school:
        identifier(school, "school")
    values = _values(draft)
    if not domain and "domain" not in values:
        raise PaperworkError("neither a URL nor a domain is given", remedy="give --url or a domain")
    values.setdefault("domain", checked_domain(domain) if domain else "")
    await audit.alone(connection)
    number = await next_number(connection, SUBMISSIONS, school)
    if number > MOST_OPEN:
        raise PaperworkError("the school has too many submissions", remedy="ask the department")
    row = {"url": "", "reason": "other", "evidence": ""} | values
    fixed = {"school": school, "number": number, "reviewer": named(by), "state": "candidate"}
    await connection.execute(insert(SUBMISSIONS), row | fixed | {"created": now, "changed": now})
    told = {"number": number, "source": source, **_untold(row)}
    await audit.append(connection, now, Entry(school, by, "kibernadzor.add", told))
    return number


async def add_from_request(
    connection: AsyncConnection, school: str, request: int, draft: Draft, *, by: str, now: int
) -> int:
    """Note the site that a member of staff reported as a candidate; what they wrote is not taken over.

    Raises:
        PaperworkError: no such request, not by staff, or its site is a candidate already.
    """
    await audit.alone(connection)
    row = await row_of(connection, REVIEW_REQUESTS, school, request, "review request")
    if row.asked_as != "staff" or row.kind != "report":
        raise PaperworkError(
            "only a site that staff reported becomes a candidate", remedy="filterd kibernadzor candidates"
        )
    same = select(SUBMISSIONS.c.number).where(
        SUBMISSIONS.c.school == school, SUBMISSIONS.c.domain == row.domain
    )
    if (number := await connection.scalar(same.limit(1))) is not None:
        raise PaperworkError(f"its site is submission {number} already", remedy="change that one")
    source = f"review {request}"
    return await add(connection, school, row.domain, draft, by=by, now=now, source=source)


async def candidates(connection: AsyncConnection, school: str | None) -> list[Row[Any]]:
    """Return the staff reports whose site no submission names yet, the oldest first; a person chooses."""
    known = select(SUBMISSIONS.c.domain).where(SUBMISSIONS.c.school == REVIEW_REQUESTS.c.school)
    query = select(REVIEW_REQUESTS).where(
        REVIEW_REQUESTS.c.asked_as == "staff",
        REVIEW_REQUESTS.c.kind == "report",
        REVIEW_REQUESTS.c.state != "refused",
        REVIEW_REQUESTS.c.domain.not_in(known),
    )
    if school is not None:
        query = query.where(REVIEW_REQUESTS.c.school == school)
    return list((await connection.execute(query.order_by(REVIEW_REQUESTS.c.asked))).all())


async def change(
    connection: AsyncConnection,
    school: str,
    number: int,
    draft: Draft,
    *,
    state: str | None,
    by: str,
    now: int,
    why: str = "",
) -> None:
    """Change what is noted of a submission, and its state, by one step.

    Raises:
        PaperworkError: no such submission, no such step, or something is still missing for it.
    """
    values = _values(draft)
    why = checked(why, "the reason of the change")
    await audit.alone(connection)
    row = await row_of(connection, SUBMISSIONS, school, number, "submission")
    if values and row.state not in {"candidate", "prepared"}:
        raise PaperworkError(
            f"submission {number} is {row.state}: what was sent stays as it was sent",
            remedy="add another, or put this one back to prepared first",
        )
    if state is not None and state != row.state:
        _step(row, values, state)
        values["state"] = state
        if state in _STAMP and not getattr(row, _STAMP[state]):
            values[_STAMP[state]] = now
    if not values:
        raise PaperworkError("nothing would change", remedy="give --state, --url, --reason or --evidence")
    old = {name: getattr(row, name) for name in values}
    where = (SUBMISSIONS.c.school == school, SUBMISSIONS.c.number == number)
    values |= {"changed": now, "reviewer": named(by)}
    await connection.execute(update(SUBMISSIONS).where(*where).values(values))
    new = {name: values[name] for name in old}
    told = {"number": number, "old": _untold(old), "new": _untold(new), "why": why}
    await audit.append(connection, now, Entry(school, by, "kibernadzor.set", told))


def _step(row: Row[Any], values: Mapping[str, Any], state: str) -> None:
    if state not in NEXT[row.state]:
        raise PaperworkError(
            f"a {row.state} submission cannot become {state}",
            remedy=f"next can be {' or '.join(NEXT[row.state])}",
        )
    if state in {"prepared", "sent"}:
        missing = [name for name in ("url", "evidence") if not (values.get(name) or getattr(row, name))]
        if missing:
            raise PaperworkError(
                f"{' and '.join(missing)} still missing", remedy="a person has looked at the page and adds it"
            )


async def listed(
    connection: AsyncConnection, school: str | None = None, state: str | None = None
) -> list[Row[Any]]:
    """Return submissions, by school and number."""
    query = select(SUBMISSIONS).order_by(SUBMISSIONS.c.school, SUBMISSIONS.c.number)
    if school is not None:
        query = query.where(SUBMISSIONS.c.school == school)
    if state is not None:
        query = query.where(SUBMISSIONS.c.state == state)
    return list((await connection.execute(query)).all())


async def exported(
    connection: AsyncConnection, school: str | None, state: str | None, *, by: str, now: int
) -> list[Row[Any]]:
    """Return submissions to be exported with their full addresses, and note who took them.

    Raises:
        PaperworkError: nobody is named.
    """
    rows = await listed(connection, school, state)
    told = {"state": state, "count": len(rows)}
    await audit.append(connection, now, Entry(school or "", by, "kibernadzor.export", told))
    return rows


def _untold(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as the audit log may show them: what could name a site as a digest (R1)."""
    return {
        name: f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]}"
        if name in {"url", "domain", "evidence"} and value
        else value
        for name, value in values.items()
    }


def is_hidden(row: Row[Any]) -> bool:
    """Tell whether a submission's site is never displayed (R1): only its export names it."""
    return row.reason in _HIDDEN_REASONS


def _values(draft: Draft) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if draft.url is not None:
        values["url"], values["domain"] = checked_url(draft.url)
    if draft.reason is not None:
        if draft.reason not in REASONS:
            raise PaperworkError(
                f"{draft.reason[:70]!r} is no reason known here", remedy=f"one of {', '.join(REASONS)}"
            )
        values["reason"] = draft.reason
    if draft.evidence is not None:
        values["evidence"] = checked(draft.evidence, "the evidence")
    return values
