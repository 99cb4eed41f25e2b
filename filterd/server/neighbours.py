"""What is known of clients beside their address, from the kernel's neighbour table and from DHCP leases.

Read in the background; a table that cannot be read is an empty one, counted. Only devices on the same link
have a MAC and an interface here: behind a router there is none. A lease's name was chosen by the device.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from filterd.rules.clients import UNKNOWN, Device, lease_name
from filterd.server.clients import packed

REFRESH_SECONDS = 30.0
_MAX_FILE = 8 << 20
_MAC_BYTES = 6
_PATIENCE = 5.0  # seconds for a program that takes milliseconds

log = structlog.get_logger(__name__)


class Neighbours:
    """Packed address -> device, refreshed every 30 seconds by :meth:`watch`."""

    def __init__(self, lease_files: tuple[str, ...] = ()) -> None:
        self._lease_files = tuple(Path(file) for file in lease_files)
        self._table: dict[bytes, Device] = {}
        self.failures = 0

    def device_of(self, address: bytes) -> Device:
        """Return what the box has seen of the device with a packed address."""
        return self._table.get(address, UNKNOWN)

    async def watch(self, changed: Callable[[], None]) -> None:
        """Refresh for ever; call ``changed`` when the table differs from the one before."""
        while True:
            if await self.refresh():
                changed()
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> bool:
        """Read all sources once; return whether anything changed. A lease outranks the kernel's table."""
        table = parse_neighbours(await asyncio.to_thread(self._kernel_table))
        for file in self._lease_files:
            try:
                text = await asyncio.to_thread(_read, file)
            except OSError as error:
                self.failures += 1
                log.warning("leases_unreadable", file=str(file), error=str(error))
                continue
            for address, leased in parse_leases(text).items():
                seen = table.get(address, UNKNOWN)
                table[address] = Device(leased.mac or seen.mac, leased.lease, seen.interface)
        differs = table != self._table
        self._table = table
        return differs

    def _kernel_table(self) -> str:
        # In a thread and not by asyncio's subprocesses: one that is cancelled while it starts is never
        # finished (CPython 3.11), and the process that waits for it never ends.
        try:
            done = subprocess.run(
                ("ip", "-json", "neighbour", "show"),  # noqa: S607 - its folder differs between systems
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                timeout=_PATIENCE, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            self.failures += 1
            return "[]"
        return done.stdout.decode("utf-8", "replace")


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(_MAX_FILE).decode("utf-8", "replace")


def parse_neighbours(text: str) -> dict[bytes, Device]:
    """Return MAC and interface of ``ip -json neighbour show``; who has no link address is left out."""
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return {}
    found: dict[bytes, Device] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            mac = _mac(str(entry.get("lladdr", "")))
            if mac is not None:
                _add(found, str(entry.get("dst", "")), Device(mac, "", str(entry.get("dev", ""))))
    return found


def parse_leases(text: str) -> dict[bytes, Device]:
    """Return MAC and name of a dnsmasq lease file or a Kea memfile (CSV with a header)."""
    found: dict[bytes, Device] = {}
    lines = text.splitlines()
    if lines and lines[0].startswith("address,"):
        _kea(found, lines)
        return found
    for line in lines:
        fields = line.split()
        if len(fields) >= 4:  # of DHCPv6 the second one is no MAC
            _add(found, fields[2], Device(_mac(fields[1]), lease_name(fields[3])))
    return found


def _kea(found: dict[bytes, Device], lines: Iterable[str]) -> None:
    for row in csv.DictReader(lines):
        device = Device(_mac(row.get("hwaddr") or ""), lease_name(row.get("hostname") or ""))
        _add(found, row.get("address") or "", device)


def _mac(text: str) -> bytes | None:
    with contextlib.suppress(ValueError):
        value = bytes.fromhex(text.replace(":", "").replace("-", ""))
        if len(value) == _MAC_BYTES:
            return value
    return None


def _add(found: dict[bytes, Device], address: str, device: Device) -> None:
    if device == UNKNOWN:
        return
    with contextlib.suppress(ValueError, OSError):
        found[packed(address)] = device
