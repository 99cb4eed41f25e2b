"""Bind the configured addresses, or say in one line why not; never reads or answers."""

from __future__ import annotations

import contextlib
import errno
import socket
from dataclasses import dataclass

from filterd.errors import StartError
from filterd.server.settings import Endpoint

_BACKLOG = 512
_WILDCARDS = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class Bound:
    """The sockets of one endpoint; ``endpoint`` has the port really bound.

    Each worker reads a UDP socket of its own, among which the kernel spreads clients (SO_REUSEPORT); all
    accept from the one TCP socket.
    """

    endpoint: Endpoint
    udp: tuple[socket.socket, ...]
    tcp: socket.socket

    def close(self) -> None:
        """Close all sockets."""
        for udp in self.udp:
            udp.close()
        self.tcp.close()


def bind_all(endpoints: tuple[Endpoint, ...], *, receive_buffer: int, workers: int = 1) -> list[Bound]:
    """Bind UDP and TCP on every endpoint, or nothing at all.

    A second loopback address that the machine does not have (``::1`` where IPv6 is switched off) is left
    out as long as one endpoint could be bound.

    Raises:
        StartError: a port is in use, not permitted, or no address is available; names the remedy.
    """
    bound: list[Bound] = []
    with contextlib.ExitStack() as undo:
        for endpoint in endpoints:
            try:
                pair = _bind(endpoint, receive_buffer, workers)
            except OSError as error:
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and endpoint.host == "::1":
                    continue
                raise _explained(endpoint, error) from error
            undo.callback(pair.close)
            bound.append(pair)
        if not bound:
            raise StartError("no address to listen on", remedy="set `listen` in the configuration")
        undo.pop_all()
    return bound


@dataclass(frozen=True, slots=True)
class BoundStream:
    """The listening socket of an endpoint that streams alone use; ``endpoint`` has the port really bound."""

    endpoint: Endpoint
    sock: socket.socket


def bind_streams(endpoints: tuple[Endpoint, ...]) -> list[BoundStream]:
    """Bind a listening socket on every endpoint, for DNS over TLS or HTTPS, or none at all.

    Raises:
        StartError: as `bind_all`.
    """
    bound: list[BoundStream] = []
    with contextlib.ExitStack() as undo:
        for endpoint in endpoints:
            try:
                sock = undo.enter_context(_bind_tcp(endpoint))
            except OSError as error:
                raise _explained(endpoint, error) from error
            bound.append(BoundStream(Endpoint(endpoint.host, sock.getsockname()[1]), sock))
        undo.pop_all()
    return bound


def _bind(endpoint: Endpoint, receive_buffer: int, workers: int) -> Bound:
    with contextlib.ExitStack() as undo:
        # The first socket is bound alone: with SO_REUSEPORT another program of the same user could hold the
        # port without anybody noticing. It gives way to one with the option if there are siblings.
        udp = [undo.enter_context(_udp(endpoint, receive_buffer))]
        actual = Endpoint(endpoint.host, udp[0].getsockname()[1])
        for _ in range(1, workers):
            if len(udp) == 1:
                udp[0].close()
                udp[0] = undo.enter_context(_udp(actual, receive_buffer, shared=True))
            udp.append(undo.enter_context(_udp(actual, receive_buffer, shared=True)))
        tcp = _bind_tcp(actual)
        undo.pop_all()
    return Bound(actual, tuple(udp), tcp)


def _udp(endpoint: Endpoint, receive_buffer: int, *, shared: bool = False) -> socket.socket:
    family = _family(endpoint)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, receive_buffer)
        if shared:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if endpoint.host in _WILDCARDS:
            _ask_for_destination(udp, family)
        udp.setblocking(False)
        udp.bind((endpoint.host, endpoint.port))
    except OSError:
        udp.close()
        raise
    return udp


def _family(endpoint: Endpoint) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET


def _bind_tcp(endpoint: Endpoint) -> socket.socket:
    family = _family(endpoint)
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tcp.setblocking(False)
        tcp.bind((endpoint.host, endpoint.port))
        tcp.listen(_BACKLOG)
    except OSError:
        tcp.close()
        raise
    return tcp


def _ask_for_destination(udp: socket.socket, family: socket.AddressFamily) -> None:
    # On a wildcard socket the answer must leave from the address that was asked (RFC 2181 section 4.1):
    # the kernel tells it with each packet.
    if family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


IP_PKTINFO = 8  # <linux/in.h>; Python's socket module has no name for it


def _explained(endpoint: Endpoint, error: OSError) -> StartError:
    match error.errno:
        case errno.EADDRINUSE:
            return StartError(
                f"port {endpoint.port} on {endpoint.host} is in use",
                remedy=f"`ss -lnptu 'sport = :{endpoint.port}'` shows who holds it; or --listen another port",
            )
        case errno.EACCES:
            return StartError(
                f"no permission to listen on {endpoint}",
                remedy="ports below 1024 need root or CAP_NET_BIND_SERVICE; or --listen a higher port",
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return StartError(
                f"this machine has no address {endpoint.host}",
                remedy="`ip address` shows the addresses it has",
            )
        case _:
            return StartError(f"cannot listen on {endpoint}: {error.strerror}", remedy="check `listen`")
