"""Scripted upstreams on loopback, a real unbound, a small policy, and a resolver to ask."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from filterd.resolver.request import Request
from filterd.resolver.resolver import Resolver
from filterd.resolver.settings import ResolverSettings, UpstreamAddress
from filterd.rules.categories import Categories, load_categories
from filterd.rules.index import SUBTREE, Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.view import NameRule, NameRules, View
from filterd.wire import names
from filterd.wire.query import parse_query

ROOT = Path(__file__).resolve().parents[2]
CLIENT = bytes((10, 1, 2, 3))
SOA = "ns.example. hostmaster.example. 1 3600 600 86400 300"


class Clock:
    """Monotonic seconds that a test may push forward."""

    def __init__(self):
        self.shift = 0.0

    def __call__(self):
        return time.monotonic() + self.shift


class Ask:
    """One query that reached a scripted upstream."""

    def __init__(self, upstream, raw, transport, send, peer=None):
        self.upstream = upstream
        self.raw = raw
        self.message = dns.message.from_wire(raw)
        self.transport = transport
        self.peer = peer
        self._send = send

    @property
    def name(self):
        return self.message.question[0].name.to_text().lower()

    @property
    def qtype(self):
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    def reply(self, *answers, authority=(), additional=(), rcode="NOERROR", ad=False, tc=False, ede=None):
        """Build an honest reply; records are texts of one RRset each."""
        reply = dns.message.make_response(self.message, recursion_available=True)
        reply.set_rcode(dns.rcode.from_text(rcode))
        for section, texts in (
            (reply.answer, answers),
            (reply.authority, authority),
            (reply.additional, additional),
        ):
            section.extend(rrset(text) for text in texts)
        reply.flags |= (dns.flags.AD if ad else 0) | (dns.flags.TC if tc else 0)
        if ede is not None:
            reply.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(*ede)])
        return reply

    def missing(self, zone="example.", **more):
        return self.reply(rcode="NXDOMAIN", authority=(f"{zone} 300 IN SOA {SOA}",), **more)

    def nodata(self, zone="example.", **more):
        return self.reply(authority=(f"{zone} 300 IN SOA {SOA}",), **more)

    def send(self, reply):
        self._send(reply if isinstance(reply, bytes) else reply.to_wire(max_size=65535))

    def send_from_elsewhere(self, reply, address):
        """Send to the asking port from another socket: what a forger off the path can do."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.sendto(reply.to_wire(), address)


def rrset(text):
    owner, ttl, rdclass, rdtype, *data = text.split(" ", 4)
    return dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, *(data[0].split(" | ")))


