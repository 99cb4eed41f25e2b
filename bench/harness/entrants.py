"""Gets a peer ready: program, configuration, list, start, verification. What cannot take part says why."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.load import Generator, LoadFailed, Target
from harness.names import size_text
from harness.peers import program_of
from harness.peers.base import Peer, Site
from harness.process import Command, Server, StartFailed, check_free
from harness.settings import Settings, Standing
from harness.stats import Sample
from harness.tools import Missing, first_line
from harness.workloads import Workloads

_LOST = 0.01  # share of verifying questions that may go unanswered: a busy machine, not a wrong server
_IN_FORCE = 60.0  # seconds after its first block within which the whole list must be in force
_START_TIMEOUT = 300.0
_START_SECONDS_PER_NAME = 1e-4


@dataclass(slots=True)
class Entrant:
    """A peer that takes part, with its server while one runs."""

    peer: Peer
    site: Site
    command: Command
    server: Server | None = None

    @property
    def target(self) -> Target:
        """Where and how it is asked."""
        return Target(self.site.port, self.peer.blocked, self.peer.reflected)

    def stop(self) -> None:
        """End its server, if there is one."""
        if self.server is not None:
            self.server.stop()
            self.server = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What all steps at one list size share."""

    settings: Settings
    size: int
    names: Path
    asked: Workloads
    say: Callable[[str], None]
    samples: list[Sample]
    standings: dict[str, Standing]

    @property
    def generator(self) -> Generator:
        """The load generator."""
        return Generator(self.settings.build / "bin" / "load", self.settings.load_core)

    def folder(self, name: str) -> Path:
        """Return a new, empty folder."""
        folder = self.settings.build / "run" / size_text(self.size) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder.resolve()

    def ready(self, peer: Peer, port: int, timeout: float = _START_TIMEOUT) -> Entrant | None:
        """Return the peer, running and verified; or None, with the reason in its standing.

        A start may take ``timeout`` seconds, and a tenth of a millisecond more for each listed name.
        """
        standing = self.standings[peer.name] = Standing(peer.title, peer.remarks)
        try:
            entrant = self._prepared(peer, port, standing)
        except Missing as reason:
            standing.state, standing.reason = "absent", str(reason)
            self.say(f"{peer.name}: absent: {reason}")
            return None
        try:
            for number in range(1 if peer.reflected else self.settings.starts):
                entrant.stop()
                self.start(entrant, number, timeout)
            self._verify(entrant, standing)
        except (StartFailed, LoadFailed) as reason:
            standing.state, standing.reason = "broken", str(reason)
            self.say(f"{peer.name}: broken: {reason}")
            entrant.stop()
            return None
        return entrant

    def _prepared(self, peer: Peer, port: int, standing: Standing) -> Entrant:
        program = program_of(peer, self.settings.build, go=self.settings.go)
        if peer.go is not None:
            standing.version = peer.go.version
        elif not peer.reflected:
            standing.version = first_line([program, *peer.version])
        site = Site(self.folder(peer.name), self.names.resolve(), self.size, port, program)
        entrant = Entrant(peer, site, peer.prepare(site))
        standing.facts = peer.facts(site)
        return entrant

    def start(self, entrant: Entrant, number: int, timeout: float = _START_TIMEOUT) -> Server:
        """Start a peer's server, and record how long that took.

        Raises:
            StartFailed: it did not begin to block.
        """
        check_free(entrant.site.port)
        server = entrant.server = Server(entrant.command, self.settings.server_cores)
        if not entrant.peer.reflected:
            timeout += self.size * _START_SECONDS_PER_NAME
            started = server.wait_started(
                entrant.site.port, self.asked.listed_name, self.asked.allowed_name, timeout
            )
            self.samples.append(Sample(self.size, entrant.peer.name, "start", number, asdict(started)))
            self.say(f"{entrant.peer.name}: blocks {started.first_block:.2f} s after its start")
        server.settle()
        return server

    def _verify(self, entrant: Entrant, standing: Standing) -> None:
        """Check that the peer filters rightly.

        Raises:
            LoadFailed: it does not; says which answer was wrong.
        """
        if entrant.peer.reflected:
            return
        begun = time.monotonic()
        while problem := self._problem(entrant.target):
            if time.monotonic() - begun > _IN_FORCE:
                raise LoadFailed(problem)
            time.sleep(1)  # BIND answers while its list is still coming into force
        standing.facts["verified_after_s"] = round(time.monotonic() - begun, 1)
        values, _ = self.generator.once(entrant.target, self.asked.below)
        standing.below = not values["wrong"]

    def _problem(self, target: Target) -> str:
        values, first = self.generator.once(target, self.asked.verify)
        if not values["wrong"] and values["lost"] <= values["sent"] * _LOST:
            return ""
        return (
            f"{values['wrong']:.0f} wrong answers ({first or '-'}) and {values['lost']:.0f} lost"
            f" of {values['sent']:.0f} in {self.asked.verify.name}"
        )
