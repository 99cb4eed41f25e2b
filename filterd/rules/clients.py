"""Who asks: what is known of a client -> its group.

A table built once from the policy. Never asks the network: whoever knows the neighbour table and the leases
passes what they say.

Of several rules that fit a client the narrowest kind counts: its MAC address, then the name of its DHCP
lease, then its address or the longest prefix, then the interface it is seen at; if none
fits, the default group.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from filterd.errors import PolicyError
from filterd.rules.yamlsource import Place

_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}")
_LEASE = re.compile(r"lease:([a-z0-9][a-z0-9_-]{0,62}\*?|\*)")
_INTERFACE = re.compile(r"interface:([A-Za-z0-9][A-Za-z0-9_.@-]{0,14})")  # 15 characters: IFNAMSIZ of Linux
_WHOLE = 1000  # length of a lease name without a star
_MAPPED = bytes(10) + b"\xff\xff"  # IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2): how a v6 socket sees IPv4


Kind = Literal["mac", "lease", "v4", "v6", "interface"]


class Device(NamedTuple):
    """What a box knows of a client beside its address.

    Attributes:
        mac: 6 bytes, if the client is a neighbour whose MAC is known.
        lease: first label of the name in its DHCP lease, lower case; the device chose it. Empty: unknown.
        interface: of this box, at which it is a neighbour; empty: unknown.
    """

    mac: bytes | None = None
    lease: str = ""
    interface: str = ""


UNKNOWN = Device()


@dataclass(frozen=True, slots=True)
class ClientRule:
    """One line of a group's ``clients``.

    Attributes:
        group: id of the group.
        kind: what is compared.
        value: the prefix or the MAC as a number, or a name.
        length: bits that count: of the prefix, or 48; of a lease name with a star the characters before it,
            and more than any name has for a name without one.
        text: the rule in its plain form.
        place: where it was written.
    """

    group: str
    kind: Kind
    value: int | str
    length: int
    text: str
    place: Place


def parse_client(text: str, group: str, place: Place) -> ClientRule:
    """Return the rule for an address, a prefix, a MAC, ``lease:NAME`` or ``interface:NAME``.

    Raises:
        PolicyError: none of these, or a prefix with bits set behind its length.
    """
    mac = text.strip().lower()
    if _MAC.fullmatch(mac):
        plain = mac.replace("-", ":")
        number = int(plain.replace(":", ""), 16)
        if number >> 40 & 1 or not number:
            raise _wrong(f"{text!r} is not the MAC address of one device", place, "check the address")
        return ClientRule(group, "mac", number, 48, plain, place)
    if mac.startswith(("lease:", "interface:")):
        return _named(text.strip(), group, place)
    return _prefix(text, group, place)


def _named(text: str, group: str, place: Place) -> ClientRule:
    if (found := _INTERFACE.fullmatch(text)) is not None:
        return ClientRule(group, "interface", found[1], 0, text, place)
    if (found := _LEASE.fullmatch(text.lower())) is not None:
        name = found[1].removesuffix("*")
        length = len(name) if found[1].endswith("*") else _WHOLE
        return ClientRule(group, "lease", name, length, text.lower(), place)
    raise _wrong(
        f"{text!r} names no lease and no interface",
        place,
        "write lease:pc-lab-07, lease:pc-lab-* or interface:br0; a lease name is taken to its first dot",
    )


def _prefix(text: str, group: str, place: Place) -> ClientRule:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
        host = ipaddress.ip_interface(text.strip())
    except ValueError as error:
        raise _wrong(
            f"{text!r} is not an address, a prefix, a MAC address, a lease or an interface",
            place,
            "write 10.20.1.0/24, 2001:db8:1::/64, 10.20.1.7, 02:42:ac:11:00:02, lease:pc-7 or interface:br0",
        ) from error
    if int(host.ip) != int(network.network_address):
        raise _wrong(
            f"{text!r} has bits set behind its length", place, f"write {network}, or {host.ip} alone"
        )
    value, length = int(network.network_address), network.prefixlen
    if network.version == 6 and length >= 96 and value >> 32 == 0xFFFF:
        network = ipaddress.ip_network((value & 0xFFFFFFFF, length - 96))
        value, length = int(network.network_address), network.prefixlen
    return ClientRule(group, "v4" if network.version == 4 else "v6", value, length, str(network), place)


def _wrong(message: str, place: Place, remedy: str) -> PolicyError:
    return PolicyError(message, file=place.file, line=place.line, column=place.column, remedy=remedy)


class Clients:
    """Every client rule of a policy, found in the order that this module's head tells."""

    __slots__ = ("_interfaces", "_leases", "_macs", "_stars", "_v4", "_v6", "default", "rules")

    def __init__(self, rules: Iterable[ClientRule] = (), *, default: str) -> None:
        """Build the table.

        Raises:
            PolicyError: the same address, prefix, MAC, lease or interface twice; names both places.
        """
        self.default = default
        self.rules = tuple(rules)
        seen: dict[tuple[str, int | str, int], ClientRule] = {}
        for rule in self.rules:
            earlier = seen.setdefault((rule.kind, rule.value, rule.length), rule)
            if earlier is not rule:
                raise _wrong(
                    f"{rule.text} already belongs to group {earlier.group!r}, written at {earlier.place}",
                    rule.place,
                    "keep it in one group",
                )
        self._macs = {rule.value: rule for rule in self.rules if rule.kind == "mac"}
        self._leases = {
            rule.value: rule for rule in self.rules if rule.kind == "lease" and rule.length == _WHOLE
        }
        stars = [rule for rule in self.rules if rule.kind == "lease" and rule.length != _WHOLE]
        self._stars = tuple(sorted(stars, key=lambda rule: -rule.length))
        self._interfaces = {rule.value: rule for rule in self.rules if rule.kind == "interface"}
        self._v4 = _by_length((rule for rule in self.rules if rule.kind == "v4"), 32)
        self._v6 = _by_length((rule for rule in self.rules if rule.kind == "v6"), 128)

    def match(self, address: bytes, device: Device = UNKNOWN) -> ClientRule | None:
        """Return the rule that places a client, None when the default group takes it.

        Args:
            address: packed, 4 or 16 bytes; IPv4-mapped IPv6 counts as IPv4.
            device: what else is known of it.

        Raises:
            ValueError: another length; a caller's mistake.
        """
        if device.mac is not None and self._macs:
            rule = self._macs.get(int.from_bytes(device.mac))
            if rule is not None:
                return rule
        if device.lease:
            rule = self._leases.get(device.lease)
            if rule is not None:
                return rule
            for rule in self._stars:
                if device.lease.startswith(str(rule.value)):
                    return rule
        return self._by_prefix(address) or self._interfaces.get(device.interface)

    def group_of(self, address: bytes, device: Device = UNKNOWN) -> str:
        """Return the group of a client; arguments and errors as of :meth:`match`."""
        rule = self.match(address, device)
        return self.default if rule is None else rule.group

    def _by_prefix(self, address: bytes) -> ClientRule | None:
        if len(address) == 16 and address.startswith(_MAPPED):
            address = address[12:]
        if len(address) == 4:
            table = self._v4
        elif len(address) == 16:
            table = self._v6
        else:
            raise ValueError(f"a packed address has 4 or 16 bytes, not {len(address)}")
        value = int.from_bytes(address)
        for shift, prefixes in table:
            rule = prefixes.get(value >> shift)
            if rule is not None:
                return rule
        return None


def lease_name(text: str) -> str:
    """Return the name in a DHCP lease as rules compare it: its first label, lower case; ``*`` is none."""
    return text.strip().lower().partition(".")[0].strip("*")


def _by_length(rules: Iterable[ClientRule], bits: int) -> tuple[tuple[int, dict[int, ClientRule]], ...]:
    """Return ``(shift, prefixes)`` pairs, the longest prefixes first."""
    tables: dict[int, dict[int, ClientRule]] = {}
    for rule in rules:
        shift = bits - rule.length
        tables.setdefault(shift, {})[int(rule.value) >> shift] = rule
    return tuple(sorted(tables.items()))
