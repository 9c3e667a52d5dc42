"""`coord report`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ._common import (
    ErrorOption,
    EscalationOption,
    JsonOption,
    PipelineOption,
    SettleOption,
    SilentOption,
    SinceOption,
    StoreOption,
    UntilOption,
    ValueOption,
    WhereOption,
    counting,
    filters,
    place_to_read,
    print_json,
    print_rich,
    value_of,
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
    worth: ValueOption = None,
    escalation_cost: EscalationOption = 0.0,
    silent_cost: SilentOption = 0.0,
    error_cost: ErrorOption = None,
    volume: Annotated[
        str | None,
        typer.Option("--volume", metavar="N/PERIOD", help="With --value: like 10000/month."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """How often the pipelines did their job, what a success cost, where the rest was lost."""
    from coord_plugins._reporting._report import report

    chosen: Any = unit
    with counting("reading") as progress:
        found = report(
            place_to_read(store),
            **filters(pipeline, since, until, where, settle),
            by=by,
            unit=chosen,
            value=value_of(worth, escalation_cost, silent_cost, error_cost),
            volume=volume,
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
        return
    from coord_plugins._reporting._text import render

    print_rich(render(found))
