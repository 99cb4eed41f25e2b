"""``filterd report``: the monthly report, the yearly review pack, what is kept, and signatures."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from filterd.cli.root import config_options, overrides, root
from filterd.config.load import Config, load_config
from filterd.errors import ReportError

_FORMATS = ("html", "pdf", "xlsx", "csv", "json")
_AREAS = ("school", "district", "region")


@root.group()
def report() -> None:
    """Make, list and sign reports: aggregates only, in Kazakh, Russian and English.

    Every version that was made is kept in the monitor's database. Late data make a corrected version.
    """


def _area_options(command: Any) -> Any:
    for name in reversed(_AREAS):
        command = click.option(f"--{name}", metavar="ID", help=f"The {name}'s id.")(command)
    return command


def _file_options(command: Any) -> Any:
    for option in (
        click.option(
            "--output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="The file; `-`: standard output.",
        ),
        click.option(
            "--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name, else html."
        ),
        click.option("--lang", type=click.Choice(["kk", "ru", "en"]), default="kk", show_default=True),
    ):
        command = option(command)
    return command


@report.command()
@_area_options
@click.option("--all", "everything", is_flag=True, help="Every school, district and region; writes no file.")
@click.option("--month", metavar="YYYY-MM", help="Default: the month before this one.")
@click.option(
    "--version", "number", type=click.IntRange(1), help="A kept version, in the place of making one."
)
@_file_options
@config_options
def monthly(*, everything: bool, month: str | None, number: int | None, **options: Any) -> None:
    """Make the monthly report of a school, a district or a region, keep it, and write it to a file.

    The same data make no new version. `--region ""` is all schools of this monitor. A month that is not over
    gives a provisional report, which is not kept.
    """
    from filterd.app import reports  # noqa: PLC0415 - a command loads only what it needs
    from filterd.monitor.reports import shelf  # noqa: PLC0415

    config = _config(options)
    if everything:
        if (
            options["output"] is not None
            or number is not None
            or any(options[name] is not None for name in _AREAS)
        ):
            raise click.UsageError("--all goes alone, with --month at most")
        _run(_all(config, month))
        return
    area, output, lang = _area(options), options["output"], options["lang"]
    form = _format(options["form"], output)

    async def work() -> tuple[Any, bytes]:
        async with reports.open_desk(config) as desk:
            when = desk.month(month, time.time())
            with progress(str(when)) as show:
                kept = (
                    await shelf.version_of(desk.store, area, when, number)
                    if number
                    else await reports.monthly(desk, area, when, show)
                )
            return kept, reports.as_file(desk, kept, lang, form)

    kept, content = _run(work())
    _say(kept)
    _write(output, content, f"{area.kind}-{area.id or 'all'}-{kept.month}-{lang}.{form}")


async def _all(config: Config, month: str | None) -> None:
    """Make all reports of a month; one that cannot be made is told and does not stop the others."""
    from filterd.app import reports  # noqa: PLC0415

    failed = new = same = 0
    async with reports.open_desk(config) as desk:
        areas, when = await desk.all_areas(), desk.month(month, time.time())
        with progress(str(when)) as show:
            for done, area in enumerate(areas):
                show(done, len(areas))
                try:
                    kept = await reports.monthly(desk, area, when, lambda _done, _all: None)
                except ReportError as error:
                    failed += 1
                    click.echo(f"filterd: {area.kind} {area.id}: {error}", err=True)
                    continue
                new += kept.new
                same += not kept.new
    click.echo(f"{when}: {new} reports made, {same} unchanged, {failed} failed")
    if failed:
        raise ReportError(f"{failed} reports could not be made", remedy="see the lines above")


@report.command()
@_area_options
@click.option("--year", type=click.IntRange(1970, 2999), required=True)
@_file_options
@config_options
def yearly(year: int, form: str | None, lang: str, output: Path | None, **options: Any) -> None:
    """Make the yearly review pack of the kept months: trend, self-tests, changes, overdue exceptions."""
    from filterd.app import reports  # noqa: PLC0415

    config, area, kind = _config(options), _area(options), _format(form, output)

    async def work() -> Any:
        async with reports.open_desk(config) as desk:
            pack = await reports.year_pack(desk, config, area, year)
            return pack, reports.year_file(desk, pack, lang, kind)

    pack, content = _run(work())
    click.echo(f"{area.kind} {area.id or 'all'} {year}: {len(pack.months)} months are kept", err=True)
    _write(output, content, f"{area.kind}-{area.id or 'all'}-{year}-{lang}.{kind}")


@report.command("list")
@_area_options
@config_options
def list_command(**options: Any) -> None:
    """List every version that is kept, with who signed it."""
    from filterd.app import reports  # noqa: PLC0415
    from filterd.monitor.reports import shelf  # noqa: PLC0415

    config = _config(options)
    area = _area(options) if any(options[name] is not None for name in _AREAS) else None

    async def work() -> Any:
        async with reports.open_desk(config) as desk:
            return await shelf.versions(desk.store, area)

    for kept in _run(work()):
        _say(kept, err=False)


@report.command()
@_area_options
@click.option("--month", metavar="YYYY-MM", help="Default: the month before this one.")
@click.option("--version", "number", type=click.IntRange(1), help="Default: the newest.")
@click.option("--by", required=True, metavar="NAME", help="The person responsible, in full.")
@config_options
def sign(month: str | None, number: int | None, by: str, **options: Any) -> None:
    """Sign a kept report by the name of the person responsible. A signed version never changes."""
    from filterd.app import reports  # noqa: PLC0415
    from filterd.monitor.reports import shelf  # noqa: PLC0415

    config, area = _config(options), _area(options)

    async def work() -> Any:
        async with reports.open_desk(config) as desk:
            when = desk.month(month, time.time())
            return await shelf.sign(desk.store, area, when, by, now=time.time(), number=number)

    _say(_run(work()), err=False)


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))


def _area(options: dict[str, Any]) -> Any:
    from filterd.monitor.reports.read import Area  # noqa: PLC0415

    told = [(name, options[name]) for name in _AREAS if options[name] is not None]
    if len(told) != 1:
        raise click.UsageError("name one of --school, --district, --region")
    kind, name = told[0]
    if kind != "region" and not name:
        raise click.UsageError(f"--{kind} needs an id")
    return Area(cast("Any", kind), name)


def _format(form: str | None, output: Path | None) -> str:
    suffix = output.suffix.removeprefix(".").lower() if output is not None else ""
    return form or (suffix if suffix in _FORMATS else "html")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def _say(kept: Any, *, err: bool = True) -> None:
    standing = kept.standing
    made = datetime.fromtimestamp(standing.made, UTC)
    version = f"version {standing.version}" if standing.version else "provisional, not kept"
    signed = f"signed by {standing.signed_by}" if standing.signed_by else "not signed"
    click.echo(
        f"{kept.month}  {kept.area.kind} {kept.area.id or 'all'}  {version}, made {made:%Y-%m-%d %H:%M} UTC  "
        f"{standing.sha256[:16]}  {signed}",
        err=err,
    )


def _write(output: Path | None, content: bytes, name: str) -> None:
    from filterd.app import reports  # noqa: PLC0415

    if output == Path("-"):
        sys.stdout.buffer.write(content)
        return
    path = output or Path(name)
    reports.write(path, content)
    click.echo(f"written: {path}", err=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what shows progress: a bar on a terminal, every tenth elsewhere."""
    if not sys.stderr.isatty():
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if total > 10 and done * 10 // total > told:
                told = done * 10 // total
                click.echo(f"{what}: {done} of {total}", err=True)

        yield tell
        return
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    with progress.Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
