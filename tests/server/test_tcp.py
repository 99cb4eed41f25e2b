"""The stream listener on several sockets, from the first connection to the last."""

from __future__ import annotations

import asyncio
import socket

import dns.message
import pytest

from filterd.server.settings import TcpLimits
from filterd.server.tcp import TcpListener


async def asked(reader, writer, name="1xbet.com"):
    query = dns.message.make_query(name, "A")
    wire = query.to_wire()
    writer.write(len(wire).to_bytes(2, "big") + wire)
    size = int.from_bytes(await reader.readexactly(2), "big")
    reply = dns.message.from_wire(await reader.readexactly(size))
    assert query.is_response(reply)
    return reply


async def test_a_listener_that_stops_accepting_leaves_all_its_sockets_and_keeps_its_connections(make_handler):
    listener = TcpListener(*make_handler(), TcpLimits())
    ports = []
    for _ in range(3):
        sock = socket.create_server(("127.0.0.1", 0))
        ports.append(sock.getsockname()[1])
        sock.setblocking(False)
        await listener.start(sock)
    open_ones = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
    for reader, writer in open_ones:
        await asked(reader, writer)

    listener.stop_accepting()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    for reader, writer in open_ones:
        await asked(reader, writer)

    await listener.close()
    for reader, writer in open_ones:
        assert await reader.read() == b""
        writer.close()
    await asyncio.sleep(0.01)
    assert not listener.connections
