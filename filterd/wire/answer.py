"""Replies from upstream: bytes -> records whose place is known, bounded, without unpacking the data.

The data of a record stays in the message; only what the filter must see is read out of it: the chain of
CNAME and DNAME, targets of SVCB, addresses and hints. Nothing received is ever given to dnslib, and no
reply costs more than the caps allow (KeyTrap, pointer chains). Never decides whether an answer is wanted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from filterd.errors import BadAnswer, BadName
from filterd.wire import rdata
from filterd.wire.constants import HEADER_SIZE, Flag, OptionCode, Type
from filterd.wire.names import MAX_NAME, ROOT, is_under
from filterd.wire.reader import NameReader

MAX_RECORDS = 512
MAX_CHAIN = 12  # CNAME and DNAME steps
MAX_ERRORS = 4  # extended errors read from one reply

ANSWER, AUTHORITY, ADDITIONAL = 1, 2, 3

_unpack_header = struct.Struct("!HHHHHH").unpack_from
_unpack_record = struct.Struct("!HHIH").unpack_from
_unpack_two = struct.Struct("!HH").unpack_from
_unpack_opt = struct.Struct("!BHHBBHH").unpack_from
_OPT_HEAD = 11
_MAX_TTL = 0x7FFFFFFF  # RFC 2181 section 8
_TO_QUESTION = b"\xc0\x0c"  # pointer to offset 12: how nearly every owner is written


class Record(NamedTuple):
    """One record of a reply, by its place in the message.

    Args:
        section: 1 answer, 2 authority, 3 additional.
        name: owner, uncompressed, lower case.
        ttl: seconds; 0 when the high bit was set (RFC 2181 section 8).
        ttl_at: offset of the TTL.
        rdata_at: offset of the data.
        rdata_len: length of the data.
        start: offset of the owner name.
        end: offset after the data.
        target: where CNAME, DNAME, SVCB or HTTPS leads, lower case; empty for other types.
    """

    section: int
    name: bytes
    rtype: int
    rclass: int
    ttl: int
    ttl_at: int
    rdata_at: int
    rdata_len: int
    start: int
    end: int
    target: bytes = b""


class Answer(NamedTuple):
    """A well-formed reply.

    Args:
        packet: the message as received.
        id: message id.
        flags: second word of the header.
        rcode: with the upper bits of OPT (RFC 6891 section 6.1.3).
        qname: name of the question, case kept.
        name: the same in lower case.
        question_end: offset after the question section.
        records: in order, OPT left out.
        opt: options of the reply's OPT as bytes; None without OPT.
        opt_at: offset of OPT, 0 without.
    """

    packet: bytes
    id: int
    flags: int
    rcode: int
    qname: bytes
    name: bytes
    qtype: int
    qclass: int
    question_end: int
    records: tuple[Record, ...]
    opt: bytes | None = None
    opt_at: int = 0

    @property
    def tc(self) -> bool:
        """Cut short: ask again over TCP."""
        return self.flags & Flag.TC != 0

    @property
    def aa(self) -> bool:
        """From an authoritative server."""
        return self.flags & Flag.AA != 0

    @property
    def ad(self) -> bool:
        """The upstream says it validated the data (RFC 4035 section 3.2.3)."""
        return self.flags & Flag.AD != 0


@dataclass(frozen=True, slots=True)
class Chain:
    """The path from the question to the data.

    Args:
        names: the question's name, then each CNAME or DNAME target in order; lower case.
        records: the records of the answer section that belong to the path, in packet order.
    """

    names: tuple[bytes, ...]
    records: tuple[Record, ...]


def fits(packet: bytes, query_id: int, question: bytes) -> bool:
    """Return whether a packet claims to answer exactly this query (RFC 5452 section 9.1).

    Id, QR, opcode and the question byte by byte, case included (0x20). Cheap, so that a forged reply costs
    nothing; one that does not fit is dropped and the wait goes on.
    """
    if len(packet) < HEADER_SIZE:
        return False
    found_id, flags, questions, *_ = _unpack_header(packet)
    return (
        found_id == query_id
        and flags & (Flag.QR | Flag.OPCODE) == Flag.QR
        and questions == 1
        and packet.startswith(question, HEADER_SIZE)
    )


def parse_answer(packet: bytes) -> Answer:
    """Return the reply in a packet from an upstream.

    Bytes after the last record are tolerated and never copied. Of a reply with TC=1 only header and
    question are read: it may end anywhere, and says no more than "ask again over TCP" (RFC 2181 section 9).

    Raises:
        BadAnswer: malformed, over a cap, or not a reply with one question.
    """
    if len(packet) < HEADER_SIZE:
        raise BadAnswer("shorter than a header")
    answer_id, flags, questions, *counts = _unpack_header(packet)
    if flags & (Flag.QR | Flag.OPCODE) != Flag.QR or questions != 1:
        raise BadAnswer("not a reply to one question")
    if sum(counts) > MAX_RECORDS:
        raise BadAnswer("too many records")
    if flags & Flag.TC:
        counts = [0, 0, 0]
    reader = NameReader(packet)
    try:
        qname, at = reader.read(HEADER_SIZE)
        qtype, qclass = _unpack_two(packet, at)
        name = qname.lower()
        records, opt_at = _read_records(packet, reader, name, counts, at + 4)
    except BadName as error:
        raise BadAnswer(error.message) from None
    except struct.error:
        raise BadAnswer("fewer records than counted") from None
    rcode = flags & Flag.RCODE
    opt = None
    if opt_at:
        *_, high, _, _, length = _unpack_opt(packet, opt_at)
        rcode |= high << 4
        opt = packet[opt_at + _OPT_HEAD : opt_at + _OPT_HEAD + length]
    return Answer(
        packet, answer_id, flags, rcode, qname, name, qtype, qclass, at + 4, tuple(records), opt, opt_at
    )


def _read_records(
    packet: bytes, reader: NameReader, qname: bytes, counts: list[int], at: int
) -> tuple[list[Record], int]:
    """Return the records after the question, OPT left out, and where OPT begins (0 without)."""
    size = len(packet)
    records = []
    opt_at = 0
    for section, count in enumerate(counts, ANSWER):
        for _ in range(count):
            start = at
            if packet.startswith(_TO_QUESTION, at):
                owner = qname
                at += 2
            else:
                owner, at = reader.read(at)
                owner = owner.lower()
            rtype, rclass, ttl, length = _unpack_record(packet, at)
            data_at = at + 10
            end = data_at + length
            if end > size:
                raise BadName("record cut short")
            if rtype == Type.OPT:
                if opt_at or section != ADDITIONAL or at != start + 1:
                    raise BadName("two OPT records, or one in a wrong place (RFC 6891 section 6.1.1)")
                opt_at = start
                at = end
                continue
            target = rdata.check(reader, packet, rtype, data_at, end) if rtype in rdata.CHECKED else b""
            if ttl > _MAX_TTL:
                ttl = 0
            records.append(
                Record(section, owner, rtype, rclass, ttl, at + 4, data_at, length, start, end, target)
            )
            at = end
    return records, opt_at


def chain(answer: Answer) -> Chain:
    """Follow CNAME and DNAME from the question through the answer section (RFC 1034 section 3.6.2, RFC 6672).

    Raises:
        BadAnswer: over 12 steps, or a loop.
    """
    aliases: dict[bytes, bytes] = {}
    subtrees: dict[bytes, bytes] = {}
    section = [r for r in answer.records if r.section == ANSWER and r.rclass == answer.qclass]
    own, qtype = answer.name, answer.qtype
    if all(r.name == own and r.rtype == qtype and not r.target for r in section):  # nearly every answer
        return Chain((own,), tuple(section))
    for record in section:
        if record.rtype == Type.CNAME:
            aliases.setdefault(record.name, record.target)
        elif record.rtype == Type.DNAME:
            subtrees.setdefault(record.name, record.target)
    names = [answer.name]
    while target := _next_name(names[-1], answer.qtype, aliases, subtrees):
        if len(names) > MAX_CHAIN or target in names:
            raise BadAnswer("chain of aliases loops or is too long")
        names.append(target)
    path = frozenset(names)
    moved = frozenset(owner for owner in subtrees if any(_is_below(name, owner) for name in names))
    at_names = (answer.qtype, Type.CNAME, Type.RRSIG)
    every = answer.qtype == Type.ANY
    belong = (
        r
        for r in section
        if (r.name in path and (every or r.rtype in at_names))
        or (r.name in moved and r.rtype in (Type.DNAME, Type.RRSIG))
    )
    return Chain(tuple(names), tuple(belong))


def _next_name(name: bytes, qtype: int, aliases: dict[bytes, bytes], subtrees: dict[bytes, bytes]) -> bytes:
    """Return where a name leads, empty where it ends."""
    if target := aliases.get(name):
        return b"" if qtype in (Type.CNAME, Type.ANY) else target
    for owner, target in subtrees.items():
        if _is_below(name, owner):
            moved = name[: -len(owner)] + target
            return moved if len(moved) <= MAX_NAME else b""  # too long: YXDOMAIN (RFC 6672 section 2.2)
    return b""


def _is_below(name: bytes, owner: bytes) -> bool:
    return name != owner and is_under(name, owner)


def targets(answer: Answer) -> tuple[bytes, ...]:
    """Return the target of every CNAME, DNAME, SVCB and HTTPS record of the answer section, lower case.

    A service target of ``.`` is the owner itself (RFC 9460 section 2.5.2) or no service, and left out.
    """
    found = [r.target for r in answer.records if r.target and r.section == ANSWER and r.target != ROOT]
    return tuple(dict.fromkeys(found)) if found else ()


def addresses(answer: Answer) -> tuple[bytes, ...]:
    """Return every address the answer section gives: A, AAAA, and the hints of SVCB and HTTPS (RFC 9460).

    Packed, 4 or 16 bytes each.
    """
    packet = answer.packet
    found: list[bytes] = []
    reader = None
    for record in answer.records:
        if record.section != ANSWER:
            break
        if record.rtype in (Type.A, Type.AAAA):
            found.append(packet[record.rdata_at : record.end])
        elif record.rtype in (Type.SVCB, Type.HTTPS):
            reader = reader or NameReader(packet)  # one for all: it bounds their work together
            found += rdata.hints(reader, packet, record.rdata_at, record.end)
    return tuple(found)


def extended_errors(answer: Answer) -> tuple[tuple[int, str], ...]:
    """Return the extended errors of the reply: code and text (RFC 8914); malformed options end the list."""
    options = answer.opt or b""
    found: list[tuple[int, str]] = []
    at = 0
    while at + 4 <= len(options) and len(found) < MAX_ERRORS:
        code, length = _unpack_two(options, at)
        data = options[at + 4 : at + 4 + length]
        if len(data) < length:
            break
        if code == OptionCode.EDE and length >= 2:
            found.append((data[0] << 8 | data[1], data[2:].decode("utf-8", "replace").rstrip("\0")))
        at += 4 + length
    return tuple(found)
