"""Forwarding: which upstreams serve a name, their health, and the transports to them.

Groups are numbered: 0 is the default, each zone has its own, and nothing learnt from one group is given out
for another (MaginotDNS). A silent upstream is left alone and probed until it answers. Never decides about
names and never keeps answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from filterd.resolver.asked import Asked, Sink
from filterd.resolver.cache import Key
from filterd.resolver.dice import Dice
from filterd.resolver.fallback import usable
from filterd.resolver.fetch import Fetch, Fetched
from filterd.resolver.secure import SecureStreams
from filterd.resolver.settings import ResolverSettings, UpstreamAddress
from filterd.resolver.tcp import TcpStreams
from filterd.resolver.udp import UdpPorts
from filterd.resolver.upstream import Upstream
from filterd.resolver.wheel import Wheel
from filterd.wire import names
from filterd.wire.answer import Answer
from filterd.wire.constants import Class, Type
from filterd.wire.query import mixed_case

PROBE_TIMEOUT = 1.0
DO, CD = 1, 2  # bits of a key


class Forwarder:
    """All upstreams and the way to them.

    Args:
        settings: addresses and limits.
        clock: monotonic seconds.
        recovered: called when an upstream that was down answers again.
    """

    def __init__(
        self, settings: ResolverSettings, clock: Callable[[], float], recovered: Callable[[], None]
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._dice = Dice()
        self.udp = UdpPorts(clock, settings.max_sockets, self._dice)
        self.tcp = TcpStreams(clock)
        used = frozenset(one.transport for one in settings.every_upstream if one.secure)
        self.secure = SecureStreams(clock, settings.ca_file, used)
        self.fallbacks = 0  # questions asked of plain upstreams because every encrypted one is silent
        self.doubted = 0  # questions moved to TCP because replies could not be trusted
        self._recovered = recovered
        self._known: dict[UpstreamAddress, Upstream] = {}
        self._zones: dict[bytes, int] = {}
        self._groups = [self._group(settings.upstreams)]
        for zone, servers in settings.zones.items():
            self._zones[zone] = len(self._groups)
            self._groups.append(self._group(servers))
        self.upstreams = tuple(self._known.values())
        self._probes: dict[Upstream, _Probe] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wheel: Wheel | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it runs in."""
        if self._loop is None:
            raise RuntimeError("the resolver is not started")
        return self._loop

    @property
    def wheel(self) -> Wheel:
        """The deadlines of what is under way."""
        if self._wheel is None:
            raise RuntimeError("the resolver is not started")
        return self._wheel

    @property
    def fallen_back(self) -> bool:
        """Whether plain upstreams are asked in the place of silent encrypted ones, in any group."""
        return any(usable(group, fallback=self.settings.fallback)[1] for group in self._groups)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the transports."""
        self._loop = loop
        self._wheel = Wheel(loop)
        self.udp.open(loop)
        self.tcp.open(loop)
        self.secure.open(loop)

    def close(self) -> None:
        """Close the transports; fetches under way hear nothing more."""
        for probe in self._probes.values():
            probe.stop()
        self._probes.clear()
        self.udp.close()
        self.tcp.close()
        self.secure.close()

    def zone_of(self, name: bytes) -> int:
        """Return the number of the group that serves a lower-case name: the longest zone, else 0."""
        if self._zones:
            for parent in names.parents(name):
                zone = self._zones.get(parent)
                if zone is not None:
                    return zone
            return self._zones.get(names.ROOT, 0)
        return 0

    def fetch(self, key: Key, done: Callable[[Fetched], None]) -> Fetch | None:
        """Ask the upstreams of the key's zone; ``done`` is called once, perhaps before this returns."""
        now = self.clock()
        alive, fallen_back = usable(self._groups[key.zone], fallback=self.settings.fallback)
        self.fallbacks += fallen_back
        if not alive:
            done(Fetched(None, "down"))
            return None
        if len(alive) > 1:
            alive.sort(key=lambda upstream: upstream.rank(now))
        fetch = Fetch(self, key, alive, done)
        fetch.advance()
        return fetch

    def new(self, upstream: Upstream, sink: Sink, key: Key, *, stream: bool) -> Asked:
        """Return a query ready to be sent."""
        name = key.name
        if self.settings.use_0x20 and not stream:
            name = mixed_case(name, self._dice.roll(len(name)))
        question = name + key.qtype.to_bytes(2, "big") + key.qclass.to_bytes(2, "big")
        return Asked(upstream, sink, question, cd=bool(key.bits & CD), do=bool(key.bits & DO), stream=stream)

    def send(self, asked: Asked) -> None:
        """Send a query.

        Raises:
            OSError: it could not be sent.
        """
        asked.upstream.queries += 1
        self._transport(asked).ask(asked)

    def forget(self, asked: Asked) -> None:
        """Stop waiting for an answer."""
        self._transport(asked).forget(asked)

    def answered(self, asked: Asked) -> None:
        """Note that an upstream answered."""
        now = self.clock()
        if asked.upstream.answered(now - asked.sent_at, now):
            probe = self._probes.pop(asked.upstream, None)
            if probe is not None:
                probe.stop()
            self._recovered()

    def lost(self, asked: Asked) -> None:
        """Note that an upstream did not answer; one that is silent for long is probed from now on."""
        upstream = asked.upstream
        now = self.clock()
        if upstream.lost_one(now - asked.sent_at, now) and self._loop is not None:
            self._probes[upstream] = probe = _Probe(self, upstream)
            probe.start()
            if upstream.secure and self.settings.fallback:
                self._recovered()  # what failed may be answered by those who stand in

    def _transport(self, asked: Asked) -> UdpPorts | TcpStreams:
        if asked.upstream.secure:
            return self.secure
        return self.tcp if asked.stream else self.udp

    def _group(self, addresses: tuple[UpstreamAddress, ...]) -> tuple[Upstream, ...]:
        for address in addresses:
            if address not in self._known:
                self._known[address] = Upstream(address, len(self._known))
        return tuple(self._known[address] for address in dict.fromkeys(addresses))


class _Probe:
    """Asks a silent upstream for the root's NS until it answers; any answer will do."""

    _KEY = Key(0, names.ROOT, Type.NS, Class.IN, 0)

    def __init__(self, forwarder: Forwarder, upstream: Upstream) -> None:
        self._forwarder = forwarder
        self._upstream = upstream
        self._asked: Asked | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = self._forwarder.loop.call_later(self._upstream.next_pause(), self._ask)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._asked is not None:
            self._forwarder.forget(self._asked)
            self._asked = None

    def replied(self, asked: Asked, _answer: Answer) -> None:
        self._asked = None
        self._forwarder.answered(asked)

    def failed(self, _asked: Asked, _error: OSError) -> None:
        self._asked = None
        self._again()

    def doubted(self, _asked: Asked) -> None:
        self._asked = None
        self._again()

    def _ask(self) -> None:
        asked = self._forwarder.new(self._upstream, self, self._KEY, stream=self._upstream.secure)
        try:
            self._forwarder.send(asked)
        except OSError:
            self._again()
            return
        self._asked = asked
        self._timer = self._forwarder.loop.call_later(PROBE_TIMEOUT, self._again)

    def _again(self) -> None:
        self.stop()
        self.start()
