"""Messages for the tests of bytes: built by dnspython, so that the builder is not the code under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dns.message
import pytest

from filterd.wire.edns import Edns
from filterd.wire.query import Query, parse_query


class Packets(tuple[bytes, ...]):
    """Packets that do not print themselves when a test fails."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} packets>"


def _message(question: str, **parts: str | int) -> dns.message.Message:
    lines = [f"id {parts.get('id', 7)}", "opcode QUERY", f"rcode {parts.get('rcode', 'NOERROR')}"]
    lines.append(f"flags {parts.get('flags', 'QR RD RA')}")
    if "edns" in parts:
        lines += ["edns 0", f"eflags {parts['edns']}", "payload 1232"]
    lines += [";QUESTION", question]
    for section in ("answer", "authority", "additional"):
        lines += [f";{section.upper()}", *(line.strip() for line in str(parts.get(section, "")).splitlines())]
    return dns.message.from_text("\n".join(lines), one_rr_per_rrset=True)


@pytest.fixture(scope="session")
def reply() -> Callable[..., bytes]:
    """``reply("kz. IN A", answer="kz. 60 IN A 192.0.2.1", authority=..., rcode=..., flags=...)`` -> bytes."""

    def build(question: str, **parts: str | int) -> bytes:
        return _message(question, **parts).to_wire(max_size=65535)

    return build


@pytest.fixture(scope="session")
def ask() -> Callable[..., Query]:
    """``ask("WWW.kz. IN A", edns=..., flags="RD CD", **fields of Edns)`` -> parsed query."""

    def build(question: str, flags: str = "RD", *, edns: bool = True, **fields: object) -> Query:
        query = parse_query(_message(question, flags=flags, id=0xBEEF).to_wire())
        options = Edns(**fields) if edns else None  # type: ignore[arg-type]
        return query._replace(edns=options)

    return build


@pytest.fixture(scope="session")
def real_packets(realdata: Path) -> Packets:
    """Messages of a resolver's fuzz corpus, as they came and dressed as queries and as replies."""
    found = [path.read_bytes() for path in sorted((realdata / "packets").glob("*/dns_message_parse.in/*"))]
    assert len(found) > 200
    dressed = []
    for packet in found:
        if len(packet) > 4:
            dressed.append(packet[:2] + b"\x01\x00" + packet[4:])
            dressed.append(packet[:2] + b"\x81\x80" + packet[4:])
    return Packets(found + dressed)
