"""An answer as the cache keeps it, and the reply made of it for one client.

Kept as bytes: everything after the question, OPT and whatever does not belong to the question removed,
TTLs already capped. A reply is those bytes behind the client's own question (the length is the same, so
compression pointers still hold) with TTLs counted down. Never unpacks data, never reads a clock: age is
an argument.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from filterd.errors import BadAnswer, BadName
from filterd.wire import rdata
from filterd.wire.answer import ANSWER, AUTHORITY, Answer, Record, chain
from filterd.wire.constants import Flag, Rcode, Type
from filterd.wire.names import is_under
from filterd.wire.query import Query
from filterd.wire.reader import NameReader
from filterd.wire.reply import assemble

MAX_TTL = 86400
NEGATIVE_MAX = 3600

NO_CUTS_BELOW = 200  # bytes of body that always fit in 512: no need to know where to cut
_PROOFS = (Type.NSEC, Type.NSEC3)
_TO_QUESTION = b"\xc0\x0c"
_unpack_two_bytes = struct.Struct("!H").unpack_from
_unpack_ttl = struct.Struct("!I").unpack_from
_pack_ttl_into = struct.Struct("!I").pack_into
_pack_middle = struct.Struct("!HHIH").pack


class StoredAnswer(NamedTuple):
    """An upstream answer ready to be given out again.

    Args:
        rcode: extended rcode.
        ad: the upstream set AD.
        tc: the upstream's answer was cut short; such an answer is never kept (ttl 0).
        negative: NXDOMAIN, or no data of the type asked for (RFC 2308 section 2).
        answers: records in the answer section.
        authorities: records in the authority section.
        body: bytes after the question: answer and authority section.
        ttls: (offset in body, seconds) of every TTL.
        ttl: seconds the answer may be kept; 0 means it must not be.
        cuts: where the body may be cut between RRsets: (length, answers, authorities), ascending.
    """

    rcode: int
    ad: bool
    tc: bool
    negative: bool
    answers: int
    authorities: int
    body: bytes
    ttls: tuple[tuple[int, int], ...]
    ttl: int
    cuts: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """Bytes of memory it takes, roughly: the cache's bound counts them."""
        return 400 + len(self.body) + 120 * len(self.ttls) + 150 * len(self.cuts)


def store(answer: Answer, *, max_ttl: int = MAX_TTL, negative_max: int = NEGATIVE_MAX) -> StoredAnswer:
    """Return the part of an answer that may be kept and given out.

    Answer section: only records of the CNAME chain (RFC 5452 section 6). Authority: SOA of a negative
    answer, NSEC, NSEC3 and their signatures. Additional: nothing.

    Args:
        answer: a reply that fits its question.
        max_ttl: cap of every TTL, seconds.
        negative_max: cap of a negative answer's TTL, seconds (RFC 2308 section 5).

    Raises:
        BadAnswer: the CNAME chain loops or has over 12 steps, or a record cannot be moved.
    """
    path = chain(answer)
    negative, soa = _negative(answer, path.names[-1], path.records)
    kept = list(path.records)
    if len(kept) < len(answer.records):
        kept += _proofs(answer, soa)
    ceiling = max_ttl if soa is None else min(max_ttl, negative_max, _negative_ttl(answer, soa))
    body, offsets, ends = _glue(answer, kept)
    ttls = []
    for at, record in zip(offsets, kept, strict=True):
        ttl = min(record.ttl, ceiling if record.section == AUTHORITY else max_ttl)
        _pack_ttl_into(body, at, ttl)
        ttls.append((at, ttl))
    usable = soa is not None if negative else answer.rcode == Rcode.NOERROR and not answer.tc
    answers = len(path.records)
    return StoredAnswer(
        rcode=answer.rcode,
        ad=answer.ad,
        tc=answer.tc,
        negative=negative,
        answers=answers,
        authorities=len(kept) - answers,
        body=bytes(body),
        ttls=tuple(ttls),
        ttl=min((ttl for _, ttl in ttls), default=0) if usable else 0,
        cuts=cuts_of(answer, kept, ends) if len(body) > NO_CUTS_BELOW else (),
    )


def _negative(answer: Answer, final: bytes, path: tuple[Record, ...]) -> tuple[bool, Record | None]:
    """Return whether the answer denies the data, and the SOA that says for how long (RFC 2308)."""
    if answer.tc:
        return False, None
    if answer.rcode != Rcode.NXDOMAIN:
        types = {record.rtype for record in path if record.name == final}
        if answer.rcode != Rcode.NOERROR or answer.qtype in types or (types and answer.qtype == Type.ANY):
            return False, None
    for record in answer.records:
        # Only a zone that holds the name may deny it.
        if (
            record.section == AUTHORITY
            and record.rtype == Type.SOA
            and record.rclass == answer.qclass
            and is_under(final, record.name)
        ):
            return True, record
    return True, None


