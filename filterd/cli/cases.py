"""``filterd review`` and ``filterd case``: requests that wait for an answer, and the export of a card."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from filterd.cli.kibernadzor import HIDDEN
from filterd.cli.root import config_options, overrides, root
from filterd.config.load import Config, load_config

_HOUR = 3600
_by = click.option("--by", required=True, metavar="NAME", help="The person who does it.")
_school = click.option("--school", required=True, metavar="ID")


@root.group()
def review() -> None:
    """Requests to look at a block again, or to block a site; each waits for a person's answer."""


@review.command("list")
@click.option("--school", metavar="ID", help="Only of this school.")
@click.option(
    "--only",
    type=click.Choice(["open", "granted", "refused"]),
    default="open",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_command(school: str | None, only: str, as_json: bool, **options: Any) -> None:
    """List requests, the longest waiting first."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import reviews  # noqa: PLC0415

    config, now = _config(options), int(time.time())
    hidden = paperwork.settings_of(config).hidden_categories
    found = paperwork.read(config, lambda c: reviews.listed(c, school, only))
    for row in found:
        domain = None if row.category in hidden else row.domain
        if as_json:
            click.echo(json.dumps(row._asdict() | {"domain": domain}, ensure_ascii=False))
            continue
        hours = ((row.decided or now) - row.asked) // _HOUR
        text = f": {row.text!r}" if row.text else ""
        click.echo(
            f"{row.school:<20} {row.number:>5}  {row.state} {hours} h  {row.kind} {domain or HIDDEN}"
            f"  ({row.category or 'no category'}, by {row.asked_as}){text}"
        )
    if not found and not as_json:
        click.echo(f"no {only} request")


@review.command()
@click.argument("number", type=int)
@_school
@click.option("--reason", required=True, metavar="TEXT", help="The answer, in words.")
@click.option("--overblock", is_flag=True, help="The block was a mistake, now corrected.")
@_by
@config_options
def grant(number: int, school: str, reason: str, overblock: bool, by: str, **options: Any) -> None:
    """Grant request NUMBER. The policy is changed apart from this: `filterd policy override`."""
    _decide(options, school, number, grant=True, reason=reason, overblock=overblock, by=by)


@review.command()
@click.argument("number", type=int)
@_school
@click.option("--reason", required=True, metavar="TEXT", help="The answer, in words.")
@_by
@config_options
def refuse(number: int, school: str, reason: str, by: str, **options: Any) -> None:
    """Refuse request NUMBER."""
    _decide(options, school, number, grant=False, reason=reason, by=by)


def _decide(options: dict[str, Any], school: str, number: int, **answer: Any) -> None:
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import reviews  # noqa: PLC0415

    now = int(time.time())
    paperwork.write(_config(options), lambda c: reviews.decide(c, school, number, now=now, **answer))
    click.echo(f"request {number} of {school} is {'granted' if answer['grant'] else 'refused'}")


@root.group()
def case() -> None:
    """Review cards for a safeguarding system (R17)."""


@case.command()
@click.argument("number", type=int)
@_school
@click.option("--purpose", required=True, metavar="TEXT", help="What for; stands in the audit log.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write, readable by its owner only; default: the screen.",
)
@_by
@config_options
def export(number: int, school: str, purpose: str, output: Path | None, by: str, **options: Any) -> None:
    """Export the pseudonymous facts of card NUMBER as JSON: no name, address, site or exact time."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.prepare import write_file  # noqa: PLC0415
    from filterd.monitor.casework import cases  # noqa: PLC0415

    now = int(time.time())
    found = paperwork.write(
        _config(options), lambda c: cases.export(c, school, number, by=by, purpose=purpose, now=now)
    )
    text = json.dumps(found, ensure_ascii=False, indent=2)
    if output is None:
        click.echo(text)
    else:
        write_file(output, text.encode() + b"\n")
        click.echo(f"card {number} of {school} in {output}")


@case.command()
@_school
@config_options
def notify(school: str, **options: Any) -> None:
    """Tell the configured webhook that there is a card to read; the running monitor sends it."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import notices  # noqa: PLC0415

    config, now = _config(options), int(time.time())
    settings = paperwork.settings_of(config)
    if settings.webhook is None:
        raise click.UsageError("no webhook is configured: set monitor.webhook")
    most = settings.limits.notices
    name = paperwork.write(config, lambda c: notices.add(c, school, "card", most=most, now=now))
    click.echo(f"notice {name} waits for the monitor to tell it")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))
