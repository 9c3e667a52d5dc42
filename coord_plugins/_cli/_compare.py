"""`coord compare`."""

from __future__ import annotations

from typing import Annotated

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
    app.command("compare")(compare_command)


def compare_command(  # typer reads options from parameters
    a: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="KEY=VALUE[,KEY=VALUE...], a file of runs, a store, or STORE#KEY=VALUE.",
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other side; differences are B - A.")],
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    settle: SettleOption = None,
    paired: Annotated[
        bool | None,
        typer.Option(
            "--paired/--unpaired", help="Default: by task, where most tasks are on both sides."
        ),
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", help="Differences up to this size are no effect.")
    ] = 0.02,
    worth: ValueOption = None,
    escalation_cost: EscalationOption = 0.0,
    silent_cost: SilentOption = 0.0,
    error_cost: ErrorOption = None,
    self_reported: Annotated[
        bool, typer.Option("--self-reported", help="Count labels that an agent gave itself.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Is B better than A, by how much, and at what price?"""
    from coord_plugins._comparing._compare import compare
    from coord_plugins._comparing._select import choose

    elsewhere = [choose(selector, selector, None).place is not None for selector in (a, b)]
    with counting("reading") as progress:
        found = compare(
            a,
            b,
            store=store if all(elsewhere) else place_to_read(store),
            **filters(pipeline, since, until, where, settle),
            paired=paired,
            margin=margin,
            value=value_of(worth, escalation_cost, silent_cost, error_cost),
            self_reported=self_reported,
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
        return
    from coord_plugins._comparing._text import render_compared

    print_rich(render_compared(found))
