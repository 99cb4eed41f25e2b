"""``filterd kibernadzor``: resources that people submit to Kibernadzor; kept here, never sent from here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from filterd.cli.root import config_options, overrides, root
from filterd.config.load import Config, load_config

HIDDEN = "(not displayed: see the export)"
_by = click.option("--by", required=True, metavar="NAME", help="The person who does it.")
_school = click.option("--school", default="", metavar="ID", help="Default: the region's own list.")
_url = click.option("--url", metavar="URL", help="The full address; a person has looked at it.")
_reason = click.option(
    "--reason",
    type=click.Choice(["suicide", "drugs", "violence", "pornography", "casino", "extremism", "other"]),
)
_evidence = click.option("--evidence", metavar="TEXT", help="What is to be seen there; no pupil data.")


@root.group()
def kibernadzor() -> None:
    """Resources to be submitted to Kibernadzor: candidate, prepared, sent, confirmed or refused.

    A person adds URL, reason and evidence, submits them by the system's own form, and notes it here. Nothing
    is ever sent by filterd, and no pupil data is taken.
    """


@kibernadzor.command()
@click.argument("domain", required=False, default="")
@click.option("--review", type=int, metavar="N", help="The site that staff reported in review request N.")
@_school
@_url
@_reason
@_evidence
@_by
@config_options
def add(domain: str, review: int | None, school: str, by: str, **options: Any) -> None:
    """Note a candidate: by DOMAIN, by --url, or from a report of staff."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import submissions  # noqa: PLC0415

    draft = submissions.Draft(options["url"], options["reason"], options["evidence"])
    now = int(time.time())
    if review is not None:
        number = paperwork.write(
            _config(options),
            lambda c: submissions.add_from_request(c, school, review, draft, by=by, now=now),
        )
    else:
        number = paperwork.write(
            _config(options), lambda c: submissions.add(c, school, domain, draft, by=by, now=now)
        )
    click.echo(f"candidate {number} of {school or 'the region'}")


@kibernadzor.command()
@click.option("--school", metavar="ID", help="Only of this school.")
@config_options
def candidates(school: str | None, **options: Any) -> None:
    """List sites that staff reported and nobody has noted yet; a person chooses."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import submissions  # noqa: PLC0415

    config = _config(options)
    hidden = paperwork.settings_of(config).hidden_categories
    found = paperwork.read(config, lambda c: submissions.candidates(c, school))
    for row in found:
        domain = HIDDEN if row.category in hidden else row.domain
        click.echo(f"{row.school:<20} review {row.number:<6} {domain}  {row.category}")
    if not found:
        click.echo("no report of staff waits")


@kibernadzor.command("list")
@click.option("--school", metavar="ID", help="Only of this school.")
@click.option("--only", type=click.Choice(["candidate", "prepared", "sent", "confirmed", "refused"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_command(school: str | None, only: str | None, as_json: bool, **options: Any) -> None:
    """List submissions; addresses under extremism and pornography stand in the export only."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import submissions  # noqa: PLC0415

    found = paperwork.read(_config(options), lambda c: submissions.listed(c, school, only))
    for row in found:
        values = row._asdict()
        if submissions.is_hidden(row):
            values |= {"url": None, "domain": None, "evidence": None}
        if as_json:
            click.echo(json.dumps(values, ensure_ascii=False))
            continue
        shown = HIDDEN if submissions.is_hidden(row) else row.url or row.domain
        click.echo(
            f"{row.school or 'region':<20} {row.number:>5}  {row.state:<9}  {row.reason:<11}  {shown}"
            f"  ({row.reviewer})"
        )
    if not found and not as_json:
        click.echo("no submission")


@kibernadzor.command("set")
@click.argument("number", type=int)
@click.option("--to", type=click.Choice(["candidate", "prepared", "sent", "confirmed", "refused"]))
@click.option("--why", default="", metavar="TEXT", help="The reason, for the audit log.")
@_school
@_url
@_reason
@_evidence
@_by
@config_options
def set_command(number: int, to: str | None, why: str, school: str, by: str, **options: Any) -> None:
    """Change submission NUMBER, or put it one state on: what a person did, noted by name."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.casework import submissions  # noqa: PLC0415

    draft, now = submissions.Draft(options["url"], options["reason"], options["evidence"]), int(time.time())
    paperwork.write(
        _config(options),
        lambda c: submissions.change(c, school, number, draft, state=to, by=by, now=now, why=why),
    )
    click.echo(f"submission {number} of {school or 'the region'} {f'is {to}' if to else 'changed'}")


@kibernadzor.command()
@click.option("--format", "kind", type=click.Choice(["xlsx", "csv"]), default="xlsx", show_default=True)
@click.option("--school", metavar="ID", help="Only of this school.")
@click.option("--only", type=click.Choice(["candidate", "prepared", "sent", "confirmed", "refused"]))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; readable by its owner only.",
)
@_by
@config_options
def export(kind: str, school: str | None, only: str | None, output: Path, by: str, **options: Any) -> None:
    """Write submissions into a file, with their full addresses; noted in the audit log."""
    from filterd.app import paperwork  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.prepare import write_file  # noqa: PLC0415
    from filterd.monitor.casework import submissions, submissionsfile  # noqa: PLC0415

    now = int(time.time())
    rows = paperwork.write(_config(options), lambda c: submissions.exported(c, school, only, by=by, now=now))
    write_file(output, submissionsfile.FORMATS[kind](rows))
    click.echo(f"{len(rows)} submissions in {output}")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))
