"""``filterd bundle``: one signed file with policy and lists, made by a region and taken by its boxes."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from filterd.cli.listsupdating import progress_shown
from filterd.cli.root import EXIT_FAILED, by_options, config_options, overrides, root
from filterd.config.load import Config, load_config

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_KEY = click.option("--key", type=_FILE, metavar="FILE", help="The region's private key.")
_PUBLIC = click.option(
    "--public", multiple=True, metavar="KEY", help="A public key to trust. Default: lists.bundle.keys."
)


@root.group()
def bundle() -> None:
    """Make, sign, check and take bundles: policy and lists of a region in one signed file.

    A region: `keygen` once, then `build --key` after each `lists update`, and put the file on any web server.
    A box: lists.bundle with url and keys in filterd.yaml; `lists update` (and its timer) takes what is new.
    """


def _config(options: dict[str, Any]) -> Config:
    config = load_config(options["config"], overrides(options["state"]))
    config.state.make()
    return config


@bundle.command()
@click.argument("key", type=_NEW_FILE)
def keygen(key: Path) -> None:
    """Make a key pair: the private one into the file KEY, for its owner only; the public one is printed.

    Keep KEY away from the web server, and a copy of it in a safe: boxes take nothing that it did not sign.
    """
    from filterd.lists.signing import keygen as made  # noqa: PLC0415 - a command loads only what it needs

    public = made(key)
    click.echo(f"private key: {key}")
    click.echo(
        f'for the boxes, in filterd.yaml:  lists: {{bundle: {{url: "https://...", keys: ["{public}"]}}}}'
    )


@bundle.command()
@click.argument("file", type=_NEW_FILE)
@click.option(
    "--serial", type=click.IntRange(1, 2**53), required=True, help="Greater than of every bundle before."
)
@click.option("--region", required=True, metavar="ID", help="Which region it is of.")
@click.option("--note", default="", help="What is new, in a sentence.")
@_KEY
@by_options
@config_options
def build(file: Path, serial: int, key: Path | None, **options: Any) -> None:
    """Write this machine's policy and its chosen lists into FILE; with --key signed, else to be signed."""
    from filterd.app.listsbundle import build as made  # noqa: PLC0415
    from filterd.lists.bundle import sign as signed  # noqa: PLC0415
    from filterd.lists.signing import read_key  # noqa: PLC0415

    private = read_key(key) if key is not None else None
    header = made(
        _config(options),
        file,
        serial=serial,
        region=options["region"],
        by=options["by"],
        note=options["note"],
    )
    if private is not None:
        signed(file, private, file)
    _tell(file, header, "signed" if private is not None else "not signed yet: `filterd bundle sign`")


@bundle.command("sign")
@click.argument("file", type=_FILE)
@click.option("--key", type=_FILE, required=True, metavar="FILE", help="The region's private key.")
@click.option(
    "--out", type=_NEW_FILE, metavar="FILE", help="Where the signed bundle goes. Default: FILE itself."
)
def sign_command(file: Path, key: Path, out: Path | None) -> None:
    """Sign the bundle FILE; the machine that has the key needs nothing else."""
    from filterd.lists.bundle import sign as signed  # noqa: PLC0415
    from filterd.lists.signing import read_key  # noqa: PLC0415

    target = out or file
    _tell(target, signed(file, read_key(key), target), "signed")


@bundle.command()
@click.argument("file", type=_FILE)
@_PUBLIC
@click.option("--json", "as_json", is_flag=True, help="The header as JSON.")
@config_options
def verify(file: Path, public: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Check signature and every part of the bundle FILE. Status 1: it is not to be trusted, and why."""
    from filterd.app.listsbundle import settings  # noqa: PLC0415
    from filterd.lists.bundle import check, open_bundle  # noqa: PLC0415

    keys = list(public)
    if not keys:
        config = load_config(options["config"], overrides(options["state"]))
        keys = list(settings(config).keys)
    opened = open_bundle(file, keys)
    check(opened)
    if as_json:
        click.echo(opened.header.model_dump_json(indent=1))
    else:
        _tell(file, opened.header, "signature and parts are right")


@bundle.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--watch", type=click.FloatRange(0, 86_400), metavar="SECONDS",
              help="Watch refusals so long afterwards; 0: do not. Default: as configured.")  # fmt: skip
@config_options
def apply(file: Path | None, watch: float | None, **options: Any) -> None:
    """Take the region's bundle, or the one in FILE: verify, check, compile, put in force, reload.

    Status 1: it was not taken, and why; the one before goes on serving.
    """
    from filterd.app.listsbundle import take  # noqa: PLC0415
    from filterd.app.listshealth import write_lists  # noqa: PLC0415

    config = _config(options)
    with progress_shown(quiet=False) as shown:
        taken = take(config, file, watched=watch, shown=shown)
    write_lists(config)
    why = f": {taken.why}" if taken.why else ""
    click.echo(f"{taken.result}{why}; in force: {f'bundle {taken.serial}' if taken.serial else 'no bundle'}")
    if not taken.good:
        sys.exit(EXIT_FAILED)


@bundle.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(as_json: bool, **options: Any) -> None:
    """Show which bundle is in force, and why a newer one is not."""
    from dataclasses import asdict  # noqa: PLC0415

    from filterd.app.listsbundle import show as known  # noqa: PLC0415

    state = known(load_config(options["config"], overrides(options["state"])))
    if as_json:
        click.echo(json.dumps(asdict(state), indent=1))
        return
    if state.serial:
        times = f"made {_time(state.made_at)}, taken {_time(state.applied_at)}"
        click.echo(f"bundle {state.serial} of {state.region}, {times}")
    else:
        click.echo("no bundle is in force")
    if state.why:
        click.echo(f"not taken at {_time(state.tried_at)}: {state.why}")


def _tell(file: Path, header: Any, what: str) -> None:
    size = sum(part.size for part in header.parts)
    lists = len({part.name.split("/")[1] for part in header.parts if part.name.startswith("fetched/")})
    click.echo(f"{file}: bundle {header.serial} of {header.region}, made {_time(header.made_at)}: {what}")
    packed = file.stat().st_size
    sizes = f"{size / 1e6:.1f} MB, packed {packed / 1e6:.1f} MB"
    click.echo(f"  {len(header.parts)} parts, {lists} fetched lists, {sizes}")


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
