"""Keeps child processes alive: starts, watches, restarts, replaces and stops them.

Generic: it knows commands, not DNS. A child that dies is started again at once, and more slowly only if
it keeps dying young. A child learns of the supervisor's own death by the end of its standard input, so a
``kill -9`` here leaves no orphan behind. A replacement serves before the one it replaces ends: whatever both
share, sockets above all, is never without a reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import structlog

from filterd.errors import StartError

log = structlog.get_logger(__name__)

READY = b"ready\n"
_YOUNG = 5.0  # seconds: a child that dies younger than this is restarted more and more slowly
_SLOWEST = 5.0
_GRACE = 10.0
_NOT_STARTED = 127  # what a shell says of a command that it could not start


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start a child.

    Args:
        name: for logs and status.
        argv: the command.
        plan: written to its standard input first, prefixed by its length (8 bytes, big endian).
        pass_fds: descriptors it inherits under the same numbers.
    """

    name: str
    argv: Sequence[str]
    plan: bytes
    pass_fds: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What is known of a child now; ``seconds`` since its process was started."""

    name: str
    pid: int
    ready: bool
    restarts: int
    seconds: float


class Child:
    """One command kept alive until :meth:`stop`."""

    def __init__(self, spec: ChildSpec, restarts: int = 0) -> None:
        self.spec = spec
        self.restarts = restarts
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0
        self._ready_now = False
        self._was_ready = asyncio.Event()
        self._settled = asyncio.Event()  # ready, or ended before
        self._stopping = asyncio.Event()
        self._first_exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watchers: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._keep())

    def status(self) -> ChildStatus:
        """Return what is known of the child now."""
        pid = self._process.pid if self._process is not None else 0
        return ChildStatus(self.spec.name, pid, self._ready_now, self.restarts, monotonic() - self._started)

    async def until_ready(self) -> None:
        """Wait until the child says that it is ready for the first time.

        Raises:
            StartError: it ended before that; it has said why on standard error.
        """
        self._first_exit.add_done_callback(lambda _: self._settled.set())
        await self._settled.wait()
        if not self._was_ready.is_set():
            raise StartError(
                f"{self.spec.name} ended with status {self._first_exit.result()} before it was ready",
                remedy="the lines above say why",
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child if it lives."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask the child to end (SIGTERM), wait for its grace, then kill it."""
        self._stopping.set()
        self.signal(signal.SIGTERM)
        _, late = await asyncio.wait({self._task}, timeout=_GRACE)
        if late:
            log.warning("child_killed", child=self.spec.name)
            self.signal(signal.SIGKILL)
            await self._task

    async def _keep(self) -> None:
        delay = 0.0
        while True:
            began = monotonic()
            try:
                code = await self._run_once()
            except OSError as error:  # no descriptor, no memory, no process left: that passes
                code = _NOT_STARTED
                log.error("child_not_started", child=self.spec.name, error=str(error))  # noqa: TRY400
            if not self._first_exit.done():
                self._first_exit.set_result(code)
            if self._stopping.is_set() or not self._was_ready.is_set():
                return
            lived = monotonic() - began
            self.restarts += 1
            log.error(
                "child_died", child=self.spec.name, status=code, lived=round(lived, 1), restart_in=delay
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
                return
            delay = 0.0 if lived > _YOUNG else min(_SLOWEST, delay * 2 + 0.1)

    async def _run_once(self) -> int:
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.spec.argv,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(*self.spec.pass_fds, writing),
                env={**os.environ, "FILTERD_READY_FD": str(writing)},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone; it ends the others in order
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._process, self._started, self._ready_now = process, monotonic(), False
        watcher = asyncio.create_task(self._watch_ready(reading))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        assert process.stdin is not None  # noqa: S101 - PIPE was asked for
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(len(self.spec.plan).to_bytes(8) + self.spec.plan)
            await process.stdin.drain()
        if self._stopping.is_set():
            self.signal(signal.SIGTERM)
        code = await process.wait()
        self._ready_now = False
        return code

    async def _watch_ready(self, reading: int) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        os.set_blocking(reading, False)
        loop.add_reader(reading, readable.set)
        try:
            await readable.wait()
            if os.read(reading, len(READY)) == READY:
                self._ready_now = True
                self._was_ready.set()
                self._settled.set()
        finally:
            loop.remove_reader(reading)
            os.close(reading)


class Supervisor:
    """The children of this process, by name."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}

    def status(self) -> list[ChildStatus]:
        """Return what is known of each child."""
        return [child.status() for child in self._children.values()]

    async def start(self, specs: Sequence[ChildSpec], *, within: float = 60.0) -> None:
        """Start children, or replace those of the same names, and wait until each says it is ready.

        A child that is replaced ends only after its replacement is ready; if any new one does not get ready,
        all the new ones are stopped and the old ones stay.

        Raises:
            StartError: a child ended before it was ready, or was not ready in time.
        """
        new = []
        for spec in specs:
            old = self._children.get(spec.name)
            new.append(Child(spec, old.restarts if old is not None else 0))
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(child.until_ready() for child in new))
        except (TimeoutError, StartError) as error:
            await asyncio.gather(*(child.stop() for child in new))
            if isinstance(error, StartError):
                raise
            raise StartError("a child process did not become ready in time", remedy="see the log") from error
        replaced = [self._children[spec.name] for spec in specs if spec.name in self._children]
        self._children.update({child.spec.name: child for child in new})
        await asyncio.gather(*(child.stop() for child in replaced))

    async def stop(self, *names: str) -> None:
        """Stop children; none named: all."""
        stopping = [
            self._children.pop(name) for name in names or tuple(self._children) if name in self._children
        ]
        await asyncio.gather(*(child.stop() for child in stopping))

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to children."""
        for name in names:
            if name in self._children:
                self._children[name].signal(number)
