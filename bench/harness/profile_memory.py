"""``bench/profile memory``: what filterd's processes hold, by process and by mapping."""

from __future__ import annotations

from pathlib import Path

from harness.memory import memory_of, parse_smaps
from harness.report import table
from harness.rig import Rig

_LARGEST = 8


def measure(rig: Rig) -> str:
    """Return the memory of each process, after start, after hits and after misses.

    Raises:
        LoadFailed: the generator could not ask.
    """
    bench, target = rig.bench, rig.entrant.target
    parts = [_processes(rig, "after its start")]
    bench.say("asking hits ...")
    bench.generator.once(target, bench.asked.warm)
    bench.generator.run(target, bench.asked.hits, seconds=5, seed=1)
    parts.append(_processes(rig, "after hits"))
    bench.say("asking misses ...")
    bench.generator.run(target, bench.asked.misses, seconds=20, seed=2)
    parts.append(_processes(rig, "after 20 s of misses"))
    parts.append(_mappings(rig.workers[0]))
    return "\n\n".join(parts) + "\n"


def _processes(rig: Rig, when: str) -> str:
    rows = []
    for pid in rig.server.pids:
        held = memory_of([pid])
        rows.append([_what(pid), f"{held.private:.1f}", f"{held.mapped:.1f}", f"{held.shared:.1f}"])
    return table([when, "private MiB", "mapped MiB", "shared MiB"], rows)


def _what(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    module = words[words.index("-m") + 1] if "-m" in words else ""
    return module or next((word.rpartition("/")[2] for word in words[1:2]), "?")


def _mappings(pid: int) -> str:
    held: dict[str, tuple[int, int]] = {}
    for path, resident, private, _ in parse_smaps(Path(f"/proc/{pid}/smaps").read_text().splitlines()):
        before = held.get(path, (0, 0))
        held[path] = (before[0] + private, before[1] + resident)
    largest = sorted(held.items(), key=lambda item: -item[1][0])[:_LARGEST]
    rows = [
        [path.rpartition("/")[2] or "anonymous", f"{private / 1024:.1f}", f"{resident / 1024:.1f}"]
        for path, (private, resident) in largest
    ]
    return table(["mappings of the worker", "private MiB", "resident MiB"], rows)
