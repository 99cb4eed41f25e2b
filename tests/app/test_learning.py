from __future__ import annotations

import socket
import threading

import dns.flags
import dns.message
import dns.rrset
import pytest

from filterd.app import learning
from filterd.app.learning import Availability, availability
from filterd.server.settings import Endpoint
from filterd.wire import names


class Answers(threading.Thread):
    """A filter that answers by the first label: yes, none, null, blocked; any other with silence."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.asked: set[str] = set()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self.sock.getsockname())

    def run(self) -> None:
        while True:
            packet, source = self.sock.recvfrom(4096)
            if not packet:
                return
            query = dns.message.from_wire(packet)
            name = query.question[0].name.to_text()
            self.asked.add(name)
            reply = dns.message.make_response(query)
            reply.flags |= dns.flags.RA
            kind = name.partition(".")[0].rstrip("0123456789")
            if kind in ("yes", "blocked"):
                address = "192.0.2.1" if kind == "yes" else "0.0.0.0"
                reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", address))
            if kind == "blocked":
                reply.use_edns(options=[dns.edns.EDEOption(15, "games")])
            if kind != "silent":
                self.sock.sendto(reply.to_wire(), source)


@pytest.fixture
def filter_():
    running = Answers()
    running.start()
    yield running
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", tuple(running.sock.getsockname()))
    running.join()
    running.sock.close()


def sites(*texts: str) -> list[bytes]:
    return [names.from_text(text) for text in texts]


def test_only_an_address_that_is_not_a_block_counts(filter_):
    asked = sites("yes.kz", "yes2.kz", "none.kz", "blocked.kz")
    assert availability(asked, filter_.endpoint) == Availability(4, 2)


def test_who_is_silent_is_not_waited_for_longer_than_told(filter_, monkeypatch):
    monkeypatch.setattr(learning, "PATIENCE", 0.5)
    assert availability(sites("yes.kz", "silent.kz"), filter_.endpoint) == Availability(2, 1)


def test_of_many_sites_a_sample_is_asked_for(filter_):
    many = sites(*(f"yes{number}.kz" for number in range(200)))
    assert availability(many, filter_.endpoint) == Availability(learning.SAMPLE, learning.SAMPLE)
    assert len(filter_.asked) == learning.SAMPLE


def test_nothing_listens_and_nothing_to_ask():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        free = Endpoint(*sock.getsockname())
    assert availability(sites("yes.kz"), free) == Availability(1, 0)
    assert availability([], free) == Availability(0, 0)
