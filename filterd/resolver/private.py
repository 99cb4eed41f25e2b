"""Which addresses an answer for a public name may not hold: those that lead into the school's own network.

Pure. The provider's shared space (100.64.0.0/10) is not among them: services of the provider live there.
"""

from __future__ import annotations

_V4_FIRST = frozenset((0, 10, 127))  # this host (0.0.0.0 reaches it too), RFC 1918, loopback
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96 (RFC 4291 section 2.5.5.2)
_COMPATIBLE = bytes(12)  # ::/96, with :: and ::1 in it
_NAT64 = bytes.fromhex("0064ff9b0000000000000000")  # 64:ff9b::/96 (RFC 6052)


def is_private(address: bytes) -> bool:
    """Return whether a packed address, 4 or 16 bytes, is private, loopback, link-local or unspecified.

    An IPv4 address inside an IPv6 one (mapped, compatible, NAT64) counts as itself.
    """
    if len(address) == 4:
        first, second = address[0], address[1]
        return (
            first in _V4_FIRST
            or (first == 192 and second == 168)
            or (first == 172 and 16 <= second < 32)
            or (first == 169 and second == 254)
        )
    if address[:12] in (_MAPPED, _COMPATIBLE, _NAT64):
        return is_private(address[12:])
    return address[0] & 0xFE == 0xFC or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)
