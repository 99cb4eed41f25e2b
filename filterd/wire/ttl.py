"""The smallest TTL of a reply made here: how long HTTP may keep it (RFC 8484 section 5.1).

Never looks at messages of others.
"""

from __future__ import annotations

import struct

from filterd.wire.constants import HEADER_SIZE, Rcode, Type

_unpack_counts = struct.Struct("!HHHH").unpack_from
_unpack_record = struct.Struct("!HHIH").unpack_from
_unpack_four = struct.Struct("!I").unpack_from
_KEPT = (Rcode.NOERROR, Rcode.NXDOMAIN)


def smallest_ttl(reply: bytes) -> int:
    """Return the smallest TTL in seconds, 0 for what must not be kept: failures, and answers without records.

    Of an SOA its MINIMUM counts as well: it is how long the denial holds (RFC 2308 section 5).
    """
    questions, answers, authorities, _ = _unpack_counts(reply, 4)
    if reply[3] & 0x0F not in _KEPT:
        return 0
    at = HEADER_SIZE
    for _ in range(questions):
        at = after_name(reply, at) + 4
    found = []
    for _ in range(answers + authorities):
        at = after_name(reply, at)
        rtype, _, ttl, length = _unpack_record(reply, at)
        at += 10 + length
        found.append(min(ttl, _unpack_four(reply, at - 4)[0]) if rtype == Type.SOA else ttl)
    return min(found, default=0)


def after_name(reply: bytes, at: int) -> int:
    """Return the offset after a name, which may end in a pointer."""
    while length := reply[at]:
        if length > 63:
            return at + 2
        at += length + 1
    return at + 1
