"""recvmmsg(2) and sendmmsg(2): up to 64 datagrams a system call, into buffers made once.

A datagram is answered in place: the reply is written over the query in the same slot and leaves to the
address (and, on wildcard sockets, from the address) that the kernel wrote beside it. Nothing is allocated
per datagram here. Linux on 64-bit machines only; elsewhere :func:`available` says no and the plain socket
loop serves. Knows nothing of DNS.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Sequence

BATCH = 64
SLOT = 2048  # bytes: every query we take and every reply over UDP (at most 1232) fits

_MSG_DONTWAIT = 0x40
_MSG_TRUNC = 0x20
# struct mmsghdr on 64-bit Linux: 56 bytes of msghdr, the length, padding.
_HEADER = 64
_IOVEC = 16
_CONTROL = 64
_Q_NAME, _Q_NAMELEN, _Q_IOV, _Q_IOVLEN, _Q_CONTROL, _Q_CONTROLLEN = range(6)
_Q_STRIDE = _HEADER // 8
_I_FLAGS, _I_LENGTH, _I_STRIDE = 12, 14, _HEADER // 4

_FULL_CONTROL = array("Q", [_CONTROL] * BATCH)
_SOCKADDR: dict[int, int] = {socket.AF_INET: 16, socket.AF_INET6: 28}


def available() -> bool:
    """Return whether this machine has both calls in the layout used here."""
    return (
        sys.platform == "linux"
        and struct.calcsize("P") == 8
        and sys.byteorder == "little"
        and hasattr(_libc, "recvmmsg")
        and hasattr(_libc, "sendmmsg")
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _function(name: str, *arguments: type) -> Callable[..., int]:
    function = getattr(_libc, name, None)
    if function is None:  # another operating system: available() says so, and nobody calls it
        return lambda *_arguments: -1
    function.restype = ctypes.c_int
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_recvmmsg = _function("recvmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_sendmmsg = _function("sendmmsg", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class Datagrams:
    """Slots for the datagrams of one socket family.

    After :meth:`receive` returned ``n``: slot ``i < n`` holds ``lengths()[i]`` bytes at ``data[offsets[i]]``,
    sent by ``sources(n)[i]``. Write replies over them and call :meth:`send` with their sizes.

    Args:
        family: AF_INET or AF_INET6; None for connected sockets, whose peer is known.
        destinations: the socket reports the address that was asked (IP_PKTINFO); replies leave from it.
        slot: bytes of a slot.
    """

    def __init__(self, family: int | None, *, destinations: bool = False, slot: int = SLOT) -> None:
        self.data = mmap.mmap(-1, BATCH * slot)  # a slice of an mmap is bytes: one copy, not two
        self.offsets = tuple(range(0, BATCH * slot, slot))
        self._slot = slot
        self._sockaddr = 0 if family is None else _SOCKADDR[family]
        self._stride = 32
        self._names = bytearray(BATCH * self._stride)
        self._control = bytearray(BATCH * _CONTROL) if destinations else None
        self._keep: list[object] = []
        self._base = self._address(self.data)
        self._receive_headers = self._headers(receive=True)
        self._send_headers = self._headers(receive=False)
        self._name_words = memoryview(self._names).cast("I")
        self.source_v4 = self._name_words[1 :: self._stride // 4]

    def _address(self, buffer: bytearray | mmap.mmap) -> int:
        exported = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        self._keep.append(exported)
        return ctypes.addressof(exported)

    def _headers(self, *, receive: bool) -> _Headers:
        headers = _Headers(self._address)
        names = self._address(self._names)
        control = self._address(self._control) if self._control is not None else 0
        for i in range(BATCH):
            headers.iov[2 * i] = self._base + self._slot * i
            headers.iov[2 * i + 1] = self._slot if receive else 0
            at = i * _Q_STRIDE
            headers.words[at + _Q_NAME] = names + self._stride * i if self._sockaddr else 0
            headers.words[at + _Q_NAMELEN] = self._sockaddr
            headers.words[at + _Q_IOV] = headers.iov_address + _IOVEC * i
            headers.words[at + _Q_IOVLEN] = 1
            if control:
                headers.words[at + _Q_CONTROL] = control + _CONTROL * i
                headers.words[at + _Q_CONTROLLEN] = _CONTROL
        headers.remember()
        return headers

    def receive(self, descriptor: int) -> int:
        """Receive what is waiting, up to 64 datagrams, and return how many; 0 when none is.

        Raises:
            OSError: the socket reports an error (other than "would block").
        """
        headers = self._receive_headers
        if self._control is not None:
            headers.controllen[:] = _FULL_CONTROL
        count = _recvmmsg(descriptor, headers.address, BATCH, _MSG_DONTWAIT, None)
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))

    def lengths(self, count: int) -> list[int]:
        """Return the sizes of the datagrams received, in bytes."""
        return self._receive_headers.length[:count].tolist()

    def cut(self, index: int) -> bool:
        """Return whether datagram ``index`` was larger than its slot."""
        return bool(self._receive_headers.flags[index] & _MSG_TRUNC)

    def sources_v6(self, count: int) -> list[bytes]:
        """Return the packed IPv6 source addresses of the datagrams received."""
        names, stride = self._names, self._stride
        return [bytes(names[at + 8 : at + 24]) for at in range(0, count * stride, stride)]

    def sockaddr(self, index: int) -> bytes:
        """Return a copy of the source's socket address, for an answer that is given later."""
        at = index * self._stride
        return bytes(self._names[at : at + self._sockaddr])

    def control(self, index: int) -> bytes:
        """Return a copy of the control message beside datagram ``index``."""
        if self._control is None:
            return b""
        at = index * _CONTROL
        return bytes(self._control[at : at + self._receive_headers.controllen[index]])

    def put(self, index: int, packet: bytes, sockaddr: bytes, control: bytes = b"") -> None:
        """Put an answer given later into a slot, with what :meth:`sockaddr` and :meth:`control` returned."""
        at = self.offsets[index]
        self.data[at : at + len(packet)] = packet
        at = index * self._stride
        self._names[at : at + len(sockaddr)] = sockaddr
        if self._control is not None:
            at = index * _CONTROL
            self._control[at : at + len(control)] = control
            self._receive_headers.controllen[index] = len(control)

    def send(self, descriptor: int, sizes: list[int]) -> int:
        """Send the replies that stand in the first ``len(sizes)`` slots; return how many the kernel refused.

        A reply that is refused (no route, no buffer) costs itself only: the rest is sent all the same.

        Args:
            descriptor: the socket.
            sizes: bytes of the reply in each slot; 0: there is none, the slot is left out.
        """
        headers = self._send_headers
        headers.sizes[: len(sizes)] = array("Q", sizes)
        slots: Sequence[int] = range(len(sizes))
        if 0 in sizes:
            slots = [slot for slot in slots if sizes[slot]]
            headers.select(slots)
        if self._control is not None:
            received = self._receive_headers.controllen
            headers.controllen[: len(slots)] = array("Q", [received[slot] for slot in slots])
        refused = _send_all(descriptor, headers.address, len(slots))
        if len(slots) != len(sizes):
            headers.select_all()
        return refused


