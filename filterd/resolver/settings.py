"""What an operator may choose about resolving, as frozen values; defaults are for one school's box.

Values and their checks only: never reads a file, a clock or a socket.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from filterd.wire import names
from filterd.wire.svcb import Designation

DAY = 86_400

CANARIES = frozenset(
    names.from_text(text) for text in ("use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com")
)
"""Names by which browsers ask whether they may go round the resolver: NXDOMAIN keeps them here (R5)."""


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Where an upstream resolver listens, and how it is spoken to.

    Args:
        host: IPv4 or IPv6 address as text; never a name, which would need this program to resolve it.
        port: 1-65535.
        transport: ``plain`` (UDP and TCP), ``tls`` (RFC 7858) or ``https`` (RFC 8484).
        name: name or address that its certificate must be made out to; "" for plain ones.
        path: of its DoH service.

    Raises:
        ValueError: not an address, a port out of range, or an encrypted one without a name to verify.
    """

    host: str
    port: int = 53
    transport: Literal["plain", "tls", "https"] = "plain"
    name: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        ipaddress.ip_address(self.host)
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} of upstream {self.host} is not 1-65535")
        if self.secure != bool(self.name):
            raise ValueError(f"upstream {self.host}: encrypted ones, and only they, have a name to verify")

    def __str__(self) -> str:
        if self.transport == "tls":
            return f"tls://{self.host}@{self.port}#{self.name}"
        if self.transport == "https":
            name = f"[{self.name}]" if ":" in self.name else self.name
            return f"https://{name}:{self.port}{self.path}@{self.host}"
        return f"{self.host} port {self.port}"

    @property
    def secure(self) -> bool:
        """Whether it is spoken to over an encrypted stream."""
        return self.transport != "plain"


def _no_zones() -> Mapping[bytes, tuple[UpstreamAddress, ...]]:
    return MappingProxyType({})


def _no_names() -> Mapping[bytes, tuple[bytes, ...]]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """Everything the resolver is told; names are lower-case wire names, times are seconds.

    Args:
        upstreams: resolvers for every name that no zone claims, in order of preference. May be empty:
            then only special, local and blocked names are answered.
        zones: names (and all below) that go to resolvers of their own, such as a school's directory
            service; the longest match wins. Private addresses in their answers are expected.
        deadline: a client hears from us within this, whatever upstreams do (under 2 s, dns.md).
        stale_after: a client whose answer is only stale gets it after this (RFC 8767 section 5).
        fetch_timeout: how long one question may stay under way, also after its clients were answered.
        max_flights: questions under way at once.
        max_sockets: sockets to upstreams at once.
        max_waiters: clients waiting at once, over all questions.
        cache_bytes: memory of the cache.
        max_ttl: longest time anything is kept (ghost domains).
        min_ttl: shortest time a cacheable answer is kept; TTL 0 is never kept (RFC 2181 section 8).
        negative_ttl: longest time a negative answer is kept (RFC 2308 section 5).
        failure_ttl: longest time a failure is remembered, 1-300 s (RFC 9520 section 3.2).
        stale_for: how long past its TTL an answer may still be given out, at most 3 days; 0 switches it off.
        stale_ttl: TTL of a stale answer (RFC 8767 section 4).
        nxdomain_cut: names below a missing name are missing too (RFC 8020).
        rebinding: private addresses in answers for public names are dropped.
        rebinding_allow: names (and all below) that may have private addresses.
        trusted_ad: the upstreams validate and the path to them is trusted: their AD is passed on.
        local_names: names answered here with these packed addresses, once policy allows them.
        canaries: names answered with NXDOMAIN so that devices keep using this resolver; empty: none.
        use_0x20: mix the case of questions against forged answers (RFC 5452 section 9).
        nxdomain_budget: missing names a zone may show per window before its new names are thinned out.
        nxdomain_window: length of that window.
        tunnel_names: distinct names per client and registrable domain in a window.
        tunnel_bytes: bytes of labels below the registrable domain per client in a window.
        tunnel_window: length of that window.
        budget_exempt: names (and all below) without either budget: antivirus and mail filters ask much.
        ca_file: PEM file of the authorities that sign encrypted upstreams' certificates; None: the system's.
        fallback: plain upstreams of a group are asked while all its encrypted ones are silent; else never.
        designations: our own encrypted services, best first.
        designated_names: names that answer with them (RFC 9462).

    Raises:
        ValueError: a value out of its range, with what is allowed.
    """

    upstreams: tuple[UpstreamAddress, ...] = ()
    zones: Mapping[bytes, tuple[UpstreamAddress, ...]] = field(default_factory=_no_zones)
    deadline: float = 1.9
    stale_after: float = 1.8
    fetch_timeout: float = 5.0
    max_flights: int = 1000
    max_sockets: int = 2000
    max_waiters: int = 4000
    cache_bytes: int = 32 << 20
    max_ttl: int = DAY
    min_ttl: int = 0
    negative_ttl: int = 3600
    failure_ttl: float = 30.0
    stale_for: float = DAY
    stale_ttl: int = 30
    nxdomain_cut: bool = True
    rebinding: bool = True
    rebinding_allow: tuple[bytes, ...] = ()
    trusted_ad: bool = False
    local_names: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=_no_names)
    canaries: frozenset[bytes] = CANARIES
    use_0x20: bool = True
    nxdomain_budget: int = 300
    nxdomain_window: float = 10.0
    tunnel_names: int = 2000
    tunnel_bytes: int = 40_000
    tunnel_window: float = 300.0
    budget_exempt: tuple[bytes, ...] = ()
    ca_file: str | None = None
    fallback: bool = False
    designations: tuple[Designation, ...] = ()
    designated_names: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, allowed is {low} to {high}")
        if self.stale_after > self.deadline:
            raise ValueError("stale_after is over deadline: a stale answer would come too late")
        for zone, servers in self.zones.items():
            if not servers:
                raise ValueError(f"zone {names.to_text(zone)} has no upstream")

    @property
    def every_upstream(self) -> tuple[UpstreamAddress, ...]:
        """All upstreams, those of zones behind the default ones."""
        return (*self.upstreams, *(one for servers in self.zones.values() for one in servers))


_RANGES = (
    ("deadline", 0.05, 10),
    ("stale_after", 0, 10),
    ("fetch_timeout", 0.05, 30),
    ("max_flights", 1, 100_000),
    ("max_sockets", 1, 100_000),
    ("max_waiters", 1, 1_000_000),
    ("cache_bytes", 64 << 10, 64 << 30),
    ("max_ttl", 1, 7 * DAY),
    ("min_ttl", 0, 3600),
    ("negative_ttl", 1, DAY),
    ("failure_ttl", 1, 300),
    ("stale_for", 0, 3 * DAY),
    ("stale_ttl", 1, 60),
    ("nxdomain_budget", 1, 10**9),
    ("nxdomain_window", 1, 3600),
    ("tunnel_names", 1, 10**9),
    ("tunnel_bytes", 1, 10**12),
    ("tunnel_window", 1, 86_400),
)
