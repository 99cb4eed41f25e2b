"""What a comparison found: machine, standings and samples; kept as JSON, so a report can be made anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness.settings import Standing
from harness.stats import Sample, Spread, pick, ratio, spread

_FORMAT = 1
_MANY = 1000  # rounds; more than any run has


@dataclass(slots=True)
class Results:
    """All of a run.

    Attributes:
        machine: as ``machine.describe`` tells it.
        standings: by list size, then by peer.
        samples: every measurement.
    """

    machine: dict[str, Any]
    standings: dict[int, dict[str, Standing]]
    samples: list[Sample]

    def save(self, path: Path) -> None:
        """Write the JSON."""
        data = {
            "format": _FORMAT,
            "machine": self.machine,
            "standings": {
                str(size): {name: asdict(standing) for name, standing in peers.items()}
                for size, peers in self.standings.items()
            },
            "samples": [
                {**asdict(sample), "values": {k: round(v, 4) for k, v in sample.values.items()}}
                for sample in self.samples
            ],
        }
        path.write_text(json.dumps(data, indent=1), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON.

        Raises:
            ValueError: it is of another format.
        """
        data = json.loads(path.read_text("utf-8"))
        if data.get("format") != _FORMAT:
            raise ValueError(f"{path} was written by another version of the bench")
        standings = {
            int(size): {name: Standing(**standing) for name, standing in peers.items()}
            for size, peers in data["standings"].items()
        }
        return cls(data["machine"], standings, [Sample(**sample) for sample in data["samples"]])


def merged(runs: Sequence[Results]) -> Results:
    """Return several runs as one, with the rounds of all; machine and settings are those of the first."""
    first = runs[0]
    samples = [
        replace(sample, round=sample.round + number * _MANY)
        for number, run in enumerate(runs)
        for sample in run.samples
    ]
    standings: dict[int, dict[str, Standing]] = {}
    for run in runs:
        for size, peers in run.standings.items():
            standings.setdefault(size, {}).update(peers)
    return Results(first.machine, dict(sorted(standings.items())), samples)


@dataclass(frozen=True, slots=True)
class Slice:
    """The results of one list size, with the questions that tables and pictures ask."""

    results: Results
    size: int

    @property
    def standings(self) -> dict[str, Standing]:
        """The peers."""
        return self.results.standings[self.size]

    def workloads(self) -> list[str]:
        """Return what was measured, in the order of the run."""
        return list(dict.fromkeys(s.workload for s in self.results.samples if s.size == self.size))

    def _pick(self, peer: str, workload: str, key: str) -> dict[int, float]:
        return pick(self.results.samples, self.size, peer, workload, key)

    def value(self, peer: str, workload: str, key: str) -> Spread | None:
        """Return a figure of a peer."""
        return spread(self._pick(peer, workload, key).values())

    def ratio(self, peer: str, other: str, workload: str) -> Spread | None:
        """Return the rate of a peer over that of another; over the reflector's just before it."""
        theirs = (
            self._pick(peer, workload, "calibration_qps")
            if other == "reflector"
            else self._pick(other, workload, "qps")
        )
        return ratio(self._pick(peer, workload, "qps"), theirs)

    def ranked(self, workload: str, key: str, *, up: bool = False) -> list[tuple[str, Spread]]:
        """Return the peers that have a figure, the highest first; with ``up`` the lowest first."""
        found = [(name, value) for name in self.standings if (value := self.value(name, workload, key))]
        return sorted(found, key=lambda pair: pair[1].median if up else -pair[1].median)
