"""Names and addresses inside record data.

Names are known in the types whose names may be compressed (RFC 3597 section 4) and in those that lead the
client elsewhere; data of every other type is opaque and passes byte by byte. Needed to prove that what we
pass on can be read, to see where an answer leads, and to move a record within a message.
"""

from __future__ import annotations

import struct

from filterd.errors import BadName
from filterd.wire.constants import Type
from filterd.wire.reader import NameReader

_IPV4_HINT, _IPV6_HINT = 4, 6  # SvcParamKeys (RFC 9460 section 14.3.2)
_HINT_SIZES = {_IPV4_HINT: 4, _IPV6_HINT: 16}
_ADDRESS_SIZES = {Type.A: 4, Type.AAAA: 16}
_SERVICE = (Type.SVCB, Type.HTTPS)

_unpack_two = struct.Struct("!HH").unpack_from

# What the data is made of: a number of plain bytes, a name, a string behind its length, or the rest.
_NAME, _STRING, _REST = "name", "string", "rest"
_LAYOUTS: dict[int, tuple[int | str, ...]] = {
    Type.NS: (_NAME,),
    Type.MD: (_NAME,),
    Type.MF: (_NAME,),
    Type.CNAME: (_NAME,),
    Type.SOA: (_NAME, _NAME, 20),
    Type.MB: (_NAME,),
    Type.MG: (_NAME,),
    Type.MR: (_NAME,),
    Type.PTR: (_NAME,),
    Type.MINFO: (_NAME, _NAME),
    Type.MX: (2, _NAME),
    Type.RP: (_NAME, _NAME),
    Type.AFSDB: (2, _NAME),
    Type.RT: (2, _NAME),
    Type.SIG: (18, _NAME, _REST),
    Type.PX: (2, _NAME, _NAME),
    Type.NXT: (_NAME, _REST),
    Type.SRV: (6, _NAME),
    Type.NAPTR: (4, _STRING, _STRING, _STRING, _NAME),
    Type.KX: (2, _NAME),
    Type.DNAME: (_NAME,),
    Type.SVCB: (2, _NAME, _REST),
    Type.HTTPS: (2, _NAME, _REST),
}

CHECKED = frozenset((*_LAYOUTS, *_ADDRESS_SIZES))  # types whose data `check` looks at


def check(reader: NameReader, message: bytes, rtype: int, at: int, end: int) -> bytes:
    """Check the data of a record of a `CHECKED` type and return the name it leads to.

    Returns:
        The target of CNAME, DNAME, SVCB and HTTPS, uncompressed, lower case; for other types nothing.

    Raises:
        BadName: a name, an address or a hint that cannot be read.
    """
    if size := _ADDRESS_SIZES.get(rtype):
        if end - at != size:
            raise BadName("address of a wrong length")
        return b""
    if rtype in (Type.CNAME, Type.DNAME):
        target, after = reader.read(at)
        if after != end:
            raise BadName("name does not fill its record")
        return target.lower()
    uncompressed(reader, message, rtype, at, end)
    if rtype in _SERVICE:
        hints(reader, message, at, end)
        return reader.read(at + 2)[0].lower()
    return b""


def uncompressed(reader: NameReader, message: bytes, rtype: int, at: int, end: int) -> bytes:
    """Return the data of a record with its names uncompressed, so that it can stand at another place.

    Raises:
        BadName: a name that cannot be read, or data of a wrong length.
    """
    parts = []
    for piece in _LAYOUTS.get(rtype, (_REST,)):
        start = at
        if piece == _NAME:
            name, at = reader.read(at)
            parts.append(name)
            continue
        if piece == _REST:
            at = max(at, end)
        elif piece == _STRING:
            at += 1 + message[at] if at < end else 1
        else:
            at += int(piece)
        parts.append(message[start:at])
    if at != end:
        raise BadName("names do not fill their record")
    return b"".join(parts)


def hints(reader: NameReader, message: bytes, at: int, end: int) -> list[bytes]:
    """Return the packed addresses in the ipv4hint and ipv6hint of SVCB or HTTPS data (RFC 9460 section 7.3).

    Raises:
        BadName: parameters that do not fill the record, or a hint of a wrong length.
    """
    at = reader.read(at + 2)[1]
    found = []
    while at < end:
        if at + 4 > end:
            raise BadName("service parameter cut short")
        key, length = _unpack_two(message, at)
        at += 4 + length
        if at > end:
            raise BadName("service parameter cut short")
        if size := _HINT_SIZES.get(key):
            if length % size:
                raise BadName("address hint of a wrong length")
            found += [message[place : place + size] for place in range(at - length, at, size)]
    return found