def _negative_ttl(answer: Answer, soa: Record) -> int:
    """Return min(TTL of the SOA, its MINIMUM), RFC 2308 section 5."""
    minimum = _unpack_ttl(answer.packet, soa.end - 4)[0]
    return min(soa.ttl, minimum if minimum < 1 << 31 else 0)


def _proofs(answer: Answer, soa: Record | None) -> Iterable[Record]:
    """Return the authority records worth keeping: the SOA, and proofs of denial for those who validate."""
    if answer.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
        return ()
    wanted = _PROOFS if soa is None else (*_PROOFS, Type.SOA)
    return (
        record
        for record in answer.records
        if record.section == AUTHORITY
        and record.rclass == answer.qclass
        and _covered(answer.packet, record) in wanted
        and (record.rtype != Type.SOA or record is soa)
    )


def _covered(packet: bytes, record: Record) -> int:
    """Return the type of a record; of a signature, the type it signs (RFC 4034 section 3.1.1)."""
    if record.rtype == Type.RRSIG and record.rdata_len >= 2:
        return int(_unpack_two_bytes(packet, record.rdata_at)[0])
    return record.rtype


def _glue(answer: Answer, kept: list[Record]) -> tuple[bytearray, list[int], list[int]]:
    """Return the kept records as one body, where their TTLs stand in it, and where each record ends.

    Records that stand behind one another from the question on are copied as they are. One that moves is
    written with its names uncompressed, since pointers count from the start of the message.
    """
    packet = answer.packet
    base = at = answer.question_end
    offsets = []
    ends = []
    for record in kept:
        if record.start != at:
            break
        at = record.end
        offsets.append(record.ttl_at - base)
        ends.append(at - base)
    body = bytearray(packet[base:at])
    reader = NameReader(packet)
    for record in kept[len(offsets) :]:
        body += _TO_QUESTION if record.name == answer.name else record.name
        offsets.append(len(body) + 4)
        body += moved(reader, packet, record)
        ends.append(len(body))
    return body, offsets, ends


def moved(reader: NameReader, packet: bytes, record: Record) -> bytes:
    """Return a record without its owner, fit to stand anywhere; its TTL is set later."""
    try:
        data = rdata.uncompressed(reader, packet, record.rtype, record.rdata_at, record.end)
        return _pack_middle(record.rtype, record.rclass, 0, len(data)) + data
    except (BadName, struct.error):  # too much work, or too long without compression
        raise BadAnswer("record too long to be moved") from None


def cuts_of(answer: Answer, kept: list[Record], ends: list[int]) -> tuple[tuple[int, int, int], ...]:
    """Return the places between whole RRsets, signatures counted to what they sign (RFC 2181 section 5)."""
    keys = [(record.section, record.name, _covered(answer.packet, record)) for record in kept]
    last = {key: number for number, key in enumerate(keys)}
    cuts = []
    open_until = answers = 0
    for number, (record, key) in enumerate(zip(kept, keys, strict=True)):
        open_until = max(open_until, last[key])
        answers += record.section == ANSWER
        if open_until == number:
            cuts.append((ends[number], answers, number + 1 - answers))
    return tuple(cuts)


def render(
    stored: StoredAnswer,
    query: Query,
    *,
    age: int,
    limit: int,
    trusted_ad: bool = False,
    ttl_override: int | None = None,
    ede: tuple[int, str] | None = None,
    cookie: bytes | None = None,
) -> bytes:
    """Return the reply to a query from a stored answer.

    Args:
        stored: what `store` made for the same name, type and class.
        query: the client's query; id, question, RD, CD and the presence of OPT come from it.
        age: whole seconds since it was stored; TTLs count down by it, not below 0.
        limit: bytes the transport takes: `Query.udp_limit`, or 65535 on streams.
        trusted_ad: the upstream's AD may be passed on (RFC 6840 section 5.8).
        ttl_override: every TTL becomes this, for stale answers (RFC 8767 section 5).
        ede: extended error: code and text; sent only if the query had OPT.
        cookie: client and server cookie; sent only if the query had OPT.
    """
    body: bytes | bytearray = stored.body
    if age > 0 or ttl_override is not None:
        body = bytearray(body)
        for at, ttl in stored.ttls:
            left = ttl - age if ttl > age else 0
            _pack_ttl_into(body, at, left if ttl_override is None else ttl_override)
    flags = Flag.TC if stored.tc else 0
    if trusted_ad and stored.ad and (query.ad or query.do):
        flags |= Flag.AD
    return assemble(
        query,
        stored.rcode,
        body,
        stored.answers,
        stored.authorities,
        limit=limit,
        flags=flags,
        cuts=stored.cuts,
        ede=ede,
        cookie=cookie,
    )
