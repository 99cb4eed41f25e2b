"""DNS over HTTPS without HTTP: a request's parts to the DNS message, a reply to its headers (RFC 8484).

Both versions of HTTP use it. Pure: no socket, no loop. What comes from a client beside method, path and body
(Host, Forwarded, X-Forwarded-For ...) is never believed, and cookies and user agents are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from filterd.wire.constants import MAX_MESSAGE
from filterd.wire.ttl import smallest_ttl

MEDIA_TYPE: Final = b"application/dns-message"
MAX_BODY: Final = MAX_MESSAGE
MAX_TARGET: Final = 2048  # bytes of path and query: a DNS message of 1,500 bytes in base64url
MAX_HEADERS: Final = 16_384  # bytes of all header fields together

_BASE64URL = re.compile(rb"[A-Za-z0-9_-]+\Z")
_REASONS: Final = {
    400: "not a DNS query",
    404: "no such path",
    405: "GET or POST",
    408: "too slow",
    413: "too large",
    414: "URI too long",
    415: "application/dns-message only",
    431: "header fields too large",
}

Headers = list[tuple[bytes, bytes]]


class BadRequest(Exception):
    """A request that carries no DNS query.

    Args:
        status: of the HTTP answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status

    @property
    def body(self) -> bytes:
        """One line that says why; none to a method that is not served, since HEAD wants none."""
        return b"" if self.status == 405 else f"{self}\n".encode()

    @property
    def headers(self) -> Headers:
        """Header fields of the answer."""
        found = [(b"content-type", b"text/plain"), (b"content-length", str(len(self.body)).encode())]
        found.append((b"cache-control", b"no-store"))
        if self.status == 405:
            found.append((b"allow", b"GET, POST"))
        return found


def check_head(method: bytes, target: bytes, headers: Headers, path: bytes) -> bytes | None:
    """Return the message of a GET, None for a POST whose body is still to come.

    Args:
        method: of the request.
        target: path and query.
        headers: with lower-case names.
        path: the one that is served.

    Raises:
        BadRequest: with the status to answer.
    """
    if len(target) > MAX_TARGET:
        raise BadRequest(414)
    asked, _, query = target.partition(b"?")
    if asked != path:
        raise BadRequest(404)
    if method == b"POST":
        _check_post(headers)
        return None
    if method != b"GET":
        raise BadRequest(405)
    return _from_query(query)


def _check_post(headers: Headers) -> None:
    kinds = [value for name, value in headers if name == b"content-type"]
    if len(kinds) != 1 or kinds[0].partition(b";")[0].strip().lower() != MEDIA_TYPE:
        raise BadRequest(415)
    for name, value in headers:
        if name == b"content-length" and not (value.isdigit() and len(value) < 10 and int(value) <= MAX_BODY):
            raise BadRequest(413)


def _from_query(query: bytes) -> bytes:
    """Return the message in the variable ``dns``, base64url without padding (RFC 8484 section 6)."""
    found = [value for key, _, value in (part.partition(b"=") for part in query.split(b"&")) if key == b"dns"]
    if len(found) != 1 or not _BASE64URL.match(found[0]):
        raise BadRequest(400)
    try:
        return base64.urlsafe_b64decode(found[0] + b"=" * (-len(found[0]) % 4))
    except (binascii.Error, ValueError):
        raise BadRequest(400) from None


def reply_headers(reply: bytes) -> Headers:
    """Return the header fields that go with a DNS reply; the status is always 200 (RFC 8484 section 4.2.1).

    ``private``: an answer is for one client's policy, and a cache that several share must not keep it.
    """
    return [
        (b"content-type", MEDIA_TYPE),
        (b"content-length", str(len(reply)).encode()),
        (b"cache-control", f"private, max-age={smallest_ttl(reply)}".encode()),
    ]
