"""Constant load: questions at a steady rate from several sockets, every answer looked at, none forgotten."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from _ask import question
from _programs import PATIENCE, Server

RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
Names = Callable[[int], str]
"""The name of the n-th question."""


def state(packet: bytes) -> str:
    """Return what an answer to A without EDNS says: its only address, or its rcode."""
    rcode = packet[3] & 0x0F
    if rcode == 0 and packet[6:8] == b"\x00\x01":
        return socket.inet_ntoa(packet[-4:])
    return RCODES.get(rcode, str(rcode))


@dataclass
class Outcome:
    """What came of the load.

    Attributes:
        asked: questions sent.
        lost: names that got no answer.
        wrong: (name, state) that was not allowed, or a reply that fits no question.
        seen: state of each answer in the order of the questions, by (socket, name).
    """

    asked: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    seen: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def clean(self) -> Outcome:
        """Fail if anything was lost or wrong."""
        assert self.asked, "nothing was asked"
        assert not self.lost, f"{len(self.lost)} of {self.asked} lost: {self.lost[:5]}"
        assert not self.wrong, f"{len(self.wrong)} of {self.asked} wrong: {self.wrong[:5]}"
        return self

    def switched(self, name: str, before: str, after: str) -> None:
        """Fail unless each socket saw a name change once, from one state to the other, and never back."""
        histories = [seen for (_, one), seen in self.seen.items() if one == name]
        assert histories
        for seen in histories:
            assert seen == sorted(seen, key=(before, after).index), f"{name} went back and forth"
        assert any(before in seen for seen in histories)
        assert any(seen[-1] == after for seen in histories)


class Load:
    """Asks until :meth:`stop`.

    Args:
        server: whom.
        names: see `Names`.
        allowed: name -> states that its answers may have; a name that is not there may have any.
        rate: questions a second, over all sockets.
        sockets: so many clients' sockets; with several DNS processes each is served by one of them.
        patience: seconds after which an answer counts as lost.
    """

    def __init__(
        self,
        server: Server,
        names: Names,
        allowed: Callable[[str], set[str] | None],
        *,
        rate: int = 500,
        sockets: int = 8,
        patience: float = 20.0,
        sources: tuple[str, ...] = ("127.0.0.1",),
    ) -> None:
        self._server = server
        self._names = names
        self._allowed = allowed
        self._rate = rate
        self._patience = patience
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(sockets)]
        for number, sock in enumerate(self._sockets):
            sock.bind((sources[number % len(sources)], 0))
            sock.connect((server.host, server.port))
            sock.setblocking(False)
        self._stop = threading.Event()
        self._answered: dict[int, str] = {}
        self._thread = threading.Thread(target=self._run)
        self._error: BaseException | None = None
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for sock in self._sockets:
            sock.close()

    def stop(self) -> Outcome:
        """Ask no more, wait for the answers that are due, and tell what came of it."""
        self._stop.set()
        self._thread.join(PATIENCE)
        if self._error is not None:
            raise self._error
        outcome = Outcome(self.asked)
        for number in range(self.asked):
            name, said = self._names(number), self._answered.get(number)
            if said is None:
                outcome.lost.append(name)
                continue
            allowed = self._allowed(name)
            if allowed is not None and said not in allowed:
                outcome.wrong.append((name, said))
            outcome.seen[number % len(self._sockets), name].append(said)
        return outcome

    def next(self) -> str:
        """Return a name that is asked for after this call."""
        return self._names(self.asked + 1)

    def more(self, count: int = 300) -> None:
        """Wait until so many more questions were asked."""
        wanted = self.asked + count
        limit = time.monotonic() + PATIENCE
        while self.asked < wanted and self._thread.is_alive():
            assert time.monotonic() < limit
            time.sleep(0.01)

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:  # noqa: BLE001 - told by stop(), in the test's own thread
            self._error = error

    def _loop(self) -> None:
        pending: list[dict[int, tuple[int, bytes]]] = [{} for _ in self._sockets]
        began = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for at, sock in enumerate(self._sockets):
                selector.register(sock, selectors.EVENT_READ, at)
            while True:
                now = time.monotonic()
                if not self._stop.is_set():
                    while self.asked < (now - began) * self._rate:
                        self._send(pending)
                        last = now
                elif not any(pending) or now - last > self._patience:
                    return
                for key, _ in selector.select(0.005):
                    self._take(self._sockets[key.data], pending[key.data])

    def _send(self, pending: list[dict[int, tuple[int, bytes]]]) -> None:
        number = self.asked
        at = number % len(self._sockets)
        query = question(self._names(number), edns=False)
        query.id = number // len(self._sockets) & 0xFFFF
        wire = query.to_wire()
        pending[at][query.id] = number, wire[12:]
        self._sockets[at].send(wire)
        self.asked = number + 1

    def _take(self, sock: socket.socket, pending: dict[int, tuple[int, bytes]]) -> None:
        while True:
            try:
                packet = sock.recv(4096)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            number, asked = pending.pop(int.from_bytes(packet[:2], "big"))  # a second answer has no place
            assert packet[2] & 0x80
            assert packet[12 : 12 + len(asked)] == asked, "an answer to another question"
            self._answered[number] = state(packet)
