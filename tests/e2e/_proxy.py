"""A TCP proxy between the box and the endpoint that loses answers or refuses connections when told to."""

from __future__ import annotations

import contextlib
import socket
import threading

from _programs import free_port


class Proxy:
    """Passes bytes both ways.

    Args:
        port: of the endpoint, on loopback.

    Attributes:
        cuts: so many of the next answers are not passed on: the endpoint has done its work, and the
            connection ends before the box hears of it.
        halves: as ``cuts``, but half of the answer arrives.
        lost: answers that were not passed on.
    """

    def __init__(self, port: int) -> None:
        self.cuts = self.halves = self.lost = 0
        self._down = False
        self._target = port
        self.port = free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._closing = False
        self._begin(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def down(self) -> bool:
        """Whether connections end as soon as they are made; those there are end at once."""
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        self._down = value
        for sock in tuple(self._open) if value else ():
            self._end(sock)

    def close(self) -> None:
        """End every connection and thread."""
        self._closing = True
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass
        for sock in tuple(self._open):
            self._end(sock)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _begin(self, run, *args) -> None:
        thread = threading.Thread(target=run, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closing or self._down:
                client.close()
                if self._closing:
                    return
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            self._begin(self._pump, client, server, False)
            self._begin(self._pump, server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if answers and (self.cuts or self.halves):
                    if self.cuts:
                        self.cuts -= 1
                    else:
                        self.halves -= 1
                        sink.sendall(data[: len(data) // 2])
                    self.lost += 1
                    break
                sink.sendall(data)
        self._end(source)
        self._end(sink)

    def _end(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            sock.close()
        self._open.discard(sock)
