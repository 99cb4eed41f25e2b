"""Frozen values that say where the server listens, whom it serves and its limits; no logic."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on. ``host`` is an IP literal, ``port`` 0-65535 (0: any free port)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Token bucket per client (an IPv4 address or an IPv6 /64). ``per_second`` 0 switches it off.

    Every ``slip``-th answer over the limit is an empty one with TC=1, so that an honest client behind a
    spoofed address retries over TCP; the others are dropped.
    """

    per_second: int = 1000
    burst: int = 4000
    slip: int = 2


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Limits of TCP connections (RFC 7766 section 6); times in seconds, sizes in bytes."""

    connections: int = 1000
    connections_per_client: int = 50
    queries_per_connection: int = 1000
    pipelined: int = 64
    idle: float = 10.0
    message_deadline: float = 5.0
    write_buffer: int = 256 * 1024
    handshake_deadline: float = 5.0  # of TLS


@dataclass(frozen=True, slots=True)
class Encrypted:
    """DNS over TLS and over HTTPS (RFC 7858, RFC 8484).

    Args:
        certificate: PEM file with the certificate and its chain.
        key: PEM file with its private key.
        name: the name clients verify, which the certificate is made out to.
        dot: where DNS over TLS is served.
        doh: where DNS over HTTPS is served.
        path: of the URI template ``https://NAME/PATH{?dns}``.
        limits: of the connections; each transport has its own total.
    """

    certificate: str
    key: str
    name: str
    dot: tuple[Endpoint, ...] = ()
    doh: tuple[Endpoint, ...] = ()
    path: str = "/dns-query"
    limits: TcpLimits = field(default_factory=lambda: TcpLimits(idle=30.0))


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Everything the listeners need to know."""

    listen: tuple[Endpoint, ...]
    allow_clients: tuple[Network, ...]
    rate: RateLimit = field(default_factory=RateLimit)
    tcp: TcpLimits = field(default_factory=TcpLimits)
    in_flight: int = 4000
    in_flight_per_client: int = 200
    receive_buffer: int = 4 << 20
    lease_files: tuple[str, ...] = ()
    encrypted: Encrypted | None = None

    def idle_of(self, transport: str) -> float:
        """Return after how many idle seconds a connection is closed; 0 where DNS does not say (RFC 7828).

        That is UDP, which has none, and HTTP, which has words of its own for it.
        """
        if transport == "tcp":
            return self.tcp.idle
        return self.encrypted.limits.idle if transport == "dot" and self.encrypted is not None else 0.0
