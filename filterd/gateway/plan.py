"""Who may speak encrypted DNS past the filter: the policy's groups as a firewall can match them. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from filterd.rules.clients import ClientRule, Clients
from filterd.rules.policy import Policy

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Fail = Literal["open", "closed"]
CATEGORY = "doh"  # groups for which it is not blocked may use encrypted resolvers of their choice


@dataclass(frozen=True, slots=True)
class Sieve:
    """Clients told apart by one question, as sets that do not overlap within a kind.

    A MAC address counts before a prefix, the longest prefix before shorter ones, a prefix before an
    interface; who fits none is ``default``. What is known by DHCP lease only a firewall cannot see: such a
    client is treated by its address.

    Attributes:
        open_macs, shut_macs: ``aa:bb:...``.
        open_networks, shut_networks: of both families, disjoint.
        open_interfaces, shut_interfaces: names.
        default: whether everybody else is open.
        leases: rules by lease name, which have no effect here.
    """

    open_macs: tuple[str, ...]
    shut_macs: tuple[str, ...]
    open_networks: tuple[Network, ...]
    shut_networks: tuple[Network, ...]
    open_interfaces: tuple[str, ...]
    shut_interfaces: tuple[str, ...]
    default: bool
    leases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules are made of.

    Attributes:
        lan: interfaces towards the school.
        port: of the filter on this machine.
        fail: what becomes of plain lookups while the filter is not answering (R21): ``open`` sends them to
            ``fallback``, ``closed`` leaves them unanswered.
        fallback: resolvers for that, at most one of each family, with their port.
        exempt: networks that the rules do not touch.
        resolvers: addresses of public encrypted resolvers.
        encrypted: who may speak to them.
        version: of the policy, for people.
    """

    lan: tuple[str, ...]
    port: int
    fail: Fail
    fallback: tuple[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int], ...]
    exempt: tuple[Network, ...]
    resolvers: tuple[Network, ...]
    encrypted: Sieve
    version: str = ""


def sieve(clients: Clients, is_open: Callable[[str], bool]) -> Sieve:
    """Tell the clients of open groups from the others.

    Args:
        clients: of the policy.
        is_open: whether a group is, by its id.
    """
    networks = {_network(rule): rule.group for rule in clients.rules if rule.kind in {"v4", "v6"}}
    open_networks: list[Network] = []
    shut_networks: list[Network] = []
    for network, group in networks.items():
        inside = [other for other in networks if other != network and _is_within(other, network)]
        (open_networks if is_open(group) else shut_networks).extend(_without(network, inside))

    def named(kind: str, *, opened: bool) -> tuple[str, ...]:
        rules = (rule for rule in clients.rules if rule.kind == kind and is_open(rule.group) == opened)
        return tuple(sorted(rule.text.removeprefix("interface:") for rule in rules))

    return Sieve(
        open_macs=named("mac", opened=True),
        shut_macs=named("mac", opened=False),
        open_networks=_sorted(open_networks),
        shut_networks=_sorted(shut_networks),
        open_interfaces=named("interface", opened=True),
        shut_interfaces=named("interface", opened=False),
        default=is_open(clients.default),
        leases=tuple(sorted(rule.text for rule in clients.rules if rule.kind == "lease")),
    )


def encrypted_for(policy: Policy) -> Sieve:
    """Tell who may use encrypted resolvers: groups whose policy, schedules aside, does not block them."""
    bit = policy.categories.by_id[CATEGORY].bit
    return sieve(policy.clients, lambda group: not policy.view(group).blocked >> bit & 1)


def _network(rule: ClientRule) -> Network:
    kind = ipaddress.IPv4Network if rule.kind == "v4" else ipaddress.IPv6Network
    return kind((int(rule.value), rule.length))


def _is_within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _without(network: Network, holes: Sequence[Network]) -> list[Network]:
    """Return what is left of a network without some networks inside it."""
    left: list[Network] = [network]
    for hole in holes:
        parts: list[Network] = []
        for piece in left:
            if _is_within(piece, hole):
                continue
            parts += _excluding(piece, hole) if _is_within(hole, piece) else [piece]
        left = parts
    return left


def _excluding(piece: Network, hole: Network) -> Iterable[Network]:
    if isinstance(piece, ipaddress.IPv4Network) and isinstance(hole, ipaddress.IPv4Network):
        return piece.address_exclude(hole)
    if isinstance(piece, ipaddress.IPv6Network) and isinstance(hole, ipaddress.IPv6Network):
        return piece.address_exclude(hole)
    return [piece]


def _sorted(networks: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(sorted(networks, key=lambda one: (one.version, int(one.network_address), one.prefixlen)))
