"""``filterd school`` and ``filterd fact``: what the department notes of schools and of a month."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from filterd.cli.root import by_options, config_options, overrides, root
from filterd.config.load import Config, load_config


@root.group()
def school() -> None:
    """Schools as the region knows them: titles, district, devices, the operator's service."""


@school.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@by_options
@config_options
def import_command(file: Path, by: str, **options: Any) -> None:
    """Take over the schools of FILE, CSV or YAML: all of them, or none when a line is wrong.

    Columns (the first line of CSV, in any order): id, title_kk, title_ru, title_en, region, district,
    devices, operator_service (yes or no), operator_since (2026-09-01), responsible. YAML has a list `schools`
    of the same keys. Schools that are not in FILE stay as they are.
    """
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import schoolfile, schools  # noqa: PLC0415

    rows, now = schoolfile.read(file), int(time.time())
    new, changed = paperwork.write(_config(options), lambda c: schools.put(c, rows, by=by, now=now))
    click.echo(f"{len(rows)} schools read: {new} new, {changed} changed")


@school.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_schools(as_json: bool, **options: Any) -> None:
    """List the noted schools."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import schools  # noqa: PLC0415

    found = paperwork.read(_config(options), schools.listed)
    for row in found:
        if as_json:
            click.echo(json.dumps(row._asdict(), ensure_ascii=False))
            continue
        title = row.title_ru or row.title_kk or row.title_en
        place = "/".join(filter(None, (row.region, row.district)))
        operator = f"operator's service: {row.operator_service or 'not told'}"
        click.echo(f"{row.school:<20} {place:<24} {row.devices:>6} devices, {operator:<29} {title}")
    if not found and not as_json:
        click.echo("no school is noted; filterd school import FILE takes over a list")


@school.command("set")
@click.argument("name", metavar="SCHOOL")
@click.option("--title-kk", metavar="TEXT")
@click.option("--title-ru", metavar="TEXT")
@click.option("--title-en", metavar="TEXT")
@click.option("--region", metavar="ID")
@click.option("--district", metavar="ID")
@click.option("--devices", type=int, metavar="N", help="Of pupils and staff.")
@click.option(
    "--operator-service",
    type=click.Choice(["yes", "no", ""]),
    help="The operator's child protection.",
)
@click.option("--operator-since", metavar="DATE", help="2026-09-01")
@click.option("--responsible", metavar="NAME", help="The adult who answers for the report.")
@by_options
@config_options
def set_school(name: str, by: str, **options: Any) -> None:
    """Change what is noted of SCHOOL, or note it."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import schools  # noqa: PLC0415

    changes = {field: options[field] for field in schools.FIELDS if options[field] is not None}
    now = int(time.time())
    paperwork.write(_config(options), lambda c: schools.change(c, name, changes, by=by, now=now))
    click.echo(f"school {name}: {', '.join(changes) or 'noted'}")


@root.group()
def fact() -> None:
    """What only people know of a month, for the report: specialists, incidents, who is responsible."""


@fact.command("set")
@click.option("--school", "name", metavar="ID", help="A fact of this school.")
@click.option("--region", is_flag=True, help="A fact of the region of this monitor.")
@click.option("--month", required=True, metavar="2026-10")
@click.argument("fact", metavar="NAME")
@click.argument("value")
@by_options
@config_options
def set_fact(  # noqa: PLR0917 - click's arguments
    name: str | None, region: bool, month: str, fact: str, value: str, by: str, **options: Any
) -> None:
    """Note the fact NAME of a month; an empty VALUE takes it back.

    specialists_connected, specialists_total (--region: numbers), incidents (words: incidents, outages,
    limits), responsible (the adult who answers for the report). Never a pupil's name or number.
    """
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import facts  # noqa: PLC0415

    if region == bool(name):
        raise click.UsageError("give either --school or --region")
    number, now, owner = facts.month_number(month), int(time.time()), name or ""
    paperwork.write(_config(options), lambda c: facts.put(c, owner, number, fact, value, by=by, now=now))
    click.echo(f"{name or 'the region'}, {month}: {fact} {'is taken back' if not value.strip() else 'noted'}")


@fact.command("list")
@click.option("--month", required=True, metavar="2026-10")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_facts(month: str, as_json: bool, **options: Any) -> None:
    """List the facts of a month."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import facts  # noqa: PLC0415

    number = facts.month_number(month)
    found = paperwork.read(_config(options), lambda c: facts.listed(c, number))
    for row in found:
        if as_json:
            click.echo(json.dumps(row._asdict(), ensure_ascii=False))
        else:
            click.echo(f"{row.school or 'the region':<20} {row.name:<24} {row.value}  ({row.by})")
    if not found and not as_json:
        click.echo(f"no fact of {month} is noted")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))
