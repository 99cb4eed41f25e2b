"""EDNS of queries: the records after the question, of which only OPT matters here (RFC 6891).

Counts, lengths and owners are checked to the last byte; options and flags that we do not act on are ignored
and never echoed. Never builds an OPT: that is `opt`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from filterd.errors import BadName, QueryRefused
from filterd.wire.constants import MAX_UDP, MIN_UDP, OptionCode, Rcode, Type
from filterd.wire.reader import NameReader

MAX_ADDITIONAL = 8  # records besides the question; ordinary queries have one, OPT, signed ones two
MAX_OPTIONS = 32  # EDNS options in one query; ordinary ones have up to four

_unpack_two = struct.Struct("!HH").unpack_from
_unpack_record = struct.Struct("!HHIH").unpack_from
_unpack_opt = struct.Struct("!HBBHH").unpack_from  # UDP size, extended rcode, version, flags, length
_OPT_START = b"\x00\x00\x29"  # root owner and type 41: the usual first bytes after the question
_SHORT_OPT = 64
_DO = 0x8000


@dataclass(frozen=True, slots=True)
class Edns:
    """What a query's OPT says, as far as we act on it (RFC 6891).

    Args:
        udp_size: bytes of UDP answer the client takes, at least 512.
        version: EDNS version; other than 0 only in `edns_of` of a refused query.
        do: DNSSEC OK.
        cookie: client cookie (8 bytes) or client and server cookie (16-40 bytes), RFC 7873.
        padding: the client asks for padded answers (RFC 7830).
        keepalive: the client asks for the idle timeout of its stream (RFC 7828).
    """

    udp_size: int = MAX_UDP
    version: int = 0
    do: bool = False
    cookie: bytes | None = None
    padding: bool = False
    keepalive: bool = False


def malformed(reason: str, message: str) -> QueryRefused:
    """Return the refusal of bytes that break the format: FORMERR."""
    return QueryRefused(message, rcode=Rcode.FORMERR, reason=reason)


def read_additional(packet: bytes, at: int, count: int) -> Edns | None:
    """Walk the records after the question to the very end of the packet and return what OPT says.

    Args:
        packet: the whole query.
        at: offset after the question.
        count: how many records the header promises, at least 1.

    Raises:
        QueryRefused: FORMERR for anything that does not fit; BADVERS for another version than 0.
    """
    opt = packet[at : at + _SHORT_OPT + 1]
    if count == 1 and len(opt) <= _SHORT_OPT and opt.startswith(_OPT_START):
        return _read_short_opt(opt)
    return _walk(packet, at, count)


def _walk(packet: bytes, at: int, count: int) -> Edns | None:
    if count > MAX_ADDITIONAL:
        raise malformed("counts", "too many additional records")
    reader = NameReader(packet)
    edns = None
    try:
        for _ in range(count):
            start = at
            _, at = reader.read(at)
            rtype, _, _, length = _unpack_record(packet, at)
            end = at + 10 + length
            if rtype == Type.OPT:
                if at != start + 1 or edns is not None:
                    raise malformed("opt", "two OPT records, or one whose owner is not the root")
                edns = _read_opt(packet[start:end])
            at = end
    except BadName as error:
        raise malformed("name", error.message) from None
    except struct.error:
        raise malformed("counts", "fewer records than counted") from None
    if at != len(packet):
        raise malformed("trailing", "record cut short, or bytes after the last record")
    return edns


def _read_opt(opt: bytes) -> Edns:
    """Read one whole OPT record, its root owner included."""
    try:
        size, _, version, flags, length = _unpack_opt(opt, 3)
    except struct.error:
        raise malformed("opt", "OPT cut short") from None
    if length != len(opt) - 11:
        raise malformed("trailing", "OPT cut short, or bytes after it")
    if version:  # before the options: another version may write them in another way
        raise QueryRefused("EDNS version not 0", rcode=Rcode.BADVERS, reason="edns-version")
    cookie, codes = _read_options(opt)
    return Edns(
        udp_size=max(size, MIN_UDP),
        do=flags & _DO != 0,
        cookie=cookie,
        padding=OptionCode.PADDING in codes,
        keepalive=OptionCode.KEEPALIVE in codes,
    )


# Clients repeat the same few OPT records; a cookie makes one for each client, an hour long.
_read_short_opt = lru_cache(maxsize=2048)(_read_opt)


def _read_options(opt: bytes) -> tuple[bytes | None, set[int]]:
    at = 11
    cookie = None
    codes: set[int] = set()
    for _ in range(MAX_OPTIONS):
        if at == len(opt):
            return cookie, codes
        try:
            code, length = _unpack_two(opt, at)
        except struct.error:
            break
        at += 4 + length
        if at > len(opt):
            break
        if code == OptionCode.COOKIE and cookie is None:  # only the first counts (RFC 7873 section 5.2)
            if length != 8 and not 16 <= length <= 40:
                raise malformed("cookie", "cookie of a wrong length (RFC 7873 section 5.2.2)")
            cookie = opt[at - length : at]
        codes.add(code)
    if at == len(opt):
        return cookie, codes
    raise malformed("options", "EDNS options cut short, or too many")
