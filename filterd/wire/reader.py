"""Reads names out of messages: compression followed, work bounded.

Every message parser of this room uses it for names that may hold pointers. It never recurses and never
walks more than `MAX_WORK` labels and pointers in one message, however the message is built (the 53 KB
answer made of pointer chains that costs other parsers seconds is refused here within a millisecond).
"""

from __future__ import annotations

from filterd.errors import BadName
from filterd.wire.constants import HEADER_SIZE
from filterd.wire.names import MAX_NAME

MAX_WORK = 4096  # labels and pointers walked in one message; 512 records of 5 labels, nothing shared, fit


class NameReader:
    """Reads the names of one message.

    Args:
        message: the whole message, since pointers count from its start (RFC 1035 section 4.1.4).
    """

    __slots__ = ("_known", "_message", "work")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._known: dict[int, bytes] = {}  # what a pointer led to, so that a shared suffix is walked once
        self.work = 0

    def read(self, at: int) -> tuple[bytes, int]:
        """Return the uncompressed name at an offset, case kept, and the offset after it.

        Raises:
            BadName: cut short, label type 0x40 or 0x80, a pointer that does not go backwards or leads into
                the header (RFC 9267 section 2), over 255 bytes, or too much work for one message.
        """
        message = self._message
        chunks: list[bytes] = []
        chunk = limit = at
        ceiling = len(message)
        first_target = end = steps = 0
        tail = b""
        try:
            while not tail:
                while 0 < (length := message[at]) <= 63:
                    at += length + 1
                    steps += 1
                    # What is pointed at must have ended before its pointer (RFC 1035: a prior occurrence).
                    if at - chunk >= MAX_NAME or at >= ceiling:
                        raise BadName("name over 255 bytes, or it runs into the pointer that leads to it")
                ceiling = at
                if not length:
                    tail = message[chunk : at + 1]
                    break
                limit = _target(message, at, limit)
                steps += 1
                if steps > MAX_NAME:
                    raise BadName("too many pointers in one name")
                chunks.append(message[chunk:at])
                end = end or at + 2
                first_target = first_target or limit
                at = chunk = limit
                tail = self._known.get(limit, b"")
        except IndexError:
            raise BadName("name cut short") from None
        self.work += steps
        if self.work > MAX_WORK:
            raise BadName("too many labels and pointers in one message")
        name = b"".join(chunks) + tail
        if len(name) > MAX_NAME:
            raise BadName("name over 255 bytes")
        if first_target:
            self._known[first_target] = name[len(chunks[0]) :]
        return name, end or at + 1


def _target(message: bytes, at: int, limit: int) -> int:
    """Return where the pointer at an offset leads: backwards, and not into the header."""
    high = message[at]
    if high < 0xC0:
        raise BadName("unknown label type")
    target = (high & 0x3F) << 8 | message[at + 1]
    if not HEADER_SIZE <= target < limit:
        raise BadName("pointer that does not go backwards")
    return target