def _send_all(descriptor: int, address: int, total: int) -> int:
    sent = refused = 0
    while sent < total:
        count = _sendmmsg(descriptor, address + _HEADER * sent, total - sent, _MSG_DONTWAIT)
        if count > 0:
            sent += count
        elif ctypes.get_errno() != errno.EINTR:
            refused += 1  # the first of the rest was refused: go on behind it
            sent += 1
    return refused


class _Headers:
    """64 mmsghdr structures and their iovecs, as arrays of words with views on the fields that change."""

    def __init__(self, address_of: Callable[[bytearray], int]) -> None:
        iov = bytearray(BATCH * _IOVEC)
        block = bytearray(BATCH * _HEADER)
        self.iov_address = address_of(iov)
        self.address = address_of(block)
        self.iov = memoryview(iov).cast("Q")
        self.sizes = self.iov[1::2]
        self.words = memoryview(block).cast("Q")
        self.controllen = self.words[_Q_CONTROLLEN::_Q_STRIDE]
        ints = memoryview(block).cast("I")
        self.length = ints[_I_LENGTH::_I_STRIDE]
        self.flags = ints[_I_FLAGS::_I_STRIDE]
        self._pointers = [self.words[field::_Q_STRIDE] for field in (_Q_NAME, _Q_IOV, _Q_CONTROL)]
        self._own: list[array[int]] = []

    def remember(self) -> None:
        """Note which header points at which slot, for :meth:`select_all`."""
        self._own = [array("Q", view.tolist()) for view in self._pointers]

    def select(self, slots: Sequence[int]) -> None:
        """Let the first headers point at these slots."""
        for view, own in zip(self._pointers, self._own, strict=True):
            view[: len(slots)] = array("Q", [own[slot] for slot in slots])

    def select_all(self) -> None:
        """Let every header point at its own slot again."""
        for view, own in zip(self._pointers, self._own, strict=True):
            view[:] = own
