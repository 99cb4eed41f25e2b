"""How commands speak with the running filter: a socket in the state folder, one JSON line each way.

Only who may write into the state folder can use it (mode 0600); the kernel says who that is. What can be
asked is listed where the supervisor is put together (app/run.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pwd
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from filterd.errors import FilterdError, StartError

log = structlog.get_logger(__name__)

_MAX_LINE = 1 << 16
_TIMEOUT = 90.0
_IDLE = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, and by whom.

    Attributes:
        arguments: of the command, as the other side gave them; nothing about them is checked here.
        user: login of the process at the other end, as the kernel says it.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""


Command = Callable[[Call], Awaitable[Mapping[str, Any]]]


class Control:
    """Serves commands on a Unix socket until :meth:`close`.

    Args:
        path: of the socket; one left by a process that died is replaced.
        commands: by name; a :class:`FilterdError` raised by one is told to who asked.
    """

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            StartError: another filter runs with this state folder, or the socket cannot be made.
        """
        if await _answers(self._path):
            raise StartError(
                f"another filterd runs with the state folder {self._path.parent}",
                remedy="stop it, or give this one another with --state",
            )
        try:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=_MAX_LINE)
            self._path.chmod(0o600)
        except OSError as error:
            raise StartError(
                f"cannot listen on {self._path}: {error}", remedy="name another --state"
            ) from error

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_IDLE):
                line = (await reader.readline()).decode("utf-8", "replace").strip()
            reply = await self._run(line, _user(writer))
            writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            log.debug("control_connection_lost")
        finally:
            writer.close()

    async def _run(self, line: str, user: str) -> Mapping[str, Any]:
        asked = json.loads(line) if line.startswith("{") else {"command": line}
        name, arguments = asked.get("command"), asked.get("arguments", {})
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None or not isinstance(arguments, dict):
            return {"error": f"unknown command {name!r}"}
        try:
            return await command(Call(arguments, user))
        except FilterdError as error:
            notes = [str(note) for note in getattr(error, "__notes__", ())]
            return {"error": str(error), "notes": notes}


def _user(writer: asyncio.StreamWriter) -> str:
    """Return the login of the process at the other end (SO_PEERCRED, unix(7)); its number if it has none."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid = int.from_bytes(peer[4:8], sys.byteorder)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


async def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.close()
        return True
    return False


def ask(path: Path, name: str, **arguments: Any) -> Mapping[str, Any]:
    """Ask the running filter and return its reply; blocks.

    Args:
        path: of the socket.
        name: of the command.
        **arguments: of the command.

    Raises:
        StartError: no filter runs with this state folder, or this user may not ask it.
        FilterdError: what the command raised.
    """
    reply: Mapping[str, Any] = asyncio.run(_ask(path, {"command": name, "arguments": arguments}))
    if "error" in reply:
        error = FilterdError(reply["error"])
        for note in reply.get("notes", ()):
            error.add_note(note)
        raise error
    return reply


async def _ask(path: Path, asked: Mapping[str, Any]) -> Any:
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
            writer.write(json.dumps(asked, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
            writer.close()
            return json.loads(line)
    except PermissionError as error:
        raise StartError(f"not permitted to use {path}", remedy="ask as the user filterd runs as") from error
    except (OSError, ValueError, TimeoutError) as error:
        raise StartError(
            f"no filter answers at {path}", remedy="is `filterd run` running with this --state?"
        ) from error
