"""Real and mutated packets through the live listener: it lives, answers right, stays small and quick.

FILTERD_PACKETS says how many mutated packets (a million in a longer run).
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from itertools import islice

import _figures
import pytest
from _ask import ask, receive, stream
from _listening import BATCH, SENTINEL, Gauge, Listening, check
from _mutations import heavy, mutated
from _product import DNS

PACKETS = int(os.environ.get("FILTERD_PACKETS", "20000"))
OVER_TCP = max(500, PACKETS // 50)
MIB = 1 << 20
LONGEST = 0.005  # seconds of CPU that no packet may cost (asked for in the project's goals)
GROWTH = 24 * MIB  # of memory after the first quarter: full tables breathe, a leak does not stop here

pytestmark = pytest.mark.realdata


def serves(product, pid):
    assert product.child(DNS) == pid, "another process"
    assert ask(product.v4, "1xbet.com").blocked
    assert ask(product.v4, f"n{random.getrandbits(40)}.example").data == ["198.51.100.9"]
    assert ask(product.v4, "1xbet.com", tcp=True).blocked


def over_tcp(product, packet):
    """Send a message and the sentinel on one connection; hold what comes back against what must.

    What is no query ends the connection; anything else is answered, and the sentinel after it.

    Returns:
        Whether the message was answered.
    """
    packet = b"\x01\x01"[: len(packet)] + packet[2:]  # another id than the sentinel's
    framed = b"".join(len(message).to_bytes(2, "big") + message for message in (packet, SENTINEL))
    replies = {}
    with stream(product.v4) as sock, contextlib.suppress(EOFError, ConnectionError):
        sock.sendall(framed)
        for _ in range(2):
            reply = receive(sock)
            replies[reply[:2]] = reply
    if len(packet) >= 12 and not packet[2] & 0x80:
        assert replies.keys() == {packet[:2], SENTINEL[:2]}, packet.hex()
        check(packet, replies[packet[:2]], limit=65_535)
        return True
    assert not replies, packet.hex()
    return False


@pytest.mark.parametrize("as_query", [False, True])
def test_the_real_messages_over_udp(product, messages, as_query):
    pid = product.child(DNS)
    listening = Listening(product)
    found = [m[:2] + b"\x01\x00" + m[4:] if as_query and len(m) > 4 else m for m in messages]
    for start in range(0, len(found), BATCH):
        listening.batch(found[start : start + BATCH])
    listening.finish()
    listening.close()
    assert not as_query or listening.answered > 200
    serves(product, pid)


@pytest.mark.parametrize("as_query", [False, True])
def test_the_real_messages_over_tcp(product, messages, as_query):
    pid = product.child(DNS)
    for message in messages:
        packet = message[:2] + b"\x01\x00" + message[4:] if as_query and len(message) > 4 else message
        over_tcp(product, packet)
    serves(product, pid)


@pytest.mark.timeout(120 + PACKETS // 500)
def test_mutated_packets_over_udp(product, seeds, dice):
    gauge = Gauge(product)
    listening = Listening(product)
    packets = mutated(seeds, dice)
    costs, sizes = [], []
    for _ in range(PACKETS // BATCH):
        some = list(islice(packets, BATCH))
        before = gauge.cpu()
        listening.batch(some)
        costs.append(gauge.cpu() - before)
        if len(costs) % 50 == 0:
            sizes.append(gauge.resident())
    listening.finish()
    listening.close()
    quarter = len(sizes) // 4
    average = sum(costs) / listening.sent
    _figures.note(
        "mutated packets over UDP",
        sent=listening.sent,
        answered=listening.answered,
        rcodes=dict(sorted(listening.rcodes.items())),
        cpu_each=f"{average * 1e6:.0f} us",
        worst_batch_of_32=f"{max(costs) * 1e3:.1f} ms",
        batches_over_5_ms=sum(cost > LONGEST for cost in costs),
        memory=f"{sizes[quarter] / MIB:.1f} MiB after a quarter, {sizes[-1] / MIB:.1f} at the end,"
        f" {max(sizes) / MIB:.1f} at most",
    )
    assert listening.answered > PACKETS // 2, "hardly any was a query: nothing was tested"
    assert average < LONGEST / 5
    assert max(sizes[quarter:]) - sizes[quarter] < GROWTH
    serves(product, gauge.pid)


@pytest.mark.timeout(120 + OVER_TCP // 100)
def test_mutated_packets_over_tcp(product, seeds, dice):
    gauge = Gauge(product)
    answered = 0
    for packet in islice(mutated(seeds, dice), OVER_TCP):
        answered += over_tcp(product, packet)
    _figures.note("mutated packets over TCP", sent=OVER_TCP, answered=answered)
    serves(product, gauge.pid)


@pytest.mark.parametrize("kind", heavy())
def test_what_costs_other_parsers_seconds_costs_nothing_here(product, kind):
    packet = heavy()[kind]
    assert 12 < len(packet) < 65_536
    gauge = Gauge(product)
    costs = []
    for _ in range(5):
        before = gauge.cpu()
        assert over_tcp(product, packet)
        costs.append(gauge.cpu() - before)
    # What is measured includes the connection, and the other threads of a process that serves.
    assert min(costs) < LONGEST, f"{min(costs) * 1e3:.2f} ms of CPU"
    _figures.note(f"  {kind}, {len(packet)} bytes", cpu=f"{min(costs) * 1e3:.2f} ms")
    serves(product, gauge.pid)


def test_datagrams_too_large_to_be_queries_are_ignored(product):
    pid = product.child(DNS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", product.port))
        sock.settimeout(20)
        for packet in heavy().values():
            sock.send(packet[:65_507])
        sock.send(SENTINEL)
        assert sock.recv(65_535)[:2] == SENTINEL[:2], "the first answer is the sentinel's"
    serves(product, pid)
