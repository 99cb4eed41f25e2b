"""One list size, measured in rounds.

All peers stay in memory, frozen while another one is asked, so that they alternate within seconds; lists too
large for that are measured one peer at a time within each round. Before each measurement the reflector tells
how fast the machine is at that moment.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from harness.entrants import Bench, Entrant
from harness.load import LoadFailed, Target, Values, dnsperf
from harness.memory import memory_of
from harness.peers.base import UPSTREAM_HOST, UPSTREAM_PORT, Peer
from harness.process import Command, Server, StartFailed, core_seconds, core_set, free_ports
from harness.settings import RATE
from harness.stats import Sample, Step, schedule
from harness.tools import Missing, find

_ALL_HITS = (
    "hits",
    "allowed",
    "blocked",
    "dnsperf",
)  # and the rates: asked once beforehand, so that every question is a hit
_FORWARDED = ("morning", "misses")  # the reflector has no upstream
_WARM_SECONDS = 0.5


def run(bench: Bench, peers: Sequence[Peer]) -> None:
    """Measure the peers; ``bench.samples`` and ``bench.standings`` fill up as it goes."""
    settings = bench.settings
    kept = bench.size <= settings.keep_up_to
    entrants: dict[str, Entrant] = {}
    with stub(bench), _reflector(bench) as reflector, contextlib.ExitStack() as stack:
        ports = free_ports(settings.base_port + 1)
        for peer in peers:
            entrant = bench.ready(peer, next(ports))
            if entrant is not None:
                entrants[peer.name] = entrant
                stack.callback(entrant.stop)
                _park(entrant, kept=kept)
        steps = [
            step
            for step in schedule(list(entrants), settings.workloads, settings.rounds, kept=kept)
            if step.workload not in _FORWARDED or not entrants[step.peer].peer.reflected
        ]
        for number, step in enumerate(steps):
            following = steps[number + 1].peer if number + 1 < len(steps) else ""
            _Measurement(bench, step, entrants[step.peer], reflector, number).take()
            if following != step.peer:
                _park(entrants[step.peer], kept=kept)


@contextlib.contextmanager
def stub(bench: Bench) -> Iterator[None]:
    """Run the upstream of all peers.

    Raises:
        Missing: its port is taken.
    """
    argv = [str(bench.settings.build / "bin" / "stub"), UPSTREAM_HOST, str(UPSTREAM_PORT)]
    with Server(Command(argv, bench.folder("stub")), str(bench.settings.load_core)) as server:
        if not server.stays():
            raise Missing(f"the upstream cannot listen on {UPSTREAM_HOST}:{UPSTREAM_PORT}")
        yield


@contextlib.contextmanager
def _reflector(bench: Bench) -> Iterator[Target]:
    port = bench.settings.base_port
    argv = [str(bench.settings.build / "bin" / "reflect"), "127.0.0.1", str(port)]
    with Server(Command(argv, bench.folder("calibration")), bench.settings.server_cores) as server:
        if not server.stays():
            raise Missing(f"the reflector cannot listen on port {port}")
        yield Target(port, reflected=True)


def _park(entrant: Entrant, *, kept: bool) -> None:
    if not kept:
        entrant.stop()
    elif entrant.server is not None:
        entrant.server.freeze()


class _Measurement:
    """One step of the schedule."""

    def __init__(self, bench: Bench, step: Step, entrant: Entrant, reflector: Target, number: int) -> None:
        self._bench, self._step, self._entrant, self._reflector = bench, step, entrant, reflector
        self._seed = number + 1
        self._core = min(core_set(bench.settings.server_cores))
        self._rate = float(step.workload.removeprefix(RATE)) if step.workload.startswith(RATE) else 0.0

    def take(self) -> None:
        """Measure and record it; what went wrong becomes a remark of the peer."""
        step, bench = self._step, self._bench
        try:
            server = self._entrant.server
            if server is None or not server.alive():
                server = bench.start(self._entrant, bench.settings.starts + step.round)
            server.thaw()
            self._warm()
            values = self._measure(server)
        except (StartFailed, LoadFailed) as reason:
            bench.standings[step.peer].remarks += f"; round {step.round + 1}, {step.workload}: {reason}"
            bench.say(f"{step.peer}, {step.workload}: {reason}")
            self._entrant.stop()
            return
        self._add(step.workload, values)
        bench.say(
            f"round {step.round + 1}: {step.workload:10} {step.peer:12} {values['qps']:9,.0f} q/s"
            f" {values['cpu_us']:7.2f} µs CPU  p99 {values.get('p99_us', 0):9,.0f} µs"
            f"  lost {values['lost']:.0f} wrong {values.get('wrong', 0):.0f}"
        )
        if step.workload == "hits":
            self._add("memory", asdict(memory_of(server.pids)))

    def _warm(self) -> None:
        asked, generator = self._bench.asked, self._bench.generator
        if self._step.workload in _ALL_HITS or self._rate:
            # Twice: what stood frozen has aged, and some remember only what is asked again.
            generator.once(self._entrant.target, asked.warm)
            generator.once(self._entrant.target, asked.warm)
        file = asked.file(self._step.workload)
        seconds = min(_WARM_SECONDS, self._bench.settings.seconds)
        generator.run(self._entrant.target, file, seconds=seconds, seed=-self._seed & 0xFFFFFFFF)

    def _measure(self, server: Server) -> Values:
        settings = self._bench.settings
        calibration = self._calibrate()
        before, busy, load = (
            server.cpu_by_process(),
            core_seconds(self._core),
            core_seconds(settings.load_core),
        )
        begun = time.perf_counter()
        values = self._ask()
        elapsed = time.perf_counter() - begun
        used = [seconds - before.get(pid, 0.0) for pid, seconds in server.cpu_by_process().items()]
        cpu = sum(used)
        busy, load = core_seconds(self._core) - busy, core_seconds(settings.load_core) - load
        seconds, answered = values["seconds"], max(1.0, values["answered"])
        return values | {
            "cpu_us": cpu / answered * 1e6,
            "busiest_us": max(used) / answered * 1e6,
            "calibration_qps": calibration,
            "server_core_busy": cpu / seconds,
            "foreign": max(0.0, busy - cpu) / elapsed,
            "load_core_busy": load / elapsed,
        }

    def _calibrate(self) -> float:
        seconds = self._bench.settings.calibration
        if not seconds:
            return 0.0
        hits = self._bench.asked.hits
        return self._bench.generator.run(self._reflector, hits, seconds=seconds, seed=self._seed)["qps"]

    def _ask(self) -> Values:
        settings, asked, target = self._bench.settings, self._bench.asked, self._entrant.target
        if self._step.workload == "dnsperf":
            seconds = max(1.0, settings.seconds)
            return dnsperf(find("dnsperf"), settings.load_core, target, asked.dnsperf, seconds)
        file = asked.file(self._step.workload)
        generator = self._bench.generator
        return generator.run(target, file, seconds=settings.seconds, seed=self._seed, rate=self._rate)

    def _add(self, workload: str, values: Values) -> None:
        sample = Sample(self._bench.size, self._step.peer, workload, self._step.round, values)
        self._bench.samples.append(sample)
