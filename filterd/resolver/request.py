"""What comes into the resolver and what goes out: one request in, one reply out.

Values only; knows no transport beyond its name.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from filterd.rules.verdict import Verdict
from filterd.rules.view import View
from filterd.wire.query import Query

Transport = Literal["udp", "tcp", "dot", "doh"]
Outcome = Literal["allowed", "blocked", "rewritten", "canary", "failed", "refused", "stale"]


class Request(NamedTuple):
    """One question of one client.

    Args:
        query: the question as parsed.
        client: packed address, 4 or 16 bytes.
        view: the policy that holds for this client now.
        transport: by which it came; all but ``udp`` are streams.
        limit: bytes of answer the transport takes: `Query.udp_limit`, or 65535 on streams.
    """

    query: Query
    client: bytes
    view: View
    transport: Transport
    limit: int


class Reply(NamedTuple):
    """The answer to one request.

    Args:
        packet: the message to send.
        outcome: how it is counted. ``rewritten`` is safe search and nothing else (R15); a special name counts
            as ``allowed``, a canary as ``canary``: devices ask for these by themselves, it is no attempt at
            anything.
        verdict: the decision; its action is BLOCK exactly when the outcome is ``blocked``. None when the
            question was refused before policy was asked.
        keep: seconds this exact packet, its id aside, may be given again for the same view, index and
            question bytes; TTLs in it are right until then. 0: not at all.
    """

    packet: bytes
    outcome: Outcome
    verdict: Verdict | None = None
    keep: float = 0.0
