"""What the figures were taken on: processor, kernel, versions, date. For the reader of a report."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.settings import Settings
from harness.tools import TOP


def describe(settings: Settings) -> dict[str, Any]:
    """Return machine, source and settings of a run as plain data."""
    return facts() | {
        "settings": {
            key: value for key, value in asdict(settings).items() if key not in ("build", "base_port", "go")
        },
    }


def facts() -> dict[str, Any]:
    """Return machine and source as plain data."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_mib": int(_field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "system": _field("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "python": platform.python_version(),
        "source": _source(),
    }


def _field(file: str, key: str, separator: str = ":") -> str:
    for line in Path(file).read_text("utf-8").splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip()
    return "? 0"


def _source() -> str:
    argv = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"
