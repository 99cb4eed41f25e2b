"""The endpoint as a running service: store, upkeep and sockets, started in order and stopped in order.

Sets up no logging and no signals: its caller (the composition root, or a test) does.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing, suppress

import structlog
from aiohttp import web

from filterd.errors import StartError
from filterd.monitor.ingest.accept import Ingest
from filterd.monitor.metrics.exposition import Exposition
from filterd.monitor.metrics.labels import LabelBook
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import MonitorSettings
from filterd.monitor.store.store import Clock, Store
from filterd.monitor.upkeep.scheduler import Scheduler
from filterd.monitor.upkeep.tasks import upkeep_tasks
from filterd.monitor.web.app import Services, make_app

Ready = Callable[[Sequence[tuple[str, int]]], object]
_BACKLOG = 256
_STOP_SECONDS = 5.0  # for deliveries that have come and wait for the store; half-come ones are cut
_log = structlog.get_logger(__name__)


async def serve_monitor(
    settings: MonitorSettings, stop: asyncio.Event, ready: Ready, *, clock: Clock = time.time
) -> None:
    """Serve until ``stop`` is set; requests in hand are finished first.

    Args:
        settings: what to serve.
        stop: set it to end.
        ready: called once with the (host, port) pairs when requests are answered.
        clock: UTC seconds.

    Raises:
        StartError: an address is in use, not ours or not allowed.
        StoreError: the database cannot be used.
    """
    async with AsyncExitStack() as stack:
        sockets = await _bind(settings.listen, stack)
        store = await Store.open(settings, clock)
        stack.push_async_callback(store.close)
        meter, labels = Meter(), LabelBook(settings.limits)
        ingest = Ingest(store, settings, labels, clock)
        stack.push_async_callback(ingest.close)
        services = Services(
            settings=settings,
            store=store,
            ingest=ingest,
            exposition=Exposition(settings, store, meter, labels, clock),
            meter=meter,
        )
        tasks = upkeep_tasks(store, settings, meter, clock)
        upkeep = asyncio.create_task(Scheduler(tasks, store, meter).run(), name="monitor-upkeep")
        stack.push_async_callback(_cancelled, upkeep)
        await _listen(services, sockets, stack)
        addresses = [(str(sock.getsockname()[0]), int(sock.getsockname()[1])) for sock in sockets]
        _log.info("monitor_ready", listen=[f"{host} {port}" for host, port in addresses])
        ready(addresses)
        await stop.wait()
        _log.info("monitor_stopping")


async def _listen(services: Services, sockets: list[socket.socket], stack: AsyncExitStack) -> None:
    limits = services.settings.limits
    runner = web.AppRunner(
        make_app(services),
        access_log=None,
        auto_decompress=False,  # a gzip bomb is unpacked by decode.py, which stops in time
        keepalive_timeout=limits.idle_seconds,
        lingering_time=2.0,
        shutdown_timeout=_STOP_SECONDS,
        handle_signals=False,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    server = runner.server
    if server is None:
        raise StartError("the web server did not start")
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.BaseProtocol:
        if len(server.connections) >= limits.connections:
            services.meter.connections_refused.inc()
            return _Refused()
        return server()

    for sock in sockets:
        listener = await loop.create_server(protocol, sock=sock, backlog=_BACKLOG)
        stack.callback(listener.close)


class _Refused(asyncio.Protocol):
    """A connection over the bound: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


async def _bind(listen: Sequence[tuple[str, int]], stack: AsyncExitStack) -> list[socket.socket]:
    """Bind all addresses before anything else is touched.

    Raises:
        StartError: with the address and what to do.
    """
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    for host, port in listen:
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, protocol, _name, address in dict.fromkeys(found):
                sock = stack.enter_context(closing(socket.socket(family, kind, protocol)))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
                sockets.append(sock)
        except OSError as error:
            raise StartError(
                f"the monitor cannot listen on {host} port {port}: {error.strerror}",
                remedy=_remedy(error, port),
            ) from error
    return sockets


def _remedy(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"end the program that uses it (ss -ltnp 'sport = :{port}' names it) or choose another port"
    if error.errno == errno.EACCES:
        return "choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE"
    return "choose an address of this machine (ip address shows them)"


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
