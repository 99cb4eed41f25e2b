"""``filterd check``, ``explain``, ``status`` and ``reload``: asking about policy and the running filter."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from filterd.cli.policy import at_option, instant_of
from filterd.cli.root import by_options, config_options, overrides, root
from filterd.config.load import load_config

_TYPES = {"A": 1, "AAAA": 28, "HTTPS": 65, "TXT": 16, "MX": 15, "CNAME": 5}


@root.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
def check(config: Path | None) -> None:
    """Check a configuration with all it names: policy, categories, catalogue of lists.

    Without CONFIG the embedded defaults are checked. Status 0: all is right; 1: not, and where.
    """
    from filterd.app import endpoint  # noqa: PLC0415 - a command loads only what it needs
    from filterd.app.policyfiles import verified  # noqa: PLC0415
    from filterd.lists.catalogue import load_catalogue  # noqa: PLC0415

    found = load_config(config)
    endpoint.verify(found)
    policy = verified(found)
    catalogue = load_catalogue(found.catalogue, policy.categories)
    enabled = sum(source.enabled for source in catalogue.sources)
    click.echo(f"configuration  {config or 'embedded defaults'}")
    layers = [layer for layer in (found.baseline, found.region, found.school) if layer is not None]
    click.echo(f"policy         {' + '.join(map(str, layers))}")
    click.echo(
        f"               school {policy.school}, {len(policy.groups)} groups, version {policy.version}"
    )
    click.echo(f"lists          {found.catalogue}: {enabled} of {len(catalogue.sources)} enabled")
    upstreams = ", ".join(f"{one.host} port {one.port}" for one in found.upstreams())
    click.echo(f"upstreams      {upstreams or 'none: only blocked and local names will be answered'}")
    click.echo("all is right")


@root.command()
@click.argument("name")
@click.option("--client", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Who asks.")
@click.option("--mac", metavar="MAC", help="The client's hardware address, if the policy names some.")
@click.option("--group", metavar="ID", help="A group of the school, in the place of a client.")
@at_option
@click.option("--type", "qtype", type=click.Choice(list(_TYPES), case_sensitive=False), default="A")
@config_options
def explain(name: str, group: str | None, qtype: str, **options: Any) -> None:
    """Tell why NAME is allowed or blocked for a client or group at a time, and what would change it.

    Shows the client's group, every list and rule that names it, each step of the decision, and what the
    school's other groups get. Asks no server: it reads the index and the policy.
    """
    from filterd.app.explanation import Asked, explain_name  # noqa: PLC0415 - a command loads only what it needs

    config = load_config(options["config"], overrides(options["state"]))
    asked = Asked(options["client"], options["mac"], group, _TYPES[qtype.upper()])
    for line in explain_name(config, name, asked, partial(instant_of, options["at_text"])).lines():
        click.echo(line)


@root.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="The whole status as JSON.")
def status(as_json: bool, **options: Any) -> None:
    """Show the running filter: its processes, policy, index and deliveries."""
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs

    config = load_config(options["config"], overrides(options["state"]))
    found = ask(config.state.control, "status")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    click.echo(f"filterd {found['version']} for school {found['school']} on {', '.join(found['listen'])}")
    click.echo(f"policy {found['policy']}, index {found['index'] or 'none'}")
    if found["policy_refused"]:
        click.echo(f"the configured policy does not serve, the one before it does: {found['policy_refused']}")
    elif not found["last_reload_taken"]:
        click.echo("the last reload was refused: the policy and configuration before it serve")
    if found["overrides"]:
        click.echo(f"{found['overrides']} temporary overrides: see `filterd policy override list`")
    for child in found["processes"]:
        state = "ready" if child["ready"] else "starting"
        click.echo(
            f"  {child['name']:<10}pid {child['pid']:<9}{state:<10}up {child['seconds']:>8.0f} s"
            f"  restarts {child['restarts']}"
        )
    click.echo(
        f"deliveries: {found['deliveries']['sent']} batches, {found['deliveries']['failed']} failed tries"
    )


@root.command("reload")
@by_options
@config_options
def reload_command(by: str, why: str, **options: Any) -> None:
    """Verify configuration and policy anew and put them in force, without losing a lookup.

    Status 1: something is wrong, and what served before goes on serving.
    """
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs

    config = load_config(options["config"], overrides(options["state"]))
    found = ask(config.state.control, "reload", by=by, why=why)
    click.echo(f"in force: policy {found['policy']} of school {found['school']}")
