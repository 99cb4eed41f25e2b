"""What the fast path gives out again is byte for byte what the slow ways answer at that moment.

The real objects of a DNS process stand behind three sockets: one served by batches with remembered replies,
one by plain calls without any memory, one over TCP; a real unbound is upstream. In one process, so that a
reply from memory can be told from one that was worked out: the handler is counted.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path

import dns.edns
import dns.flags
import pytest
import yaml
from _ask import framed, question
from _programs import filterd
from _world import Papers

from filterd.app import policyfiles
from filterd.app.worker import build
from filterd.config.load import load_config
from filterd.server.fast import FastListener
from filterd.server.tcp import TcpListener
from filterd.server.udp import UdpListener

MODES = {
    "nxdomain": {"mode": "nxdomain", "ttl": 30},
    "nodata": {"mode": "nodata", "ttl": 60},
    "null": {"mode": "null", "ttl": 5},
    "page": {"mode": "page", "ttl": 1, "page_v4": ["192.0.2.80", "192.0.2.81"], "page_v6": ["2001:db8::80"]},
}
BLOCKED = [
    (name, rdtype)
    for name in (
        "casino.example",
        "WWW.Casino.Example",
        "illegal.example",
        "ruled.example",
        "cloaked.example",
    )
    for rdtype in ("A", "AAAA", "HTTPS", "SVCB", "ANY", "TXT", "MX", "TYPE65280")
    if (name, rdtype) != ("cloaked.example", "ANY")  # over UDP that one is sent to TCP
]
ALLOWED = [
    ("mektep.example", "A"),
    ("MEKTEP.example", "A"),
    ("mektep.example", "AAAA"),
    ("mektep.example", "MX"),
    ("mektep.example", "TXT"),
    ("mektep.example", "HTTPS"),
    ("mektep.example", "TYPE65280"),
    ("mektep.example", "TYPE65281"),
    ("mektep.example", "SRV"),
    ("alias.example", "A"),
    ("alias.example", "TYPE1000"),
    ("long.example", "A"),
    ("onlytxt.example", "A"),
    ("missing.example", "A"),
    ("below.missing.example", "HTTPS"),
    ("rebind.example", "A"),
    ("printer.example", "AAAA"),
    ("localhost", "A"),
    ("localhost", "MX"),
    ("x.local", "A"),
    ("10.in-addr.arpa", "PTR"),
    ("use-application-dns.net", "HTTPS"),
    ("resolver.arpa", "SVCB"),
    ("games.canary.filterd.test", "A"),
]
KINDS = {
    "plain": {"edns": False},
    "EDNS": {},
    "DO": {"want_dnssec": True},
    "CD": {"cd": True},
    "RD=0": {"rd": False},
    "AD": {"ad": True},
    "small": {"size": 512},
    "large": {"size": 65_535},
    "options": {"options": [dns.edns.GenericOption(65_001, b"x"), dns.edns.GenericOption(3, b"")]},
}


class Ways:
    """One question, asked in the three ways."""

    def __init__(self, worker, fast, slow, tcp):
        self.worker = worker
        self._sockets = {"fast": fast, "slow": slow, "tcp": tcp}
        self.handled = 0
        self._handle = worker.handler.handle
        worker.handler.handle = self._counted
        self._id = 0

    def _counted(self, *args, **more):
        self.handled += 1
        return self._handle(*args, **more)

    async def ask(self, way, query):
        """Return the reply without its id, and whether the handler had to work for it."""
        self._id = (self._id + 1) & 0xFFFF
        wire = self._id.to_bytes(2, "big") + query[2:]
        before = self.handled
        loop, sock = asyncio.get_running_loop(), self._sockets[way]
        async with asyncio.timeout(10):
            await loop.sock_sendall(sock, framed(wire) if way == "tcp" else wire)
            reply = await loop.sock_recv(sock, 65_535)
        if way == "tcp":
            while len(reply) < 2 or len(reply) - 2 < int.from_bytes(reply[:2], "big"):
                reply += await loop.sock_recv(sock, 65_535)
            reply = reply[2:]
        assert reply[:2] == wire[:2]
        return reply[2:], self.handled != before

    async def remembered(self, query, tries=60):
        """Ask the fast way until the reply comes from memory; return it."""
        for number in range(tries):
            reply, worked = await self.ask("fast", query)
            if not worked:
                return reply
            if number > 4:
                await asyncio.sleep(0.05)  # for a moment at the end of each step nothing is remembered
        raise AssertionError("nothing was remembered")

    async def same(self, query, *, tcp=True):
        """Hold the reply from memory against what is worked out just before and after."""
        await self.ask("slow", query)  # what had to be fetched is fetched now
        for _ in range(3):
            worked_out = [(await self.ask("slow", query))[0]]
            from_memory = await self.remembered(query)
            if tcp:
                worked_out.append((await self.ask("tcp", query))[0])
            worked_out.append((await self.ask("slow", query))[0])
            if len(set(worked_out)) == 1:
                assert from_memory == worked_out[0]
                return
            assert from_memory in worked_out, "a step of the TTLs passed meanwhile"
        raise AssertionError("the slow ways differ among themselves, and not by a step of the TTLs")


@pytest.fixture(scope="module")
def state(tmp_path_factory, unbound):
    """Configuration, papers and a compiled index, for all modes."""
    folder = tmp_path_factory.mktemp("bytes")
    papers = Papers(folder / "papers")
    path = folder / "filterd.yaml"
    config = papers.config(unbound.server, local_names={"printer.example": ["fd00::7"]})
    path.write_text(yaml.safe_dump({**config, "state": str(folder / "s")}))
    assert filterd("lists", "compile", "--config", str(path)).returncode == 0
    return path, papers


@asynccontextmanager
async def served(path: Path, name: str):
    config = load_config(path)
    config.state.make()
    policy = policyfiles.draft(config)
    policyfiles.keep(config.state.policies, policy)
    policyfiles.switch(config.state.policies, policy.policy.version)
    worker = build(config, name)
    await worker.resolver.start()
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    listening = socket.create_server(("127.0.0.1", 0))
    listeners = [
        FastListener(socks[0], worker.handler, worker.clients),
        UdpListener(socks[1], worker.handler, worker.clients),
    ]
    streams = TcpListener(worker.handler, worker.clients, config.server().tcp)
    await streams.start(listening)
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    clients.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    for client, server in zip(clients, (*socks, listening), strict=True):
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, server.getsockname())
    try:
        yield Ways(worker, *clients)
    finally:
        for client in clients:
            client.close()
        for listener in listeners:
            listener.close()
        await streams.close()
        await worker.resolver.close()
        for sock in (*socks, listening):
            sock.close()
        await asyncio.sleep(0.05)
        worker.resolver.index.close()


def asked(name, rdtype, *, ad=False, **kind):
    query = question(name, rdtype, **kind)
    query.flags |= dns.flags.AD if ad else 0
    return query.to_wire()


@pytest.mark.parametrize("mode", MODES)
async def test_blocked_answers_are_the_same_bytes_from_memory(state, mode):
    path, papers = state
    papers.write_answer(**MODES[mode])
    async with served(path, f"blocked-{mode}") as ways:
        for kind in KINDS.values():
            if "rd" not in kind:  # what is cloaked has to be fetched before
                for name, rdtype in BLOCKED:
                    await ways.same(asked(name, rdtype, **kind))


@pytest.mark.parametrize("kind", KINDS)
async def test_other_answers_are_the_same_bytes_from_memory(state, kind):
    path, papers = state
    papers.write_school()
    async with served(path, "allowed") as ways:
        for name, rdtype in ALLOWED:
            query = asked(name, rdtype, **KINDS[kind])
            if kind == "RD=0":  # has to be known before
                await ways.ask("slow", asked(name, rdtype))
            await ways.same(query)


async def test_truncated_answers_are_the_same_bytes(state):
    """Too large for UDP: empty with TC there, whole over TCP."""
    path, papers = state
    papers.write_school()
    async with served(path, "truncated") as ways:
        for kind in ({}, {"edns": False}, {"size": 512}):
            await ways.same(asked("large.example", "TXT", **kind), tcp=False)
        await ways.same(asked("mektep.example", "ANY"), tcp=False)
        whole, _ = await ways.ask("tcp", asked("large.example", "TXT"))
        assert len(whole) > 8000


async def test_each_group_has_a_memory_of_its_own(state):
    """The same bytes asked by two groups, from memory for both, differ as the policy says."""
    path, papers = state
    papers.write_school()
    async with served(path, "groups") as ways:
        query = asked("social.example", "A")
        pupil = await ways.remembered(query)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.1.65", 0))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ways._sockets["fast"].getpeername())
        before, ways._sockets["fast"] = ways._sockets["fast"], sock
        teacher = await ways.remembered(query)
        assert pupil[1] & 0x0F == 3
        assert teacher[1] & 0x0F == 0
        ways._sockets["fast"] = before
        assert await ways.remembered(query) == pupil
        sock.close()


async def test_what_changes_is_not_remembered(state):
    """TTL 0 is asked anew each time; with a cookie each answer is worked out."""
    path, papers = state
    papers.write_school()
    async with served(path, "changes") as ways:
        for query in (
            asked("zero.example", "A"),
            asked("casino.example", "A", options=[dns.edns.CookieOption(bytes(8), b"")]),
        ):
            for _ in range(6):
                _, worked = await ways.ask("fast", query)
                assert worked
