"""Queries: bytes from a client -> one question, strictly; and the error reply to bytes that are not one.

Every byte of a query is accounted for, or the query is refused and no upstream ever sees it (RFC 9267).
What follows the question is read by `edns`; work is bounded, whatever the packet holds. Also builds the
queries that we send ourselves, so that both live beside each other. Never uses dnslib, which is unsafe on
hostile input.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from filterd.errors import DropPacket, QueryRefused
from filterd.wire.constants import (
    HEADER_SIZE,
    MAX_UDP,
    MIN_UDP,
    Class,
    Flag,
    Rcode,
    Type,
)
from filterd.wire.edns import Edns, malformed, read_additional
from filterd.wire.names import MAX_NAME
from filterd.wire.opt import opt_record

_unpack_header = struct.Struct("!HHHHHH").unpack_from
_pack_header = struct.Struct("!HHHHHH").pack
_unpack_two = struct.Struct("!HH").unpack_from
_pack_two = struct.Struct("!HH").pack
_NAME_WINDOW = HEADER_SIZE + MAX_NAME


class Query(NamedTuple):
    """One question as a client asked it.

    Args:
        id: message id, to be echoed.
        rd: recursion desired; without it nothing is fetched.
        cd: checking disabled (RFC 4035); part of the cache key.
        ad: the client understands the AD bit (RFC 6840 section 5.7).
        qname: wire name as asked, case kept, to be echoed.
        name: the same in lower case: the key for policy and cache.
        qtype: any 16-bit type but the refused ones.
        qclass: always IN after `parse_query`.
        edns: None when the query had no OPT.
    """

    id: int
    rd: bool
    cd: bool
    ad: bool
    qname: bytes
    name: bytes
    qtype: int
    qclass: int = Class.IN
    edns: Edns | None = None

    @property
    def question(self) -> bytes:
        """The question section as asked."""
        return self.qname + _pack_two(self.qtype, self.qclass)

    @property
    def do(self) -> bool:
        """Whether DNSSEC records are wanted (RFC 3225)."""
        return self.edns is not None and self.edns.do

    @property
    def udp_limit(self) -> int:
        """Bytes of answer this client takes over UDP: min(its size, 1232), 512 without EDNS."""
        return MIN_UDP if self.edns is None else min(self.edns.udp_size, MAX_UDP)


def parse_query(packet: bytes) -> Query:
    """Return the question in a packet from a client.

    Raises:
        DropPacket: under 12 bytes, or not a query (QR=1): answer with silence.
        QueryRefused: answer with `refusal`; rcode and reason say why.
    """
    size = len(packet)
    if size < HEADER_SIZE:
        raise DropPacket("shorter than a header")
    query_id, flags, questions, answers, authorities, additional = _unpack_header(packet)
    if flags & (Flag.QR | Flag.OPCODE):
        raise _not_a_query(flags)
    if questions != 1:
        raise _not_one_question(packet, questions)
    qname, qtype, qclass, at = _read_question(packet)
    if qclass != Class.IN or qtype in _REFUSED_TYPES:
        raise _refused_question(qtype, qclass)
    if answers or authorities:
        raise malformed("counts", "answers or authorities in a query")
    edns = None
    if additional:
        edns = read_additional(packet, at, additional)
    elif at != size:
        raise malformed("trailing", "bytes after the last record")
    return Query(
        query_id,
        flags & Flag.RD != 0,
        flags & Flag.CD != 0,
        flags & Flag.AD != 0,
        qname,
        qname.lower(),
        qtype,
        qclass,
        edns,
    )


def _read_question(packet: bytes) -> tuple[bytes, int, int, int]:
    # The first name of a message has nothing before it to point at, so only plain labels are right.
    window = packet[:_NAME_WINDOW]
    at = HEADER_SIZE
    try:
        while length := window[at]:
            if length > 63:
                raise malformed("label", "pointer or unknown label type in the question")
            at += length + 1
        at += 1
        qtype, qclass = _unpack_two(packet, at)
    except (IndexError, struct.error):
        raise malformed("question", "question cut short, or its name over 255 bytes") from None
    return packet[HEADER_SIZE:at], qtype, qclass, at + 4


# Zone transfers are not ours to serve (RFC 5936, RFC 1995); OPT, TSIG and TKEY are no data to ask for.
_REFUSED_TYPES = {
    Type.AXFR: Rcode.REFUSED,
    Type.IXFR: Rcode.REFUSED,
    Type.TKEY: Rcode.REFUSED,
    Type.TSIG: Rcode.FORMERR,
    Type.OPT: Rcode.FORMERR,
}


def _not_a_query(flags: int) -> DropPacket | QueryRefused:
    if flags & Flag.QR:
        return DropPacket("a response, not a query")
    return QueryRefused("opcode other than QUERY", rcode=Rcode.NOTIMP, reason="opcode")


def _not_one_question(packet: bytes, questions: int) -> QueryRefused:
    if questions == 0:
        # A client may ask for a server cookie alone (RFC 7873 section 5.4).
        edns = edns_of(packet)
        if edns is not None and edns.cookie is not None:
            return QueryRefused("asks for a cookie only", rcode=Rcode.NOERROR, reason="cookie-only")
    return malformed("qdcount", "not exactly one question")


def _refused_question(qtype: int, qclass: int) -> QueryRefused:
    if qclass != Class.IN:
        return QueryRefused("class other than IN", rcode=Rcode.REFUSED, reason="class")
    return QueryRefused("type not served", rcode=_REFUSED_TYPES[qtype], reason="qtype")


def edns_of(packet: bytes) -> Edns | None:
    """Return the EDNS part of a refused query as far as it can be read; None when it cannot.

    For the replies of `refusal`: whether they carry OPT, and the client cookie they answer.
    """
    try:
        _, _, questions, *counts = _unpack_header(packet)
        at = HEADER_SIZE if questions == 0 else _read_question(packet)[-1]
        return read_additional(packet, at, sum(counts)) if questions < 2 else None
    except QueryRefused as error:
        if error.rcode == Rcode.BADVERS:
            return Edns(version=1)
        # OPT stands, only its cookie does not: without OPT we would say that we know no EDNS.
        return Edns() if error.reason == "cookie" else None
    except struct.error:
        return None


def refusal(packet: bytes, error: QueryRefused, *, cookie: bytes | None = None) -> bytes:
    """Return the smallest error reply to a query that `parse_query` refused.

    Id, opcode, RD and CD are copied; the question is echoed when it can be read, and OPT (version 0)
    follows when the query had one that can be read (RFC 6891 section 7).

    Args:
        packet: the query as it came, at least a header long.
        error: what `parse_query` raised.
        cookie: client and server cookie to send along, when the query had a client cookie.

    Raises:
        DropPacket: the packet is shorter than a header.
    """
    if len(packet) < HEADER_SIZE:
        raise DropPacket("shorter than a header")
    query_id, flags, questions, *_ = _unpack_header(packet)
    try:
        question = packet[HEADER_SIZE : _read_question(packet)[-1]] if questions == 1 else b""
    except QueryRefused:
        question = b""
    edns = edns_of(packet)
    opt = b"" if edns is None else opt_record(edns.do, error.rcode, None, cookie)
    kept = flags & (Flag.OPCODE | Flag.RD | Flag.CD)
    flags = Flag.QR | kept | Flag.RA | error.rcode & Flag.RCODE
    return _pack_header(query_id, flags, bool(question), 0, 0, bool(opt)) + question + opt


def build_query(query_id: int, question: bytes, *, cd: bool = False, do: bool = False) -> bytes:
    """Return a query of ours to an upstream: RD=1, AD=1, own OPT with no option but DO (RFC 6891, 6840).

    Args:
        query_id: from a CSPRNG (RFC 5452 section 9.2).
        question: question section, its case mixed where the transport is plain (0x20).
        cd: the client's CD bit.
        do: the client's DO bit.
    """
    flags = Flag.RD | Flag.AD | (Flag.CD if cd else 0)
    return _pack_header(query_id, flags, 1, 0, 0, 1) + question + opt_record(do)


def mixed_case(name: bytes, bits: int) -> bytes:
    """Return a wire name with the letters in upper case whose byte in ``bits`` has 0x20 set (RFC 5452).

    Args:
        name: a valid wire name, lower case.
        bits: random number from a CSPRNG, as long as the name: ``secrets.randbits(8 * len(name))``.
    """
    letters = int.from_bytes(name.translate(_CASE_BITS))
    return (int.from_bytes(name) ^ (letters & bits)).to_bytes(len(name))


_CASE_BITS = bytes(0x20 if 97 <= byte <= 122 else 0 for byte in range(256))
