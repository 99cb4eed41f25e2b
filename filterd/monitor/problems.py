"""Refusals of the endpoint as values: RFC 9457 "problem details", for programs and persons.

Knows no web framework: web/ turns a Problem into a response.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from filterd.errors import FilterdError

CONTENT_TYPE = "application/problem+json"
_NONE: Mapping[str, object] = MappingProxyType({})
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Problem(FilterdError):
    """A request that is refused.

    Args:
        status: HTTP status, 400-599.
        code: stable short word for programs and counters, e.g. ``"bad-token"``.
        detail: what is wrong, in one sentence; never holds what the caller sent.
        remedy: what the caller can do.
        extra: further members, e.g. ``{"sequence": 17}``.
        headers: headers of the response, e.g. ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        extra: Mapping[str, object] = _NONE,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        super().__init__(detail, remedy=remedy)
        self.status = status
        self.code = code
        self.extra = dict(extra)
        self.headers = dict(headers)

    def document(self) -> dict[str, object]:
        """Return the members of the problem document (RFC 9457 section 3.1; type is about:blank)."""
        document: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "code": self.code,
        }
        if self.remedy:
            document["remedy"] = self.remedy
        return document | self.extra


def unauthorized(detail: str, *, remedy: str = "") -> Problem:
    """Return a 401 with the challenge RFC 9110 section 11.6.1 asks for."""
    return Problem(
        401, "bad-token", detail, remedy=remedy, headers={"WWW-Authenticate": 'Bearer realm="filterd"'}
    )


def overloaded(detail: str, *, seconds: int = 5) -> Problem:
    """Return a 503 that asks to come back in so many seconds."""
    return Problem(
        503,
        "overloaded",
        detail,
        remedy=f"send it again in {seconds} seconds; nothing was stored",
        headers={"Retry-After": str(seconds)},
    )
