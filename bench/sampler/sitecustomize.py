"""A sampling profiler that Python loads by itself at its start when this folder is on PYTHONPATH.

It acts only in the process that ``BENCH_SAMPLE_MODULE`` names (``python -m MODULE``). SIGRTMIN+5 begins:
every tick of CPU time (1-4 ms, by the kernel) the stack is counted. SIGRTMIN+6 ends: the counts are
written as JSON to ``BENCH_SAMPLE_FILE``.PID. A sample that falls into a system call or C code counts for the
line that made it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

_INTERVAL = 0.001
_stacks: Counter[tuple[tuple[str, str, int], ...]] = Counter()


def _sample(_number: int, frame: FrameType | None) -> None:
    stack = []
    while frame is not None:
        stack.append(
            (
                frame.f_code.co_filename,
                getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
                frame.f_lineno,
            )
        )
        frame = frame.f_back
    _stacks[tuple(stack)] += 1


def _begin(_number: int, _frame: FrameType | None) -> None:
    _stacks.clear()
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    data = [{"stack": stack, "count": count} for stack, count in _stacks.items()]
    target = Path(f"{os.environ['BENCH_SAMPLE_FILE']}.{os.getpid()}")
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(data), "utf-8")
    partial.rename(target)


if os.environ.get("BENCH_SAMPLE_MODULE", "-") in sys.orig_argv:
    signal.signal(signal.SIGPROF, _sample)
    signal.signal(signal.SIGRTMIN + 5, _begin)
    signal.signal(signal.SIGRTMIN + 6, _end)
