"""The DNS process: answers lookups, records what was blocked, and waits for nobody.

Started by the supervisor as ``python -m filterd.app.worker``, which hands it the verified configuration and
the bound sockets. It reads no file that a person edits and opens no connection but to the upstreams.
"""

from __future__ import annotations

import asyncio
import gc
import hmac
import json
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from filterd import __version__, mmsg
from filterd.app import logs
from filterd.app.garbage import tidy, tidy_all
from filterd.app.indexinuse import readable_index
from filterd.app.policyfiles import policy_now
from filterd.app.policyoverrides import OverrideStore
from filterd.config.load import Config, undump
from filterd.errors import DomainIndexError, FilterdError
from filterd.events.batch import Health
from filterd.events.hints import WINDOW, Hints
from filterd.events.outbox import Limits, Outbox
from filterd.events.pseudonym import Pseudonyms, load_secret
from filterd.events.recorder import Recorder
from filterd.events.writer import Writer
from filterd.lists import activate
from filterd.resolver.resolver import Resolver
from filterd.rules.index import Index
from filterd.rules.policy import Policy
from filterd.rules.view import View
from filterd.server import child
from filterd.server.clients import Clients
from filterd.server.encrypted import EncryptedListeners
from filterd.server.fast import FastListener
from filterd.server.handler import Handler
from filterd.server.neighbours import Neighbours
from filterd.server.tcp import TcpListener
from filterd.server.udp import UdpListener

if TYPE_CHECKING:
    from filterd.events.identities import Identities

log = structlog.get_logger(__name__)

_INDEX_LOOK = 1.0  # seconds between two looks at which index is current
_INDEX_CLOSE = 30.0
_BEAT = 1.0
_STUCK = 10.0  # a loop that did not turn for so long answers nobody
_TIDY = 5.0
_TIDY_ALL = 3600.0
_SWITCH = (
    0.0005  # seconds that the writer's thread may hold the loop up; Python's own choice is ten times that
)
_DRAIN = 3.0
_COOKIE_SECRET = b"filterd server cookie"


@dataclass(slots=True)
class Worker:
    """The objects of one DNS process."""

    config: Config
    policy: Policy
    resolver: Resolver
    handler: Handler
    clients: Clients
    neighbours: Neighbours
    writer: Writer
    listeners: list[FastListener | UdpListener]
    pseudonyms: Pseudonyms
    index_version: str
    started: int
    refused_file: tuple[int, int, int] = (0, 0, 0)  # device, inode and time of an index that is damaged
    beat: float = 0.0  # monotonic seconds at which the loop was last seen turning
    encrypted: EncryptedListeners | None = None

    def health(self) -> Health:
        """Return this process' state as the outbox keeps it; called by the writer's thread."""
        values = {**self.resolver.health(), **self.handler.health(), **self.writer.counters()}
        values["clients"] = float(len(self.clients))
        values["clients_forgotten"] = float(self.clients.forgotten)
        values.update(self._own_health())
        return Health(
            at=int(time.time()),
            started=self.started,
            version=__version__,
            policy_version=self.policy.version,
            index_version=self.index_version,
            values={name: float(value) for name, value in values.items()},
        )

    def _own_health(self) -> dict[str, float]:
        index = self.resolver.index
        encrypted = self.encrypted.health() if self.encrypted is not None else {}
        return {
            **encrypted,
            "index_names": float(index.names),
            "index_missing": float(not index.ready),
            "index_built": float(index.built_at),
            "memory_bytes": float(_resident_bytes()),
            "cpu_seconds": time.process_time(),
        }

    def live(self) -> None:
        """Show that the loop turns."""
        self.beat = time.monotonic()

    def serving(self) -> bool:
        """Return whether lookups are answered and filtered by lists; called by the writer's thread."""
        return time.monotonic() - self.beat < _STUCK and self.resolver.index.ready

    def take_current_index(self) -> None:
        """Serve the current index if it is another one; a damaged one is refused and the old one stays."""
        path = activate.current(self.config.state.lists)
        if path is None or path.parent.name == self.index_version:
            return
        try:
            found = path.stat()
        except FileNotFoundError:  # taken away just now; the next look sees what is there
            return
        file = (found.st_dev, found.st_ino, found.st_mtime_ns)
        if file == self.refused_file:  # it was told once
            return
        try:
            index = Index.open(path)
        except DomainIndexError as error:
            self.handler.counters["index_refused"] += 1
            self.refused_file = file
            log.error("index_refused", path=str(path), error=str(error))  # noqa: TRY400 - the line says all
            return
        old, self.resolver.index = self.resolver.index, index
        self.index_version = path.parent.name
        self.forget()
        # Lookups under way are decided to their end by the index they began with.
        asyncio.get_running_loop().call_later(_INDEX_CLOSE, old.close)
        log.info("index_switched", version=index.version, names=index.names)

    def view_of(self, group: str) -> View:
        """Return what holds for a group now."""
        return self.policy.view(group, time.time())

    def forget(self) -> None:
        """Let no verdict of before be given again: the index changed."""
        self.handler.memos.clear()
        for listener in self.listeners:
            listener.forget()

    def regroup(self) -> None:
        """Assign clients to their groups anew; what is remembered belongs to views and stays right."""
        self.clients.regroup(self.policy.clients.group_of)
        for listener in self.listeners:
            listener.forget()

    async def take_policy(self) -> None:
        """Serve the policy in force now; lookups go on while it is read."""
        generation = self.policy.generation + 1
        try:
            policy = await asyncio.to_thread(policy_now, self.config, generation=generation, at=time.time())
            secret = await asyncio.to_thread(load_secret, self.config.state.box_secret)
        except FilterdError as error:
            self.handler.counters["policy_refused"] += 1
            log.error("policy_refused", error=str(error))  # noqa: TRY400 - the line says all; no trace helps
            return
        self.pseudonyms.renew(secret)
        self.policy = policy
        self.handler.memos.clear()  # views of the old policy are gone for good
        self.regroup()
        log.info("policy_switched", version=policy.version)

    async def take_certificate(self) -> None:
        """Look at the certificate's files: a reload was asked for."""
        if self.encrypted is not None:
            await self.encrypted.refresh()

    async def take_overrides(self) -> None:
        """Serve under the overrides that hold now; groups that none concerns keep what is remembered."""
        store = OverrideStore(self.config.state.overrides)
        overrides = await asyncio.to_thread(store.active, time.time())
        self.policy = self.policy.under(overrides)
        for listener in self.listeners:
            listener.forget()
        log.info("overrides_taken", count=len(overrides))


