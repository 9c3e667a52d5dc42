"""`coord gate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ._common import (
    JsonOption,
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
    app.command("gate")(gate_command)


def gate_command(  # typer reads options from parameters
    runs: Annotated[
        str | None,
        typer.Argument(
            metavar="RUNS",
            help="KEY=VALUE like release=1.4, a .csv, .jsonl or .parquet file, or a store. "
            "Default: every run of the store.",
        ),
    ] = None,
    min_success: Annotated[
        float, typer.Option("--min-success", help="The success rate to exceed, like 0.95.")
    ] = 0.95,
    expected: Annotated[
        float | None,
        typer.Option(
            "--expected", help="The rate hoped for: buys early rejection. Default: 0.98 for 0.95."
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Largest chance of accepting wrongly.")
    ] = 0.05,
    beta: Annotated[
        float, typer.Option("--beta", help="Largest chance of rejecting the expected rate.")
    ] = 0.05,
    suite: Annotated[
        int | None,
        typer.Option("--suite", metavar="N", help="A fixed set of N tasks, each run once."),
    ] = None,
    max_trials: Annotated[
        int | None, typer.Option("--max-trials", metavar="N", help="Only the first N decide.")
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help="run, or task: each task once, by its latest run.")
    ] = "run",
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            help="Runs without a result that counts: either (the verdict must hold whichever way "
            "they turn out), failure, or ignore.",
        ),
    ] = "either",
    without_cancelled: Annotated[
        bool, typer.Option("--without-cancelled", help="Leave cancelled runs out.")
    ] = False,
    allow_self_reported: Annotated[
        bool, typer.Option("--allow-self-reported", help="Take an agent's own word as a label.")
    ] = False,
    store: StoreOption = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="The pipeline, where there are several.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    settle: SettleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Is the success rate high enough? Exit code 0: yes, 1: no, 3: cannot be told, 2: an error."""
    from coord_plugins._gating._runs import gate

    chosen: Any = filters(None, since, until, where, settle) | {"pipeline": pipeline}
    named = runs is not None and "=" not in runs  # a file or store of its own
    counted: Any = {"unit": unit, "missing": missing}
    with counting("reading") as progress:
        found = gate(
            runs,
            min_success=min_success,
            expected=expected,
            alpha=alpha,
            beta=beta,
            suite=suite,
            max_trials=max_trials,
            store=store if named else place_to_read(store),
            without_cancelled=without_cancelled,
            allow_self_reported=allow_self_reported,
            progress=progress,
            **counted,
            **chosen,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        from coord_plugins._gating._text import render

        print_rich(render(found))
    raise typer.Exit(found.exit_code)
