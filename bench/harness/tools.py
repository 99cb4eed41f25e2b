"""Makes and finds the programs: our C tools, Debian packages, Go peers.

A program that cannot be had is an answer with a reason. Installs by apt, or into the build folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = TOP / "bench" / "src"
_SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_GO_TIMEOUT = 1800


class Missing(Exception):
    """A program cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True)
class GoModule:
    """A peer that is built from the Go module proxy, at a version that was tried with this harness."""

    module: str
    version: str


def find(program: str) -> str:
    """Return the path of a program.

    Raises:
        Missing: it is not installed.
    """
    path = shutil.which(program, path=_SYSTEM_PATH)
    if path is None:
        raise Missing(f"{program} is not installed")
    return path


def make_c_tools(build: Path) -> Path:
    """Compile ``load``, ``stub`` and ``reflect`` if their sources are newer; return their folder.

    Raises:
        Missing: no C compiler, or it refused.
    """
    folder = build / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    newest = max(file.stat().st_mtime for file in SOURCES.iterdir())
    for source in SOURCES.glob("*.c"):
        target = folder / source.stem
        if target.exists() and target.stat().st_mtime > newest:
            continue
        argv = [find("gcc"), "-O2", "-Wall", "-Wextra", "-o", str(target), str(source), "-lm"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"gcc could not compile {source.name}: {done.stderr.strip()[-500:]}")
    return folder


def install(packages: Iterable[str]) -> str | None:
    """Install the Debian packages that are missing; return why it did not work, or None.

    The function of deploy/lib.sh does it: it starts no service of what it installs.
    """
    missing = [package for package in packages if not _installed(package)]
    if not missing:
        return None
    script = 'source deploy/lib.sh; install_packages "$@"'
    argv = ["bash", "-c", script, "bench", *missing]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-300:]


def _installed(package: str) -> bool:
    argv = ["dpkg-query", "-W", "-f", "${Status}", package]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.stdout.endswith(" installed")


def go_build(build: Path, peer: GoModule) -> Path:
    """Build a Go program once; return its path.

    It is built as a dependency of a module of ours, with the checksum database asked as ever: `go install`
    needs the proxy's list of versions too, which not every mirror has.

    Raises:
        Missing: no Go here, or the module cannot be had or built.
    """
    name = peer.module.rpartition("/")[2].lower()
    folder = build / "go" / f"{name}-{peer.version}"
    target = folder / name
    if target.exists():
        return target
    go = find("go")
    folder.mkdir(parents=True, exist_ok=True)
    module = f"module filterd.invalid/bench\n\ngo 1.22\n\nrequire {peer.module} {peer.version}\n"
    (folder / "go.mod").write_text(module)
    argv = [go, "build", "-mod=mod", "-o", str(target), peer.module]
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, check=False, timeout=_GO_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"go build took longer than {_GO_TIMEOUT} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading")]
        raise Missing(f"go build: {' '.join(' '.join(said).split())[-300:]}")
    return target


def first_line(argv: list[str]) -> str:
    """Return the first line that a program prints about itself, for the record of versions."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"? ({error})"
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return lines[0].strip() if lines else "?"


@contextlib.contextmanager
def alone(build: Path) -> Iterator[None]:
    """Hold the lock by which only one bench runs at a time in a build folder.

    Raises:
        Missing: another one runs.
    """
    build.mkdir(parents=True, exist_ok=True)
    with (build / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Missing("another bench is running; they would measure each other") from None
        yield


def data_folder(given: Path | None) -> Path:
    """Return the folder with the unpacked sample data.

    Raises:
        FileNotFoundError: there is none; says what to do.
    """
    folder = given or Path(os.environ.get("FILTERD_TEST_DATA", ""))
    for found in (folder, TOP / "build" / "test-data"):
        if str(found) != "." and (found / "lists").is_dir() and (found / "queries").is_dir():
            return found
    raise FileNotFoundError(
        "no sample data: name the folder with lists/ and queries/ by --data or FILTERD_TEST_DATA;"
        " ./tests/run unpacks it to build/test-data"
    )
