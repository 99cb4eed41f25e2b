"""``filterd policy show``, ``test``, ``diff``, ``simulate`` and ``schema``: questions that change nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from filterd.cli.root import EXIT_FAILED, config_options, overrides, root
from filterd.config.load import Config, load_config
from filterd.errors import ConfigError

_NAMES_SHOWN = 10
_LONG = 1 << 20  # bytes of a file from which on progress is shown
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@root.group()
def policy() -> None:
    """Look at the policy, test it, compare it, change it for a while, undo a change."""


def at_option(command: Any) -> Any:
    """Add the option that names a time."""
    return click.option(
        "--at", "at_text", metavar="TIME", default="now", show_default=True,
        help="'2026-09-14 10:00', '10:00' (today), 'mon 10:00' (the next one); the school's zone.",
    )(command)  # fmt: skip


def instant_of(text: str, zone: Any) -> float:
    """Return a time of the command line as UTC seconds.

    Raises:
        ConfigError: it is none.
    """
    from filterd.rules.timing import named_instant  # noqa: PLC0415 - a command loads only what it needs

    try:
        return named_instant(text, zone, time.time())
    except ValueError as error:
        raise ConfigError(
            f"--at: {error}", remedy="write '2026-09-14 10:00', '10:00' or 'mon 10:00'"
        ) from error


@policy.command()
@click.option("--group", metavar="ID", help="Group of the school. Default: all groups.")
@at_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each line.")
@click.option("--configured", is_flag=True, help="The policy that the files say, not the one in force.")
@config_options
def show(group: str | None, at_text: str, as_json: bool, configured: bool, **options: Any) -> None:
    """Show what holds for a group at a time, with the layer and the place that decided each line."""
    from filterd.app.policyfiles import policy_to_ask, verified  # noqa: PLC0415
    from filterd.rules.effective import effective  # noqa: PLC0415

    config = _config(options)
    found = verified(config) if configured else policy_to_ask(config, at=time.time())
    at = instant_of(at_text, found.zone)
    for one in [_known(group, found)] if group else found.groups:
        for line in effective(found, one, at):
            if as_json:
                click.echo(json.dumps({"group": one, **asdict(line)}, ensure_ascii=False))
                continue
            by = f"  [{line.layer}{' ' if line.layer and line.place else ''}{line.place}]"
            why = f"  ({line.why})" if line.why else ""
            click.echo(f"{line.section:<12}{line.subject:<23} {line.says}{by if by != '  []' else ''}{why}")
        if not as_json:
            click.echo()


@policy.command("test")
@click.argument("tests", type=_FILE, nargs=-1)
@click.option("--policy", "which", default="configured", show_default=True, metavar="POLICY",
              help="A school's file, `in-force`, `configured` or a version.")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Show the tests that passed, too.")
@config_options
def test_command(tests: tuple[Path, ...], which: str, verbose: bool, **options: Any) -> None:
    """Run the tests kept beside the policy: SCHOOL.tests.yaml, or the files that are given.

    Uses the compiled lists in the state folder. Status 1: a test failed.
    """
    from filterd.app.policyfiles import named  # noqa: PLC0415 - a command loads only what it needs
    from filterd.errors import PolicyError  # noqa: PLC0415
    from filterd.rules.assertions import run  # noqa: PLC0415
    from filterd.rules.yamlsource import load  # noqa: PLC0415

    config = _config(options)
    files = tests or (config.school.with_suffix(".tests.yaml"),)
    found = named(config, which, at=time.time())
    failed = passed = 0
    with ExitStack() as stack:
        index = _index(config, stack)
        for file in files:
            for one in run(load(file, error=PolicyError), found, index):
                passed, failed = passed + one.passed, failed + (not one.passed)
                if verbose or not one.passed:
                    click.echo(f"{'ok    ' if one.passed else 'FAILED'} {one.place}: {one.test}")
                if not one.passed:
                    click.echo(
                        f"       got {one.got}" + (f"; it should, because: {one.why}" if one.why else "")
                    )
    click.echo(f"{passed} passed, {failed} failed")
    if failed:
        sys.exit(EXIT_FAILED)


@policy.command()
@click.argument("old")
@click.argument("new")
@config_options
def diff(old: str, new: str, **options: Any) -> None:
    """Say in words what NEW changes against OLD.

    Each is a file (of a school, a region or a baseline: the other layers are the configured ones),
    `in-force`, `configured`, or a version of `filterd policy log`.
    """
    from filterd.app.policyfiles import named  # noqa: PLC0415 - a command loads only what it needs
    from filterd.rules.changes import changes  # noqa: PLC0415

    config, now = _config(options), time.time()
    said = changes(named(config, old, at=now), named(config, new, at=now))
    for sentence in said:
        click.echo(sentence)
    if not said:
        click.echo("nothing changes")


@policy.command()
@click.argument("new")
@click.option("--queries", type=_FILE,
              help="Names, one a line, with a count before or behind if there is one.")  # fmt: skip
@click.option("--recorded", type=click.IntRange(1, 366), metavar="DAYS",
              help="The blocked lookups that the endpoint here recorded in so many days.")  # fmt: skip
@click.option(
    "--old", default="configured", show_default=True, metavar="POLICY", help="What to compare with."
)
@click.option("--group", "only", metavar="ID", multiple=True, help="For this group only; several times.")
@at_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each group, kind and category.")
@config_options
def simulate(
    new: str, queries: Path | None, recorded: int | None, old: str, as_json: bool, **options: Any
) -> None:
    """List what NEW would newly block or allow of lookups that were made, before it is put in force.

    The lookups come from a file (--queries) or are those that were recorded (--recorded). Only blocked
    lookups are recorded by name: with them it shows what NEW would open.

    NEW and --old as for `filterd policy diff`.
    """
    if (queries is None) == (recorded is None):
        raise click.UsageError("give one of --queries FILE and --recorded DAYS")
    from filterd.app.policyfiles import named  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.policysimulate import simulate as simulated  # noqa: PLC0415
    from filterd.app.recorded import recorded_lines  # noqa: PLC0415

    config, now = _config(options), time.time()
    before, after = named(config, old, at=now), named(config, new, at=now)
    groups = [_known(one, after) for one in options["only"]] or list(after.groups)
    with ExitStack() as stack:
        lines: Iterable[bytes]
        if queries is not None:
            lines, progress = stack.enter_context(queries.open("rb")), _progress(queries, stack)
        else:
            hidden = frozenset(one.id for one in after.categories.all if one.illegal)
            since = int(now) - (recorded or 0) * 86_400
            lines = recorded_lines(config, since=since, school=after.school, hidden=hidden)
            progress = lambda _done: None  # noqa: E731
        found = simulated(
            before,
            after,
            _index(config, stack),
            lines,
            groups=groups,
            at=instant_of(options["at_text"], after.zone),
            progress=progress,
        )
    if not as_json:
        click.echo(f"{found.names} names, {found.lookups} lookups, {found.rejected} lines without a name")
    for key, tally in sorted(found.changes.items(), key=lambda one: (one[0][:2], -one[1].lookups)):
        most = tally.most(_NAMES_SHOWN)
        if as_json:
            values = {"names": tally.names, "lookups": tally.lookups, "most": most}
            click.echo(json.dumps({**key._asdict(), **values}, ensure_ascii=False))
            continue
        shown = ", ".join(f"{name} ({count})" for name, count in most)
        click.echo(
            f"{key.group:<20}newly {key.kind:<14}{key.category:<16}{tally.names:>7} names"
            f"{tally.lookups:>10} lookups: {shown}"
        )
    if not found.changes and not as_json:
        click.echo("nothing changes for these lookups")


@policy.command()
@click.option("--write", "folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="Write NAME.json for each kind of file into this folder.")  # fmt: skip
@click.argument("kind", required=False)
def schema(folder: Path | None, kind: str | None) -> None:
    """Print the JSON Schema of a KIND of file (baseline, region, school, tests), for editors."""
    from filterd.rules.schemas import MODELS  # noqa: PLC0415 - a command loads only what it needs
    from filterd.rules.schemas import schema as made  # noqa: PLC0415
    from filterd.rules.yamlsource import meant  # noqa: PLC0415

    if kind is not None and kind not in MODELS:
        raise ConfigError(f"no kind of file {kind!r}", remedy=meant(kind, MODELS))
    for name in [kind] if kind else MODELS:
        text = json.dumps(made(name), ensure_ascii=False, indent=1) + "\n"
        if folder is None:
            click.echo(text, nl=False)
        else:
            (folder / f"{name}.json").write_text(text, "utf-8")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))


def _known(group: str, found: Any) -> str:
    from filterd.rules.yamlsource import meant  # noqa: PLC0415

    if group not in found.groups:
        raise ConfigError(f"no group {group!r}", remedy=meant(group, found.groups))
    return group


def _index(config: Config, stack: ExitStack) -> Any:
    from filterd.lists import activate  # noqa: PLC0415 - a command loads only what it needs
    from filterd.rules.index import Index  # noqa: PLC0415

    path = activate.current(config.state.lists)
    if path is None:
        raise ConfigError(
            f"no compiled lists in {config.state.lists}",
            remedy="run `filterd lists compile` with this --state",
        )
    index = Index.open(path)
    stack.callback(index.close)
    return index


def _progress(file: Path, stack: ExitStack) -> Any:
    size = file.stat().st_size
    if not sys.stderr.isatty() or size < _LONG:
        return lambda _done: None
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    bars = stack.enter_context(progress.Progress(console=Console(stderr=True), transient=True))
    task = bars.add_task("deciding", total=size)
    return lambda done: bars.update(task, completed=done)
