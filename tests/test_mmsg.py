"""Real datagrams on loopback, many in one system call."""

from __future__ import annotations

import socket

import pytest

from filterd import mmsg
from filterd.server.settings import Endpoint
from filterd.server.sockets import bind_all


def test_this_machine_has_both_calls():
    assert mmsg.available(), "64-bit Linux is what the project is tested on"


def server(host):
    (bound,) = bind_all((Endpoint(host, 0),), receive_buffer=1 << 20)
    bound.tcp.close()
    return bound.udp[0]


def exchange(host, target, *, wildcard=False, sizes_of=lambda sizes: sizes, count=10):
    """Send ``count`` datagrams, let them be echoed in upper case in one batch, return what comes back."""
    udp = server(host)
    family = udp.family
    with udp, socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((target, udp.getsockname()[1]))  # connected: takes answers from that address only
        for number in range(count):
            client.send(f"query {number}".encode())
        datagrams = mmsg.Datagrams(family, destinations=wildcard)
        assert datagrams.receive(udp.fileno()) == count
        lengths = datagrams.lengths(count)
        for at, length in zip(datagrams.offsets, lengths, strict=False):
            datagrams.data[at : at + length] = datagrams.data[at : at + length].upper()
        sizes = sizes_of(lengths)
        assert datagrams.send(udp.fileno(), sizes) == 0
        return [client.recv(2048) for size in sizes if size], datagrams


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_batch_is_answered_in_place(host):
    answers, _ = exchange(host, host)
    assert answers == [f"QUERY {number}".encode() for number in range(10)]


@pytest.mark.parametrize(("host", "target"), [("0.0.0.0", "127.0.0.3"), ("::", "::1")])
def test_2181_an_answer_leaves_from_the_address_that_was_asked(host, target):
    answers, _ = exchange(host, target, wildcard=True)
    assert len(answers) == 10


def test_slots_without_a_reply_are_left_out_and_the_next_batch_is_whole_again():
    udp = server("127.0.0.1")
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect(udp.getsockname())
        datagrams = mmsg.Datagrams(socket.AF_INET)
        for wanted in ([1, 4, 5], list(range(8)), [7], [0, 7]):
            for number in range(8):
                client.send(bytes((number, number)))
            assert datagrams.receive(udp.fileno()) == 8
            datagrams.send(udp.fileno(), [2 if number in wanted else 0 for number in range(8)])
            assert [client.recv(9)[0] for _ in wanted] == wanted


def test_each_answer_goes_to_its_own_client():
    udp = server("127.0.0.1")
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
    with udp:
        for number, client in enumerate(clients):
            client.settimeout(2)
            client.bind(("127.0.0.1", 0))
            client.sendto(f"{number}".encode(), udp.getsockname())
        datagrams = mmsg.Datagrams(socket.AF_INET)
        count = datagrams.receive(udp.fileno())
        assert count == 20
        datagrams.send(udp.fileno(), datagrams.lengths(count))
        for number, client in enumerate(clients):
            assert client.recv(100) == f"{number}".encode()
            client.close()


def test_a_refused_answer_costs_only_itself():
    """Destination port 0 cannot be sent to; what stands behind it in the batch still leaves."""
    udp = server("127.0.0.1")
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect(udp.getsockname())
        for number in range(3):
            client.send(bytes((number,)))
        datagrams = mmsg.Datagrams(socket.AF_INET)
        assert datagrams.receive(udp.fileno()) == 3
        datagrams._names[32 + 2 : 32 + 4] = bytes(2)
        assert datagrams.send(udp.fileno(), [1, 1, 1]) == 1
        assert [client.recv(9), client.recv(9)] == [b"\x00", b"\x02"]


def test_the_source_of_each_datagram_is_known():
    udp = server("127.0.0.1")
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.9", 0))
        client.sendto(b"x", udp.getsockname())
        datagrams = mmsg.Datagrams(socket.AF_INET)
        assert datagrams.receive(udp.fileno()) == 1
        assert datagrams.source_v4[0].to_bytes(4, "little") == socket.inet_aton("127.0.0.9")
        assert datagrams.sockaddr(0)[2:8] == client.getsockname()[1].to_bytes(2) + socket.inet_aton(
            "127.0.0.9"
        )


def test_nothing_waiting_is_no_error_and_an_oversized_datagram_is_marked():
    udp = server("127.0.0.1")
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        datagrams = mmsg.Datagrams(socket.AF_INET)
        assert datagrams.receive(udp.fileno()) == 0
        client.sendto(bytes(mmsg.SLOT + 1), udp.getsockname())
        client.sendto(bytes(mmsg.SLOT), udp.getsockname())
        assert datagrams.receive(udp.fileno()) == 2
        assert [datagrams.cut(0), datagrams.cut(1)] == [True, False]


def test_connected_sockets_need_no_addresses():
    udp = server("127.0.0.1")
    with udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        udp.settimeout(2)
        client.connect(udp.getsockname())
        datagrams = mmsg.Datagrams(None, slot=4096)
        for number in range(3):
            datagrams.data[datagrams.offsets[number] : datagrams.offsets[number] + 2] = b"q%d" % number
        assert datagrams.send(client.fileno(), [2, 2, 2]) == 0
        for number in range(3):
            question, address = udp.recvfrom(100)
            assert question == b"q%d" % number
            udp.sendto(bytes((number,)) * 4000, address)
        assert datagrams.receive(client.fileno()) == 3
        assert datagrams.lengths(3) == [4000] * 3
        assert datagrams.data[datagrams.offsets[1]] == 1
