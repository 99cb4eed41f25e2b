"""The firewall's plan from configuration and policy, and the watch that tells it if the filter answers."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from filterd.app.policyfiles import policy_to_ask
from filterd.config.load import Config
from filterd.errors import BadAnswer, ConfigError, GatewayError
from filterd.gateway import kernel
from filterd.gateway.plan import Network, Plan, encrypted_for
from filterd.server.settings import Endpoint
from filterd.wire import names
from filterd.wire.answer import fits
from filterd.wire.constants import Class, Type
from filterd.wire.query import build_query

EVERY_SECONDS = 5.0
_WAIT_SECONDS = 2.0
_QUESTION = names.from_text("localhost") + Type.A.to_bytes(2) + Class.IN.to_bytes(2)  # needs no upstream
log = structlog.get_logger(__name__)


def plan_of(config: Config) -> Plan:
    """Return the plan for this box.

    Raises:
        ConfigError: no interface is named, or the file of addresses is wrong.
        FilterdError: the policy is wrong.
    """
    model = config.model.gateway
    if not model.lan:
        raise ConfigError(
            "gateway.lan names no interface", remedy="write gateway: {lan: [eth1]}; `ip link` shows the names"
        )
    policy = policy_to_ask(config, at=time.time())
    fallback = _fallback(config)
    if model.fail == "open" and not fallback:
        raise ConfigError(
            "gateway.fail is open, and no plain resolver is known to send lookups to",
            remedy="name one in gateway.fallback, or write fail: closed",
        )
    ports = {endpoint.port for endpoint in config.model.listen}
    if len(ports) > 1:
        raise ConfigError("the filter listens on several ports", remedy="let all of `listen` have one port")
    return Plan(
        lan=tuple(model.lan),
        port=ports.pop(),
        fail=model.fail,
        fallback=fallback,
        exempt=tuple(model.exempt),
        resolvers=addresses(config.resolver_addresses),
        encrypted=encrypted_for(policy),
        version=policy.version,
    )


def _fallback(
    config: Config,
) -> tuple[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int], ...]:
    """Return one resolver of each family for the time in which the filter does not answer."""
    given = [(one.host, one.port) for one in config.model.gateway.fallback]
    # An encrypted upstream is never replaced by a plain one that nobody named.
    found = given or [(one.host, one.port) for one in config.upstreams() if one.transport == "plain"]
    chosen: dict[int, tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]] = {}
    for host, port in found:
        address = ipaddress.ip_address(host)
        if not address.is_loopback:  # a packet of the school's network cannot be sent there
            chosen.setdefault(address.version, (address, port))
    return tuple(chosen[version] for version in sorted(chosen))


def addresses(path: Path) -> tuple[Network, ...]:
    """Return the addresses and prefixes of a file, one a line; ``#`` begins a comment.

    Raises:
        ConfigError: the file cannot be read, or a line is neither; names file and line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from error
    found: list[Network] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ConfigError(
                f"{text!r} is not an address or a prefix",
                file=path,
                line=number,
                remedy="write 9.9.9.9 or 45.90.28.0/24",
            ) from error
    return tuple(found)


def answers(server: Endpoint) -> bool:
    """Ask the filter for a name that needs no upstream; tell whether it answers."""
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    query_id = secrets.randbits(16)
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_WAIT_SECONDS)
            sock.connect((_reachable(server.host), server.port))
            sock.send(build_query(query_id, _QUESTION))
            return fits(sock.recv(4096), query_id, _QUESTION)
    except (OSError, BadAnswer):
        return False


def _reachable(host: str) -> str:
    """Return where to ask a server that listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def watch(config: Config, stopped: Callable[[float], bool]) -> None:
    """Note in the table, again and again, that the filter answers; say so in the log when that changes.

    Args:
        config: of the box.
        stopped: waits so many seconds, and tells whether to end.
    """
    server = config.model.listen[0]
    state: str | None = None
    while True:
        now = "answers" if answers(server) else "does not answer"
        if now == "answers":
            try:
                kernel.say_alive()
            except GatewayError as error:
                now = f"table not there: {error.message}"
        if now != state:
            (log.info if now == "answers" else log.error)("gateway", filter=now)
        state = now
        if stopped(EVERY_SECONDS):
            return
