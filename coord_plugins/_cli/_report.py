"""`coord report`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ._common import (
    JsonOption,
    PipelineOption,
    SettleOption,
    SinceOption,
    StoreOption,
    UntilOption,
    WhereOption,
    counting,
    filters,
    place_to_read,
    print_json,
    print_rich,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report_command)


def report_command(  # typer reads options from parameters
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="KEY", help="Split by a metadata key or column.")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="run, task or thread.")] = "run",
    settle: SettleOption = None,
    as_json: JsonOption = False,
) -> None:
    """How often the pipelines did their job, what a success cost, where the rest was lost."""
    from coord_plugins._report import report

    chosen: Any = unit
    with counting("reading") as progress:
        found = report(
            place_to_read(store),
            **filters(pipeline, since, until, where, settle),
            by=by,
            unit=chosen,
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
        return
    from coord_plugins._report_text import render

    print_rich(render(found))
