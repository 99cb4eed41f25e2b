"""The supervisor process: binds sockets, keeps the children alive, ships the outbox.

It answers no lookup itself, so nothing it does, waiting for the endpoint included, can delay DNS.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog

from filterd import __version__
from filterd.app import encrypted
from filterd.app.boxhealth import box_values, last_selftest
from filterd.app.control import Call, Control
from filterd.app.policydesk import PolicyDesk
from filterd.app.policylog import Asked
from filterd.app.prepare import delivery_token
from filterd.config.load import Config
from filterd.errors import CertificateError, ConfigError, FilterdError
from filterd.lists import activate
from filterd.rules.overrides import Override
from filterd.server.settings import Endpoint
from filterd.server.sockets import Bound, BoundStream, bind_all, bind_streams
from filterd.server.supervisor import ChildSpec, Supervisor

if TYPE_CHECKING:
    from filterd.events.shipper import Shipper, ShipperSettings

log = structlog.get_logger(__name__)

MONITOR = "monitor"
_LAST_DELIVERY = 2.0  # seconds at the end for what the endpoint can still take


@dataclass(frozen=True, slots=True)
class Running:
    """What is being served, for the lines that a person reads at the start."""

    config: Config
    endpoints: tuple[Endpoint, ...]
    school: str


@dataclass(frozen=True, slots=True)
class Options:
    """How this process was asked to run.

    Args:
        with_monitor: serve the endpoint as well.
        log_level, log_human: of all processes.
        read_config: reads the configuration anew, as at the start; raises ConfigError.
        refresh_lists: compiles the lists if they changed since the index in use was made; blocks. Done in
            the background, so that a restart answers at once with the index there is.
    """

    with_monitor: bool
    log_level: str
    log_human: bool
    read_config: Callable[[], Config]
    refresh_lists: Callable[[], None]


async def run(options: Options, ready: Callable[[Running], None]) -> None:
    """Serve until SIGINT or SIGTERM; on SIGHUP do what ``filterd reload`` does.

    Raises:
        FilterdError: it could not start; says why and what to do.
    """
    stop, hangup = _on(signal.SIGINT, signal.SIGTERM), _on(signal.SIGHUP)
    service = Service(options)
    try:
        await service.start()
        ready(service.running())
        threading.Thread(target=options.refresh_lists, name="filterd-lists", daemon=True).start()
        ends = asyncio.create_task(stop.wait())
        while not stop.is_set():
            hung = asyncio.create_task(hangup.wait())
            await asyncio.wait({ends, hung}, return_when=asyncio.FIRST_COMPLETED)
            hung.cancel()
            if hangup.is_set():
                hangup.clear()
                await service.reload_quietly()
    finally:
        await service.stop()


def _on(*numbers: signal.Signals) -> asyncio.Event:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, event.set)
    return event


class Service:
    """The parts of a running filter and what can be asked of them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._config = options.read_config()
        self._desk = PolicyDesk(self._config.state)
        self._bound: list[Bound] = []
        self._streams: dict[str, list[BoundStream]] = {"dot": [], "doh": []}
        self._supervisor = Supervisor()
        self._shipper: Shipper | None = None
        self._shipping: asyncio.Task[None] | None = None
        self._reloaded = True
        self._reloading = asyncio.Lock()
        commands = {
            "status": self._status,
            "reload": self._reload,
            "undo": self._undo,
            "override_list": self._override_list,
            "override_add": self._override_add,
            "override_end": self._override_end,
        }
        self._control = Control(self._config.state.control, commands)

    async def start(self) -> None:
        """Bind, start all children, DNS first, and begin to ship."""
        config = self._config
        await self._control.start()
        policy = await asyncio.to_thread(self._desk.start, config, Asked(getpass.getuser()))
        self._reloaded = not self._desk.refused
        server = config.server()
        await asyncio.to_thread(encrypted.certificate_of, config)
        await asyncio.to_thread(encrypted.check_authorities, config)
        self._bound = bind_all(server.listen, receive_buffer=server.receive_buffer, workers=config.workers)
        if server.encrypted is not None:
            self._streams["dot"] = bind_streams(server.encrypted.dot)
            self._streams["doh"] = bind_streams(server.encrypted.doh)
        # The endpoint's start takes longer than that of DNS and would take the processor from it.
        await self._supervisor.start(self._dns_specs(config))
        await self._supervisor.start(self._monitor_specs(config))
        from filterd.events.shipper import Shipper  # noqa: PLC0415 - HTTP is loaded while DNS answers already

        self._shipper = Shipper(
            _shipping(config, policy.school),
            values=self._own_health,
            selftest=lambda: last_selftest(config.state),
        )
        self._shipping = asyncio.create_task(self._shipper.run())

    async def stop(self) -> None:
        """Stop in order.

        The DNS processes end first and leave their last events in the outbox; the endpoint gets what it can
        still take, the rest waits for the next start.
        """
        await self._supervisor.stop(*self._dns_names(self._config))
        for pair in self._bound:
            pair.close()
        for one in (*self._streams["dot"], *self._streams["doh"]):
            one.sock.close()
        if self._shipping is not None and self._shipper is not None:
            self._shipping.cancel()
            await asyncio.gather(self._shipping, return_exceptions=True)
            await self._shipper.drain(_LAST_DELIVERY)
        await self._supervisor.stop()
        await self._control.close()

    def running(self) -> Running:
        """Return what is being served."""
        school = self._desk.policy.school if self._desk.policy is not None else ""
        return Running(self._config, tuple(pair.endpoint for pair in self._bound), school)

    async def reload(self, asked: Asked) -> Mapping[str, Any]:
        """Verify configuration and policy anew and put them in force; nothing changes when either is wrong.

        A policy is taken by the running DNS processes. Another configuration is taken by new ones, which read
        from the same sockets before the old ones end: no lookup is lost.

        Raises:
            FilterdError: what is wrong, and where.
        """
        async with self._reloading:
            self._reloaded = False
            config = await asyncio.to_thread(self._options.read_config)
            self._check_reloadable(config)
            await asyncio.to_thread(encrypted.check_authorities, config)
            policy = await asyncio.to_thread(self._desk.reload, config, asked)
            problem = await asyncio.to_thread(_certificate_problem, config)
            if config.raw == self._config.raw:
                self._supervisor.signal(signal.SIGHUP, *self._dns_names(config))
            else:
                await self._supervisor.start(self._dns_specs(config))
                self._config = config
            self._reloaded = not problem
            log.info("reloaded", policy=policy.version)
            return {"policy": policy.version, "school": policy.school, "certificate_problem": problem}

    async def reload_quietly(self) -> None:
        """Reload for a signal: nobody waits for the answer, so what is wrong goes to the log."""
        try:
            await self.reload(Asked(getpass.getuser(), why="signal"))
        except FilterdError as error:
            log.error("reload_refused", error=str(error))  # noqa: TRY400 - the line says all; no trace helps

    def _check_reloadable(self, config: Config) -> None:
        """Refuse what only a restart can change, rather than half apply it."""
        now = self._config
        fixed = (
            ("listen", now.model.listen, config.model.listen),
            ("workers", now.workers, config.workers),
            ("state", now.state.root, config.state.root),
            ("box", now.model.box, config.model.box),
            ("delivery", now.model.delivery, config.model.delivery),
            ("monitor", now.model.monitor, config.model.monitor),
            ("encrypted", _addresses(now), _addresses(config)),
        )
        changed = [name for name, before, after in fixed if before != after]
        if changed:
            raise ConfigError(
                f"{', '.join(changed)} changed, which a reload cannot take over", remedy="restart filterd"
            )

    async def _reload(self, call: Call) -> Mapping[str, Any]:
        return await self.reload(_asked(call))

    async def _undo(self, call: Call) -> Mapping[str, Any]:
        async with self._reloading:
            to = str(call.arguments.get("to") or "")
            policy = await asyncio.to_thread(self._desk.undo, _asked(call), to)
            self._supervisor.signal(signal.SIGHUP, *self._dns_names(self._config))
            return {"policy": policy.version, "school": policy.school}

    async def _override_list(self, _call: Call) -> Mapping[str, Any]:
        return {"overrides": await asyncio.to_thread(self._desk.overrides), "zone": str(self._zone())}

    async def _override_add(self, call: Call) -> Mapping[str, Any]:
        return await self._override(partial(self._desk.add_override, call.arguments), call)

    async def _override_end(self, call: Call) -> Mapping[str, Any]:
        number = call.arguments.get("id")
        return await self._override(
            partial(self._desk.end_override, number if isinstance(number, int) else 0), call
        )

    async def _override(self, change: Callable[[Asked], Override], call: Call) -> Mapping[str, Any]:
        async with self._reloading:
            override = await asyncio.to_thread(change, _asked(call))
            self._supervisor.signal(signal.SIGUSR1, *self._dns_names(self._config))
            return {"override": {**asdict(override), "text": override.text}, "zone": str(self._zone())}

    def _zone(self) -> ZoneInfo:
        return self._desk.policy.zone if self._desk.policy is not None else ZoneInfo("UTC")

    async def _status(self, _call: Call) -> Mapping[str, Any]:
        stats = self._shipper.stats if self._shipper is not None else None
        policy = self._desk.policy
        return {
            "version": __version__,
            "school": policy.school if policy is not None else "",
            "policy": policy.version if policy is not None else "",
            "policy_refused": self._desk.refused,
            "overrides": len(self._desk.overrides()),
            "index": activate.current_version(self._config.state.lists),
            "listen": [str(pair.endpoint) for pair in self._bound],
            "last_reload_taken": self._reloaded,
            "encrypted": await asyncio.to_thread(encrypted.status, self._config, self._bound_streams()),
            "processes": [asdict(child) for child in self._supervisor.status()],
            "deliveries": {"sent": stats.batches, "failed": stats.failures} if stats is not None else {},
        }

    def _bound_streams(self) -> dict[str, list[str]]:
        return {kind: [str(one.endpoint) for one in bound] for kind, bound in self._streams.items()}

    def _own_health(self) -> dict[str, float]:
        restarts = sum(child.restarts for child in self._supervisor.status())
        own = {"process_restarts": float(restarts), "reload_ok": float(self._reloaded)}
        return {**box_values(self._config.state), **own}

    def _monitor_specs(self, config: Config) -> list[ChildSpec]:
        if not self._options.with_monitor:
            return []
        return [
            ChildSpec(MONITOR, _python("filterd.app.endpoint"), json.dumps(self._common(config)).encode())
        ]

    def _dns_names(self, config: Config) -> list[str]:
        return [f"dns-{number}" for number in range(config.workers)]

    def _dns_specs(self, config: Config) -> list[ChildSpec]:
        specs = []
        streams = {kind: [one.sock.fileno() for one in bound] for kind, bound in self._streams.items()}
        streams["tcp"] = [pair.tcp.fileno() for pair in self._bound]
        shared = [number for numbers in streams.values() for number in numbers]
        for number, name in enumerate(self._dns_names(config)):
            udp = [pair.udp[number].fileno() for pair in self._bound]
            plan = {**self._common(config), "name": name, "udp": udp, **streams}
            specs.append(
                ChildSpec(name, _python("filterd.app.worker"), json.dumps(plan).encode(), (*udp, *shared))
            )
        return specs

    def _common(self, config: Config) -> dict[str, Any]:
        options = self._options
        return {
            "config": config.dump().decode(),
            "log_level": options.log_level,
            "log_human": options.log_human,
        }


