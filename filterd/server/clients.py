"""What the server knows of each client address: permitted, group, bucket, lookups in flight.

A bounded table; it forgets the client seen longest ago first. Group and view come from the policy: this
module never decides.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from filterd.rules.clients import Device
from filterd.server.ratelimit import Bucket
from filterd.server.settings import Network, ServerSettings

MAX_CLIENTS = 65_536
_V4_MAPPED = bytes(10) + b"\xff\xff"

GroupOf = Callable[[bytes, Device], str]
DeviceOf = Callable[[bytes], Device]


class Client:
    """One client address. ``address`` is packed (4 or 16 bytes); ``text`` is for logs of this box only.

    ``asked``: lookups since it is known, at the latest mark, at the one before. How much, never what: a
    blocked name among many others is part of a page (events/hints.py).
    """

    __slots__ = (
        "address",
        "asked",
        "bucket",
        "connections",
        "group",
        "in_flight",
        "mac",
        "permitted",
        "text",
    )

    def __init__(self, text: str, address: bytes, bucket: Bucket) -> None:
        self.text = text
        self.address = address
        self.bucket = bucket
        self.asked = [0, 0, 0]
        self.permitted = False
        self.group = ""
        self.mac: bytes | None = None
        self.in_flight = 0
        self.connections = 0


class Clients:
    """The table of clients, keyed by the address as the socket gives it."""

    def __init__(
        self,
        settings: ServerSettings,
        group_of: GroupOf,
        device_of: DeviceOf,
        *,
        maximum: int = MAX_CLIENTS,
    ) -> None:
        self._settings = settings
        self._group_of = group_of
        self._device_of = device_of
        self._maximum = maximum
        self._clients: dict[str, Client] = {}
        self._buckets: dict[bytes, Bucket] = {}
        self._networks_v4 = _as_masks(settings.allow_clients, 4)
        self._networks_v6 = _as_masks(settings.allow_clients, 6)
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._clients)

    def get(self, text: str, now: float) -> Client:
        """Return the client with this textual address (as ``recvfrom`` gives it) at ``now``."""
        client = self._clients.get(text)
        if client is None:
            client = self._new(text, now)
        return client

    def mark(self) -> None:
        """Begin a new span of `recent`; called every 5 seconds."""
        for client in self._clients.values():
            asked = client.asked
            asked[2] = asked[1]
            asked[1] = asked[0]

    def recent(self, address: bytes) -> int:
        """Return a client's lookups in the latest one to two spans; 0 for one not known. From any thread."""
        text = socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
        client = self._clients.get(text) or self._clients.get(f"::ffff:{text}")
        return 0 if client is None else client.asked[0] - client.asked[2]

    def regroup(self, group_of: GroupOf) -> None:
        """Assign every known client to its group again: the policy, a neighbour or a lease changed."""
        self._group_of = group_of
        for client in self._clients.values():
            self._place(client)

    def _new(self, text: str, now: float) -> Client:
        if len(self._clients) >= self._maximum:
            self._forget()
        address = packed(text)
        client = Client(text, address, self._bucket(address, now))
        client.permitted = self._permitted(address)
        self._place(client)
        self._clients[text] = client
        return client

    def _place(self, client: Client) -> None:
        device = self._device_of(client.address)
        client.mac = device.mac
        client.group = self._group_of(client.address, device)

    def _bucket(self, address: bytes, now: float) -> Bucket:
        # An IPv6 host owns its /64: all its addresses share one bucket, or the limit would be none.
        prefix = address if len(address) == 4 else address[:8]
        bucket = self._buckets.get(prefix)
        if bucket is None:
            bucket = self._buckets[prefix] = Bucket(self._settings.rate, now)
        return bucket

    def _forget(self) -> None:
        # The oldest idle eighth goes at once: a scan of spoofed addresses pays once per 8,192 packets.
        idle = [
            key for key, client in self._clients.items() if not client.in_flight and not client.connections
        ]
        for key in idle[: max(1, self._maximum // 8)]:
            del self._clients[key]
            self.forgotten += 1
        kept = {id(client.bucket) for client in self._clients.values()}
        self._buckets = {prefix: bucket for prefix, bucket in self._buckets.items() if id(bucket) in kept}

    def _permitted(self, address: bytes) -> bool:
        value = int.from_bytes(address)
        networks = self._networks_v4 if len(address) == 4 else self._networks_v6
        return any(value & mask == network for network, mask in networks)


def packed(text: str) -> bytes:
    """Return the packed form of an address as a socket gives it; v4-mapped IPv6 becomes IPv4."""
    if ":" not in text:
        return socket.inet_aton(text)
    address = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    return address[12:] if address.startswith(_V4_MAPPED) else address


def _as_masks(networks: tuple[Network, ...], version: int) -> tuple[tuple[int, int], ...]:
    return tuple(
        (int(network.network_address), int(network.netmask))
        for network in networks
        if network.version == version
    )


def private_networks() -> tuple[Network, ...]:
    """Return the networks served by default: loopback, RFC 1918, RFC 6598, link-local, ULA."""
    return tuple(
        ipaddress.ip_network(network)
        for network in (
            "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
            "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
        )
    )  # fmt: skip