class Changes:
    """Takes changes of the policy one after the other, in the order in which signals tell of them.

    SIGHUP: another policy is in force. SIGUSR1: other overrides. Made before the policy is read, so that
    nothing that changes while the process gets ready is missed.
    """

    def __init__(self) -> None:
        self._due: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            loop.add_signal_handler(number, self._due.put_nowait, number)

    async def run(self, worker: Worker) -> None:
        """Take changes for ever; those that were told before first."""
        while True:
            number = await self._due.get()
            try:
                if number is signal.SIGHUP:
                    await worker.take_certificate()
                    await worker.take_policy()
                else:
                    await worker.take_overrides()
            except Exception:  # what is served stays; the next change may succeed
                log.exception("change_not_taken", signal=number.name)


def build(config: Config, name: str) -> Worker:
    """Make the objects of the DNS process ``name``, which has an outbox of its own."""
    policy = policy_now(config, at=time.time())
    index, index_version = readable_index(config.state.lists)
    settings = config.server()
    neighbours = Neighbours(settings.lease_files)
    secret = load_secret(config.state.box_secret)
    recorder = Recorder()
    resolver = Resolver(config.resolver(), index)
    handler = Handler(
        settings,
        resolver,
        lambda group: worker.view_of(group),  # noqa: PLW0108 - bound below
        recorder,
        cookie_secret=derived(secret, _COOKIE_SECRET)[:16],
    )
    outbox = Outbox(
        config.state.outboxes / f"{name}.outbox", Limits(max_bytes=config.model.delivery.spool_mib << 20)
    )
    clients = Clients(settings, policy.clients.group_of, neighbours.device_of)
    pseudonyms = Pseudonyms(secret)
    named, identities = _noted(config, pseudonyms, secret)
    writer = Writer(
        recorder,
        outbox,
        named,
        health=lambda: worker.health(),  # noqa: PLW0108 - bound below
        hints=Hints(recent=clients.recent, nobody_there=lambda at: worker.policy.nobody_there(at)),  # noqa: PLW0108 - bound below
        serving=lambda: worker.serving(),  # noqa: PLW0108 - bound below
        after=identities.write if identities is not None else lambda _now: None,
    )
    worker = Worker(
        config=config,
        policy=policy,
        resolver=resolver,
        handler=handler,
        clients=clients,
        neighbours=neighbours,
        writer=writer,
        listeners=[],
        pseudonyms=pseudonyms,
        index_version=index_version,
        started=int(time.time()),
    )
    return worker


