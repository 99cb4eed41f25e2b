"""One filterd with its upstream, for the profiles: started, verified, warmed as in a comparison."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness import names, tools, workloads
from harness.entrants import Bench, Entrant
from harness.peers import all_peers
from harness.process import Command, Server
from harness.runner import stub
from harness.settings import Settings

WORKER = "filterd.app.worker"  # the module whose processes answer DNS
Wrap = Callable[[Command], Command]


@dataclass(frozen=True, slots=True)
class Rig:
    """A running filterd and the means to ask it."""

    bench: Bench
    entrant: Entrant
    server: Server

    @property
    def workers(self) -> list[int]:
        """The processes that answer DNS."""
        return [pid for pid in self.server.pids if WORKER in _command_line(pid)]


def _command_line(pid: int) -> Sequence[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:
        return ()


def with_environment(extra: Mapping[str, str]) -> Wrap:
    """Return a wrap that adds environment variables to a command."""
    return lambda command: replace(command, env={**command.env, **extra})


@dataclass(frozen=True, slots=True)
class Plan:
    """Which filterd is to be started: settings, names on its list, folder with the sample data."""

    settings: Settings
    size: int
    data: Path
    say: Callable[[str], None]

    @contextlib.contextmanager
    def filterd(self, wrap: Wrap = lambda command: command) -> Iterator[Rig]:
        """Start it with its upstream; ``wrap`` may change its command.

        Raises:
            Missing: it cannot be had, or it is broken; says why.
            FileNotFoundError: no sample data.
        """
        bench = self._bench()
        peer = all_peers()["filterd"]
        prepare = peer.prepare
        with stub(bench):
            own = replace(peer, prepare=lambda site: wrap(prepare(site)))
            entrant = bench.ready(own, self.settings.base_port)
            if entrant is None or entrant.server is None:
                raise tools.Missing(f"filterd is {bench.standings['filterd'].reason}")
            try:
                yield Rig(bench, entrant, entrant.server)
            finally:
                entrant.stop()

    def _bench(self) -> Bench:
        build = self.settings.build
        tools.make_c_tools(build)
        real = names.real_names(self.data / "lists")
        asked = workloads.read_asked(self.data / "queries", frozenset(real))
        every = [*asked.popular, *asked.hosts]
        path = names.make_lists(build / "lists", real, every, [self.size])[self.size]
        files = workloads.make_workloads(build / "asked" / names.size_text(self.size), path, asked)
        return Bench(self.settings, self.size, path, files, self.say, [], {})
