"""Real programs for the end-to-end tests: unbound as upstream, ``filterd`` as a user starts it.

Every program carries a mark in its environment, which its children inherit: what still bears the mark after
the end is an orphan, and the test that left it fails.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMMAND = str(Path(sys.executable).parent / "filterd")
MARK = "FILTERD_E2E_MARK"
DNS, MONITOR = "filterd.app.worker", "filterd.app.endpoint"
READY = {"run": "Ctrl-C ends it.", "serve": "Ctrl-C ends it.", "monitor": "(Ctrl-C ends it)"}
PATIENCE = 60.0  # seconds until a test gives up; what should take milliseconds is never measured by it


@dataclass(frozen=True, slots=True)
class Server:
    """Where to send questions."""

    host: str
    port: int


def until(condition: Callable[[], Any], what: str = "it", seconds: float = PATIENCE) -> Any:
    """Wait until a condition holds and return what it returned."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """Return a port that is free for UDP and TCP on both loopbacks.

    Below the ephemeral range (32768 on Linux), so that no outgoing socket takes it meanwhile.
    """
    for _ in range(200):
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.ExitStack() as stack:
            try:
                for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        sock = stack.enter_context(socket.socket(family, kind))
                        if family == socket.AF_INET6:
                            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                        sock.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise
        return port
    raise AssertionError("no free port")


def marked(mark: str) -> dict[int, str]:
    """Return the living processes that bear a mark: pid -> command line."""
    found = {}
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if line:  # empty: ended, and not yet taken notice of by its parent
                    found[int(folder.name)] = line
    return found


class Program:
    """A process with its output in files, and all its descendants."""

    def __init__(self, argv: Sequence[str], folder: Path, *, limit_files: int = 0) -> None:
        self.mark = uuid.uuid4().hex
        if limit_files:
            argv = ["prlimit", f"--nofile={limit_files}:{limit_files}", *argv]
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / f"output-{self.mark[:6]}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, MARK: self.mark},
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text("utf-8", "replace")

    def say(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until the program said something."""
        until(lambda: text in self.said or self.process.poll() is not None, repr(text), seconds)
        assert text in self.said, self.said

    def end(self, number: signal.Signals = signal.SIGINT, seconds: float = 20.0) -> int:
        """Ask the program to end and return its status; nothing of it may be left."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end: {self.said}") from None
        self.gone()
        return status

    def kill(self) -> None:
        """End what is left, the hard way; for the end of a test."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in marked(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def gone(self, seconds: float = 15.0) -> None:
        """Wait until no process bears this program's mark; fail when one stays."""
        until(lambda: not marked(self.mark), f"the end of {marked(self.mark)}", seconds)


