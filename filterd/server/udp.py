"""DNS over UDP by the plain socket calls, where recvmmsg is missing; fast.py is what usually serves."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from time import monotonic
from typing import Any

import structlog

from filterd.resolver.request import Request
from filterd.server.clients import Clients
from filterd.server.handler import Handler
from filterd.server.sockets import IP_PKTINFO

log = structlog.get_logger(__name__)

_BATCH = 64  # packets a turn: the loop's other work is never kept waiting longer
_MAX_QUERY = 65_535
_ANCILLARY = 64
_DONTWAIT = socket.MSG_DONTWAIT


class UdpListener:
    """Serves one bound UDP socket until :meth:`close`."""

    def __init__(self, sock: socket.socket, handler: Handler, clients: Clients) -> None:
        self._socket = sock
        self._handler = handler
        self._clients = clients
        self._wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Stop reading. The socket stays open for answers that are still on their way."""
        self._loop.remove_reader(self._socket.fileno())

    def forget(self) -> None:
        """Nothing is remembered here; :class:`filterd.server.fast.FastListener` does."""

    def _readable(self) -> None:
        now = monotonic()
        for _ in range(_BATCH):
            try:
                packet, ancillary, address = self._receive()
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error of an earlier answer; the socket is still good
                self._handler.counters["udp_receive_errors"] += 1
                log.debug("udp_receive_error", error=str(error))
                continue
            try:
                self._serve(packet, ancillary, address, now)
            except Exception:  # one bad packet never ends the loop; counted and logged with its trace
                self._handler.counters["handler_errors"] += 1
                log.exception("packet_failed", size=len(packet))

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]], Any]:
        if not self._wildcard:
            packet, address = self._socket.recvfrom(_MAX_QUERY)
            return packet, [], address
        packet, ancillary, _, address = self._socket.recvmsg(_MAX_QUERY, _ANCILLARY)
        return packet, ancillary, address

    def _serve(
        self, packet: bytes, ancillary: list[tuple[int, int, bytes]], address: Any, now: float
    ) -> None:
        client = self._clients.get(address[0], now)
        send = partial(self._send, _reply_from(ancillary), address)
        answer = self._handler.handle(packet, client, "udp")
        if type(answer) is bytes:
            send(answer)
        elif isinstance(answer, Request):
            self._handler.finish(answer, client, send)

    def _send(self, ancillary: list[tuple[int, int, bytes]], address: Any, packet: bytes) -> None:
        try:
            if ancillary:
                self._socket.sendmsg([packet], ancillary, _DONTWAIT, address)
            else:
                self._socket.sendto(packet, address)
        except OSError as error:
            self._handler.counters["udp_send_errors"] += 1
            log.debug("udp_send_error", error=str(error))


def _reply_from(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the control message that makes the answer leave from the address that was asked."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            # struct in_pktinfo {ifindex, spec_dst, addr}: the source is spec_dst; interface by routing.
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return [(level, kind, data)]
    return []
