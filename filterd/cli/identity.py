"""``filterd identity``: who can be told which device a pseudonym is, and new pseudonyms for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from filterd.cli.root import config_options, overrides, root
from filterd.config.load import load_config
from filterd.errors import FilterdError, StartError


@root.group()
def identity() -> None:
    """Set up identity releases, and renew all pseudonyms."""


@identity.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@config_options
def keys(files: tuple[Path, ...], **options: Any) -> None:
    """Make one key for each person, as FILES; identities are noted, sealed to all, from the next start on.

    Give each file to its person (psychologist first, then the deputy head) and leave no copy here: all of
    them together open the store, none alone, and this box cannot. Lost keys cannot be replaced: what was
    sealed to them stays shut.
    """
    from filterd.app.prepare import write_atomically  # noqa: PLC0415 - a command loads only what it needs
    from filterd.events.identities import MAX_KEYS, new_key  # noqa: PLC0415

    state = load_config(options["config"], overrides(options["state"])).state
    if state.release_keys.exists():
        raise StartError(
            f"{state.release_keys} is there already",
            remedy="move it and the store of identities away first: they belong together",
        )
    if len(files) > MAX_KEYS:
        raise click.BadParameter(f"{MAX_KEYS} keys at most", param_hint="FILES")
    state.make()
    public = [new_key(file) for file in files]
    write_atomically(state.release_keys, "".join(f"{key.hex()}\n" for key in public).encode())
    click.echo(f"{len(public)} keys made; their public halves are in {state.release_keys}")
    click.echo("give each file to its person, leave no copy here, and restart filterd")


@identity.command()
@config_options
def renew(**options: Any) -> None:
    """Make a new secret for pseudonyms: from then on every device has another one.

    For the day on which the secret may have been seen. What was recorded keeps its old pseudonyms, and
    nothing connects them with the new ones.
    """
    from filterd.app.control import ask  # noqa: PLC0415 - a command loads only what it needs
    from filterd.events.pseudonym import rotate_secret  # noqa: PLC0415

    state = load_config(options["config"], overrides(options["state"])).state
    state.make()
    rotate_secret(state.box_secret)
    try:
        ask(state.control, "reload", why="new secret for pseudonyms")
    except StartError:
        click.echo("the secret is new; no filter runs here, the next start uses it")
    except FilterdError as error:
        raise FilterdError(
            f"the secret is new, but the running filter did not take it: {error}", remedy="restart filterd"
        ) from error
    else:
        click.echo("the secret is new and in use: every device has another pseudonym from now on")
