"""Answers made here: blocked names, errors, local addresses.

Records are templates built once (by dnslib) and kept; a reply is header + the client's question + template
+ OPT. Never AA, never AD, never data from upstream.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from dnslib import SOA
from dnslib.label import DNSBuffer

from filterd.wire.alias import alias_record
from filterd.wire.constants import Class, Flag, Rcode, Type
from filterd.wire.query import Query
from filterd.wire.reply import assemble

MAX_BLOCK_TTL = 60  # seconds: a lifted block is felt within a minute

_MNAME = "filterd.invalid."
_RNAME = "nobody.invalid."  # as in the empty zones of RFC 6303 section 3
_TIMES = (1, 3600, 1200, 604800)  # serial, refresh, retry, expire: no secondary will ever use them
_NULL_V4 = (bytes(4),)
_NULL_V6 = (bytes(16),)
_OWNER = b"\xc0\x0c"  # the name asked for, by a pointer to the question
_pack_record = struct.Struct("!HHIH").pack


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """How blocked names are answered.

    Args:
        mode: ``nxdomain``; ``nodata``; ``null`` (0.0.0.0 and ::); ``page`` (the block page's addresses).
        ttl: seconds, 0-60.
        page_v4: packed IPv4 addresses of the block page.
        page_v6: packed IPv6 addresses of the block page.
    """

    mode: Literal["nxdomain", "nodata", "null", "page"] = "nxdomain"
    ttl: int = MAX_BLOCK_TTL
    page_v4: tuple[bytes, ...] = ()
    page_v6: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.ttl <= MAX_BLOCK_TTL:
            raise ValueError("ttl of a blocked answer outside 0-60 seconds")


def blocked(
    query: Query, how: BlockAnswer, *, limit: int, ede: tuple[int, str] | None, cookie: bytes | None = None
) -> bytes:
    """Return the answer to a blocked question: one rcode for every QTYPE, own SOA where there is no data.

    Args:
        query: the client's query.
        how: mode, TTL and addresses.
        limit: bytes the transport takes: `Query.udp_limit`, or 65535 on streams.
        ede: extended error 15-17 or 4 with category and reference (RFC 8914); sent only if the query had OPT.
        cookie: client and server cookie; sent only if the query had OPT.
    """
    mode = how.mode
    if mode == "nxdomain":
        return assemble(query, Rcode.NXDOMAIN, _soa(how.ttl), 0, 1, limit=limit, ede=ede, cookie=cookie)
    v4, v6 = (how.page_v4, how.page_v6) if mode == "page" else (_NULL_V4, _NULL_V6)
    if mode == "nodata":
        v4 = v6 = ()
    return addresses(query, v4, v6, how.ttl, limit=limit, ede=ede, cookie=cookie)


def simple(
    query: Query,
    rcode: int,
    *,
    limit: int,
    ede: tuple[int, str] | None = None,
    soa: bool = False,
    ttl: int = MAX_BLOCK_TTL,
    cookie: bytes | None = None,
) -> bytes:
    """Return an answer without data: SERVFAIL, REFUSED, or with ``soa`` NXDOMAIN and NODATA made here.

    Args:
        query: the client's query.
        rcode: extended rcode.
        limit: bytes the transport takes: `Query.udp_limit`, or 65535 on streams.
        ede: extended error: code and text; sent only if the query had OPT.
        soa: add our own SOA, so that the answer may be kept for ``ttl`` seconds (RFC 2308).
        ttl: seconds, of the SOA.
        cookie: client and server cookie; sent only if the query had OPT.
    """
    body = _soa(ttl) if soa else b""
    return assemble(query, rcode, body, 0, 1 if soa else 0, limit=limit, ede=ede, cookie=cookie)


def addresses(
    query: Query,
    v4: Sequence[bytes],
    v6: Sequence[bytes],
    ttl: int,
    *,
    limit: int,
    ede: tuple[int, str] | None = None,
    cookie: bytes | None = None,
) -> bytes:
    """Return packed addresses for A or AAAA; for other types, or without addresses, NODATA with own SOA.

    ``ttl`` is in seconds; the rest as in `simple`.
    """
    found = v4 if query.qtype == Type.A else v6 if query.qtype == Type.AAAA else ()
    if not found:
        return simple(query, Rcode.NOERROR, limit=limit, ede=ede, soa=True, ttl=ttl, cookie=cookie)
    body = _address_records(query.qtype, tuple(found), ttl)
    return assemble(query, Rcode.NOERROR, body, len(found), 0, limit=limit, ede=ede, cookie=cookie)


def aliased(
    query: Query,
    target: bytes,
    v4: Sequence[bytes],
    v6: Sequence[bytes],
    ttl: int,
    *,
    limit: int,
    ede: tuple[int, str] | None = None,
    cookie: bytes | None = None,
) -> bytes:
    """Return a CNAME to a name, with that name's packed addresses behind it for A and AAAA.

    Where there are no addresses of the type asked for, our own SOA says so; the CNAME itself is the whole
    answer to a question for it. ``target`` is an uncompressed wire name, the rest as in `addresses`.
    """
    body = alias_record(target, ttl)
    found = v4 if query.qtype == Type.A else v6 if query.qtype == Type.AAAA else ()
    body += b"".join(target + _pack_record(query.qtype, Class.IN, ttl, len(data)) + data for data in found)
    empty = not found and query.qtype != Type.CNAME
    return assemble(
        query,
        Rcode.NOERROR,
        body + _soa(ttl) if empty else body,
        1 + len(found),
        1 if empty else 0,
        limit=limit,
        ede=ede,
        cookie=cookie,
    )


def truncated(query: Query, *, cookie: bytes | None = None) -> bytes:
    """Return an empty answer with TC=1: a client with a real address asks again over TCP."""
    return assemble(query, Rcode.NOERROR, b"", 0, 0, limit=query.udp_limit, flags=Flag.TC, cookie=cookie)


@lru_cache(maxsize=128)
def _soa(ttl: int) -> bytes:
    """Return our own SOA, whose MINIMUM is its TTL (RFC 2308 section 5)."""
    buffer = DNSBuffer()
    buffer.encode_name = (
        buffer.encode_name_nocompress
    )  # a pointer would count from the buffer, not the message
    SOA(_MNAME, _RNAME, (*_TIMES, ttl)).pack(buffer)
    return _OWNER + _pack_record(Type.SOA, Class.IN, ttl, len(buffer.data)) + bytes(buffer.data)


@lru_cache(maxsize=1024)
def _address_records(rtype: int, found: tuple[bytes, ...], ttl: int) -> bytes:
    return b"".join(_OWNER + _pack_record(rtype, Class.IN, ttl, len(data)) + data for data in found)
