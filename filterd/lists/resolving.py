"""Host names of sources -> addresses that may be used, one answer for a whole update.

Several ways are asked in turn, so that lists come when the system's resolver is down, or is this very filter
and blocks the host: the system, the configured upstreams, addresses written in filterd.yaml, addresses that
worked before. A stale address does no harm: the certificate must still be the host's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

from filterd.errors import FetchError
from filterd.lists.addresses import Address, Network, may_connect, parsed

_WAIT: Final = 10.0  # seconds for one way
_MOST: Final = 8  # addresses of one host that are kept

Ask = Callable[[str], Awaitable[Sequence[str]]]


class Way(NamedTuple):
    """A way to learn addresses: its name for messages, and a function that returns address literals."""

    name: str
    ask: Ask


class Names(AbstractResolver):
    """The addresses of hosts; each host is resolved once and keeps its addresses.

    Args:
        ways: asked in turn until one gives an address that may be used.
        allowed: ranges that are taken although they are not public.
    """

    def __init__(self, ways: Sequence[Way], allowed: Sequence[Network] = ()) -> None:
        self._ways = tuple(ways)
        self._allowed = tuple(allowed)
        self._pinned: dict[str, tuple[Address, ...]] = {}
        self._unknown: dict[str, FetchError] = {}
        self._turn = asyncio.Lock()

    async def pin(self, host: str) -> tuple[Address, ...]:
        """Return the addresses of a host that may be used.

        Raises:
            FetchError: nothing knows the host, or all its addresses are private.
        """
        literal = parsed(host)
        if literal is not None:
            if not may_connect(literal, self._allowed):
                raise _private(host, [literal])
            return (literal,)
        async with self._turn:
            if host in self._unknown:
                raise self._unknown[host]
            if host not in self._pinned:
                try:
                    self._pinned[host] = await self._find(host)
                except FetchError as error:  # thirty lists of one host wait for DNS once
                    self._unknown[host] = error
                    raise
            return self._pinned[host]

    async def _find(self, host: str) -> tuple[Address, ...]:
        private: list[Address] = []
        for way in self._ways:
            try:
                async with asyncio.timeout(_WAIT):
                    told = [parsed(text) for text in await way.ask(host)]
            except (OSError, TimeoutError):
                continue
            found = [one for one in told if one is not None]
            usable = tuple(one for one in found if may_connect(one, self._allowed))
            if usable:
                return usable[:_MOST]
            private += found
        if private:
            raise _private(host, private)
        raise FetchError(
            f"no address of {host} is known: DNS is down or does not know it",
            remedy="write one under lists.update.addresses, or try again later",
        )

    @property
    def pinned(self) -> dict[str, tuple[Address, ...]]:
        """What was found so far."""
        return dict(self._pinned)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature; any will do
    ) -> list[ResolveResult]:
        """Return a host's addresses as aiohttp takes them: only such as `pin` lets through."""
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.pin(host)
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _private(host: str, addresses: Sequence[Address]) -> FetchError:
    shown = ", ".join(str(address) for address in addresses[:3])
    return FetchError(
        f"{host} leads to {shown}, which is not a public address",
        remedy="if it is a mirror of yours, add its range to lists.update.allow_private",
    )


async def system(host: str) -> Sequence[str]:
    """Ask the system's resolver.

    Raises:
        OSError: it does not answer, or does not know the host.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def written(addresses: dict[str, Sequence[str]]) -> Ask:
    """Return a way that knows just these addresses."""

    async def ask(host: str) -> Sequence[str]:
        return addresses.get(host, ())

    return ask
