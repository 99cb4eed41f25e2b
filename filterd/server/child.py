"""The child's end of the supervisor's protocol: read the plan, say ready, notice the supervisor's death."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

from filterd.errors import FilterdError
from filterd.server.supervisor import READY

LAST_SECONDS = 15.0  # a little more than the supervisor's own patience


def read_plan() -> bytes:
    """Return the plan that the supervisor writes to standard input first.

    Raises:
        EOFError: the supervisor ended before it had written the plan.
    """
    stream = sys.stdin.buffer
    size = int.from_bytes(_exactly(stream.read(8), 8))
    return _exactly(stream.read(size), size)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise EOFError("the plan was cut short")
    return data


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a child's coroutine; an error raised on purpose ends it with one line and status 1."""
    try:
        asyncio.run(main)
    except FilterdError as error:
        sys.stderr.write(f"filterd: {error}\n")
        sys.exit(1)


def say_ready() -> None:
    """Tell the supervisor that this child serves."""
    number = os.environ.pop("FILTERD_READY_FD", None)
    if number is not None:
        with contextlib.suppress(BrokenPipeError):  # it is gone: the end of standard input says so as well
            os.write(int(number), READY)
        os.close(int(number))


def stop_event() -> asyncio.Event:
    """Return an event that is set on SIGTERM or when the supervisor is gone.

    From then on the process has :data:`LAST_SECONDS`. The supervisor kills who takes longer, but when it is
    the supervisor that died, nobody does, and an orphan would keep the sockets from the next one.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def end() -> None:
        if not stop.is_set():
            stop.set()
            last = threading.Timer(LAST_SECONDS, _cut_off)
            last.daemon = True
            last.start()

    loop.add_signal_handler(signal.SIGTERM, end)
    descriptor = sys.stdin.fileno()
    os.set_blocking(descriptor, False)

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            end()

    loop.add_reader(descriptor, readable)
    return stop


def _cut_off() -> None:
    sys.stderr.write("filterd: this process did not end in time and is cut off\n")
    sys.stderr.flush()
    os._exit(1)
