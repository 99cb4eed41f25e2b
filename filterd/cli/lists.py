"""``filterd lists compile``, ``show`` and ``find``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import click

from filterd.cli.root import EXIT_FAILED, config_options, overrides, root
from filterd.config.load import Config, load_config

_STAGES = {"read": "reading lists", "write": "writing the index"}


@root.group()
def lists() -> None:
    """Compile the lists into the index, show them, find a name in them."""


@lists.command("compile")
@config_options
@click.option("--no-switch", is_flag=True, help="Make the new index, but do not put it in use.")
@click.option("--verbose", is_flag=True, help="Show every rejected line that was kept as a sample.")
def compile_command(no_switch: bool, verbose: bool, **options: Any) -> None:
    """Compile all enabled lists into a new index and put it in use.

    A running filter takes it within a second, without losing a query. A line that is not understood is
    counted with its reason and never ends its list. The two versions before stay for going back.
    """
    config = load_config(options["config"], overrides(options["state"]))
    config.state.make()
    report = compile_with_progress(config, switch=not no_switch)
    for one in report.lists:
        rejects = ", ".join(f"{count} {reason}" for reason, count in sorted(one.rejected.items()))
        click.echo(f"{one.id:<32}{one.category:<16}{one.names:>9} names  {rejects}{one.problem}".rstrip())
        for sample in one.samples if verbose else ():
            click.echo(f"    line {sample.line}, column {sample.column}: {sample.reason}: {sample.text}")
    use = "made, not in use" if no_switch else "in use"
    click.echo(
        f"version {report.version} {use}: {report.names} names, {report.size / 1e6:.1f} MB, "
        f"{report.seconds:.1f} s, at most {report.peak_memory / 1e6:.0f} MB of memory"
    )


@lists.command()
@config_options
def show(**options: Any) -> None:
    """Show every list, what the index in use holds of it, and the categories without a source."""
    from filterd.lists.catalogue import load_catalogue  # noqa: PLC0415 - a command loads only what it needs
    from filterd.lists.showing import show as shown  # noqa: PLC0415
    from filterd.rules.categories import load_categories  # noqa: PLC0415

    config = load_config(options["config"], overrides(options["state"]))
    categories = load_categories(config.categories)
    found = shown(load_catalogue(config.catalogue, categories), categories, config.state.lists)
    click.echo(f"{'list':<32}{'category':<16}{'origin':<10}{'names':>9}{'rejected':>10}  state")
    for one in found.lists:
        state = "in use" if one.compiled else "enabled, not compiled yet" if one.enabled else "off"
        click.echo(
            f"{one.id:<32}{one.category:<16}{one.origin:<10}{one.entries:>9}{one.rejected:>10}  {state}"
        )
    if found.version:
        built = datetime.fromtimestamp(found.built_at, UTC)
        click.echo(f"index {found.version} of {built:%Y-%m-%d %H:%M} UTC: {found.names} names")
    else:
        click.echo("no index yet: run `filterd lists compile`")
    if found.uncovered:
        click.echo(f"no source: {', '.join(found.uncovered)}")


@lists.command()
@click.argument("name")
@config_options
def find(name: str, **options: Any) -> None:
    """Find every list entry that covers NAME. Status 1: none does."""
    from filterd.lists.showing import find as hits_of  # noqa: PLC0415 - a command loads only what it needs
    from filterd.rules.categories import load_categories  # noqa: PLC0415

    config = load_config(options["config"], overrides(options["state"]))
    hits = hits_of(name, load_categories(config.categories), config.state.lists)
    for hit in hits:
        listed = hit.listed or "(not displayed)"
        kind = "excepts" if hit.allow else "lists"
        cancelled = "" if hit.applies else "  (cancelled by an exception of the same list)"
        click.echo(f"{hit.category:<16}{hit.list_id} ({hit.origin}) {kind} {listed} ({hit.scope}){cancelled}")
    if not hits:
        click.echo(f"no list covers {name}")
        sys.exit(EXIT_FAILED)


def compile_quietly(config: Config) -> None:
    """Compile in a process of its own if the index in use was not made from just these lists."""
    from filterd.lists.worker import Job, compile_in_process  # noqa: PLC0415

    compile_in_process(Job(papers=config.papers, folder=config.state.lists, only_if_changed=True))


def compile_with_progress(config: Config, *, switch: bool = True) -> Any:
    """Compile in a process of its own; progress goes to standard error, as a bar on a terminal."""
    from filterd.lists.compile import Progress  # noqa: PLC0415
    from filterd.lists.worker import Job, compile_in_process  # noqa: PLC0415

    job = Job(papers=config.papers, folder=config.state.lists, switch=switch)
    if not sys.stderr.isatty():
        return compile_in_process(job)
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    with progress.Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show_step(step: Progress) -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bars.add_task(_STAGES[step.stage])
            bars.update(tasks[step.stage], completed=step.done, total=step.total)

        return compile_in_process(job, show_step)
