"""What ``filterd explain`` tells: the index and the policy in force, asked for one name and one client."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from filterd.app.policyfiles import policy_to_ask
from filterd.config.load import Config
from filterd.errors import BadName, ConfigError
from filterd.lists import activate
from filterd.rules.clients import Device
from filterd.rules.explain import Explanation, explain_client, explain_group
from filterd.rules.index import Index
from filterd.rules.yamlsource import meant
from filterd.server.clients import packed
from filterd.wire import names


@dataclass(frozen=True, slots=True)
class Asked:
    """For whom a name is explained: a group, or else a client by address and, if known, MAC."""

    client: str
    mac: str | None
    group: str | None
    qtype: int


def explain_name(config: Config, name: str, asked: Asked, at: Callable[[ZoneInfo], float]) -> Explanation:
    """Return the whole way from a client or group and a name to the verdict.

    Args:
        config: says where policy and index are.
        name: as people write it.
        asked: for whom.
        at: gives the instant (UTC seconds) when told the school's zone.

    Raises:
        ConfigError: the name is no domain name, the client's address or MAC is none, no such group.
        FilterdError: the policy or the index cannot be read.
    """
    try:
        wire = names.from_text(name)
    except BadName as error:
        raise ConfigError(f"{name!r} is not a domain name: {error.message}") from error
    address, hardware = _client(asked.client, asked.mac)
    policy = policy_to_ask(config, at=time.time())
    instant = at(policy.zone)
    if asked.group is not None and asked.group not in policy.groups:
        raise ConfigError(f"no group {asked.group!r}", remedy=meant(asked.group, policy.groups))
    path = activate.current(config.state.lists)
    index = Index.open(path) if path is not None else Index.empty()
    try:
        if asked.group is not None:
            return explain_group(wire, asked.qtype, policy, index, asked.group, at=instant)
        device = Device(hardware)
        return explain_client(wire, asked.qtype, policy, index, address, device=device, at=instant)
    finally:
        index.close()


def _client(client: str, mac: str | None) -> tuple[bytes, bytes | None]:
    try:
        address = packed(client)
    except OSError as error:
        raise ConfigError(
            f"{client!r} is not an IP address", remedy="for example --client 10.20.5.7"
        ) from error
    if mac is None:
        return address, None
    try:
        hardware = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    except ValueError:
        hardware = b""
    if len(hardware) != 6:
        raise ConfigError(f"{mac!r} is not a MAC address", remedy="for example --mac 02:00:00:00:00:01")
    return address, hardware
