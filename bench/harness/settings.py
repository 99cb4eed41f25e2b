"""What a comparison is to do, and what became of a peer: values that runner, report and files share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

RATE = "rate-"  # a workload named rate-20000 asks hits at that rate


@dataclass(frozen=True, slots=True)
class Settings:
    """What a comparison is to do.

    Attributes:
        build: folder for programs, lists and the peers' files.
        rounds: how often each peer is measured.
        seconds: length of a measurement.
        calibration: seconds of asking the reflector before each measurement; 0 for none.
        starts: how often each peer is started for its start-up time.
        workloads: what is measured, in this order.
        server_cores: cores of the servers, as taskset takes them; the first one is watched for strangers.
        load_core: core of the generator and the stub upstream.
        base_port: port of the calibrating reflector; the peers follow.
        keep_up_to: largest list with which all peers stay in memory.
        go: Go peers may be built.
    """

    build: Path
    rounds: int = 5
    seconds: float = 5.0
    calibration: float = 0.5
    starts: int = 3
    workloads: tuple[str, ...] = ("hits", "rate-20000", "dnsperf", "morning", "misses")
    server_cores: str = "0"
    load_core: int = 1
    base_port: int = 9301
    keep_up_to: int = 1_000_000
    go: bool = True


@dataclass(slots=True)
class Standing:
    """What became of a peer at one list size.

    Attributes:
        title: what it is.
        remarks: what a reader of its figures has to know.
        version: as it tells itself.
        state: ``ok``, ``absent`` (cannot be had here) or ``broken`` (does not filter rightly).
        reason: why, when it is not ok.
        below: whether names below listed ones are blocked too.
        facts: figures of its preparation.
    """

    title: str
    remarks: str
    version: str = ""
    state: str = "ok"
    reason: str = ""
    below: bool | None = None
    facts: dict[str, float] = field(default_factory=dict)