class Upstream(asyncio.DatagramProtocol):
    """An upstream that does what its script says; without one it answers from ``records``."""

    def __init__(self):
        self.records = {}
        self.asked = []
        self.script = None
        self.on_tcp = True
        self.connections = 0
        self._tasks = set()
        self._transport = None
        self._server = None
        self._writers = set()

    async def start(self, port=0, host="127.0.0.1"):
        loop = asyncio.get_running_loop()
        for _ in range(20):
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
            self.port = self._transport.get_extra_info("sockname")[1]
            try:
                self._server = await asyncio.start_server(self._serve, host, self.port)
            except OSError:
                self._transport.close()
                continue
            self.address = UpstreamAddress(host, self.port)
            return self
        raise AssertionError("no port free for both transports")

    def stop(self):
        self._transport.close()
        self._server.close()
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()

    @property
    def questions(self):
        return [(ask.name, ask.qtype, ask.transport) for ask in self.asked]

    def answer(self, name, *texts, qtype="A"):
        self.records[name, qtype] = texts

    def datagram_received(self, data, addr):
        self._begin(Ask(self, data, "udp", lambda wire: self._transport.sendto(wire, addr), addr))

    async def _serve(self, reader, writer):
        self.connections += 1
        if not self.on_tcp:
            writer.close()
            return
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(size)

                def send(wire):
                    writer.write(len(wire).to_bytes(2, "big") + wire)

                self._begin(Ask(self, data, "tcp", send))
        writer.close()
        self._writers.discard(writer)

    def _begin(self, ask):
        self.asked.append(ask)
        task = asyncio.get_running_loop().create_task(self._handle(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, ask):
        if self.script is not None:
            result = self.script(ask)
            if isinstance(result, Awaitable):
                result = await result
            if result is not None:
                ask.send(result)
            return
        if (ask.name, ask.qtype) in self.records:
            ask.send(ask.reply(*self.records[ask.name, ask.qtype]))
        elif any(name == ask.name for name, _ in self.records):
            ask.send(ask.nodata())
        else:
            ask.send(ask.missing())


@pytest.fixture
async def make_upstream():
    """Starts scripted upstreams; an argument is the script."""
    started = []

    async def make(script=None, **where):
        upstream = Upstream()
        upstream.script = script
        started.append(upstream)
        return await upstream.start(**where)

    yield make
    for upstream in started:
        upstream.stop()
    await asyncio.sleep(0)


@pytest.fixture
def until():
    """Waits until a condition holds; the test's own timeout ends it."""

    async def wait(condition):
        while not condition():  # noqa: ASYNC110  what is waited for happens in the kernel and in timers
            await asyncio.sleep(0.005)

    return wait


@pytest.fixture
async def upstream(make_upstream):
    return await make_upstream()


@pytest.fixture
def dead_port():
    """A port where nobody answers and no ICMP comes back: bound, never read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield UpstreamAddress("127.0.0.1", silent.getsockname()[1])


@pytest.fixture
def closed_port():
    """A port where nobody listens: the kernel says so by ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as used:
        used.bind(("127.0.0.1", 0))
        port = used.getsockname()[1]
    return UpstreamAddress("127.0.0.1", port)


@pytest.fixture(scope="session")
def categories() -> Categories:
    return load_categories(ROOT / "blocklists" / "categories.yaml")


PUBLIC, LOCAL = 0, 1
LISTED = {
    "casino.example": (PUBLIC, "gambling"),
    "tracker.example": (PUBLIC, "ads"),
    "virus.example": (PUBLIC, "malware"),
    "trap.example": (LOCAL, "malware"),
    "illegal.example": (LOCAL, "extremism"),
    "help.example": (LOCAL, "allow_help"),
}


@pytest.fixture(scope="session")
def index(categories) -> Index:
    lists = (ListInfo(PUBLIC, "public-list", "ads", "public"), ListInfo(LOCAL, "local-list", "ads", "local"))
    return Index.of(
        {
            names.from_text(name): [Entry(number, categories.by_id[category].bit, SUBTREE)]
            for name, (number, category) in LISTED.items()
        },
        lists,
    )


@pytest.fixture(scope="session")
def make_view(categories):
    """Builds a view: gambling and ads blocked, malware and extremism locked, help allowed, unless told."""

    def make(blocked=("gambling", "ads"), allow=(), block=(), **more):
        locked = categories.mask(("malware", "extremism"))
        rules = [NameRule(names.from_text(name), SUBTREE, True, "school") for name in allow]
        rules += [NameRule(names.from_text(name), SUBTREE, False, "school") for name in block]
        return View(
            categories=categories,
            locked=locked,
            blocked=categories.mask(blocked) | locked,
            allowed=categories.allowing,
            names=NameRules(rules),
            layer_of={},
            **more,
        )

    return make


@pytest.fixture(scope="session")
def view(make_view) -> View:
    return make_view()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def request_for(view):
    """Builds a request from a question in text, through dnspython and the real parser."""
    default_view = view

    def build(
        name, qtype="A", *, view=None, transport="udp", limit=None, client=CLIENT, rd=True, edns=True, **more
    ) -> Request:
        message = dns.message.make_query(name, qtype, use_edns=0 if edns else -1, **more)
        if not rd:
            message.flags &= ~dns.flags.RD
        query = parse_query(message.to_wire())
        limit = limit or (65535 if transport == "tcp" else query.udp_limit)
        return Request(query, client, view or default_view, transport, limit)

    return build


class Answered:
    """A reply, read by dnspython."""

    def __init__(self, reply):
        self.reply = reply
        self.outcome = reply.outcome
        self.verdict = reply.verdict
        self.message = dns.message.from_wire(reply.packet)
        self.rcode = dns.rcode.to_text(self.message.rcode())

    @property
    def data(self):
        return sorted(item.to_text() for rrset in self.message.answer for item in rrset)

    @property
    def ttls(self):
        return [rrset.ttl for rrset in (*self.message.answer, *self.message.authority)]

    @property
    def errors(self):
        return [(int(option.code), option.text) for option in self.message.options if option.otype == 15]

    @property
    def codes(self):
        return [code for code, _ in self.errors]

    def has(self, flag):
        return bool(self.message.flags & dns.flags.from_text(flag))


class Asking:
    """A resolver and short ways to ask it."""

    def __init__(self, resolver, request_for):
        self.resolver = resolver
        self.request_for = request_for

    async def __call__(self, name, qtype="A", **more) -> Answered:
        async with asyncio.timeout(30):
            return Answered(await self.resolver.resolve(self.request_for(name, qtype, **more)))

    def now(self, name, qtype="A", **more) -> Answered | None:
        reply = self.resolver.resolve_now(self.request_for(name, qtype, **more))
        return None if reply is None else Answered(reply)

    @property
    def health(self):
        return self.resolver.health()


@pytest.fixture
async def make_asking(index, request_for, clock) -> Callable[..., Awaitable[Asking]]:
    """Starts resolvers; arguments are upstreams (scripted or addresses) and settings."""
    started = []

    async def make(*upstreams, zones=None, **settings):
        def address(one):
            return one.address if isinstance(one, Upstream) else one

        resolver = Resolver(
            ResolverSettings(
                upstreams=tuple(address(one) for one in upstreams),
                zones={
                    names.from_text(zone): tuple(address(one) for one in found)
                    for zone, found in (zones or {}).items()
                },
                **settings,
            ),
            index,
            clock=clock,
        )
        await resolver.start()
        started.append(resolver)
        return Asking(resolver, request_for)

    yield make
    for resolver in started:
        await resolver.close()
    await asyncio.sleep(0.01)  # lets closed transports end before the loop does


@pytest.fixture
async def ask(make_asking, upstream) -> Asking:
    """A resolver with default settings before one scripted upstream."""
    return await make_asking(upstream)


UNBOUND = """\
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{directory}"
  pidfile: ""
  use-syslog: no
  logfile: "{directory}/log"
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  local-zone: "kz." static
  local-data: "www.mektep.kz. 300 IN A 198.51.100.1"
  local-data: "www.mektep.kz. 300 IN A 198.51.100.2"
  local-data: "www.mektep.kz. 300 IN AAAA 2001:db8::1"
  local-data: "mektep.kz. 300 IN MX 10 mail.mektep.kz."
  local-data: "type.mektep.kz. 300 IN TYPE65280 \\# 4 c0ffee00"
  local-data: "svc.mektep.kz. 300 IN HTTPS 1 . alpn=h2 ipv4hint=198.51.100.9"
{large}
  local-zone: "flood.example." redirect
  local-data: "flood.example. 300 IN A 198.51.100.7"
remote-control:
  control-enable: no
"""


@pytest.fixture(scope="session")
def unbound(tmp_path_factory) -> UpstreamAddress:
    """A real, honest upstream: unbound with data of its own and no way out."""
    directory = tmp_path_factory.mktemp("unbound")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    large = "\n".join(
        f'  local-data: "large.mektep.kz. 300 IN TXT \\"{number:03d}{"x" * 200}\\""' for number in range(40)
    )
    config = directory / "unbound.conf"
    config.write_text(UNBOUND.format(port=port, directory=directory, large=large))
    process = subprocess.Popen(["/usr/sbin/unbound", "-c", str(config)])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError, dns.exception.Timeout):
                dns.query.udp(dns.message.make_query("www.mektep.kz", "A"), "127.0.0.1", 0.2, port)
                break
            time.sleep(0.05)
        else:
            raise AssertionError((directory / "log").read_text())
        yield UpstreamAddress("127.0.0.1", port)
    finally:
        process.terminate()
        process.wait()
