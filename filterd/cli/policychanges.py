"""``filterd policy override``, ``log`` and ``undo``: changes of the policy in force, with who and why."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from filterd.cli.policy import policy
from filterd.cli.root import EXIT_FAILED, by_options, config_options, overrides
from filterd.config.load import Config, load_config


@policy.group()
def override() -> None:
    """Open or close something for a group until a time. Never past a lock; each one is logged."""


@override.command("add")
@click.argument("action", type=click.Choice(["allow", "block"]))
@click.argument("what", metavar="NAME|CATEGORY|all")
@click.option("--group", default="*", metavar="ID", help="Group; default: all groups.")
@click.option("--until", required=True, metavar="TIME", help="11:40, 45m, 2h, 3d or '2026-09-14 11:40'.")
@click.option("--json", "as_json", is_flag=True, help="The override as JSON.")
@by_options
@config_options
def add(action: str, what: str, group: str, until: str, as_json: bool, **options: Any) -> None:
    """Allow or block a NAME (with all below it), a CATEGORY, or allow `all` filtering.

    A word with a dot is a name. The running filter takes it at once, and keeps it through restarts.
    """
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs

    kind = "filtering" if what == "all" else "name" if "." in what else "category"
    found = ask(
        _config(options).state.control,
        "override_add",
        allow=action == "allow",
        kind=kind,
        value="" if what == "all" else what,
        group=group,
        until=until,
        by=options["by"],
        why=options["why"],
    )
    _say("holds", found["override"], found["zone"], as_json=as_json)


@override.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@config_options
def list_command(as_json: bool, **options: Any) -> None:
    """List the overrides that hold now."""
    from filterd.app.policyfiles import policy_to_ask  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.policyoverrides import OverrideStore  # noqa: PLC0415

    config, now = _config(options), time.time()
    found = OverrideStore(config.state.overrides).active(now)
    zone = policy_to_ask(config, at=now).zone
    for one in found:
        _say("holds", {**_values(one), "text": one.text}, str(zone), as_json=as_json)
    if not found and not as_json:
        click.echo("no override holds")


@override.command("end")
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="The override as JSON.")
@by_options
@config_options
def end(number: int, as_json: bool, **options: Any) -> None:
    """End the override NUMBER early."""
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs

    found = ask(
        _config(options).state.control, "override_end", id=number, by=options["by"], why=options["why"]
    )
    _say("ended", found["override"], found["zone"], as_json=as_json)


@policy.command()
@click.option("--limit", default=20, show_default=True, help="At most so many changes, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each.")
@click.option(
    "--verify", is_flag=True, help="Check that no line was changed or taken out. Status 1: one was."
)
@config_options
def log(limit: int, as_json: bool, verify: bool, **options: Any) -> None:
    """Show who changed the policy, when and why, and the version before and after."""
    from dataclasses import asdict  # noqa: PLC0415 - a command loads only what it needs
    from itertools import islice  # noqa: PLC0415

    from filterd.app.policylog import PolicyLog  # noqa: PLC0415

    found = PolicyLog(_config(options).state.policy_log)
    if verify:
        faults = found.faults()
        for fault in faults:
            click.echo(fault)
        if faults:
            sys.exit(EXIT_FAILED)
        click.echo("the log is whole")
        return
    for change in islice(found.newest(), limit):
        if as_json:
            click.echo(json.dumps(asdict(change), ensure_ascii=False))
            continue
        user = f" (as {change.user})" if change.user not in ("", change.who) else ""
        versions = f"{change.old or '-'} -> {change.new}" if change.old != change.new else change.new
        about = f", {_about(change.more)}" if change.more else ""
        why = f": {change.why}" if change.why else ""
        click.echo(
            f"{change.number:>5}  {change.at}  {change.what:<13} {versions}  {change.who}{user}{about}{why}"
        )


@policy.command()
@click.option("--to", default="", metavar="VERSION", help="A version of the log; default: the one before.")
@by_options
@config_options
def undo(to: str, **options: Any) -> None:
    """Put the policy before the last change in force again; undoing that again goes back.

    It stays, through restarts, until `filterd reload` takes the files, which are not touched.
    """
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs

    found = ask(_config(options).state.control, "undo", to=to, by=options["by"], why=options["why"])
    click.echo(f"in force: policy {found['policy']} of school {found['school']}")


def _config(options: dict[str, Any]) -> Config:
    return load_config(options["config"], overrides(options["state"]))


def _values(one: Any) -> dict[str, Any]:
    from dataclasses import asdict  # noqa: PLC0415

    return asdict(one)


def _about(more: Any) -> str:
    from filterd.rules.overrides import Override  # noqa: PLC0415

    try:
        return f"override {more['id']}: {Override(**more).text}"
    except (KeyError, TypeError):
        return json.dumps(more, ensure_ascii=False)


def _say(state: str, one: Any, zone: str, *, as_json: bool) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from filterd.rules.words import moment  # noqa: PLC0415

    if as_json:
        click.echo(json.dumps(one, ensure_ascii=False))
        return
    until = f" until {moment(one['until'], ZoneInfo(zone))}" if state == "holds" else ""
    click.echo(f"override {one['id']} {state}: {one['text']}{until}, by {one['author']}: {one['reason']}")
