"""The monitoring endpoint's process, alone (``filterd monitor``) or as a child of ``filterd run``."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable

from filterd.app import logs
from filterd.app.policyfiles import policy_to_ask
from filterd.app.prepare import secret_of, token
from filterd.config.load import Config, undump
from filterd.monitor.access.tls import server_context
from filterd.monitor.service import serve_monitor
from filterd.monitor.settings import MonitorSettings
from filterd.server import child


def settings(config: Config) -> MonitorSettings:
    """Return the endpoint's settings; tokens are made on first use.

    Raises:
        PolicyError: the policy, which names the school, is wrong.
        StartError: a token file cannot be used.
    """
    state = config.state
    policy = policy_to_ask(config, at=time.time())
    hidden = frozenset(category.id for category in policy.categories.all if category.illegal)
    secret = secret_of(config.webhook_secret_file)
    own, admin = token(state.box_token), token(state.admin_token)
    return config.monitor(own, admin, policy.school, hidden, webhook_secret=secret)


def verify(config: Config) -> None:
    """Check the files that the endpoint's HTTPS and webhook name.

    Raises:
        StartError: one is missing, unreadable, or not what it should be.
    """
    secret_of(config.webhook_secret_file)
    tls = config.tls()
    if tls is not None:
        server_context(tls)


async def serve_alone(config: Config, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve_monitor(settings(config), stop, lambda _addresses: ready())


async def _serve_as_child(config: Config) -> None:
    await serve_monitor(settings(config), child.stop_event(), lambda _addresses: child.say_ready())


def main() -> None:
    """Run as a child of the supervisor."""
    plan = json.loads(child.read_plan())
    logs.configure(level=plan["log_level"], human=plan["log_human"])
    child.run(_serve_as_child(undump(plan["config"].encode())))


if __name__ == "__main__":
    main()
