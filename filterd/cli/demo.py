"""``filterd demo``: made-up data to look at."""

from __future__ import annotations

import asyncio
import shlex
import time
from datetime import date
from pathlib import Path

import click

from filterd.cli.report import progress
from filterd.cli.root import root


@root.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("filterd-demo"),
    show_default=True,
    help="New folder for the demonstration: configuration and store.",
)
@click.option("--database", metavar="URL", help="An empty database, in the place of SQLite in the folder.")
@click.option(
    "--month", metavar="YYYY-MM", help="That month alone. Default: last month, and this one until yesterday."
)
@click.option("--days", type=click.IntRange(1, 366), help="Only so many days, from the first.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same data.")
@click.option("--listen", metavar="ADDRESS:PORT", default="127.0.0.1:8054", show_default=True)
def demo(
    *, folder: Path, database: str | None, month: str | None, days: int | None, seed: int, listen: str
) -> None:
    """Fill a NEW store with a made-up district, to look at pages, dashboards and reports.

    Twenty schools that do not exist, named as a demonstration everywhere: school days, weekends, autumn
    holidays, growth; one silent, one with old lists, one with another policy bundle, some with many tries to
    get round the filter. The volume is a sample (some dozen lookups a device and day; in life, thousands).
    A store that holds anything is refused, so real data are never mixed with made-up ones.
    """
    from filterd.app import demo as app  # noqa: PLC0415 - a command loads only what it needs

    started = time.monotonic()
    first, all_days = app.period(month, date.today())  # noqa: DTZ011 - the person's own calendar
    when = (first, min(days or all_days, all_days))
    with progress("demonstration") as show:
        config = app.prepare(folder, database, listen)
        found = asyncio.run(app.make(config, when, seed, show))
    click.echo(
        f"demonstration: {found.schools} schools, {found.days} days, {found.events} events "
        f"in {time.monotonic() - started:.0f} s; nothing in it is real"
    )
    where = shlex.quote(str(config))
    click.echo(f"  serve it:  filterd monitor --config {where}")
    click.echo(f"  look:      curl -s http://{listen}/metrics | grep filterd_school_info")
    click.echo(f"  a report:  filterd report monthly --config {where} --region '' --month {first:%Y-%m}")
