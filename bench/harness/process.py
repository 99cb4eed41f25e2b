"""A server as the bench sees it: one core, its own folder, its processes and their CPU time.

Ends only processes it started. Frozen servers (SIGSTOP) keep their memory and disturb nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_FILES = 65_536  # descriptors: a resolver opens a socket for each question under way
_PROBE_EVERY = 0.002
_IDLE_FOR, _IDLE_SHARE = 0.5, 0.05
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOERROR, _NXDOMAIN, _REFUSED = 0, 3, 5


class StartFailed(Exception):
    """The server ended, or did not answer in time; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a server: arguments, extra environment, folder."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """How long a start took, in seconds: until anything was answered, until a listed name was blocked."""

    first_answer: float
    first_block: float


def free_ports(first: int) -> Iterator[int]:
    """Yield ports from ``first`` on at which nobody answers."""
    for port in range(first, first + 1000):
        with contextlib.suppress(StartFailed):
            check_free(port)
            yield port


def check_free(port: int) -> None:
    """Check that nobody answers on a port already: the figures would be of that one.

    Raises:
        StartFailed: somebody does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartFailed(f"UDP port {port} is taken: is another bench running?") from error


class Server:
    """A running server with everything it forked; a context manager that ends it."""

    def __init__(self, command: Command, cores: str) -> None:
        self.log = command.folder / "log.txt"
        affinity = core_set(cores)

        def prepare() -> None:
            os.sched_setaffinity(0, affinity)
            _many_files()
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a bench that is killed leaves nothing behind

        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env={**os.environ, **command.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - single-threaded here
            )
        self.begun = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Return the processes of the server, the first one first."""
        return [self._process.pid, *descendants(self._process.pid)]

    def alive(self) -> bool:
        """Return whether the first process still runs."""
        return self._process.poll() is None

    def cpu(self) -> float:
        """Return the CPU seconds used so far by all its threads and processes, ended children included."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        """Return the CPU seconds used so far by each of its processes."""
        return {pid: cpu_seconds(pid) for pid in self.pids}

    def stays(self, seconds: float = 0.2) -> bool:
        """Return whether it still runs after some time: it could take its port."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.alive()

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until it is idle: some go on with their start after their first answers."""
        end = time.perf_counter() + timeout
        while time.perf_counter() < end:
            before = self.cpu()
            time.sleep(_IDLE_FOR)
            if self.cpu() - before <= _IDLE_FOR * _IDLE_SHARE:
                return

    def freeze(self) -> None:
        """Stop all its processes where they are; settle first: a timeout of a start must not be running."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, grace: float = 10.0) -> None:
        """End it: SIGTERM, and SIGKILL to what is left after ``grace`` seconds."""
        self.thaw()
        pids = self.pids
        if self.alive():
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def wait_started(self, port: int, listed: str, allowed: str, timeout: float) -> Started:
        """Wait until the server answers, and until it blocks; return when that was.

        Raises:
            StartFailed: it ended, or took longer than ``timeout`` seconds.
        """
        first: float | None = None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.25)
            probe.connect(("127.0.0.1", port))
            while (waited := time.perf_counter() - self.begun) < timeout and self.alive():
                if first is None and _ask(probe, allowed) is not None:
                    first = time.perf_counter() - self.begun
                if first is not None and blocked(_ask(probe, listed)):
                    return Started(first, time.perf_counter() - self.begun)
                time.sleep(_PROBE_EVERY if waited < 1 else 0.02)
        tail = " ".join(self.log.read_text("utf-8", "replace").split())[-400:]
        state = "did not block in time" if self.alive() else f"ended with {self._process.returncode}"
        raise StartFailed(f"{state}: {tail or 'nothing in its log'}")


def core_set(cores: str) -> set[int]:
    """Return ``0,2-3`` as the set of these cores.

    Raises:
        ValueError: not such a text.
    """
    found: set[int] = set()
    for part in cores.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def descendants(pid: int) -> Iterator[int]:
    """Yield the children of a process and theirs."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from descendants(child)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds of a process and of its children that ended; 0 once it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()  # proc(5): utime is field 14, counted from the pid
    return sum(map(int, fields[11:15])) * _TICK


def core_seconds(core: int) -> float:
    """Return the seconds that a core was busy or taken away by the host, for anyone."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq + steal) * _TICK
    return 0.0


def _ask(probe: socket.socket, name: str) -> bytes | None:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0\0\1\0\1"
    identity = os.urandom(2)
    try:
        probe.send(identity + b"\1\0\0\1\0\0\0\0\0\0" + question)
        while True:
            packet = probe.recv(2048)
            if packet[:2] == identity:
                return packet
    except (TimeoutError, ConnectionRefusedError):
        return None


def blocked(packet: bytes | None) -> bool:
    """Return whether an answer to a question for an address blocks: NXDOMAIN, REFUSED, nothing or 0.0.0.0."""
    if packet is None:
        return False
    rcode, answers = packet[3] & 15, packet[6] << 8 | packet[7]
    if rcode in (_NXDOMAIN, _REFUSED):
        return True
    return rcode == _NOERROR and (not answers or packet.endswith(b"\0\4\0\0\0\0"))
