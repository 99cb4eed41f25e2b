"""The OPT record of messages we send, and options added to a finished reply.

OPT is hop by hop (RFC 6891 section 6.2.1): it is always built anew here, never copied, so client subnet,
cookies and report channels of the other side cannot pass through. Never reads what others sent.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from filterd.wire.constants import HEADER_SIZE, MAX_MESSAGE, MAX_UDP, OptionCode, Type

PAD_BLOCK = 468  # bytes, for responses (RFC 8467 section 4.1)
MAX_EDE_TEXT = 160  # bytes of UTF-8: short, so that a blocked answer never needs TCP

_OPT = struct.Struct("!BHHBBHH")  # root, type, UDP size, extended rcode, version, flags, length
_OPTION = struct.Struct("!HH")
_DO = 0x8000


def opt_record(
    do: bool, rcode: int = 0, ede: tuple[int, str] | None = None, cookie: bytes | None = None
) -> bytes:
    """Return an OPT record of version 0 with our own UDP size (RFC 6891 section 6.1.2).

    Args:
        do: the DO bit, copied from the query (RFC 3225 section 3).
        rcode: the extended rcode of the message, 0-4095; its upper 8 bits go here.
        ede: extended error: code and text (RFC 8914).
        cookie: client and server cookie, 24 bytes (RFC 7873 section 5.2.3).
    """
    if cookie is None:
        return _without_cookie(do, rcode >> 4, ede)
    options = option(OptionCode.COOKIE, cookie) + (b"" if ede is None else _ede_option(ede))
    return _OPT.pack(0, Type.OPT, MAX_UDP, rcode >> 4, 0, _DO if do else 0, len(options)) + options


@lru_cache(maxsize=1024)
def _without_cookie(do: bool, high: int, ede: tuple[int, str] | None) -> bytes:
    options = b"" if ede is None else _ede_option(ede)
    return _OPT.pack(0, Type.OPT, MAX_UDP, high, 0, _DO if do else 0, len(options)) + options


@lru_cache(maxsize=1024)
def _ede_option(ede: tuple[int, str]) -> bytes:
    code, text = ede
    # RFC 8914 section 2: UTF-8, not ended by NUL. Cut between characters, not inside one.
    short = text.replace("\0", "").encode("utf-8", "replace")[:MAX_EDE_TEXT].decode("utf-8", "ignore")
    return option(OptionCode.EDE, code.to_bytes(2, "big") + short.encode())


def option(code: int, data: bytes) -> bytes:
    """Return one EDNS option as bytes (RFC 6891 section 6.1.2)."""
    return _OPTION.pack(code, len(data)) + data


def with_option(reply: bytes, code: int, data: bytes) -> bytes:
    """Return a reply made by this room with one more option in its OPT, which stands last.

    A reply without OPT comes back unchanged: no OPT in, no OPT out (RFC 6891 section 7); so does one that
    would grow over 65535 bytes.
    """
    at = _find_opt(reply)
    if not at or len(reply) + _OPTION.size + len(data) > MAX_MESSAGE:
        return reply
    patched = bytearray(reply + option(code, data))
    length_at = at + 9
    struct.pack_into("!H", patched, length_at, len(patched) - length_at - 2)
    return bytes(patched)


def with_keepalive(reply: bytes, tenths: int) -> bytes:
    """Return the reply with edns-tcp-keepalive, in units of 100 ms; streams only (RFC 7828 section 3.3.2)."""
    return with_option(reply, OptionCode.KEEPALIVE, min(tenths, 0xFFFF).to_bytes(2, "big"))


def padded(reply: bytes, block: int = PAD_BLOCK) -> bytes:
    """Return the reply padded to a multiple of ``block`` bytes (RFC 7830, RFC 8467 section 4.1).

    Only for queries that asked for it, and only on encrypted transports; add every other option first.
    """
    return with_option(reply, OptionCode.PADDING, bytes(-(len(reply) + _OPTION.size) % block))


def _find_opt(reply: bytes) -> int:
    """Return where the OPT of our own reply begins, 0 if it has none. Not for messages of others."""
    questions, *counts = struct.unpack_from("!HHHH", reply, 4)
    at = HEADER_SIZE
    for _ in range(questions):
        at = _after_name(reply, at) + 4
    for _ in range(sum(counts)):
        start = at
        at = _after_name(reply, at)
        rtype, _, _, length = struct.unpack_from("!HHIH", reply, at)
        if rtype == Type.OPT:
            return start
        at += 10 + length
    return 0


def _after_name(reply: bytes, at: int) -> int:
    while length := reply[at]:
        if length > 63:
            return at + 2
        at += length + 1
    return at + 1
