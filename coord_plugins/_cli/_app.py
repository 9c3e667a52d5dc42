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

from . import _doctor, _export, _outcome, _report


class _Commands(TyperGroup):
    """Errors of the library are one line on stderr and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CoordError as error:
            typer.echo(f"coord: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(2) from None


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
for module in (_report, _outcome, _export, _doctor):
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
