"""Between the shipper and the endpoint: lets requests through and loses answers, at random or all of them."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from typing import Self

_CHUNK = 65_536


class CuttingProxy:
    """Forwards connections to a port on 127.0.0.1; a context manager.

    Args:
        target: the endpoint's port.
        lose: share of the answers that are lost, 0 to 1: a part goes through, or nothing; then the connection
            ends.

    Attributes:
        cut: answers lost.
        passed: answers that went through.
    """

    def __init__(self, target: int, lose: float) -> None:
        self.target = target
        self.lose = lose
        self.cut = 0
        self.passed = 0
        self._dice = random.Random(3)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.target)) as server,
        ):
            self._open |= {client, server}
            upwards = threading.Thread(target=_pump, args=(client, server))
            upwards.start()
            while answer := server.recv(_CHUNK):
                # The endpoint has committed before it says anything: whatever is lost here is stored.
                if self._dice.random() < self.lose:
                    self.cut += 1
                    client.sendall(answer[: self._dice.choice((0, 1, len(answer) // 2, len(answer) - 1))])
                    break
                self.passed += 1
                client.sendall(answer)
            for sock in (client, server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            upwards.join()
            self._open -= {client, server}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
