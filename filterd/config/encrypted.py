"""Encrypted DNS of this box: what was configured -> the frozen values of listeners and of discovery.

Pure: the files are only named here; `app/encrypted.py` looks into them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

from filterd.config.model import EncryptedModel, LimitsModel
from filterd.server.settings import Encrypted, Endpoint, TcpLimits
from filterd.wire import names
from filterd.wire.svcb import Designation

_RESOLVER = b"\x04_dns" + names.from_text("resolver.arpa")


def listeners(
    model: EncryptedModel | None, limits: LimitsModel, path: Callable[[Path], Path]
) -> Encrypted | None:
    """Return the listeners' values; ``path`` makes a file's path absolute."""
    if model is None:
        return None
    return Encrypted(
        certificate=str(path(model.certificate)),
        key=str(path(model.key)),
        name=model.name,
        dot=tuple(model.dot),
        doh=tuple(model.doh),
        path=model.path,
        limits=TcpLimits(
            connections=limits.tls_connections,
            connections_per_client=limits.tls_connections_per_client,
            queries_per_connection=10_000,  # a handshake costs more than a connection that goes on
            idle=limits.tls_idle,
        ),
    )


def designations(model: EncryptedModel | None) -> tuple[Designation, ...]:
    """Return what clients are told of the services: DoH first, which browsers speak, then DoT (RFC 9462)."""
    if model is None:
        return ()
    target = names.from_text(model.name)
    found = [("h2", port, hosts, model.path) for port, hosts in _by_port(model.doh).items()]
    found += [("dot", port, hosts, "") for port, hosts in _by_port(model.dot).items()]
    return tuple(Designation(target, alpn, port, hosts, path) for alpn, port, hosts, path in found)


def designated_names(model: EncryptedModel | None) -> frozenset[bytes]:
    """Return the names that clients ask for the services: the resolver's, and that of our own name."""
    if model is None:
        return frozenset()
    return frozenset((_RESOLVER, b"\x04_dns" + names.from_text(model.name)))


def own_addresses(model: EncryptedModel | None) -> tuple[bytes, ...]:
    """Return the packed addresses that the name leads to; none when one listens on every address."""
    if model is None:
        return ()
    return tuple(dict.fromkeys(one for hosts in _by_port([*model.doh, *model.dot]).values() for one in hosts))


def _by_port(endpoints: list[Endpoint]) -> dict[int, tuple[bytes, ...]]:
    """Return the addresses by port: an address that means "all" tells nobody where to go."""
    found: dict[int, list[bytes]] = {}
    for endpoint in endpoints:
        address = ipaddress.ip_address(endpoint.host)
        hosts = found.setdefault(endpoint.port, [])
        if not address.is_unspecified:
            hosts.append(address.packed)
    return {port: tuple(hosts) for port, hosts in found.items()}
