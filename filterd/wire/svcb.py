"""SVCB records about our own encrypted DNS (RFC 9460, RFC 9461): how clients find it (RFC 9462).

Pure: a designation in, record data and replies out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from filterd.wire.constants import Class, Rcode, Type
from filterd.wire.query import Query
from filterd.wire.reply import assemble

_ALPN, _PORT, _IPV4, _IPV6, _DOHPATH = 1, 3, 4, 6, 7  # RFC 9460 section 14.3.2, RFC 9461 section 10
_USUAL = {"dot": 853, "h2": 443}
_OWNER = b"\xc0\x0c"
_pack_record = struct.Struct("!HHIH").pack
_pack_two = struct.Struct("!HH").pack


@dataclass(frozen=True, slots=True)
class Designation:
    """One encrypted service of this resolver.

    Args:
        target: its name as a wire name, which its certificate is made out to.
        alpn: ``dot`` or ``h2``.
        port: where it listens.
        addresses: packed, 4 or 16 bytes each; none when they are not known.
        path: of DoH, without the variable.
    """

    target: bytes
    alpn: str
    port: int
    addresses: tuple[bytes, ...] = ()
    path: str = ""

    def rdata(self, priority: int) -> bytes:
        """Return the data of the SVCB record; keys ascend (RFC 9460 section 2.2)."""
        params = [(_ALPN, bytes((len(self.alpn),)) + self.alpn.encode())]
        if self.port != _USUAL[self.alpn]:
            params.append((_PORT, self.port.to_bytes(2, "big")))
        for key, size in ((_IPV4, 4), (_IPV6, 16)):
            found = b"".join(address for address in self.addresses if len(address) == size)
            if found:
                params.append((key, found))
        if self.path:
            params.append((_DOHPATH, f"{self.path}{{?dns}}".encode()))
        packed = b"".join(_pack_two(key, len(value)) + value for key, value in params)
        return priority.to_bytes(2, "big") + self.target + packed


def answer(query: Query, designations: Sequence[Designation], ttl: int, *, limit: int) -> bytes:
    """Return the reply that names the services, best first; ``ttl`` in seconds."""
    body = b""
    for priority, designation in enumerate(designations, 1):
        rdata = designation.rdata(priority)
        body += _OWNER + _pack_record(Type.SVCB, Class.IN, ttl, len(rdata)) + rdata
    return assemble(query, Rcode.NOERROR, body, len(designations), 0, limit=limit)
