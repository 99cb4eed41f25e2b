"""``filterd lists update``, ``status``, ``accept``, ``activate``, ``rollback`` and ``exceptions``."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from filterd.cli.lists import lists
from filterd.cli.root import EXIT_FAILED, by_options, config_options, overrides
from filterd.config.load import Config, load_config

_RESULTS = {
    "unchanged": "the index in use is of just these lists",
    "activated": "in use",
    "kept": "in use; watched, and good",
}
DAY = 86_400


def _config(options: dict[str, Any]) -> Config:
    config = load_config(options["config"], overrides(options["state"]))
    config.state.make()
    return config


@lists.command()
@click.argument("only", metavar="[LIST]...", nargs=-1)
@config_options
@click.option("--jitter", type=click.FloatRange(0, DAY), default=0, metavar="SECONDS",
              help="Wait up to so long first, so that a fleet does not come at once.")  # fmt: skip
@click.option("--allow-private", is_flag=True, help="Fetch from private addresses too: a mirror of your own.")
@click.option(
    "--watch",
    type=click.FloatRange(0, DAY),
    metavar="SECONDS",
    help="Watch refusals so long after the switch, and go back if they are too many; 0: do not.",
)
@click.option("--no-fetch", is_flag=True, help="Only compile, check and switch what was fetched before.")
@click.option("--json", "as_json", is_flag=True, help="What was done, as JSON.")
def update(only: tuple[str, ...], **options: Any) -> None:
    """Fetch the chosen lists, check them, and put a new index in use.

    A list that cannot be fetched, or fails the checks, keeps its last good copy; the others go on. Status 0:
    every list is good; 1: not, see `filterd lists status`.
    """
    from filterd.app.listsupdate import Asked, update_lists  # noqa: PLC0415 - a command loads only what it needs
    from filterd.lists.worker import NICE  # noqa: PLC0415

    config = _config(options)
    with suppress(OSError):  # serving comes first; a unit may forbid it, and then has a priority of its own
        os.nice(NICE)
    if options["jitter"]:
        time.sleep(random.SystemRandom().uniform(0, options["jitter"]))
    if config.model.lists.bundle is not None:
        _take_bundle(config, options)
        return
    asked = Asked(only, options["allow_private"], options["watch"], fetch=not options["no_fetch"])
    with progress_shown(quiet=options["as_json"]) as shown:
        done = update_lists(config, asked, shown)
    if options["as_json"]:
        click.echo(json.dumps(done.status, ensure_ascii=False, indent=1))
    else:
        _tell(done)
    if not all(one.good for one in done.outcomes) or done.staged.result in {"refused", "rolled-back"}:
        sys.exit(EXIT_FAILED)


def _take_bundle(config: Config, options: dict[str, Any]) -> None:
    """Take the region's bundle: where one is configured, the lists come with it."""
    from filterd.app.listsbundle import take  # noqa: PLC0415
    from filterd.app.listshealth import write_lists  # noqa: PLC0415

    with progress_shown(quiet=options["as_json"]) as shown:
        taken = take(config, watched=options["watch"], shown=shown)
    last: dict[str, Any] = {
        "at": int(time.time()),
        "result": taken.result,
        "why": taken.why,
        "version": "",
        "outcomes": [],
    }
    status = write_lists(config, last=last)
    if options["as_json"]:
        click.echo(json.dumps(status, ensure_ascii=False, indent=1))
    else:
        why = f": {taken.why}" if taken.why else ""
        click.echo(f"bundle {taken.serial or '-'}: {taken.result}{why}  {_bytes(taken.received)}")
    if not taken.good:
        sys.exit(EXIT_FAILED)


def _tell(done: Any) -> None:
    for one in done.outcomes:
        size = f"{one.entries:>9} entries  {_bytes(one.received):>9}"
        click.echo(f"{one.id:<32}{one.result:<9}{size}  {one.why}".rstrip())
        if one.newly:
            click.echo(f"    names popular sites anew: {', '.join(one.newly[:8])}")
    staged = done.staged
    text = _RESULTS.get(staged.result, staged.result)
    click.echo(f"index {staged.version or '-'}: {text}{': ' + staged.why if staged.why else ''}")


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Any]:
    """Give what shows progress: bars on a terminal, nothing elsewhere."""
    from filterd.app.listsupdate import Shown  # noqa: PLC0415

    if quiet or not sys.stderr.isatty():
        yield Shown()
        return
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.fields[shown]}"),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, total: int, shown: str) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, shown="")
            bars.update(tasks[name], completed=done, total=total or None, shown=shown)

        def fetching(list_id: str, done: int, total: int) -> None:
            show(list_id, done, total, _bytes(done))

        def compiling(step: Any) -> None:
            what = {"read": "reading lists", "write": "writing the index"}[step.stage]
            show(what, step.done, step.total, f"{step.done:,} of {step.total:,}")

        yield Shown(
            fetching=fetching, compiling=compiling, phase=lambda text: bars.console.print(f"{text} ...")
        )


@lists.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON.")
def status(as_json: bool, **options: Any) -> None:
    """Show how each chosen list stands: its age, and why its last update brought nothing good.

    Status 0: every list is good and young; 1: not.
    """
    from filterd.app.listshealth import lists_now  # noqa: PLC0415

    found = lists_now(_config(options))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    click.echo(f"{'list':<32}{'category':<16}{'entries':>9}  {'confirmed':<17}state")
    bad = False
    for one in found["lists"]:
        bad |= one["state"] in {"refused", "failed", "old"}
        trouble = f": {one['trouble']}" if one["trouble"] else ""
        size = f"{one['entries'] or '':>9}  {_day(one['confirmed_at']):<17}"
        click.echo(f"{one['id']:<32}{one['category']:<16}{size}{one['state']}{trouble}")
    _tell_index(found)
    if bad:
        sys.exit(EXIT_FAILED)


