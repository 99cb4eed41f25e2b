"""``filterd gateway rules``, ``apply``, ``status``, ``watch``, ``remove``: the firewall beside the filter."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import click

from filterd.cli.root import EXIT_FAILED, config_options, log_options, overrides, root
from filterd.config.load import Config, load_config


@root.group()
def gateway() -> None:
    """Bring the school's lookups to the filter: nftables rules made from the policy.

    For a box that the school's traffic goes through. `rules` shows them, `apply` puts them in force and takes
    them back unless you confirm, `watch` tells them whether the filter answers (see systemd/).
    """


@gateway.command()
@click.option("--check", is_flag=True, help="Let nft read them too; needs root.")
@config_options
def rules(check: bool, **options: Any) -> None:
    """Print the rules; changes nothing."""
    from filterd.gateway import kernel  # noqa: PLC0415 - a command loads only what it needs

    text = _text(_config(options))
    click.echo(text, nl=False)
    if check:
        kernel.check(text)


@gateway.command()
@click.option("--yes", is_flag=True, help="Keep them without asking.")
@click.option("--confirm", "seconds", type=click.IntRange(5, 3600), default=60, show_default=True,
              metavar="SECONDS", help="How long to wait for your word; then they go.")  # fmt: skip
@config_options
def apply(yes: bool, seconds: int, **options: Any) -> None:
    """Put the rules in force; unless you confirm in time, what was before comes back.

    So a mistake that cuts off your own connection undoes itself. Only the table `inet filterd` is changed.
    """
    from filterd.app.gateway import answers  # noqa: PLC0415 - a command loads only what it needs
    from filterd.gateway import kernel  # noqa: PLC0415

    config = _config(options)
    text = _text(config)
    before = kernel.loaded()
    kernel.load(text)
    if answers(config.model.listen[0]):
        kernel.say_alive()
    else:
        click.echo("filterd: the filter does not answer now; `gateway.fail` says what happens", err=True)
    if yes:
        click.echo("the rules are in force")
        return
    kept = False
    try:
        kept = _confirmed(seconds)
    finally:
        if not kept:
            kernel.restore(before)
    if not kept:
        click.echo("not confirmed: what was before is back", err=True)
        sys.exit(EXIT_FAILED)
    click.echo("the rules stay in force")


@gateway.command()
@config_options
def status(**options: Any) -> None:
    """Tell whether rules are in force, and whether the filter answers. Status 1 when not both are so."""
    from filterd.app.gateway import answers  # noqa: PLC0415 - a command loads only what it needs
    from filterd.gateway import kernel  # noqa: PLC0415

    config = _config(options)
    there, fine = kernel.loaded() is not None, answers(config.model.listen[0])
    click.echo(f"rules      {'in force' if there else 'not loaded: filterd gateway apply'}")
    click.echo(f"filter     {'answers' if fine else 'does not answer'} at {config.model.listen[0]}")
    then = "sent on, unfiltered" if config.model.gateway.fail == "open" else "not answered"
    click.echo(f"when down  lookups are {then}")
    if not (there and fine):
        sys.exit(EXIT_FAILED)


@gateway.command()
@log_options
@config_options
def watch(log_format: str, log_level: str, **options: Any) -> None:
    """Ask the filter every five seconds, and tell the rules that it answers; until it is stopped."""
    from filterd.app import logs  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.gateway import watch as watched  # noqa: PLC0415

    logs.configure(
        level=log_level, human={"auto": sys.stderr.isatty(), "json": False, "text": True}[log_format]
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    watched(_config(options), stop.wait)


@gateway.command()
def remove() -> None:
    """Take the rules away; the filter goes on serving who asks it."""
    from filterd.gateway import kernel  # noqa: PLC0415 - a command loads only what it needs

    kernel.remove()
    click.echo("the rules are gone")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))


def _text(config: Config) -> str:
    from filterd.app.gateway import plan_of  # noqa: PLC0415
    from filterd.gateway.ruleset import ruleset  # noqa: PLC0415

    return ruleset(plan_of(config))


def _confirmed(seconds: int) -> bool:
    """Wait for a line that says yes; an ended terminal or a signal is none."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(EXIT_FAILED))
    said: list[str] = []
    click.echo(f"the rules are in force; type `yes` within {seconds} s to keep them: ", nl=False, err=True)
    reader = threading.Thread(target=lambda: said.append(sys.stdin.readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    click.echo("", err=True)
    return bool(said) and said[0].strip().lower() == "yes"
