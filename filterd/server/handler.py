"""From packet to reply: admit, parse, resolve, account; the one place where a lookup is counted.

Knows no sockets. It never decides what is blocked (rules/) and never waits for monitoring (events/).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic, time

import structlog

from filterd.errors import DropPacket, QueryRefused
from filterd.events.recorder import Recorder
from filterd.resolver.request import Reply, Request, Transport
from filterd.resolver.resolver import Resolver
from filterd.rules.verdict import Action
from filterd.rules.view import View
from filterd.server.clients import Client
from filterd.server.latency import Histogram
from filterd.server.memo import Blocked, Memo, Memos
from filterd.server.ratelimit import Admission
from filterd.server.settings import ServerSettings
from filterd.wire import cookies, opt, synthesis
from filterd.wire.constants import OptionCode, Rcode
from filterd.wire.query import Query, edns_of, parse_query, refusal

log = structlog.get_logger(__name__)

MAX_TCP = 65_535
_PLAIN_UDP = 512
_DRAIN_LOOK = 0.02  # seconds
_CLIENT_COOKIE = 8  # bytes (RFC 7873 section 4.1)
_COOKIE_OPTION = 28  # bytes: option header, client cookie, server cookie of RFC 9018


class Handler:
    """Answers packets of permitted clients.

    ``handle`` returns at once: the reply, ``None`` for silence, or a :class:`Request` that has to wait for
    an upstream and is finished by ``finish(request, client, send)``.
    """

    def __init__(
        self,
        settings: ServerSettings,
        resolver: Resolver,
        view_of: Callable[[str], View],
        recorder: Recorder,
        *,
        cookie_secret: bytes,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self.view_of = view_of  # of a group, now
        self.recorder = recorder
        self.rate = settings.rate
        self.memos = Memos()
        self._cookie_secret = cookie_secret
        self.in_flight = 0
        self.counters: Counter[str] = Counter()
        self.latency = Histogram()

    def handle(
        self,
        packet: bytes,
        client: Client,
        transport: Transport,
        memo: Memo | None = None,
        *,
        admitted: bool = False,
    ) -> bytes | Request | None:
        """Return the reply to one packet, ``None`` for silence, or the request that must wait.

        Args:
            packet: the message.
            client: who sent it.
            transport: by which it came; all but ``udp`` are streams.
            memo: of the client's view; a reply that may be given again is offered to it.
            admitted: the packet is counted, and the client's token for it is taken already.
        """
        started = monotonic()
        if not admitted:
            client.asked[0] += 1
        try:
            query = parse_query(packet)
        except DropPacket:
            self.counters["packets_ignored"] += 1
            return None
        except QueryRefused as error:
            self.counters["queries_malformed"] += 1
            return self._refuse(packet, error, client, limited=not admitted and transport == "udp")
        cookie = query.edns.cookie if query.edns is not None else None
        if transport == "udp" and not admitted and not self._cookie_is_ours(cookie, client):
            admission = client.bucket.admit(self.rate, started)
            if admission is not Admission.ANSWER:
                return self._over_limit(query, admission)
        if not client.permitted:
            self.counters["refused_acl"] += 1
            return synthesis.simple(query, Rcode.REFUSED, limit=_PLAIN_UDP)
        request = Request(
            query=query,
            client=client.address,
            view=self.view_of(client.group),
            transport=transport,
            limit=_limit(query, transport),
        )
        reply = self._resolver.resolve_now(request)
        if reply is None:
            return self._wait(request, client)
        self.latency.observe(monotonic() - started)
        cell, blocked = self._account(request, client, reply)
        if memo is not None and reply.keep and cookie is None and memo.view is request.view:
            keep = reply.keep
            if request.view.valid_until is not None:
                keep = min(keep, request.view.valid_until - time())
            # What is allowed was fetched for an earlier question; what is blocked may be any scan.
            known = reply.verdict is not None and blocked is None
            self.memos.offer(memo, packet[2:], (reply.packet[2:], cell, blocked), started, keep, known=known)
        return self._with_options(request, client, reply.packet)

    def finish(self, request: Request, client: Client, send: Callable[[bytes], None]) -> None:
        """Let a request wait for its upstream, and hand the reply to ``send`` when it is there."""
        waiting = _Waiting(self, request, client, send)
        reply = self._resolver.submit(request, waiting.done)
        if reply is not None:
            waiting.done(reply)

    async def drain(self, seconds: float) -> None:
        """Wait until the requests in flight are answered, at most ``seconds``."""
        until = monotonic() + seconds
        while self.in_flight and monotonic() < until:  # noqa: ASYNC110 - once, at the end; an event costs each lookup
            await asyncio.sleep(_DRAIN_LOOK)

    def health(self) -> dict[str, float]:
        """Return counters and latency as health values."""
        values = {name: float(count) for name, count in self.counters.items()}
        values["queries_in_flight"] = float(self.in_flight)
        values["memo_entries"] = float(len(self.memos))
        values["memo_evicted"] = float(self.memos.evicted)
        values.update(self.latency.values())
        return values

    def complete(self, request: Request, client: Client, reply: Reply, seconds: float) -> bytes:
        """Account for a reply that came later, and return the packet."""
        self.latency.observe(seconds)
        self._account(request, client, reply)
        return self._with_options(request, client, reply.packet)

    def _wait(self, request: Request, client: Client) -> bytes | Request | None:
        limits = self._settings
        if self.in_flight < limits.in_flight and client.in_flight < limits.in_flight_per_client:
            return request
        # One client (or a flood of random names) may not occupy all waiting places (dns.md, "Attacks").
        self.counters["refused_in_flight"] += 1
        return synthesis.simple(request.query, Rcode.SERVFAIL, limit=request.limit)

    def _account(self, request: Request, client: Client, reply: Reply) -> tuple[list[int], Blocked | None]:
        """Count a reply and record a block; return the cell and the record for replies given again."""
        view, verdict, query = request.view, reply.verdict, request.query
        blocked: Blocked | None = None
        # Allowed lookups never under a category: who looked for help is nobody's business (school.md).
        category = ""
        if verdict is not None and verdict.action is Action.BLOCK:
            category = verdict.category or ""
            blocked = (view, query.name, query.qtype, verdict)
            self.recorder.blocked(client.address, client.mac, *blocked)
        cell = self.recorder.cell(view.group, view.tier, category, reply.outcome)
        cell[0] += 1
        return cell, blocked

    def _with_options(self, request: Request, client: Client, packet: bytes) -> bytes:
        edns = request.query.edns
        if edns is None:
            return packet
        if edns.cookie is not None:
            packet = opt.with_option(packet, OptionCode.COOKIE, self._cookie(edns.cookie, client))
        if edns.keepalive and (idle := self._settings.idle_of(request.transport)):
            packet = opt.with_keepalive(packet, round(idle * 10))
        return packet

    def _cookie(self, cookie: bytes, client: Client) -> bytes:
        return cookies.make(cookie[:_CLIENT_COOKIE], client.address, self._cookie_secret, int(time()))

    def _cookie_is_ours(self, cookie: bytes | None, client: Client) -> bool:
        return (
            cookie is not None
            and len(cookie) > _CLIENT_COOKIE
            and cookies.check(cookie, client.address, self._cookie_secret, int(time()))
        )

    def _refuse(self, packet: bytes, error: QueryRefused, client: Client, *, limited: bool) -> bytes | None:
        if limited and client.bucket.admit(self.rate, monotonic()) is not Admission.ANSWER:
            self.counters["rate_dropped"] += 1
            return None
        edns = edns_of(packet)
        cookie = None if edns is None or edns.cookie is None else self._cookie(edns.cookie, client)
        return refusal(packet, error, cookie=cookie)

    def _over_limit(self, query: Query, admission: Admission) -> bytes | None:
        if admission is Admission.SLIP:
            self.counters["rate_slipped"] += 1
            return synthesis.truncated(query)
        self.counters["rate_dropped"] += 1
        return None


class _Waiting:
    """One request in flight."""

    __slots__ = ("_client", "_handler", "_request", "_send", "_started")

    def __init__(
        self, handler: Handler, request: Request, client: Client, send: Callable[[bytes], None]
    ) -> None:
        self._handler = handler
        self._request = request
        self._client = client
        self._send = send
        self._started = monotonic()
        handler.in_flight += 1
        client.in_flight += 1

    def done(self, reply: Reply) -> None:
        """Give the reply to the client; one lookup must never disturb another, so nothing is raised."""
        handler, request = self._handler, self._request
        handler.in_flight -= 1
        self._client.in_flight -= 1
        try:
            self._send(handler.complete(request, self._client, reply, monotonic() - self._started))
        except Exception:  # counted and logged with its trace
            handler.counters["handler_errors"] += 1
            log.exception("lookup_failed", qtype=request.query.qtype)


def _limit(query: Query, transport: Transport) -> int:
    """Return how many bytes an answer may have, with room left for the cookie added afterwards."""
    limit = query.udp_limit if transport == "udp" else MAX_TCP
    wants_cookie = query.edns is not None and query.edns.cookie is not None
    return limit - _COOKIE_OPTION if wants_cookie else limit
