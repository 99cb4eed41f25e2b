"""DNS over TLS (RFC 7858) in one loop: framing, limits, padding, keepalive, handshakes that never end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl

import dns.edns
import dns.message
import dns.rcode
import pytest
from _encrypted import NAME, ended, framed, query, receive, until

from filterd.server.settings import RateLimit
from filterd.wire.opt import PAD_BLOCK


async def asked(reader, writer, *messages):
    writer.write(b"".join(framed(message.to_wire()) for message in messages))
    found = {}
    for _ in messages:
        wire = await receive(reader)
        reply = dns.message.from_wire(wire)
        found[reply.id] = reply, wire
    for message in messages:
        assert message.is_response(found[message.id][0])
    return [found[message.id] for message in messages]


async def test_7858_the_same_answers_as_elsewhere(serve):
    reader, writer = await (await serve()).dot()
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "dot"
    (allowed, _), (blocked, _) = await asked(reader, writer, query(), query("1xbet.com", "HTTPS"))
    assert [item.to_text() for rrset in allowed.answer for item in rrset] == ["192.0.2.7"]
    assert blocked.rcode() == dns.rcode.NXDOMAIN
    writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_9325_tls_from_1_2_on_with_forward_secrecy_and_aead(serve, version):
    service = await serve()
    context = service.context()
    context.minimum_version = context.maximum_version = version
    reader, writer = await service.dot(context)
    await asked(reader, writer, query())
    cipher = writer.get_extra_info("cipher")[0]
    assert "GCM" in cipher or "CHACHA20" in cipher
    writer.close()


@pytest.mark.parametrize("old", ["tls 1.1", "cbc"])
async def test_9325_what_is_old_is_refused(serve, old):
    service = await serve()
    context = service.context()
    if old == "cbc":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    else:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        await service.dot(context)
    await until(lambda: service.counters["dot_handshakes_failed"] == 1)


async def test_8446_a_session_is_resumed(serve):
    service = await serve()
    context = service.context("dot")

    def connect(session):
        """By blocking sockets: asyncio has no way to give a session back."""
        with (
            socket.create_connection(("127.0.0.1", service.dot_port), 30) as sock,
            context.wrap_socket(sock, server_hostname=NAME, session=session) as tls,
        ):
            tls.sendall(framed(query().to_wire()))
            assert tls.recv(2)
            return tls.session, tls.session_reused

    session, reused = await asyncio.to_thread(connect, None)
    assert not reused
    _, reused = await asyncio.to_thread(connect, session)
    assert reused


async def test_7858_one_byte_at_a_time_and_many_in_one_segment(serve):
    reader, writer = await (await serve()).dot()
    dribbled = query()
    for byte in framed(dribbled.to_wire()):
        writer.write(bytes((byte,)))
        await writer.drain()
    assert dribbled.is_response(dns.message.from_wire(await receive(reader)))
    many = [query(f"{number}.1xbet.com") for number in range(200)]
    for number, message in enumerate(many):
        message.id = number
    assert len(await asked(reader, writer, *many)) == 200
    writer.close()


async def test_a_message_cut_at_each_of_its_bytes(serve):
    reader, writer = await (await serve()).dot()
    whole = framed(query().to_wire())
    for at in range(1, len(whole)):
        writer.write(whole[:at])
        await asyncio.sleep(0)
        writer.write(whole[at:])
        await receive(reader)
    writer.close()


async def test_8467_padded_when_asked_and_only_then(serve):
    reader, writer = await (await serve()).dot()
    padding = [dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")]
    for name in ("lms.example", "1xbet.com", "version.bind"):
        rdclass = "CH" if name == "version.bind" else "IN"
        with_padding = query(name, use_edns=0, options=padding, rdclass=rdclass)
        ((reply, wire),) = await asked(reader, writer, with_padding)
        if rdclass == "CH":
            assert reply.rcode() == dns.rcode.REFUSED
        assert len(wire) % PAD_BLOCK == 0, "refusals are padded too"
        ((reply, wire),) = await asked(reader, writer, query(name, use_edns=0, rdclass=rdclass))
        assert len(wire) % PAD_BLOCK
        assert all(option.otype != dns.edns.OptionType.PADDING for option in reply.options)
    writer.close()


async def test_8467_never_padded_over_plain_tcp_or_udp(make_handler):
    handler, clients = make_handler()
    client = clients.get("127.0.0.1", 0.0)
    asks = query(use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")])
    for transport in ("udp", "tcp"):
        reply = dns.message.from_wire(handler.handle(asks.to_wire(), client, transport))
        assert reply.options == ()


async def test_7828_keepalive_tells_the_idle_time(serve):
    reader, writer = await (await serve(idle=12.0)).dot()
    keepalive = [dns.edns.GenericOption(11, b"")]
    ((reply, _),) = await asked(reader, writer, query(use_edns=0, options=keepalive))
    assert [(int(o.otype), o.to_wire()) for o in reply.options] == [(11, (120).to_bytes(2, "big"))]
    ((reply, _),) = await asked(reader, writer, query(use_edns=0))
    assert reply.options == ()
    writer.close()


async def test_7858_an_idle_connection_is_closed_and_so_is_half_a_message(serve):
    service = await serve(idle=0.3, message_deadline=0.5)
    for begun in (b"", b"\0", framed(query().to_wire())[:-1]):
        reader, writer = await service.dot()
        writer.write(begun)
        await ended(reader)
        writer.close()
    assert service.counters["dot_idle_closed"] == 3
    assert not service.listeners._dot.connections


async def test_a_handshake_that_does_not_go_on_is_cut(serve):
    """Half-open handshakes hold a place for the deadline and no longer."""
    service = await serve(handshake_deadline=0.5)
    begun = []
    for first in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.dot_port)
            writer.write(first)
            begun.append((reader, writer))
    await until(lambda: service.counters["dot_connections"] == 30)
    for reader, writer in begun:
        await ended(reader)
        writer.close()
    assert service.counters["dot_handshakes_failed"] == 30
    await until(lambda: not service.listeners._dot.connections)


@pytest.mark.parametrize(
    "bytes_", [b"GET / HTTP/1.0\r\n\r\n", bytes(64), framed(query().to_wire())], ids=repr
)
async def test_what_is_no_tls_is_closed_and_counted(serve, bytes_):
    service = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.dot_port)
    writer.write(bytes_)
    await ended(reader)
    writer.close()
    assert service.counters["dot_handshakes_failed"] == 1
    assert service.counters["handler_errors"] == 0


async def test_a_record_that_was_changed_on_the_way_ends_the_connection(serve):
    service = await serve()
    reader, writer = await service.dot()
    raw = writer.transport.get_extra_info("socket")
    os.write(raw.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    await ended(reader)
    assert service.counters["dot_malformed"] == 1
    writer.close()


async def test_5358_a_stranger_is_turned_away_before_the_handshake(serve):
    service = await serve(settings={"allow_clients": ()})
    with pytest.raises(OSError):
        await service.dot()
    assert service.counters["refused_acl"] == 1
    assert service.counters["dot_handshakes_failed"] == 0
    assert not service.listeners._dot.connections


async def test_limits_for_a_client_and_in_all(serve):
    service = await serve(connections=5, connections_per_client=3)
    held = [await service.dot() for _ in range(3)]
    for _ in range(4):
        with pytest.raises(OSError):
            await service.dot()
    assert service.counters["dot_connections_refused"] == 4
    held += [await service.dot(local_addr=("127.0.0.2", 0)) for _ in range(2)]
    with pytest.raises(OSError):
        await service.dot(local_addr=("127.0.0.3", 0))
    _, writer = held.pop()
    writer.close()
    await until(lambda: len(service.listeners._dot.connections) == 4)
    held.append(await service.dot(local_addr=("127.0.0.3", 0)))
    await asked(*held[-1], query())
    for _, writer in held:
        writer.close()


async def test_handshakes_cost_tokens_so_that_a_flood_of_them_is_cheap(serve):
    service = await serve(settings={"rate": RateLimit(per_second=1, burst=60)})
    outcomes = []
    for _ in range(6):
        try:
            _, writer = await service.dot()
            writer.close()
            outcomes.append(True)
        except OSError:
            outcomes.append(False)
    assert outcomes == [True] * 3 + [False] * 3
    assert service.counters["dot_handshakes_refused"] == 3


async def test_queries_of_a_connection_are_counted_and_end_it(serve):
    service = await serve(queries_per_connection=10)
    reader, writer = await service.dot()
    writer.write(framed(query().to_wire()) * 30)
    for _ in range(10):
        await receive(reader)
    with pytest.raises(asyncio.IncompleteReadError):
        await receive(reader)
    assert service.counters["dot_query_limit"] == 1
    writer.close()


@pytest.mark.parametrize("size", [0, 11])
async def test_a_length_that_no_message_has_ends_the_connection(serve, size):
    service = await serve()
    reader, writer = await service.dot()
    writer.write(size.to_bytes(2, "big") + bytes(size))
    await ended(reader)
    assert service.counters["dot_malformed"] == 1
    writer.close()


async def test_7766_what_was_asked_before_the_good_bye_is_answered(serve):
    """A TLS client that says close_notify still gets its answers (RFC 8446 section 6.1)."""
    service = await serve()

    def talk():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = service.context().wrap_bio(incoming, outgoing, server_hostname=NAME)
        with socket.create_connection(("127.0.0.1", service.dot_port), 30) as sock:

            def step(action):
                while True:
                    try:
                        return action()
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        data = sock.recv(65_536)
                        if not data:
                            return b""
                        incoming.write(data)

            step(tls.do_handshake)
            tls.write(framed(query().to_wire()) * 3)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.unwrap()
            sock.sendall(outgoing.read())
            data = b""
            while part := sock.recv(65_536):
                data += part
            return len(data)

    assert await asyncio.to_thread(talk) > 3 * 40


async def test_a_client_that_does_not_read_is_paused_and_cut(serve):
    service = await serve(write_buffer=16_384, message_deadline=1.0, queries_per_connection=10**6)
    padding = [dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")]
    message = framed(query(use_edns=0, options=padding).to_wire())
    _, writer = await service.dot()
    writer.transport.pause_reading()
    with contextlib.suppress(OSError):
        for _ in range(400):
            writer.write(message * 100)
            async with asyncio.timeout(5):
                await writer.drain()
    await until(lambda: service.counters["dot_idle_closed"] == 1)
    await until(lambda: not service.listeners._dot.connections)
    writer.close()


async def test_listeners_that_stop_accepting_finish_what_is_open(serve):
    service = await serve()
    reader, writer = await service.dot()
    service.listeners.stop_accepting()
    with pytest.raises(ConnectionRefusedError):
        await service.dot()
    await asked(reader, writer, query())
    await service.listeners.close()
    assert await reader.read() == b""
    writer.close()
