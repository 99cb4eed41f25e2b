"""What is asked. Each line says name, type, and what the answer must be (the flags of src/load.c).

``hits``    30 % blocked; names by Zipf's law over real names, all in the cache after one pass of warming
``allowed`` ``blocked``  the two kinds of hits, each alone
``misses``  a fresh label before a real allowed name each time: nothing can be cached, all is forwarded
``morning`` the requests of real page views in their order, each host asked as a browser asks, half of them
            with EDNS; one in five blocked, one in twenty never seen before

The same questions go with every list size, drawn from seeded randomness. Writes only into the given folder.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from publicsuffixlist import PublicSuffixList

from harness.names import covered, is_name

BLOCKED_SHARE = 0.3
HIT_NAMES, HIT_BLOCKED_NAMES = 20_000, 5_000  # distinct allowed and blocked names among the hits
QUERIES = 200_000
MORNING_BLOCKED, MORNING_FRESH = 0.2, 0.05
VERIFIED = 500  # questions of each kind before anything is measured
_TYPES, _WEIGHTS = ("A", "AAAA", "HTTPS"), (65, 25, 10)  # what school devices ask for


@dataclass(frozen=True, slots=True)
class Asked:
    """The real names to ask for.

    Attributes:
        popular: distinct names, most frequent first; none is on any real list.
        hosts: hosts of page views in the order they were requested; none is on any real list.
    """

    popular: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workloads:
    """The files of one list size."""

    hits: Path
    allowed: Path
    blocked: Path
    warm: Path
    misses: Path
    morning: Path
    verify: Path
    below: Path
    dnsperf: Path
    listed_name: str
    allowed_name: str

    def file(self, workload: str) -> Path:
        """Return the questions of a workload; those of ``hits`` for one that has none of its own."""
        own = {
            "allowed": self.allowed,
            "blocked": self.blocked,
            "misses": self.misses,
            "morning": self.morning,
        }
        return own.get(workload, self.hits)


def read_asked(queries: Path, listed: Collection[str]) -> Asked:
    """Read the real names of the sample queries.

    Raises:
        FileNotFoundError: the sample queries are not there.
    """
    counts: dict[str, int] = {}
    for name in _column(queries / "knot-bench_lru_set1.tsv"):
        counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda name: -counts[name])  # stable: equal ones in order of appearance
    suffixes = PublicSuffixList(accept_unknown=False)

    def ordinary(name: str) -> bool:  # resolvers answer for .local, .arpa and the root's servers themselves
        own = name.endswith((".arpa", ".root-servers.net"))
        return suffixes.publicsuffix(name) is not None and not own

    wanted = {name for name in ranked if ordinary(name) and not covered(name, listed)}
    hosts = _column(queries / "web-requests-2019.tsv")
    fine = {host for host in set(hosts) if ordinary(host) and not covered(host, listed)}
    return Asked(
        tuple(name for name in ranked if name in wanted),
        tuple(host for host in hosts if host in fine),
    )


def _column(file: Path) -> list[str]:
    rows = file.read_text("utf-8", "replace").splitlines()
    found = (row.partition("\t")[0].strip().lower().rstrip(".") for row in rows)
    return [name for name in found if is_name(name)]


def _rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - seeded, so that every run asks the same


def zipf(names: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Draw names so that the n-th is asked for 1/n as often as the first."""
    weights = [1 / rank for rank in range(1, len(names) + 1)]
    return rng.choices(names, weights=weights, k=count)


def hits(allowed: Sequence[str], blocked: Sequence[str], count: int = QUERIES) -> list[str]:
    """Return the lines of the workload ``hits``."""
    rng = _rng(1)
    bad = round(count * BLOCKED_SHARE)
    good = zipf(allowed[:HIT_NAMES], count - bad, rng)
    lines = [f"{name} {kind} a" for name, kind in _typed(good, rng)]
    lines += [f"{name} {kind} b" for name, kind in _typed(zipf(blocked[:HIT_BLOCKED_NAMES], bad, rng), rng)]
    rng.shuffle(lines)
    return lines


def _typed(names: Iterable[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    for name in names:
        yield name, rng.choices(_TYPES, _WEIGHTS)[0]


def morning(hosts: Sequence[str], blocked: Sequence[str], count: int = QUERIES) -> list[str]:
    """Return the lines of the workload ``morning``."""
    rng = _rng(2)
    refused = iter(zipf(blocked[:HIT_BLOCKED_NAMES], count, rng))
    lines: list[str] = []
    while len(lines) < count:
        begin = rng.randrange(len(hosts))
        for host in hosts[begin : begin + rng.randint(5, 60)]:  # one device opens a few pages
            name, flags = (next(refused), "b") if rng.random() < MORNING_BLOCKED else (host, "a")
            if flags == "a" and rng.random() < MORNING_FRESH:
                flags += "u"
            if rng.random() < 0.5:
                flags += "e"
            lines += [f"{name} {kind} {flags}" for kind in _TYPES[: rng.choice((2, 3))]]
    return lines[:count]


def make_workloads(folder: Path, names: Path, asked: Asked) -> Workloads:
    """Write the files for the list ``names``.

    Raises:
        FileNotFoundError: there is no such list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = names.read_text("ascii").split()
    blocked = listed[:HIT_BLOCKED_NAMES]
    asked_hits = hits(asked.popular, blocked)
    checked = [f"{name} A b" for name in _rng(3).sample(listed, min(VERIFIED, len(listed)))]
    checked += [f"{name} {kind} a" for name in asked.popular[:VERIFIED] for kind in _TYPES]
    files = {
        "hits": asked_hits,
        "allowed": [line for line in asked_hits if line.endswith(" a")],
        "blocked": [line for line in asked_hits if line.endswith(" b")],
        "warm": list(dict.fromkeys(asked_hits)),
        "misses": [f"{name} A au" for name in asked.popular[:HIT_NAMES]],
        "morning": morning(asked.hosts, blocked),
        "verify": checked,
        "dnsperf": [line.rpartition(" ")[0] for line in asked_hits],
        "below": [f"www.{name} A b" for name in blocked[:VERIFIED]],
    }
    for name, content in files.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in content), "ascii")
    return Workloads(
        **{name: folder / f"{name}.txt" for name in files},
        listed_name=blocked[0],
        allowed_name=asked.popular[0],
    )
