"""An upstream that writes down what it is asked, and that can be slow, silent or wrong when told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import dns.message
import dns.rrset
from _programs import Server

Behaviour = Callable[[dns.message.Message], dns.message.Message | list[dns.message.Message] | None]


def address(query: dns.message.Message) -> dns.message.Message:
    """Answer everything with one address; a first label ``waitN`` takes N milliseconds."""
    reply = dns.message.make_response(query, recursion_available=True, our_payload=1232)
    name = query.question[0].name
    if query.question[0].rdtype == 1:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "198.51.100.99"))
    label = name.labels[0].decode("latin-1").lower()
    if label.startswith("wait"):
        time.sleep(int(label[4:]) / 1000)
    return reply


class Stub:
    """Answers over UDP until closed, each question in a thread of its own.

    Args:
        behaviour: query -> reply or several replies, None for silence.
    """

    def __init__(self, behaviour: Behaviour = address) -> None:
        self.behaviour = behaviour
        self.asked: list[dns.message.Message] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.server = Server("127.0.0.1", self._socket.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def names(self) -> list[str]:
        """The names asked for, lower case."""
        return [query.question[0].name.to_text().lower() for query in list(self.asked)]

    def close(self) -> None:
        """Stop."""
        self._ending = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.server.port))
        self._thread.join()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            packet, peer = self._socket.recvfrom(65_535)
            if self._ending:
                return
            query = dns.message.from_wire(packet)
            self.asked.append(query)
            thread = threading.Thread(target=self._answer, args=(query, peer))
            self._threads.append(thread)
            thread.start()

    def _answer(self, query: dns.message.Message, peer: tuple[str, int]) -> None:
        replies = self.behaviour(query) or []
        for reply in replies if isinstance(replies, list) else [replies]:
            self._socket.sendto(reply.to_wire(), peer)
