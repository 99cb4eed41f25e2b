"""filterd itself, and the reflector as the limit of the kernel on this machine.

filterd runs as at a school: ``filterd run`` with the monitoring endpoint, counting and events on; only the
rate limit of a client is off. Its index is compiled before the start, as on a box that is switched on again.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from harness.peers.base import CACHE_MIB, Peer, Site
from harness.process import Command
from harness.tools import Missing

_MONITOR = 20_000  # the endpoint listens this far above the DNS port
_CATEGORY = "malware"  # blocked for every tier
_FACTS = "compile.json"

CATALOGUE = """\
sources:
  - id: bench
    title: The list of the bench
    path: {names}
    format: domains
    category: {category}
    origin: local
    licence: none
"""
_TITLE = "{kk: Bench, ru: Bench, en: Bench}"
SCHOOL = f"""\
format: 1
school: bench
title: {_TITLE}
default_group: everyone
groups:
  - id: everyone
    title: {_TITLE}
    tier: staff
"""


def config_text(site: Site, workers: int | None) -> str:
    """Return ``filterd.yaml`` for a site; without ``workers`` it is left to the default."""
    config = {
        "box": "bench",
        "upstreams": [site.upstream],
        "allow_clients": ["127.0.0.0/8"],
        "cache": {"size_mib": CACHE_MIB},
        "limits": {"queries_per_second": 0, "in_flight": 100_000, "in_flight_per_client": 100_000},
        "lists": {"catalogue": "sources.yaml"},
        "policy": {"school": "school.yaml"},
        **({} if workers is None else {"workers": workers}),
    }
    return json.dumps(config, indent=1)  # JSON is YAML


def _filterd(site: Site, workers: int | None) -> Command:
    site.write("sources.yaml", CATALOGUE.format(names=json.dumps(str(site.names)), category=_CATEGORY))
    site.write("school.yaml", SCHOOL)
    config = site.write("filterd.yaml", config_text(site, workers))
    state = site.folder / "state"
    common = ["--config", str(config), "--state", str(state)]
    facts = _compile([site.program, "lists", "compile", *common], site.folder)
    site.write(_FACTS, json.dumps(facts))
    argv = [site.program, "run", *common, "--listen", f"127.0.0.1:{site.port}"]
    argv += ["--monitor-listen", f"127.0.0.1:{site.port + _MONITOR}", "--log-level", "error"]
    return Command(argv, site.folder)


def _compile(argv: list[str], folder: Path) -> dict[str, float]:
    begun = time.perf_counter()
    with (folder / "compile.txt").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = " ".join((folder / "compile.txt").read_text("utf-8", "replace").split())[-300:]
        raise Missing(f"filterd lists compile: {tail}")
    return {
        "compile_s": round(time.perf_counter() - begun, 2),
        "compile_cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "compile_peak_mib": round(usage.ru_maxrss / 1024, 1),  # of the largest of its processes
    }


def _facts(site: Site) -> dict[str, float]:
    found: dict[str, float] = json.loads((site.folder / _FACTS).read_text())
    return found


def _reflect(site: Site) -> Command:
    return Command([site.program, "127.0.0.1", str(site.port)], site.folder)


def filterd(name: str, workers: int | None) -> Peer:
    """Return filterd as a peer with so many workers; None for a version that has no such setting."""
    several = workers is not None and workers > 1
    remarks = "with its monitoring endpoint, counting and events on"
    return Peer(
        name,
        f"filterd, {workers} workers" if several else "filterd",
        lambda site: _filterd(site, workers),
        "filterd",
        remarks=f"{remarks}; its workers share the cores of the servers" if several else remarks,
        facts=_facts,
    )


REFLECTOR = Peer(
    "reflector", "C reflector", _reflect, "reflect", reflected=True,
    remarks="sends each packet back unread: the limit of the kernel",
)  # fmt: skip
