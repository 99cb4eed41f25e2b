"""Upstreams that are slow, flap, lie or cut their answers short; over UDP and TCP, until closed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
from _programs import free_port

TTL = 300


def truth(name: str) -> str:
    """Return the one right address of a name."""
    digest = hashlib.sha256(name.lower().rstrip(".").encode()).digest()
    return f"198.51.100.{digest[0]}"


def honest(query: dns.message.Message) -> dns.message.Message:
    """Return the right reply: one address for A, no data for the rest."""
    reply = dns.message.make_response(query, recursion_available=True, our_payload=1232)
    question = query.question[0]
    if question.rdtype == dns.rdatatype.A:
        address = truth(question.name.to_text())
        reply.answer.append(dns.rrset.from_text(question.name, TTL, "IN", "A", address))
    return reply


class Talk:
    """One question and the way back.

    Attributes:
        query: what was asked.
        stream: over TCP.
    """

    def __init__(self, query: dns.message.Message, send: Callable[[bytes], None], *, stream: bool) -> None:
        self.query = query
        self.stream = stream
        self._send = send

    def say(self, reply: dns.message.Message | bytes) -> None:
        """Send a reply; more than one may be sent."""
        self._send(reply if isinstance(reply, bytes) else reply.to_wire())


Behaviour = Callable[[Talk], Awaitable[None]]


class ScriptedUpstream:
    """Behaves as told; a context manager.

    Attributes:
        asked: the names asked for, lower case, in order.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []
        self.port = free_port()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._up = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        udp, _ = await self._loop.create_datagram_endpoint(
            lambda: _Udp(self), local_addr=("127.0.0.1", self.port)
        )
        tcp = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._up.set()
        await self._end.wait()
        udp.close()
        tcp.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)  # lets the transports end; asyncio.run ends the tasks

    def take(self, packet: bytes, send: Callable[[bytes], None], *, stream: bool) -> None:
        """Behave."""
        query = dns.message.from_wire(packet)
        self.asked.append(query.question[0].name.to_text().lower())
        task = self._loop.create_task(self._behave(Talk(query, send, stream=stream)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _behave(self, talk: Talk) -> None:
        await self.behaviour(talk)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(reply: bytes) -> None:
            if not writer.is_closing():
                writer.write(len(reply).to_bytes(2, "big") + reply)

        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                self.take(await reader.readexactly(size), send, stream=True)
        self._writers.discard(writer)
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._upstream = upstream
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._upstream.take(data, lambda reply: self._transport.sendto(reply, addr), stream=False)