def _tell_index(found: dict[str, Any]) -> None:
    last = found["last"]
    click.echo(f"index in use: {found['version'] or 'none yet'}")
    if last:
        why = f": {last['why']}" if last.get("why") else ""
        click.echo(f"last update:  {_day(last['at'])}, {last['result']}{why}")
    if found["held_until"]:
        click.echo(
            f"held until {_day(found['held_until'])} by {found['held_why']}; `filterd lists activate` ends it"
        )
    for one in found["exceptions_overdue"]:
        click.echo(f"to be reviewed: {one['action']} {one['name']} ({one['author']}), due {one['review']}")


def _day(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if at else "-"


@lists.command()
@click.argument("list_id", metavar="LIST")
@config_options
@by_options
def accept(list_id: str, by: str, why: str, **options: Any) -> None:
    """Take the copy of LIST that the checks refused, because a person looked at it.

    Put it in use with `filterd lists update --no-fetch`.
    """
    from filterd.app.listsupdate import accept_copy  # noqa: PLC0415

    copy = accept_copy(_config(options), list_id, by=by, why=why)
    click.echo(f"{list_id}: {copy.entries} entries of {_day(copy.fetched_at)} are the good copy now")


@lists.command()
@click.argument("version", required=False)
@config_options
@by_options
def activate(version: str | None, by: str, why: str, **options: Any) -> None:
    """Put VERSION (default: the newest) in use, and end a hold. Without losing a query."""
    from filterd.lists import activate as versions  # noqa: PLC0415
    from filterd.lists.staged import switch_by_hand  # noqa: PLC0415

    config = _config(options)
    kept = versions.versions(config.state.lists)
    chosen = version or (kept[-1] if kept else "")
    switch_by_hand(config.state.lists, chosen, by=by, why=why, now=time.time())
    click.echo(f"in use: {chosen}")


@lists.command()
@config_options
@click.option("--hold", type=click.FloatRange(0, 365), default=3, show_default=True, metavar="DAYS",
              help="For so long no new index is put in use by itself.")  # fmt: skip
@by_options
def rollback(hold: float, by: str, why: str, **options: Any) -> None:
    """Go back to the index before the one in use. Without losing a query."""
    from filterd.lists.staged import roll_back_by_hand  # noqa: PLC0415

    config = _config(options)
    before, now = roll_back_by_hand(
        config.state.lists, by=by, why=why or "no reason given", now=time.time(), hold=hold * DAY
    )
    click.echo(f"in use: {now}; {before} is kept and will not come back by itself")


@lists.command()
@config_options
def history(**options: Any) -> None:
    """Show what was activated, refused and rolled back, by whom and why; the newest last."""
    from filterd.lists.history import read  # noqa: PLC0415

    for event in read(_config(options).state.lists):
        why = f"  {event.why}" if event.why else ""
        click.echo(f"{_day(event.at):<18}{event.action:<12}{event.version:<18}{event.by}{why}")


@lists.command()
@config_options
def exceptions(**options: Any) -> None:
    """Show the reviewed exceptions, what each does now, and which are to be looked at again.

    Status 1: some are overdue.
    """
    from filterd.app.listsreport import exceptions_now  # noqa: PLC0415

    found = exceptions_now(_config(options))
    for one in found:
        click.echo(
            f"{one.action:<6}{one.name:<39} {one.state:<9}review {one.review}  {one.author}: {one.reason}"
        )
        for line in one.effects:
            click.echo(f"      {line}")
    if not found:
        click.echo("no exceptions; the file is named by lists.exceptions in filterd.yaml")
    if any(one.state == "overdue" for one in found):
        sys.exit(EXIT_FAILED)


@lists.command()
@config_options
@click.option(
    "--events",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A saved answer of /v1/events. Default: the store of the endpoint on this box.",
)
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON.")
def report(events: Path | None, as_json: bool, **options: Any) -> None:
    """Show what each list is worth: what it has alone, what others cover, what it blocked, where it errs."""
    from filterd.app.listsreport import report as made  # noqa: PLC0415

    found = made(_config(options), events)
    if as_json:
        click.echo(found.to_json())
        return
    click.echo(f"index {found.version}; blocks counted in {found.blocks_from or 'nothing yet'}")
    click.echo(
        f"{'list':<32}{'category':<16}{'names':>9}{'alone':>9}{'twice':>8}{'lines lost':>11}{'blocks':>9}"
    )
    for one in found.worths:
        blocks = "" if one.share is None else f"{one.share:.1%}"
        twice, lost = found.covered.get(one.id, 0), found.rejected.get(one.id, 0)
        most = f"  {one.shared[0][1]} also in {one.shared[0][0]}" if one.shared else ""
        little = "  adds next to nothing" if one.adds_little else ""
        click.echo(
            f"{one.id:<32}{one.category:<16}{one.names:>9}{one.alone:>9}{twice:>8}{lost:>11}{blocks:>9}{most}{little}"
        )
    for surprise in found.surprises:
        state = "open all the same" if surprise.lifted else "BLOCKED where the category is"
        click.echo(
            f"surprising: {surprise.list_id} names {surprise.listed} as {surprise.category}"
            f" ({surprise.name}: {surprise.why}), {state}"
        )
    if found.no_source:
        click.echo(f"no source: {', '.join(found.no_source)}")
