"""Medians, spreads and ratios of samples. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Attributes:
        size: names on the list.
        peer: the server.
        workload: what was asked, or ``start``, ``memory``.
        round: which round, counted from 0.
        values: the figures by name; units are in the names or in report.py.
    """

    size: int
    peer: str
    workload: str
    round: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples with the lowest and highest of them."""

    median: float
    low: float
    high: float
    count: int

    @property
    def percent(self) -> float:
        """Half the range as a percentage of the median: how far a single sample may be off."""
        return (self.high - self.low) / 2 / self.median * 100 if self.median else 0.0


def spread(values: Iterable[float]) -> Spread | None:
    """Return median and range, or None of nothing."""
    found = sorted(values)
    return Spread(median(found), found[0], found[-1], len(found)) if found else None


def pick(samples: Iterable[Sample], size: int, peer: str, workload: str, key: str) -> dict[int, float]:
    """Return one figure of a peer by round."""
    return {
        sample.round: sample.values[key]
        for sample in samples
        if (sample.size, sample.peer, sample.workload) == (size, peer, workload) and key in sample.values
    }


def ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """Return ours over theirs, compared round by round: what slowed the machine in a round slowed both."""
    return spread(ours[number] / theirs[number] for number in ours.keys() & theirs.keys() if theirs[number])


def rotated(items: Sequence[str], by: int) -> list[str]:
    """Return the items beginning with another one each round, so that no peer always follows the same one."""
    by %= max(1, len(items))
    return [*items[by:], *items[:by]]


@dataclass(frozen=True, slots=True)
class Step:
    """What is measured next."""

    round: int
    peer: str
    workload: str


def schedule(peers: Sequence[str], workloads: Sequence[str], rounds: int, *, kept: bool) -> list[Step]:
    """Return the order of the measurements.

    Args:
        peers: all take part in every round.
        workloads: in the order in which they are asked.
        rounds: how many.
        kept: all servers stay in memory: peers alternate within a workload. Otherwise only one fits at a
            time: workloads follow each other within a peer, and peers alternate within the round.
    """
    steps = []
    for number in range(rounds):
        order = rotated(peers, number)
        pairs = (
            [(peer, workload) for workload in workloads for peer in order]
            if kept
            else [(peer, workload) for peer in order for workload in workloads]
        )
        steps += [Step(number, peer, workload) for peer, workload in pairs]
    return steps
