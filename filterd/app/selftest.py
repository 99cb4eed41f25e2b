"""Ask the running filter for each category's canary: dated evidence that what should be blocked is (R19).

The canaries are inert names below ``canary.filterd.test`` (RFC 6761: nobody can own them), listed by the
starter lists. Whether an answer was blocked is told by its extended error (RFC 8914), not by its rcode: a
name that does not exist must not pass for a filter that works.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from filterd.errors import BadAnswer, StartError
from filterd.rules.canary import canary as canary_of
from filterd.rules.categories import Category
from filterd.rules.policy import Policy
from filterd.server.clients import packed
from filterd.server.settings import Endpoint
from filterd.wire import names
from filterd.wire.answer import extended_errors, fits, parse_answer
from filterd.wire.constants import Class, Ede, Type
from filterd.wire.query import build_query

Got = Literal["blocked", "allowed", "silent"]
BLOCKED = frozenset({Ede.BLOCKED, Ede.CENSORED, Ede.FILTERED})
_TRIES = 2
_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One category's canary as the filter answered it."""

    category: Category
    canary: str
    expected: Got
    got: Got
    milliseconds: float

    @property
    def passed(self) -> bool:
        """Whether the filter did what its policy says."""
        return self.expected == self.got


def selftest(policy: Policy, server: Endpoint) -> Iterator[Finding]:
    """Ask ``server`` for every category's canary, as the group that this machine belongs to.

    Raises:
        StartError: nothing answers at that address.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((server.host, server.port))
        except OSError as error:
            raise _unreachable(server, error.strerror or str(error)) from error
        group = policy.clients.group_of(packed(sock.getsockname()[0]))
        view = policy.view(group, time.time())
        for category in policy.categories.by_id.values():
            canary = canary_of(category.id)
            began = time.monotonic()
            got = _ask(sock, canary, server)
            closed = view.blocked >> category.bit & 1 or (view.exam and category.kind == "block")
            expected: Got = "blocked" if closed else "allowed"
            yield Finding(category, names.to_text(canary), expected, got, (time.monotonic() - began) * 1000)


def _ask(sock: socket.socket, canary: bytes, server: Endpoint) -> Got:
    question = canary + Type.A.to_bytes(2) + Class.IN.to_bytes(2)
    for _ in range(_TRIES):
        query_id = secrets.randbits(16)
        try:
            sock.send(build_query(query_id, question))
            answer = _receive(sock, query_id, question)
        except ConnectionRefusedError as error:
            raise _unreachable(server, "nothing listens there") from error
        if answer is not None:
            return answer
    return "silent"


def _receive(sock: socket.socket, query_id: int, question: bytes) -> Got | None:
    deadline = time.monotonic() + _TIMEOUT
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            packet = sock.recv(65_535)
            if not fits(packet, query_id, question):
                continue
            errors = {code for code, _ in extended_errors(parse_answer(packet))}
        except (TimeoutError, BadAnswer):
            continue
        return "blocked" if errors & BLOCKED else "allowed"
    return None


def _unreachable(server: Endpoint, why: str) -> StartError:
    return StartError(
        f"no answer from {server}: {why}",
        remedy="start `filterd run` first, or name the right address with --server",
    )
