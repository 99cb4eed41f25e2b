"""What a peer is: a value that says how to have it, configure it and start it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.process import Command
from harness.tools import GoModule

UPSTREAM_HOST, UPSTREAM_PORT = "127.0.0.2", 9300
CACHE_ENTRIES = 500_000  # where a cache counts entries
CACHE_MIB = 128  # where it counts bytes: room for every name of a run
ONE_THREAD = {"GOMAXPROCS": "1"}  # for the peers written in Go
_CHUNK = 100_000


@dataclass(frozen=True, slots=True)
class Site:
    """Where a peer runs and what it is given.

    Attributes:
        folder: its own.
        names: the list, a name a line; a name covers itself and all below it.
        size: names on it.
        port: UDP port on 127.0.0.1.
        program: path of its program.
    """

    folder: Path
    names: Path
    size: int
    port: int
    program: str

    @property
    def upstream(self) -> str:
        """The upstream as HOST:PORT."""
        return f"{UPSTREAM_HOST}:{UPSTREAM_PORT}"

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the folder."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def write_list(self, name: str, template: Callable[[str], str], head: str = "") -> Path:
        """Write the list in a format of the peer: ``template`` gives the text for one name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as out, self.names.open(encoding="ascii") as lines:
            out.write(head)
            for chunk in _chunks(line.rstrip("\n") for line in lines):
                out.write("".join(map(template, chunk)))
        return path


def _chunks(lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    lines = iter(lines)
    while chunk := tuple(itertools.islice(lines, _CHUNK)):
        yield chunk


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that takes part.

    Attributes:
        name: short, for the command line and the tables.
        title: what it is, in the report.
        prepare: writes the configuration into the site and says how to start it.
        program: the command; empty for a Go module or a program of ours.
        packages: Debian packages it needs.
        go: the Go module it is built from.
        version: arguments that print the version of a Debian package.
        blocked: how it answers blocked names.
        reflected: it only sends questions back.
        remarks: what a reader of the figures has to know.
        facts: figures of the preparation, in the units that their names end with.
    """

    name: str
    title: str
    prepare: Callable[[Site], Command]
    program: str = ""
    packages: tuple[str, ...] = ()
    go: GoModule | None = None
    version: tuple[str, ...] = ("--version",)
    blocked: str = "nxdomain"
    reflected: bool = False
    remarks: str = ""
    facts: Callable[[Site], dict[str, float]] = field(default=lambda _site: {})


RPZ_HEAD = "$TTL 3600\n@ IN SOA localhost. root.localhost. 1 3600 600 86400 60\n@ IN NS localhost.\n"


def rpz(name: str) -> str:
    """Return the two records by which a response policy zone blocks a name and all below it."""
    return f"{name} CNAME .\n*.{name} CNAME .\n"
