"""Which addresses a list may be fetched from: public ones, and ranges that the box's owner allowed. Pure.

A source, or whoever answers for its name, must not make a box of a school speak to machines inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291 section 2.4; all else is special or unassigned
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


def is_public(address: Address) -> bool:
    """Return whether an address is a public unicast one, also by the IPv4 address that is wrapped in it."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:  # RFC 3056
        return is_public(address.sixtofour)
    return address in _GLOBAL_UNICAST and address.is_global


def may_connect(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Return whether a list may be fetched from an address.

    Args:
        address: of the server.
        allowed: ranges that are taken although they are not public.
    """
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    one = plain or address
    return is_public(one) or any(one in network for network in allowed if network.version == one.version)


def parsed(text: str) -> Address | None:
    """Return an address literal as it stands in a URL's host, None for a name."""
    try:
        return ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
