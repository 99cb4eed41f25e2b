"""Names with a meaning of their own, which no upstream may see (RFC 6761): what to do with each.

A table and its lookup; never builds an answer, never asks policy.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from filterd.rules.canary import CANARIES
from filterd.wire import names


class Special(Enum):
    """What a special name gets."""

    LOOPBACK = "loopback"  # 127.0.0.1 and ::1
    MISSING = "missing"  # NXDOMAIN
    EMPTY_ZONE = "empty zone"  # the apex exists without data, below it is NXDOMAIN (RFC 6303 section 3)
    NODATA = "nodata"
    CANARY = "canary"  # policy decides; what it allows is missing: the self-test's names exist nowhere
    UNFILTERED = "unfiltered"  # goes on, but no filter touches it


LOOPBACK_V4 = (bytes((127, 0, 0, 1)),)
LOOPBACK_V6 = (bytes(15) + b"\x01",)

_TABLE: dict[str, Special] = {
    "localhost": Special.LOOPBACK,  # RFC 6761 section 6.3
    "invalid": Special.MISSING,  # RFC 6761 section 6.4
    CANARIES: Special.CANARY,
    "test": Special.MISSING,  # RFC 6761 section 6.2
    "onion": Special.MISSING,  # RFC 7686: asking for it outside tells that Tor is used
    "alt": Special.MISSING,  # RFC 9476
    "local": Special.MISSING,  # RFC 6762: multicast DNS
    "internal": Special.MISSING,  # reserved by ICANN, 2024
    "home.arpa": Special.MISSING,  # RFC 8375
    "resolver.arpa": Special.NODATA,  # RFC 9462: about this resolver; designated services stand before
    "ipv4only.arpa": Special.UNFILTERED,  # RFC 8880: how devices find NAT64; exactly this name
    # Reverse names of addresses that mean something else in every network (RFC 6303, RFC 7793).
    **{
        f"{zone}.in-addr.arpa": Special.EMPTY_ZONE
        for zone in (
            "0",
            "10",
            "127",
            "254.169",
            "168.192",
            "2.0.192",
            "100.51.198",
            "113.0.203",
            "255.255.255.255",
            *(f"{second}.172" for second in range(16, 32)),
            *(f"{second}.100" for second in range(64, 128)),
        )
    },
    **{
        f"{zone}.ip6.arpa": Special.EMPTY_ZONE
        for zone in (
            ".".join("0" * 32),
            ".".join("1" + "0" * 31),
            "d.f",
            *(f"{digit}.e.f" for digit in "89ab"),
            "8.b.d.0.1.0.0.2",
        )
    },
}

SPECIAL = {names.from_text(text): special for text, special in _TABLE.items()}
_TOPS = tuple(
    {b"".join((bytes((len(last),)), last, b"\0")) for last in (names.labels(n)[-1] for n in SPECIAL)}
)


def special(name: bytes, configured: Collection[bytes]) -> tuple[Special, bool] | None:
    """Return what a lower-case name gets, and whether it is the special name itself; None for ordinary ones.

    Args:
        name: lower-case wire name.
        configured: names that somebody configured here, zones and local names: they and all below are
            ordinary. The root does not count, nor does anything open localhost and resolver.arpa.
    """
    if not name.endswith(_TOPS):  # one call decides for nearly every name
        return None
    for parent in names.parents(name):
        found = SPECIAL.get(parent)
        if found is None:
            continue
        if found is Special.UNFILTERED and parent != name:
            return None
        if found in (Special.MISSING, Special.EMPTY_ZONE) and any(
            own != names.ROOT and names.is_under(name, own) for own in configured
        ):
            return None
        return found, parent == name
    return None
