"""Steady load of blocked lookups: numbered names over UDP, from several ports, asked and answered noted."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

DOMAIN = b"\x051xbet\x03com\x00"
TAIL = b"\x00\x01\x00\x01"  # A, IN
_TICK = 0.01


def text(number: int) -> str:
    """Return the numbered name as the store has it."""
    return f"n{number}.1xbet.com"


def packet(number: int) -> bytes:
    """Return a query for the numbered name."""
    label = b"n%d" % number
    head = (number & 0xFFFF).to_bytes(2, "big") + b"\x01\x00\x00\x01" + bytes(6)
    return head + bytes((len(label),)) + label + DOMAIN + TAIL


def number_of(reply: bytes) -> int:
    """Return which numbered name a reply is about."""
    return int(reply[14 : 13 + reply[12]])


class Load(threading.Thread):
    """Asks until stopped; a context manager.

    Args:
        port: of the filter on 127.0.0.1.
        per_second: questions.
        flows: source ports, among which the kernel spreads the workers.
        again: share of the questions that are for a name asked before.

    Attributes:
        flows: as given.
        asked: number -> times it was asked.
        sent: (time, flow, number) of each question, in order.
        answers: (time, flow, number) of each answer, in order.
    """

    def __init__(self, port: int, *, per_second: int, flows: int = 16, again: float = 0.1) -> None:
        super().__init__(daemon=True)
        self.asked: Counter[int] = Counter()
        self.sent: list[tuple[float, int, int]] = []
        self.answers: list[tuple[float, int, int]] = []
        self._again = again
        self.flows = flows
        self._step = per_second * _TICK
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
        self._flow_of = {sock.fileno(): flow for flow, sock in enumerate(self._sockets)}
        self._poll = select.poll()
        for sock in self._sockets:
            sock.connect(("127.0.0.1", port))
            sock.setblocking(False)
            self._poll.register(sock, select.POLLIN)
        self._dice = random.Random(1)
        self._next = 1
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more; take what answers still come for a moment."""
        self._ending.set()
        if self.is_alive():
            self.join()
        for sock in self._sockets:
            sock.close()

    @property
    def answered(self) -> dict[int, float]:
        """When each name was answered last."""
        return {number: at for at, _, number in self.answers}

    def run(self) -> None:
        due = time.monotonic()
        credit = 0.0
        while not self._ending.is_set():
            credit += self._step
            for _ in range(int(credit)):
                self._ask()
            credit %= 1
            due += _TICK
            self._receive(due)
            due = max(due, time.monotonic() - 0.1)  # after a pause of this machine no burst follows
        self._receive(time.monotonic() + 1.0)

    def _ask(self) -> None:
        if self._next > 1 and self._dice.random() < self._again:
            number = self._dice.randint(max(1, self._next - 200), self._next - 1)
        else:
            number, self._next = self._next, self._next + 1
        flow = self._dice.randrange(len(self._sockets))
        # A refused send tells of an earlier datagram; this one may be on its way all the same.
        self.asked[number] += 1
        self.sent.append((time.monotonic(), flow, number))
        with contextlib.suppress(OSError):
            self._sockets[flow].send(packet(number))

    def _receive(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in self._poll.poll(left * 1000):
                flow = self._flow_of[descriptor]
                with contextlib.suppress(OSError):
                    while True:
                        reply = self._sockets[flow].recv(2048)
                        self.answers.append((time.monotonic(), flow, number_of(reply)))
