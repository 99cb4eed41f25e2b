"""A PostgreSQL cluster of one's own: made, started, killed and removed; for tests and the bench.

Real in everything that matters: fsync is on, commits are synchronous. PostgreSQL refuses to run as root, so
as root it runs as the user ``postgres`` of Debian's package. Listens on the loopback only, with no password.
It ends with the thread that started it, however that ends.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from harness.process import descendants

_ROOT = Path("/usr/lib/postgresql")
_START_SECONDS = 120.0
_USER = "postgres"
_PLACE = "/var/tmp"  # noqa: S108 - mkdtemp makes a folder of the owner's only
_BASICS = {"unix_socket_directories": "", "listen_addresses": "127.0.0.1"}


class PostgresFailed(Exception):
    """A program of PostgreSQL failed; the text has the end of its log."""


class Cluster:
    """One cluster in one folder; a context manager that ends it and removes the folder.

    Args:
        folder: its folder, made by ``make`` or ``standby``.
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, parent: Path | None = None) -> Self:
        """Make a new cluster (initdb), not yet started.

        Args:
            parent: where to make its folder, e.g. on a small file system; others must be able to enter it.
        """
        cluster = cls(_new_folder(parent), free_port())
        # Locale C: sorting by bytes, as SQLite does, and the same on every machine.
        options = ["--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={_USER}"]
        cluster.run("initdb", *options, "-D", str(cluster.data))
        return cluster

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def url(self, database: str) -> str:
        """Return the URL of one of its databases, as filterd takes it."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def start(self, *, on_tmpfs: str = "", **options: str) -> Self:
        """Start it; return when it takes connections.

        Args:
            on_tmpfs: size of a file system in memory, e.g. ``64m``, over the folder of the data, which are
                copied there. Only this start's processes see it; it ends with them.
            options: settings of postgresql.conf.

        Raises:
            PostgresFailed: it ended, or takes no connection in time.
        """
        pairs = [f"-c{name}={value}" for name, value in (_BASICS | options).items()]
        argv = [program("postgres"), "-D", str(self.data), "-p", str(self.port), *pairs]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(_mounted(on_tmpfs, self.data) if on_tmpfs else ()),
                    *("setpriv", "--pdeathsig", "QUIT", *_AS_USER, *argv),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it in order
            )
        probe = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if subprocess.run(probe, check=False).returncode == 0 and self._process.poll() is None:
                return self
            time.sleep(0.02)
        raise PostgresFailed(f"PostgreSQL did not start: {self.log.read_text('utf-8', 'replace')[-2000:]}")

    @property
    def pid(self) -> int | None:
        """The first process of a running cluster."""
        return self._process.pid if self._process else None

    def kill(self) -> None:
        """Kill all of it at once as the kernel would (-9), with nothing flushed or said."""
        if self._process is not None:
            pids = [self._process.pid, *descendants(self._process.pid)]
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            # The next start refuses while a process still has the shared memory.
            while any(_runs(pid) for pid in pids[1:]):
                time.sleep(0.005)

    def stop(self) -> None:
        """Stop it in order ("fast": transactions under way are rolled back)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def remove(self) -> None:
        """End it at once and remove its folder; safe to call twice."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def standby(self, name: str) -> Cluster:
        """Return a copy of the running cluster that will follow it (not yet started).

        Args:
            name: its ``application_name``, for ``synchronous_standby_names`` of this cluster.
        """
        copy = Cluster(_new_folder(None), free_port())
        source = f"host=127.0.0.1 port={self.port} user={_USER} application_name={name}"
        copy.run("pg_basebackup", "-d", source, "-D", str(copy.data), "-R", "--checkpoint=fast")
        return copy

    def promote(self) -> None:
        """Make a standby a primary; returns when it takes writes."""
        self.run("pg_ctl", "promote", "-D", str(self.data), "--wait")

    def run(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as the cluster's user and return its output.

        Raises:
            PostgresFailed: it failed.
        """
        done = subprocess.run(
            ["setpriv", *_AS_USER, program(name), *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresFailed(f"{name} failed: {done.stderr[-2000:]}")
        return done.stdout


# Options of setpriv(1): root gives up being root, anybody else stays who they are.
_AS_USER = ("--reuid", _USER, "--regid", _USER, "--init-groups") if os.geteuid() == 0 else ()


def _mounted(size: str, data: Path) -> tuple[str, ...]:
    """Return the command before another that gives it a small file system over ``data``."""
    own = () if os.geteuid() == 0 else ("--user", "--map-current-user", "--keep-caps")
    script = (
        'cp -a "$1" "$1.copy" && mount -t tmpfs -o "size=$0,mode=700" none "$1" && cp -a "$1.copy/." "$1"'
        ' && shift && exec "$@"'
    )
    return ("unshare", "--mount", *own, "sh", "-c", script, size, str(data))


def program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL server installed.

    Raises:
        PostgresFailed: none is.
    """
    found = sorted(_ROOT.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise PostgresFailed(f"no {name} below {_ROOT}: sudo apt-get install postgresql")
    return str(found[-1])


def free_port() -> int:
    """Return a port of the loopback that was free a moment ago."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _new_folder(parent: Path | None) -> Path:
    # /tmp may be memory, where fsync means nothing, and pytest's folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="filterd-postgres-", dir=parent or _PLACE))
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
