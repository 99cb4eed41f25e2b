"""``bench/profile count``: instructions a query costs in user space, counted by valgrind's callgrind.

The count is of the program, not of the machine's mood; the kernel's part is not in it. Counting is switched
on after the start and the warming, so it holds the questions and the loop's own timers, no more. Batches are
as the slowed-down server finds them: the generator's window is what fills them.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from harness.load import LoadFailed
from harness.process import Command
from harness.rig import Rig, Wrap
from harness.tools import find

_QUESTIONS, _DISTINCT, _WINDOW = 60_000, 500, 256


def under_valgrind(folder: Path) -> Wrap:
    """Return a wrap that runs every process of a command under callgrind, counting nothing yet.

    ``filterd run`` becomes ``filterd serve``: the endpoint would only make the start longer.

    Raises:
        Missing: no valgrind here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("count.*"):
        old.unlink()
    tool = [find("valgrind"), "-q", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes"]
    tool += [f"--callgrind-out-file={folder}/count.%p"]

    def wrap(command: Command) -> Command:
        argv = ["serve" if word == "run" else word for word in command.argv]
        if "--monitor-listen" in argv:
            at = argv.index("--monitor-listen")
            del argv[at : at + 2]
        return replace(command, argv=[*tool, *argv])

    return wrap


def measure(rig: Rig, workload: str, folder: Path, rows: int) -> str:
    """Ask, and return the instructions of a query with the C functions that they were spent in.

    Raises:
        LoadFailed: the generator could not ask, or valgrind counted nothing.
    """
    file = rig.bench.settings.build / "count.txt"
    few = list(dict.fromkeys(rig.bench.asked.file(workload).read_text("ascii").splitlines()))[:_DISTINCT]
    file.write_text("".join(f"{line}\n" for line in few * (_QUESTIONS // len(few))), "ascii")
    rig.bench.say("warming ...")
    rig.bench.generator.once(rig.entrant.target, file, window=_WINDOW)
    worker = rig.workers[0]
    rig.bench.say("counting ...")
    _control(worker, "--instr=on")
    values, _ = rig.bench.generator.once(rig.entrant.target, file, window=_WINDOW)
    _control(worker, "--instr=off")
    _control(worker, "--dump")
    counted = sorted(folder.glob(f"count.{worker}.*"))
    if not counted or not values["answered"]:
        raise LoadFailed("valgrind counted nothing")
    total = instructions(counted[-1].read_text("utf-8", "replace"))
    each = total / values["answered"]
    return f"{workload}: {each:,.0f} instructions a query in user space\n\n{_functions(counted[-1], rows)}\n"


def instructions(dump: str) -> int:
    """Return the instructions that the parts of a dump of callgrind sum up to.

    Raises:
        LoadFailed: there is no sum.
    """
    found = re.findall(r"^totals: (\d+)", dump, re.MULTILINE)
    if not found:
        raise LoadFailed("valgrind's dump has no sum")
    return sum(map(int, found))


def _control(pid: int, order: str) -> None:
    argv = [find("callgrind_control"), order, str(pid)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise LoadFailed(f"callgrind_control {order}: {(done.stderr or done.stdout).strip()[-200:]}")


def _functions(dump: Path, rows: int) -> str:
    argv = [find("callgrind_annotate"), "--threshold=95", str(dump)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if re.match(r"\s*[\d,]+ \(\s*[\d.]+%\)", line)]
    return "\n".join(_shortened(line) for line in lines[: rows + 1])


def _shortened(line: str) -> str:
    """Return a line of callgrind_annotate without the folders of its file and without its library."""
    return re.sub(r"(\)\s+)\S*/", r"\1", line.strip()).partition(" [")[0]
