"""A server that stands for the internet: answers every DNS question, and takes connections at 443 and 853."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import dns.message
import dns.rrset

ADDRESSES = {"A": "198.51.100.99", "AAAA": "2001:db8:99::1"}


def answer(wire: bytes) -> bytes:
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    if kind in ADDRESSES:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, ADDRESSES[kind]))
    return reply.to_wire()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        with contextlib.suppress(Exception):
            self.transport.sendto(answer(data), addr)


async def stream(reader, writer):
    with contextlib.suppress(Exception):
        size = int.from_bytes(await reader.readexactly(2))
        reply = answer(await reader.readexactly(size))
        writer.write(len(reply).to_bytes(2) + reply)
        await writer.drain()
    writer.close()


async def main() -> None:
    loop = asyncio.get_running_loop()
    for address in sys.argv[1:]:  # each by itself: a reply leaves from where it was asked
        await loop.create_datagram_endpoint(Datagrams, local_addr=(address, 53))
    await asyncio.start_server(stream, ["0.0.0.0", "::"], 53)
    for port in (443, 853):
        await asyncio.start_server(lambda _reader, writer: writer.close(), ["0.0.0.0", "::"], port)
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
    await asyncio.Event().wait()


asyncio.run(main())
