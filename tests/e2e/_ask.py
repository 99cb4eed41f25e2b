"""Ways to ask a DNS server: dnspython as a strict, independent reader; plain sockets; dig and kdig."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from _programs import Server

BLOCKED_BY_POLICY, CENSORED, FILTERED = 15, 16, 17
OPT = dns.rdatatype.OPT


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: as bytes, and as dnspython reads it."""

    wire: bytes
    message: dns.message.Message

    @property
    def rcode(self) -> str:
        return dns.rcode.to_text(self.message.rcode())

    @property
    def data(self) -> list[str]:
        """The data of the answer section, sorted; owner names and TTLs apart."""
        return sorted(item.to_text() for rrset in self.message.answer for item in rrset)

    @property
    def records(self) -> list[str]:
        """The answer section, sorted, with owners and types and without TTLs."""
        return sorted(
            f"{rrset.name.to_text().lower()} {dns.rdatatype.to_text(rrset.rdtype)} {item.to_text().lower()}"
            for rrset in self.message.answer
            for item in rrset
        )

    @property
    def ttls(self) -> list[int]:
        return [rrset.ttl for rrset in (*self.message.answer, *self.message.authority)]

    @property
    def soa(self) -> dns.rrset.RRset | None:
        found = [rrset for rrset in self.message.authority if rrset.rdtype == dns.rdatatype.SOA]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def errors(self) -> list[tuple[int, str]]:
        """Extended errors (RFC 8914)."""
        return [
            (int(option.code), option.text or "")
            for option in self.message.options
            if isinstance(option, dns.edns.EDEOption)
        ]

    @property
    def why(self) -> str:
        """The text of the only extended error."""
        ((_, text),) = self.errors
        return text

    @property
    def blocked(self) -> bool:
        return any(code in (BLOCKED_BY_POLICY, CENSORED, FILTERED) for code, _ in self.errors)

    def has(self, flag: str) -> bool:
        return bool(self.message.flags & dns.flags.from_text(flag))

    @property
    def truncated(self) -> bool:
        return self.has("TC")


def question(name: str, rdtype: str = "A", *, edns: bool = True, size: int = 1232, rd: bool = True,
             cd: bool = False, **more: Any) -> dns.message.Message:  # fmt: skip
    """Return a query; with OPT unless told otherwise."""
    options = {"use_edns": 0, "payload": size} if edns else {"use_edns": -1}
    message = dns.message.make_query(name, rdtype, **{**options, **more})
    message.flags = (dns.flags.RD if rd else 0) | (dns.flags.CD if cd else 0)
    return message


def ask(
    server: Server,
    name: str | dns.message.Message,
    rdtype: str = "A",
    *,
    tcp: bool = False,
    source: str | None = None,
    timeout: float = 10.0,
    filtered: bool = True,
    **more: Any,
) -> Answer:
    """Ask once, without a second try, and read the reply strictly.

    Args:
        server: whom.
        name: a name, or a whole query.
        rdtype: its type.
        tcp: over TCP.
        source: address to ask from.
        timeout: seconds.
        filtered: the server is filterd: hold its replies against what every one of them must be.
        more: of :func:`question`.
    """
    query = name if isinstance(name, dns.message.Message) else question(name, rdtype, **more)
    wire = query.to_wire()
    exchange = exchange_tcp if tcp else exchange_udp
    answer = read(exchange(server, wire, source=source, timeout=timeout))
    if filtered:
        check(query, answer, tcp=tcp)
    return answer


def read(wire: bytes) -> Answer:
    """Read a reply; trailing bytes, bad counts and bad pointers are errors."""
    return Answer(wire, dns.message.from_wire(wire, ignore_trailing=False))


