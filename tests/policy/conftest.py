from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest
import yaml

from filterd.config.load import Config, load_config

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("games.example", "video.example", "casino.example", "virus.example", "plain.example")
COMMAND = (sys.executable, "-c", "from filterd.cli import main; main()")
ADDRESS = "198.51.100.7"
LISTED = {
    "games": "games.example", "video": "video.example", "gambling": "casino.example",
    "malware": "virus.example", "allow_edu": "lesson.example",
}  # fmt: skip

BASELINE: dict[str, Any] = {
    "format": 1,
    "title": {"kk": "б", "ru": "б", "en": "b"},
    "tiers": {"middle": {"video": "T", "games": "B"}},
    "names": {"allow": [{"name": "egov.kz", "locked": True, "reason": "open"}]},
}
SCHOOL: dict[str, Any] = {
    "format": 1,
    "school": "s1",
    "title": {"kk": "м", "ru": "ш", "en": "s"},
    "default_group": "pupils",
    "groups": [
        {"id": "pupils", "tier": "middle"},
        {"id": "teachers", "tier": "staff", "clients": ["127.0.0.9"]},
    ],
}


@dataclass
class Papers:
    """The files of one school in a folder, and the commands that read them."""

    folder: Path
    port: int
    config_more: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def config_file(self) -> Path:
        return self.folder / "filterd.yaml"

    def config(self) -> Config:
        return load_config(self.config_file)

    def write(self, *, school: dict[str, Any] | None = None, baseline: dict[str, Any] | None = None) -> None:
        """Write all files; the keys given replace those of the plain ones."""
        self.text("baseline.yaml", yaml.safe_dump({**BASELINE, **(baseline or {})}))
        self.text("school.yaml", yaml.safe_dump({**SCHOOL, **(school or {})}))
        for category, name in LISTED.items():
            self.text(f"{category}.txt", f"{name}\n")
        sources = [
            {
                "id": f"local-{one.replace('_', '-')}",
                "title": one,
                "path": f"{one}.txt",
                "format": "domains",
                "category": one,
                "origin": "local",
                "licence": "CC0-1.0",
                "enabled": True,
            }
            for one in LISTED
        ]
        self.text("sources.yaml", yaml.safe_dump({"sources": sources}))
        config = {
            "state": "state",
            "listen": [f"127.0.0.1:{self.port}"],
            "workers": 2,
            "upstreams": ["127.0.0.1:9"],
            "local_names": {name: [ADDRESS] for name in (*NAMES, "lesson.example", "egov.kz")},
            "policy": {"baseline": "baseline.yaml", "school": "school.yaml"},
            "lists": {"catalogue": "sources.yaml"},
            "delivery": {"url": "http://127.0.0.1:9"},
            **self.config_more,
        }
        self.config_file.write_text(yaml.safe_dump(config))

    def text(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, "utf-8")
        return path

    def filterd(self, *words: str, status: int | None = 0) -> str:
        """Run a command and return all it printed."""
        done = subprocess.run(
            [*COMMAND, *words, "--config", self.config_file],
            capture_output=True, text=True, timeout=60, check=False, cwd=self.folder,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert status is None or done.returncode == status, said
        assert "Traceback" not in said
        return said

    def ask(self, name: str, source: str = "127.0.0.1") -> str:
        """Return ``blocked``, ``allowed`` or the rcode."""
        query = dns.message.make_query(name, "A", use_edns=0)
        reply = dns.query.udp(query, "127.0.0.1", port=self.port, timeout=5, source=source)
        codes = {int(one.code) for one in reply.options if one.otype == dns.edns.OptionType.EDE}
        if codes & {15, 16, 17}:
            return "blocked"
        if reply.answer and ADDRESS in str(reply.answer[-1]):
            return "allowed"
        return dns.rcode.to_text(reply.rcode())

    def until(self, name: str, expected: str, source: str = "127.0.0.1", seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while (got := self.ask(name, source)) != expected:
            assert time.monotonic() < deadline, f"{name} is {got}, not {expected}"
            time.sleep(0.02)


def free_port() -> int:
    """Return a port that is free for UDP and TCP alike."""
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                other.bind(one.getsockname())
                return int(one.getsockname()[1])
    raise AssertionError("no port is free")


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    made = Papers(tmp_path, free_port())
    made.write()
    return made


@pytest.fixture
def serve(papers: Papers) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts the filter of the papers; ends whatever was started."""
    started: list[subprocess.Popen[bytes]] = []
    log = papers.folder / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*COMMAND, "serve", "--config", papers.config_file, "--log-format", "json"],
                stdout=stream, stderr=stream, cwd=papers.folder,
            )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 60
        while "Ctrl-C ends it." not in log.read_text("utf-8", "replace"):
            assert process.poll() is None, log.read_text("utf-8", "replace")
            assert time.monotonic() < deadline, log.read_text("utf-8", "replace")
            time.sleep(0.05)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    assert "Traceback" not in log.read_text("utf-8", "replace") if log.exists() else True
