"""``filterd box``: the boxes that may deliver to this monitor, and their tokens."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from filterd.cli.root import by_options, config_options, overrides, root
from filterd.config.load import Config, load_config

_HOUR, _DAY = 3600, 86_400


@root.group()
def box() -> None:
    """The boxes that may deliver to this monitor, and their tokens.

    Works on the monitor's database, while the monitor runs: it notices within seconds. Boxes of the
    configuration (monitor.boxes) and the box of `filterd run` stay valid beside.
    """


@box.command("add")
@click.argument("name", metavar="BOX")
@click.option("--school", required=True, metavar="ID", help="The school it stands in.")
@by_options
@config_options
def add(name: str, school: str, by: str, **options: Any) -> None:
    """Let BOX deliver, and print its token: once, it is kept nowhere."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.access import boxes  # noqa: PLC0415

    config = _config(options)
    known, now = paperwork.known(config), int(time.time())
    token = paperwork.write(config, lambda c: boxes.add(c, known, name, school, by=by, now=now))
    click.echo(f"box {name} of school {school} may deliver; put this token on it (mode 0600):", err=True)
    click.echo(token)


@box.command()
@click.argument("name", metavar="BOX")
@click.option(
    "--days",
    type=click.FloatRange(0, 90),
    default=7.0,
    show_default=True,
    help="The token before stays valid so long.",
)
@by_options
@config_options
def rotate(name: str, days: float, by: str, **options: Any) -> None:
    """Print a new token of BOX; the old one stays valid for some days, to put the new one on the box."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.access import boxes  # noqa: PLC0415

    now = int(time.time())
    token = paperwork.write(_config(options), lambda c: boxes.rotate(c, name, days=days, by=by, now=now))
    click.echo(f"the token before ends in {days:g} days; put this one on box {name} (mode 0600):", err=True)
    click.echo(token)


@box.command()
@click.argument("name", metavar="BOX")
@by_options
@config_options
def revoke(name: str, by: str, why: str, **options: Any) -> None:
    """End every token of BOX now; its certificate is worth nothing then either."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.access import boxes  # noqa: PLC0415

    now = int(time.time())
    count = paperwork.write(_config(options), lambda c: boxes.revoke(c, name, by=by, why=why, now=now))
    click.echo(f"box {name}: {count} token{'s' * (count != 1)} revoked; what it delivered stays")


@box.command("list")
@click.option("--school", metavar="ID", help="Only of this school.")
@click.option("--only", type=click.Choice(["reporting", "silent", "never"]), help="Only in this state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_command(school: str | None, only: str | None, as_json: bool, **options: Any) -> None:
    """List the boxes: reporting, silent or never heard of; when last seen; how old the token is."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs

    now = int(time.time())
    found = [
        one
        for one in paperwork.boxes(_config(options))
        if school in {None, one.school} and only in {None, one.state}
    ]
    for one in found:
        if as_json:
            click.echo(json.dumps(asdict(one), ensure_ascii=False))
            continue
        seen = f"last seen {_ago(now - one.last_seen)} ago" if one.last_seen else "never heard of"
        token = (
            f"token {_ago(now - one.token_issued)} old" if one.token_issued else f"token of the {one.origin}"
        )
        older = f", the one before until {_day(one.older_token_until)}" if one.older_token_until else ""
        click.echo(f"{one.state:<9}  {one.school:<20} {one.box:<20} {seen:<22} {token}{older}")
    if not found and not as_json:
        click.echo("no box; filterd box add BOX --school S adds one")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))


def _ago(seconds: int) -> str:
    for size, name in ((_DAY, "d"), (_HOUR, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{max(0, seconds)} s"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
