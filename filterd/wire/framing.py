"""DNS over a stream: messages behind a length of two bytes (RFC 1035 section 4.2.2, RFC 7766 section 8).

Never holds more than one unfinished message, never reads a socket.
"""

from __future__ import annotations

from filterd.errors import DropPacket
from filterd.wire.constants import HEADER_SIZE, MAX_MESSAGE

_PREFIX = 2


class FrameReader:
    """Cuts a byte stream into messages.

    Args:
        limit: longest message taken, bytes.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._held = bytearray()
        self._limit = limit

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message: not 0 means the peer owes the rest, so a read deadline runs."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in any portion and return the messages they complete, in order.

        Raises:
            DropPacket: a message shorter than a header or over the limit was announced: close the stream.
        """
        held = self._held
        held += data
        messages = []
        at = 0
        while len(held) - at >= _PREFIX:
            length = held[at] << 8 | held[at + 1]
            if not HEADER_SIZE <= length <= self._limit:
                raise DropPacket("message on a stream shorter than a header or over the limit")
            end = at + _PREFIX + length
            if len(held) < end:
                break
            messages.append(bytes(held[at + _PREFIX : end]))
            at = end
        del held[:at]
        return messages


def frame(message: bytes) -> bytes:
    """Return a message (at most 65535 bytes) behind its length, in one piece: one write, one segment."""
    return len(message).to_bytes(_PREFIX, "big") + message