def _noted(
    config: Config, pseudonyms: Pseudonyms, secret: bytes
) -> tuple[Callable[[bytes, bytes | None, int], str], Identities | None]:
    """Return what makes pseudonyms, and the store that notes them when there are keys to seal it to."""
    if not config.state.release_keys.exists():
        return pseudonyms, None
    from filterd.events import identities  # noqa: PLC0415 - most boxes have no keys, and need not load this

    try:
        keys = identities.read_keys(config.state.release_keys)
    except FilterdError as error:
        log.error("release_keys_refused", error=str(error))  # noqa: TRY400 - lookups matter more; the line says all
        return pseudonyms, None
    store = identities.Identities(config.state.identities, keys, secret)
    return identities.Noting(pseudonyms, store), store


def _resident_bytes() -> int:
    """Return the memory this process holds (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def derived(secret: bytes, purpose: bytes) -> bytes:
    """Return a key of its own for a purpose, so that no key serves two (HMAC-SHA256 of the box secret)."""
    return hmac.digest(secret, purpose, "sha256")


@dataclass(frozen=True, slots=True)
class Sockets:
    """What the supervisor bound for this process; all but ``udp`` are listening streams."""

    udp: list[socket.socket]
    tcp: list[socket.socket]
    dot: list[socket.socket]
    doh: list[socket.socket]


async def serve(config: Config, name: str, sockets: Sockets) -> None:
    """Serve until the supervisor asks to stop or is gone."""
    stop = child.stop_event()
    changes = Changes()
    worker = build(config, name)
    await worker.resolver.start()
    worker.writer.start()
    listener = FastListener if mmsg.available() else UdpListener
    worker.listeners += [listener(sock, worker.handler, worker.clients) for sock in sockets.udp]
    streams = TcpListener(worker.handler, worker.clients, config.server().tcp)
    for sock in sockets.tcp:
        await streams.start(sock)
    encrypted = worker.encrypted = _encrypted(worker, config)
    if encrypted is not None:
        await encrypted.start(sockets.dot, sockets.doh)
    tasks = [asyncio.create_task(work) for work in (changes.run(worker), *_background(worker))]
    gc.disable()
    tidy()
    child.say_ready()
    log.info("dns_ready", policy=worker.policy.version, index=worker.resolver.index.version)
    await stop.wait()
    streams.stop_accepting()
    if encrypted is not None:
        encrypted.stop_accepting()
    for one in worker.listeners:
        one.close()
    await worker.handler.drain(_DRAIN)
    await streams.close()
    if encrypted is not None:
        await encrypted.close()
    for task in tasks:
        task.cancel()
    await worker.resolver.close()
    if not await asyncio.to_thread(worker.writer.stop, drain=True):
        log.error("events_left_behind", counters=worker.writer.counters())


def _encrypted(worker: Worker, config: Config) -> EncryptedListeners | None:
    settings = config.server().encrypted
    if settings is None:
        return None
    return EncryptedListeners(settings, worker.handler, worker.clients)


def _background(worker: Worker) -> tuple[Coroutine[Any, Any, None], ...]:
    watched = () if worker.encrypted is None else (worker.encrypted.watch(),)
    return (
        _every(_BEAT, worker.live),
        _every(WINDOW / 2, worker.clients.mark),
        *watched,
        _every(_INDEX_LOOK, worker.take_current_index),
        _every(_TIDY, tidy),
        _every(_TIDY_ALL, tidy_all),
        worker.neighbours.watch(worker.regroup),
    )


async def _every(seconds: float, action: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            action()
        except Exception:  # the next look may succeed; what is served stays
            log.exception("background_failed", action=action.__name__)


def main() -> None:
    """Run as a child of the supervisor."""
    sys.setswitchinterval(_SWITCH)
    plan = json.loads(child.read_plan())
    logs.configure(level=plan["log_level"], human=plan["log_human"])
    config = undump(plan["config"].encode())
    sockets = Sockets(
        **{kind: [socket.socket(fileno=number) for number in plan[kind]] for kind in Sockets.__slots__}
    )
    child.run(serve(config, plan["name"], sockets))


if __name__ == "__main__":
    main()
