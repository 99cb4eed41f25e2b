"""Clients of encrypted DNS and their certificates, for the tests of its listeners."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl

import dns.message

NAME = "dns.school.test"


class Files:
    """The two files that a client of an authority keeps, written anew by each :meth:`write`."""

    def __init__(self, folder):
        self.chain, self.key = folder / "fullchain.pem", folder / "privkey.pem"

    def write(self, authority, *names, **more):
        issued = authority.issue_cert(*(names or (NAME, "127.0.0.1")), **more)
        self.chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())
        return self


def utc(days):
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


class Service:
    """Listeners of encrypted DNS in this loop, and clients of them."""

    def __init__(self, listeners, handler, clients, ports, authority):
        self.listeners, self.handler, self.clients = listeners, handler, clients
        self.dot_port, self.doh_port = ports
        self.authority = authority

    def context(self, *alpn):
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def dot(self, context=None, **more):
        return await asyncio.open_connection(
            "127.0.0.1", self.dot_port, ssl=context or self.context("dot"), server_hostname=NAME, **more
        )

    async def doh(self, alpn, **more):
        return await asyncio.open_connection(
            "127.0.0.1", self.doh_port, ssl=self.context(alpn), server_hostname=NAME, **more
        )

    @property
    def counters(self):
        return self.handler.counters


def framed(wire):
    return len(wire).to_bytes(2, "big") + wire


def query(name="lms.example", qtype="A", **more):
    return dns.message.make_query(name, qtype, **more)


async def receive(reader):
    async with asyncio.timeout(30):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for happens in the kernel and in timers
            await asyncio.sleep(0.005)


async def ended(reader):
    """Wait until the other side is gone, however it goes."""
    async with asyncio.timeout(30):
        with contextlib.suppress(OSError):
            while await reader.read(65_536):
                pass
