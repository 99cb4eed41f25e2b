"""How this box finds the hosts of its lists: four ways, one after the other.

The system, the upstreams past this box's own filter, what filterd.yaml says, what worked before. A filter
that blocks the host of its own lists, or a resolver that is down, must not end their updates.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from filterd.config.load import Config
from filterd.errors import BadAnswer, BadName
from filterd.lists.addresses import Address, Network
from filterd.lists.resolving import Names, Way, system, written
from filterd.lists.shelf import write_atomically
from filterd.resolver.settings import UpstreamAddress
from filterd.wire import names
from filterd.wire.answer import addresses, fits, parse_answer
from filterd.wire.constants import Class, Type
from filterd.wire.query import build_query

_WAIT: Final = 2.0  # seconds for one upstream
_REMEMBERED: Final = "addresses.json"
_MOST_HOSTS: Final = 200


def names_for(config: Config, allowed: Sequence[Network]) -> Names:
    """Return the addresses of hosts, by every way this box has."""
    update = config.model.lists.update
    return Names(
        [
            Way("system", system),
            Way("upstreams", lambda host: _ask_upstreams(host, config.upstreams())),
            Way(
                "written",
                written({host: [str(one) for one in found] for host, found in update.addresses.items()}),
            ),
            Way("remembered", written(_remembered(config.state.fetched))),
        ],
        allowed,
    )


def remember(folder: Path, found: Mapping[str, Sequence[Address]]) -> None:
    """Keep addresses that worked, for a day on which nothing tells them."""
    kept = {**_remembered(folder), **{host: [str(one) for one in some] for host, some in found.items()}}
    newest = dict(list(kept.items())[-_MOST_HOSTS:])
    with contextlib.suppress(OSError):  # without it the next update is as good as this one was
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / _REMEMBERED, json.dumps(newest, indent=1).encode())


def _remembered(folder: Path) -> dict[str, Sequence[str]]:
    try:
        found = json.loads((folder / _REMEMBERED).read_bytes())
        return {str(host): [str(one) for one in some] for host, some in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


async def _ask_upstreams(host: str, upstreams: Sequence[UpstreamAddress]) -> Sequence[str]:
    try:
        name = names.from_text(host)
    except BadName:
        return ()
    for upstream in upstreams:
        if upstream.secure:  # an update has no connection to one; the system, or what worked before, will do
            continue
        found = await asyncio.to_thread(_ask, name, upstream)
        if found:
            return found
    return ()


def _ask(name: bytes, upstream: UpstreamAddress) -> list[str]:
    """Ask one upstream for both kinds of addresses; what it does not answer is left out."""
    family = socket.AF_INET6 if ":" in upstream.host else socket.AF_INET
    found: list[str] = []
    for qtype in (Type.A, Type.AAAA):
        question = name + qtype.to_bytes(2) + Class.IN.to_bytes(2)
        query_id = secrets.randbits(16)
        with contextlib.suppress(OSError, BadAnswer), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_WAIT)
            sock.connect((upstream.host, upstream.port))
            sock.send(build_query(query_id, question))
            packet = sock.recv(65_535)
            if fits(packet, query_id, question):
                found += [str(ip_address(packed)) for packed in addresses(parse_answer(packet))]
    return found
