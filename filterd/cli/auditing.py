"""``filterd audit``: who did what at the monitor, and whether the log is whole."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from filterd.cli.root import EXIT_FAILED, config_options, overrides, root
from filterd.config.load import Config, load_config


@root.group()
def audit() -> None:
    """Who did what at the monitor: a chain of rows for each school, each sealed by the next."""


@audit.command()
@click.option("--school", metavar="ID", help="Only of this school.")
@click.option("--region", is_flag=True, help="Only the region's own chain.")
@click.option("--limit", default=20, show_default=True, help="At most so many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def show(school: str | None, region: bool, limit: int, as_json: bool, **options: Any) -> None:
    """Show the newest rows."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor import audit as log  # noqa: PLC0415

    wanted = "" if region else school
    for row in paperwork.read(_config(options), lambda c: log.show(c, wanted, limit)):
        if as_json:
            click.echo(json.dumps(row._asdict() | {"details": json.loads(row.details)}, ensure_ascii=False))
            continue
        at = datetime.fromtimestamp(row.at, UTC).strftime("%Y-%m-%d %H:%M")
        chain = f"{row.school or 'region':<20} {row.number:>5}"
        click.echo(f"{at}  {chain}  {row.what:<18} {row.who}  {row.details}")


@audit.command()
@click.option(
    "--heads",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="What `filterd audit heads` once wrote: each row of it must still be there.",
)
@config_options
def verify(file: Path | None, **options: Any) -> None:
    """Check that no row was altered, taken out or put in. Status 1: one was."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor import audit as log  # noqa: PLC0415

    kept = _heads(file) if file is not None else {}

    async def work(connection: Any) -> list[str]:
        return [fault async for fault in log.faults(connection, kept)]

    found = paperwork.read(_config(options), work)
    for fault in found:
        click.echo(fault)
    if found:
        sys.exit(EXIT_FAILED)
    click.echo("the log is whole")


@audit.command()
@config_options
def heads(**options: Any) -> None:
    """Print the newest row's number and hash of each chain, to be kept elsewhere.

    Who can write the database can also make a whole chain anew; these lines, kept with a signed report or
    sent to the region, show it: `filterd audit verify --heads FILE`.
    """
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor import audit as log  # noqa: PLC0415

    for school, (number, seal) in sorted(paperwork.read(_config(options), log.heads).items()):
        click.echo(f"{seal} {number} {school or '-'}")


def _heads(file: Path) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        try:
            seal, number, school = line.split()
            found["" if school == "-" else school] = (int(number), seal)
        except ValueError:
            raise click.UsageError(f"{file}:{place}: not a line of `filterd audit heads`") from None
    return found


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))
