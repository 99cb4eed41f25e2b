"""Hosts of a school in network namespaces of their own: pupil, teacher, gateway, and the internet."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "filterd"]
RESOLVERS = ("8.8.8.8", "2001:4860:4860::8888")  # public ones, here on loopback of the "internet"
OTHER = ("198.51.100.80", "2001:db8:80::1")  # a server that is no resolver
UPSTREAM = "198.51.100.53"


class Host:
    """A network namespace, held by a process that sleeps."""

    def __init__(self, inside: Host | None = None) -> None:
        own = [] if os.geteuid() == 0 or inside is not None else ["--user", "--map-root-user"]
        start = [*inside.enter] if inside is not None else []
        self._holder = subprocess.Popen([*start, "unshare", *own, "--net", "sleep", "infinity"])
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.enter = ["nsenter", "--target", str(self._holder.pid), "--net", *user]
        before = Path("/proc/self/ns/net").readlink()
        until(lambda: Path(f"/proc/{self._holder.pid}/ns/net").readlink() != before, "the namespace")
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> str:
        return str(self._holder.pid)

    def run(
        self, *words: str, check: bool = True, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.enter, *words], capture_output=True, text=True, timeout=60, check=False, input=given
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen([*self.enter, *words], stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def filterd(self, *words: str, check: bool = True, given: str | None = None) -> str:
        done = self.run(*COMMAND, *words, check=check, given=given)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def dig(self, server: str, name: str, *more: str) -> str:
        """Return status and data of one question, ``silence`` when nothing came."""
        words = ("dig", f"@{server}", name, "+tries=1", "+timeout=3", *more)
        done = self.run(*words, check=False)
        if "status: NXDOMAIN" in done.stdout:
            return "NXDOMAIN"
        data = [line.split()[-1] for line in done.stdout.splitlines() if line and line[0] not in "; "]
        return " ".join(data) or "silence"

    def connects(self, address: str, port: int) -> str:
        """Return what becomes of a TCP connection: ``yes``, or the name of the error."""
        code = (
            "import socket, sys\n"
            "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print('yes')\n"
            "except OSError as error: print(type(error).__name__)"
        )
        return self.run(sys.executable, "-c", code, address, str(port)).stdout.strip()

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()


class School:
    """pupil -- lan0 -- gateway -- wan -- internet, and teacher -- lan1 -- gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gateway = Host()
        self.pupil, self.teacher, self.internet = (Host(self.gateway) for _ in range(3))
        self._join("lan0", self.pupil, "10.20.5", "2001:db8:20:5")
        self._join("lan1", self.teacher, "10.20.100", "2001:db8:20:100")
        self._join("wan0", self.internet, "203.0.113", "2001:db8:ffff:1")
        for address in (*RESOLVERS, *OTHER, UPSTREAM):
            length = "128" if ":" in address else "32"
            self.internet.run("ip", "addr", "add", f"{address}/{length}", "dev", "lo", *self._nodad(address))
        for family in ("-4", "-6"):
            via = "203.0.113.2" if family == "-4" else "2001:db8:ffff:1::2"
            self.gateway.run("ip", family, "route", "add", "default", "via", via)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.gateway.run("sysctl", "-qw", f"{key}=1")
        self.programs: list[subprocess.Popen[bytes]] = []
        served = (*RESOLVERS, *OTHER, UPSTREAM)
        self._started(self.internet, sys.executable, str(HERE / "_internet.py"), *served, ready="ready")

    def _join(self, name: str, host: Host, v4: str, v6: str) -> None:
        self.gateway.run("ip", "link", "add", name, "type", "veth", "peer", "eth0", "netns", host.pid)
        for one, device, number in ((self.gateway, name, 1), (host, "eth0", 2)):
            one.run("ip", "addr", "add", f"{v4}.{number}/24", "dev", device)
            one.run("ip", "addr", "add", f"{v6}::{number}/64", "dev", device, "nodad")
            one.run("ip", "link", "set", device, "up")
        host.run("ip", "-4", "route", "add", "default", "via", f"{v4}.1")
        host.run("ip", "-6", "route", "add", "default", "via", f"{v6}::1")

    @staticmethod
    def _nodad(address: str) -> tuple[str, ...]:
        return ("nodad",) if ":" in address else ()

    def _started(self, host: Host, *words: str, ready: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"log-{len(self.programs)}"
        process = host.start(*words, log=log)
        self.programs.append(process)
        until(lambda: ready in log.read_text("utf-8", "replace"), f"{words}: {log}")
        return process

    def serve(self, config: Path) -> subprocess.Popen[bytes]:
        """Start the filter and the watch on the gateway."""
        process = self._started(
            self.gateway, *COMMAND, "run", "--config", str(config), ready="Ctrl-C ends it."
        )
        self.gateway.filterd("gateway", "apply", "--yes", "--config", str(config))
        self._started(self.gateway, *COMMAND, "gateway", "watch", "--config", str(config), ready="answers")
        return process

    def end(self) -> None:
        for process in reversed(self.programs):
            process.terminate()
        for process in self.programs:
            process.wait(20)
        for host in (self.pupil, self.teacher, self.internet, self.gateway):
            host.end()


def until(condition, what: str, seconds: float = 60.0):
    limit = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except FileNotFoundError:
            pass
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.1)
