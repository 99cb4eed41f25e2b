"""The group ``filterd``, the options its commands share, and errors as one line with a remedy."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from filterd import __version__
from filterd.errors import FilterdError

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FAILED = 1


# Which modules register which command: a command loads its own only, so `filterd run` serves sooner.
_MODULES: dict[str, tuple[str, ...]] = {
    "audit": ("auditing",),
    "box": ("boxes",),
    "bundle": ("lists", "bundle"),
    "case": ("cases",),
    "check": ("asking",),
    "demo": ("demo",),
    "explain": ("asking",),
    "identity": ("identity",),
    "fact": ("schools",),
    "kibernadzor": ("kibernadzor",),
    "lists": ("lists", "listsupdating"),
    "feed": ("feed",),
    "gateway": ("gateway",),
    "monitor": ("serving",),
    "policy": ("policy", "policychanges"),
    "reload": ("asking",),
    "report": ("report",),
    "review": ("cases",),
    "run": ("serving",),
    "school": ("schools",),
    "selftest": ("selftest",),
    "serve": ("serving",),
    "status": ("asking",),
}


class Group(click.Group):
    """Loads the modules of a command when it is needed, and prints our errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loading it first."""
        for module in _MODULES.get(cmd_name, ()):
            import_module(f"filterd.cli.{module}")
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error raised on purpose becomes one line with its remedy."""
        try:
            return super().invoke(ctx)
        except FilterdError as error:
            fail(error)
        except BrokenPipeError:  # `filterd lists show | head`
            sys.stderr.close()
            sys.exit(EXIT_FAILED)


def fail(error: FilterdError) -> None:
    """Print an error and what can be done about it, and end with status 1."""
    click.echo(f"filterd: {error}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"  {note}", err=True)
    sys.exit(EXIT_FAILED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="filterd")
def root() -> None:
    """Content-filtering DNS proxy for schools.

    Start with `filterd run`: it answers DNS on 127.0.0.1:5353 with the starter lists and shows what it
    blocked on http://127.0.0.1:8053. Then `filterd explain NAME` tells why a name is blocked or not.
    """


def config_options(command: Command) -> Command:
    """Add the options that say which configuration holds."""
    for option in (
        click.option(
            "--state",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder for index, outbox, store.",
        ),
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Configuration file (YAML).",
        ),
    ):
        command = option(command)
    return command


def log_options(command: Command) -> Command:
    """Add the options of logging."""
    for option in (
        click.option(
            "--log-format", type=click.Choice(["auto", "json", "text"]), default="auto", show_default=True,
            help="auto: text on a terminal, else JSON lines.",
        ),
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
            show_default=True,
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def who() -> str:
    """Return who types: the person behind sudo, else the login."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def by_options(command: Command) -> Command:
    """Add the options that say who changes something and why."""
    for option in (
        click.option("--why", default="", metavar="TEXT", help="The reason, for the change log."),
        click.option("--by", default=who, metavar="NAME", help="Who changes it. Default: the login."),
    ):
        command = option(command)
    return command


def overrides(state: Path | None, **values: Any) -> Mapping[str, Any]:
    """Return the configuration keys given on the command line; ``__`` in a name stands for a dot."""
    found = {key.replace("__", "."): value for key, value in values.items() if value not in (None, (), [])}
    if state is not None:
        found["state"] = str(state.absolute())
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends it without a trace."""
    try:
        root()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