class Unbound(Program):
    """A real upstream: unbound with one zone of its own, the root, and no way out."""

    def __init__(self, folder: Path, zone: str, *, port: int | None = None, extra: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.server = Server("127.0.0.1", self.port)
        (folder / "root.zone").write_text(zone)
        config = folder / "unbound.conf"
        config.write_text(UNBOUND.format(port=self.port, folder=folder, extra=extra))
        super().__init__(["/usr/sbin/unbound", "-d", "-c", str(config)], folder)

    def wait(self) -> Unbound:
        """Wait until it answers."""
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"  # the root's NS
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect((self.server.host, self.port))
            limit = time.monotonic() + PATIENCE
            while True:
                assert self.process.poll() is None, self.said
                assert time.monotonic() < limit, self.said
                try:
                    sock.send(query)
                    if sock.recv(4096)[:2] == query[:2]:
                        return self
                except OSError:
                    time.sleep(0.02)

    def stop(self) -> None:
        """End it, as an upstream ends: from one moment to the next."""
        self.kill()


UNBOUND = """\
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  so-rcvbuf: 2m
  module-config: "iterator"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  max-udp-size: 4096
  minimal-responses: yes
  qname-minimisation: no
  msg-cache-size: 64m
  rrset-cache-size: 64m
  local-zone: "test." nodefault
  local-zone: "invalid." nodefault
{extra}
auth-zone:
  name: "."
  zonefile: "{folder}/root.zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
remote-control:
  control-enable: no
"""


class Filterd(Program):
    """``filterd run`` (or ``serve``, ``monitor``) with its own state folder and free ports.

    Args:
        folder: of configuration, state and output.
        config: what stands in the configuration; ``listen`` and the endpoint's address are filled in.
        command: the subcommand.
        args: more arguments.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        *,
        command: str = "run",
        args: Sequence[str] = (),
        limit_files: int = 0,
    ) -> None:
        self.command = command
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "filterd.yaml"
        folder.mkdir(parents=True, exist_ok=True)
        self.model = self._filled(config)
        self.config.write_text(yaml.safe_dump(self.model))
        argv = [COMMAND, command, "--config", str(self.config), "--state", str(self.state), *args]
        super().__init__(argv, folder, limit_files=limit_files)

    def _filled(self, config: dict[str, Any]) -> dict[str, Any]:
        self.port, self.monitor_port = free_port(), free_port()
        model = {"listen": [f"127.0.0.1:{self.port}", f"[::1]:{self.port}"], **config}
        monitor = {"listen": [f"127.0.0.1:{self.monitor_port}"], **model.get("monitor", {})}
        delivery = {"url": f"http://127.0.0.1:{self.monitor_port}", **model.get("delivery", {})}
        self.monitor_port = int(monitor["listen"][0].rpartition(":")[2])
        return {**model, "monitor": monitor, "delivery": delivery}

    @property
    def v4(self) -> Server:
        return Server("127.0.0.1", self.port)

    @property
    def v6(self) -> Server:
        return Server("::1", self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def wait(self) -> Filterd:
        """Wait until it serves."""
        self.say(READY[self.command])
        return self

    def child(self, module: str) -> int:
        """Return the pid of a child process, once it is there."""
        return int(until(lambda: self.children(module), module)[0])

    def children(self, module: str) -> list[int]:
        """Return the pids of the child processes of a kind that live now."""
        return sorted(pid for pid, line in marked(self.mark).items() if f"-m {module}" in line)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return list(self._log())

    def _log(self) -> Iterator[dict[str, Any]]:
        for line in self.said.splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)

    def logged(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until an event stands in the log so many times, and return these lines."""

        def found() -> list[dict[str, Any]]:
            lines = [line for line in self.log if line.get("event") == event]
            return lines if len(lines) >= times else []

        return list(until(found, event))

    def hang_up(self) -> None:
        """Send SIGHUP to the supervisor: take the policy anew."""
        self.process.send_signal(signal.SIGHUP)

    def change(self, **keys: Any) -> None:
        """Write the configuration anew, with other values than at the start; `run("reload")` takes them."""
        self.config.write_text(yaml.safe_dump({**self.model, **keys}))

    @property
    def workers(self) -> int:
        """How many DNS processes serve."""
        return len(self.children(DNS))

    def reload(self) -> None:
        """Send SIGHUP and wait until every DNS process serves the new policy."""
        with self.until_all("policy_switched"):
            self.hang_up()

    @contextlib.contextmanager
    def until_all(self, event: str, times: int = 0) -> Iterator[None]:
        """Wait at the end until an event stood in the log so many times more; 0: of every DNS process."""
        wanted = self._times(event) + (times or self.workers)
        yield
        self.logged(event, wanted)

    def _times(self, event: str) -> int:
        return sum(line.get("event") == event for line in self.log)

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another command of ``filterd`` on this configuration and state."""
        return filterd(*args, "--config", str(self.config), "--state", str(self.state))


def filterd(
    *args: str, timeout: float = PATIENCE, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of ``filterd`` to its end."""
    return subprocess.run(
        [COMMAND, *args], capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd
    )
