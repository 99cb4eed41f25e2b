"""``filterd feed rpz``: the policy for resolvers of others."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from filterd.cli.policy import at_option, index_of, instant_of
from filterd.cli.root import config_options, overrides, root
from filterd.config.load import load_config
from filterd.errors import ConfigError


@root.group()
def feed() -> None:
    """Give the policy to resolvers of others: a provider's, a region's."""


@feed.command()
@click.option("--group", required=True, metavar="ID", help="Whose policy.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Zone file.")
@click.option("--zone", default="filterd.rpz", show_default=True, help="Name of the zone.")
@click.option(
    "--serial", type=click.IntRange(1, 2**32 - 1), help="Of the SOA.  [default: seconds since 1970]"
)
@click.option("--illegal", is_flag=True,
              help="With the names of illegal content: keep such a zone to yourself.")  # fmt: skip
@at_option
@config_options
def rpz(group: str, output: Path, zone: str, serial: int | None, illegal: bool, **options: Any) -> None:
    """Write a group's policy as a response policy zone (RPZ).

    A zone knows no timetable: it says what holds at one time (--at). Answers are not looked into by it, so
    cloaked names are found by this filter only. See docs/feeds.md for BIND and others.
    """
    from filterd.app.feed import write_rpz  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.policyfiles import policy_to_ask  # noqa: PLC0415

    config, now = load_config(options["config"], overrides(options["state"])), time.time()
    policy = policy_to_ask(config, at=now)
    if group not in policy.groups:
        raise ConfigError(f"no group {group!r}", remedy=f"there are: {', '.join(policy.groups)}")
    view = policy.view(group, instant_of(options["at_text"], policy.zone))
    with ExitStack() as stack:
        index = index_of(config, stack)
        written = write_rpz(
            output, zone, view, index, serial=serial or int(now), illegal=illegal, progress=_progress(stack)
        )
    click.echo(f"{output}: zone {zone}, {written.records} records")
    if written.too_long:
        click.echo(f"{written.too_long} names are too long below that zone's name and are left out", err=True)


def _progress(stack: ExitStack) -> Any:
    if not sys.stderr.isatty():
        return lambda _records: None
    from rich.console import Console  # noqa: PLC0415

    status = stack.enter_context(Console(stderr=True).status("writing ..."))
    return lambda records: status.update(f"writing ... {records} records")
