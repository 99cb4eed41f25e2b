"""Server cookies that any of our workers can make and check (RFC 7873, RFC 9018).

Never reads a clock or keeps state: time and secret are arguments.
"""

from __future__ import annotations

import hmac
import struct

from siphash24 import siphash24

CLIENT_SIZE = 8
COOKIE_SIZE = 24  # client cookie and server cookie
SECRET_SIZE = 16
PAST = 3600  # seconds a server cookie stays good (RFC 9018 section 4.3)
AHEAD = 300  # seconds another server's clock may run before ours

_unpack_time = struct.Struct("!I").unpack_from
_pack_head = struct.Struct("!BxxxI").pack
_VERSION = 1


def make(client_cookie: bytes, address: bytes, secret: bytes, now: int) -> bytes:
    """Return client and server cookie, 24 bytes, for the COOKIE option of a reply (RFC 9018 section 4).

    Args:
        client_cookie: first 8 bytes of the client's COOKIE option; more is ignored.
        address: the client's packed address, 4 or 16 bytes.
        secret: 16 bytes shared by all servers on the address.
        now: seconds since 1970, UTC.
    """
    head = client_cookie[:CLIENT_SIZE] + _pack_head(_VERSION, now & 0xFFFFFFFF)
    return head + _hash(head, address, secret)


def _hash(head: bytes, address: bytes, secret: bytes) -> bytes:
    digest: bytes = siphash24(head + address, key=secret).digest()
    return digest


def check(cookie: bytes, address: bytes, secret: bytes, now: int) -> bool:
    """Return whether a COOKIE option holds a server cookie of ours for this address, at most an hour old.

    Args:
        cookie: the whole option as the client sent it, client cookie first.
        address: the client's packed address, 4 or 16 bytes.
        secret: 16 bytes shared by all servers on the address.
        now: seconds since 1970, UTC.
    """
    if len(cookie) != COOKIE_SIZE or cookie[CLIENT_SIZE] != _VERSION:
        return False
    made_at = _unpack_time(cookie, 12)[0]
    # Serial number arithmetic (RFC 1982), since 32 bits of seconds come round in 2106.
    age = (now - made_at + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    if not -AHEAD <= age <= PAST:
        return False
    # The reserved bytes count as received (RFC 9018 section 4.2).
    return hmac.compare_digest(_hash(cookie[:16], address, secret), cookie[16:])
