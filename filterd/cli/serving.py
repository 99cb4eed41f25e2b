"""``filterd run``, ``serve`` and ``monitor``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import click
import structlog

from filterd.cli.root import config_options, log_options, overrides, root
from filterd.config.load import Config, load_config
from filterd.errors import DomainIndexError, ListError

Options = dict[str, Any]


def _dns_options(command: Any) -> Any:
    for option in (
        click.option(
            "--upstream", multiple=True, metavar="ADDRESS[:PORT]",
            help="Upstream resolver, or `system`; may be given several times.",
        ),
        click.option(
            "--listen", multiple=True, metavar="ADDRESS:PORT",
            help="Where to answer DNS; may be given several times. Default: 127.0.0.1:5353 and [::1]:5353.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


_monitor_listen = click.option(
    "--monitor-listen", multiple=True, metavar="ADDRESS:PORT",
    help="Where the monitoring endpoint listens. Default: 127.0.0.1:8053.",
)  # fmt: skip


@root.command()
@config_options
@_dns_options
@_monitor_listen
@log_options
def run(monitor_listen: tuple[str, ...], **options: Any) -> None:
    """Answer DNS and serve the monitoring endpoint on this machine.

    Works without a configuration file: starter lists, example policy, the system's upstream resolvers.
    Ctrl-C ends it.
    """
    given: dict[str, Any] = {"monitor__listen": monitor_listen}
    if monitor_listen:
        given["delivery__url"] = f"http://{monitor_listen[0]}"
    _serve(options, given, with_monitor=True)


@root.command()
@config_options
@_dns_options
@click.option("--endpoint", metavar="URL", help="Monitoring endpoint to report to.")
@log_options
def serve(endpoint: str | None, **options: Any) -> None:
    """Answer DNS; report to a monitoring endpoint that runs elsewhere."""
    _serve(options, {"delivery__url": endpoint}, with_monitor=False)


@root.command()
@config_options
@_monitor_listen
@log_options
def monitor(monitor_listen: tuple[str, ...], **options: Any) -> None:
    """Serve the monitoring endpoint alone."""
    from filterd.app import endpoint  # noqa: PLC0415 - a command loads only what it needs

    _configure_logs(options)
    config = _config(options, {"monitor__listen": monitor_listen})
    config.state.make()

    def ready() -> None:
        click.echo(f"monitoring endpoint: {_url(config)}  (Ctrl-C ends it)", err=True)

    asyncio.run(endpoint.serve_alone(config, ready))


def _serve(options: Options, given: dict[str, Any], *, with_monitor: bool) -> None:
    from filterd.app import run as supervisor  # noqa: PLC0415 - a command loads only what it needs
    from filterd.cli.lists import compile_quietly, compile_with_progress  # noqa: PLC0415
    from filterd.lists import activate  # noqa: PLC0415

    human = _configure_logs(options)
    given = {**given, "listen": options["listen"], "upstreams": options["upstream"]}
    config = _config(options, given)
    config.state.make()
    if activate.current(config.state.lists) is None:
        compile_with_progress(config)

    def refresh() -> None:
        try:
            compile_quietly(config)
        except (ListError, DomainIndexError) as error:
            # A list missing today must not leave a school without a filter: the last good index serves.
            structlog.get_logger(__name__).error("lists_not_compiled", error=str(error))

    def ready(running: supervisor.Running) -> None:
        click.echo(_welcome(running, options, with_monitor=with_monitor), err=True)

    asked = supervisor.Options(
        with_monitor=with_monitor,
        log_level=options["log_level"],
        log_human=human,
        read_config=lambda: _config(options, given),
        refresh_lists=refresh,
    )
    asyncio.run(supervisor.run(asked, ready))


def _configure_logs(options: Options) -> bool:
    from filterd.app import logs  # noqa: PLC0415

    human = {"auto": sys.stderr.isatty(), "json": False, "text": True}[options["log_format"]]
    logs.configure(level=options["log_level"], human=human)
    return human


def _config(options: Options, given: dict[str, Any]) -> Config:
    state: Path | None = options["state"]
    return load_config(options["config"], overrides(state, **given))


def _url(config: Config) -> str:
    return f"http://{config.model.monitor.listen[0]}"


def _welcome(running: Any, options: Options, *, with_monitor: bool) -> str:
    config = running.config
    command = os.path.relpath(sys.argv[0]) if Path(sys.argv[0]).is_relative_to(Path.cwd()) else "filterd"
    where = "".join(f" --{name} {options[name]}" for name in ("config", "state") if options[name])
    explain = f"{command} explain{where}"
    first = running.endpoints[0]
    ask = f"dig @{first.host} -p {first.port}"
    allowed = "kundelik.kz" if config.upstreams() else "localhost"
    lines = [
        "",
        f"filterd answers DNS on {', '.join(map(str, running.endpoints))} for school {running.school!r}.",
        f"  a blocked name:   {ask} 1xbet.com",
        f"  an allowed name:  {ask} {allowed}",
        f"  why:              {explain} 1xbet.com --client 127.0.0.1",
    ]
    if with_monitor:
        url = _url(config)
        lines += [
            f"  what was blocked: curl -s '{url}/v1/events?limit=5'",
            f"  pages:            {url}/",
            f"  metrics:          curl -s {url}/metrics",
        ]
    else:
        lines.append(f"  it reports to     {config.model.delivery.url}")
    if not config.upstreams():
        lines.append(
            "  no upstream resolver is known: give one with --upstream ADDRESS (or in the configuration)"
        )
    return "\n".join([*lines, "Ctrl-C ends it.", ""])
