"""The typer application: every command, its options, and how errors end."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from coord_plugins.errors import CoordError

from . import _compare, _doctor, _export, _gate, _import, _outcome, _plan, _report


class _Commands(TyperGroup):
    """Errors of the library are one line on stderr and exit code 2.

    Commands of other packages are looked for only where they can matter, at an unknown name and
    for the list: reading the entry points of all that is installed takes a fifth of a start.
    """

    _extended = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is None and not self._extended:
            self._extend(asked=True)
            found = super().get_command(ctx, cmd_name)
        return found

    def list_commands(self, ctx: Any) -> list[str]:
        if not self._extended:
            self._extend(asked=False)
        return super().list_commands(ctx)

    def _extend(self, asked: bool) -> None:
        """Add what other packages register; the commands of `coord` itself keep their names."""
        self._extended = True
        for name, command in _plugged_in(asked).items():
            self.commands.setdefault(name, command)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CoordError as error:
            typer.echo(f"coord: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from None


def _plugged_in(asked: bool) -> dict[str, Any]:
    """The commands of every entry point of the group `coord_plugins.cli` that loads.

    Args:
        asked: Whether somebody asked for a command that may be among them. The list of commands
            does not complain of an extra that is not installed.
    """
    from importlib.metadata import entry_points

    commands: dict[str, Any] = {}
    for entry in entry_points(group="coord_plugins.cli"):
        if importlib.util.find_spec(entry.module.partition(".")[0]) is None:
            continue
        own = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        try:
            entry.load()(own)
            commands |= typer.main.get_group(own).commands
        except Exception as error:  # noqa: BLE001 - whatever it is, the other commands work
            if asked or not isinstance(error, ImportError):
                said = " ".join(f"{type(error).__name__}: {error}".split())
                typer.echo(f"coord: the plug-in {entry.name!r} does not load ({said})", err=True)
    return commands


app = typer.Typer(
    cls=_Commands,
    name="coord",
    help="How often agent pipelines really do their job, what a success costs, and where the "
    "others are lost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (_report, _compare, _plan, _gate, _outcome, _import, _export, _doctor):
    module.register(app)

if importlib.util.find_spec(f"{__package__}.demo") is not None:
    importlib.import_module(f"{__package__}.demo").register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from coord_plugins import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _coord(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
) -> None:
    pass


def run() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # `coord export - | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
