"""What the shipper says, what an answer means, how long to wait: pure, without network or clock."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from ipaddress import ip_address
from random import Random
from urllib.parse import urlsplit

from filterd.events.batch import Health
from filterd.events.outboxreader import StoredBatch

MAX_RETRY_AFTER = 3600.0


class Answer(Enum):
    """What the endpoint's status asks us to do."""

    STORED = "stored"
    BAD_CONTENT = "bad_content"  # something in the body: find it and put it apart
    NOT_ALLOWED = "not_allowed"  # token wrong or withdrawn: a person must act; keep everything
    LATER = "later"  # overloaded, restarting, a proxy's mood: try again
    WRONG_PLACE = "wrong_place"  # not our endpoint, or not at this path: a person must act; keep everything


def judge(status: int) -> Answer:
    """Return what an HTTP status means (RFC 9110 section 15); what is not known keeps the batches."""
    if status == 200:
        return Answer.STORED
    if status in {400, 413, 422}:
        return Answer.BAD_CONTENT
    if status in {401, 403}:
        return Answer.NOT_ALLOWED
    if status in {0, 408, 425, 429} or status >= 500:
        return Answer.LATER
    return Answer.WRONG_PLACE


@dataclass(frozen=True, slots=True)
class Reply:
    """The endpoint's reply.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        body: as it came.
        retry_after: seconds its Retry-After asks for.
        note: why there was no answer.
    """

    status: int
    body: bytes = b""
    retry_after: float = 0.0
    note: str = ""

    @property
    def answer(self) -> Answer:
        """What it asks us to do."""
        return judge(self.status)

    @property
    def detail(self) -> str:
        """It in one line, for a log or a person."""
        return self.note or f"{self.status} {self.body[:400].decode(errors='replace')}".strip()


class Size:
    """How much a request may carry on this line: halved when one takes long, grown again when they are quick.

    A request that times out is lost work on a slow line; one that fails at once (nobody there, connection
    refused) says nothing of the line.

    Args:
        least, most: bounds in bytes, before packing.
        timeout: seconds that a request may take.
    """

    def __init__(self, least: int, most: int, timeout: float) -> None:
        self.bytes = most
        self._least = min(least, most)
        self._most = most
        self._timeout = timeout

    def learn(self, seconds: float, sent: int, *, answered: bool) -> None:
        """Take in how long a request with so many bytes of batches took, and whether there was an answer."""
        if seconds > self._timeout / (2 if answered else 4):
            self.bytes = max(self._least, min(self.bytes, sent) // 2) if sent else self.bytes
        elif answered and seconds < self._timeout / 8 and sent >= self.bytes // 2:
            self.bytes = min(self._most, self.bytes * 2)


def divide(
    batches: Sequence[StoredBatch], problem: bytes
) -> tuple[Sequence[StoredBatch], Sequence[StoredBatch]]:
    """Return two parts of refused batches, to find the one at fault.

    The endpoint may name it: a member ``sequence`` in its problem details (RFC 9457); else halves. A name is
    only a hint: the batch is still sent alone before anything is concluded.
    """
    named = _named(problem)
    suspects = [batch for batch in batches if batch.sequence == named]
    if suspects:
        return suspects, [batch for batch in batches if batch.sequence != named]
    middle = len(batches) // 2
    return batches[:middle], batches[middle:]


def _named(problem: bytes) -> object:
    try:
        found = json.loads(problem)
    except ValueError:
        return None
    return found.get("sequence") if isinstance(found, dict) else None


def compose(
    *, box: str, school: str, stream: str, batches: Iterable[StoredBatch], health: Health | None
) -> bytes:
    """Return the JSON of a `Delivery`.

    Batches are stored as JSON without their sequence and are put together as bytes, not parsed: what was
    checked when it was committed is sent as it is.
    """
    texts = [b'{"sequence":%d,%b' % (batch.sequence, batch.payload[1:]) for batch in batches]
    head = json.dumps({"box": box, "school": school, "stream": stream})
    last = b"null" if health is None else health.model_dump_json().encode()
    return b'%b,"batches":[%b],"health":%b}' % (head[:-1].encode(), b",".join(texts), last)


NEAR_SECONDS = 0.4
FAR_SECONDS = 5.0


def pause(endpoint: str) -> float:
    """Return how long a box gathers what it sends, in seconds: longer for an endpoint that many share.

    500 boxes that send what was blocked ten times a second cost a region's endpoint ten times what they cost
    when each sends every five seconds (docs/scale.md).
    """
    host = urlsplit(endpoint).hostname or ""
    try:
        near = ip_address(host).is_loopback
    except ValueError:
        near = host == "localhost"
    return NEAR_SECONDS if near else FAR_SECONDS


def backoff(failures: int, *, base: float, cap: float, random: Random) -> float:
    """Return seconds to wait after the n-th failure in a row: exponential, full jitter.

    A region's boxes lose the endpoint at the same moment; spread over the whole span they do not come back
    at the same moment.
    """
    ceiling = min(cap, base * 2.0 ** min(failures - 1, 32))
    return random.uniform(0.0, ceiling)


def retry_after(value: str | None, now: float) -> float:
    """Return the seconds a Retry-After header asks for (RFC 9110 section 10.2.3), 0.0 to an hour.

    Args:
        value: seconds or an HTTP date; anything else, or none, asks for nothing.
        now: UTC seconds.
    """
    if not value:
        return 0.0
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