def check(query: dns.message.Message, answer: Answer, *, tcp: bool = False) -> None:
    """Hold a reply against the rules that every reply follows."""
    reply = answer.message
    assert query.is_response(reply), "id, QR, opcode or question differ (RFC 1035, RFC 5452)"
    asked, told = query.question[0], reply.question[0]
    assert told.name.to_wire() == asked.name.to_wire(), "the case of the question is echoed"
    assert reply.flags & dns.flags.RA, "recursion is available here"
    assert not reply.flags & dns.flags.AA, "nothing here is authoritative"
    assert not reply.flags & dns.flags.AD, "AD is for trusted upstreams only (RFC 4035)"
    for flag in (dns.flags.RD, dns.flags.CD):
        assert reply.flags & flag == query.flags & flag, "RD and CD are copied"
    if query.edns < 0:
        assert reply.edns < 0, "no OPT in, no OPT out (RFC 6891)"
    else:
        assert reply.edns == 0
        assert reply.ednsflags & dns.flags.DO == query.ednsflags & dns.flags.DO, "DO is copied (RFC 3225)"
        assert 512 <= reply.payload <= 4096
    limit = 65_535 if tcp else 512 if query.edns < 0 else max(512, min(query.payload, 1232))
    assert len(answer.wire) <= limit
    assert not (tcp and answer.truncated), "nothing is cut short on a stream"


def exchange_udp(server: Server, wire: bytes, *, source: str | None = None, timeout: float = 10.0) -> bytes:
    """Send one datagram and return the reply; only one from the address asked counts."""
    with udp(server, source=source) as sock:
        sock.settimeout(timeout)
        sock.send(wire)
        return sock.recv(65_535)


def exchange_tcp(server: Server, wire: bytes, *, source: str | None = None, timeout: float = 10.0) -> bytes:
    """Ask over a connection of its own."""
    with stream(server, source=source, timeout=timeout) as sock:
        sock.sendall(framed(wire))
        return receive(sock)


@contextmanager
def udp(server: Server, *, source: str | None = None) -> Iterator[socket.socket]:
    """A connected datagram socket: what comes from another address than the one asked is not seen."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if source is not None:
            sock.bind((source, 0))
        sock.connect((server.host, server.port))
        yield sock


@contextmanager
def stream(server: Server, *, source: str | None = None, timeout: float = 10.0) -> Iterator[socket.socket]:
    """A connection."""
    where = (source, 0) if source is not None else None
    with socket.create_connection((server.host, server.port), timeout, where) as sock:
        yield sock


def framed(wire: bytes) -> bytes:
    """Return a message as it goes over a stream (RFC 1035 section 4.2.2)."""
    return struct.pack("!H", len(wire)) + wire


def receive(sock: socket.socket) -> bytes:
    """Return the next message of a stream.

    Raises:
        EOFError: the other side closed.
    """
    return exactly(sock, int.from_bytes(exactly(sock, 2), "big"))


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part = sock.recv(size - len(data))
        except ConnectionResetError:
            part = b""
        if not part:
            raise EOFError(f"closed after {len(data)} of {size} bytes")
        data += part
    return data


@dataclass(frozen=True, slots=True)
class Dug:
    """What dig or kdig printed."""

    text: str
    status: str
    flags: frozenset[str]

    @property
    def lines(self) -> list[str]:
        """The records of the answer section, white space made single."""
        return section(self.text, "ANSWER")


def section(text: str, name: str) -> list[str]:
    """Return the records of a section as dig or kdig print it, white space made single."""
    found = re.search(rf"^;; {name} SECTION:\n(.*?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+", " ", line) for line in found[1].splitlines()] if found else []


def dig(server: Server, *args: str, tries: int = 1) -> Dug:
    """Run dig, without a second try."""
    return _dug("dig", server, f"+tries={tries}", "+time=10", *args)


def kdig(server: Server, *args: str, fails: bool = False) -> Dug:
    """Run kdig, without a second try."""
    return _dug("kdig", server, "+retry=0", "+timeout=10", *args, fails=fails)


def _dug(program: str, server: Server, *args: str, fails: bool = False) -> Dug:
    argv = [program, f"@{server.host}", "-p", str(server.port), *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr
    assert bool(done.returncode) == fails, text
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"[Ff]lags: ([a-z ]*)", text)
    return Dug(text, status[1] if status else "", frozenset(flags[1].split()) if flags else frozenset())