def _addresses(config: Config) -> tuple[object, object]:
    """Return where encrypted DNS is served, which needs sockets bound at the start."""
    model = config.model.encrypted
    return (model.dot, model.doh) if model is not None else ([], [])


def _certificate_problem(config: Config) -> str:
    """Return what clients would hold against the certificate; the policy is taken all the same."""
    try:
        encrypted.valid_certificate_of(config, time.time())
    except CertificateError as error:
        log.error("certificate_refused", error=str(error))  # noqa: TRY400 - the line says all
        return str(error)
    return ""


def _asked(call: Call) -> Asked:
    who = call.arguments.get("by")
    return Asked(str(who or call.user), call.user, str(call.arguments.get("why") or ""))


def _shipping(config: Config, school: str) -> ShipperSettings:
    from filterd.events.delivery import pause  # noqa: PLC0415 - as above
    from filterd.events.shipper import ShipperSettings  # noqa: PLC0415 - as above

    return ShipperSettings(
        endpoint=config.model.delivery.url,
        token=delivery_token(config),
        box=config.model.box,
        school=school,
        outboxes=config.state.outboxes,
        poll=pause(config.model.delivery.url),
    )


def _python(module: str) -> list[str]:
    # -P: what lies in the folder that filterd was started from is no module of ours.
    return [sys.executable, "-P", "-m", module]
