"""`coord outcome`: a label that comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coord_plugins.errors import PolicyError

from ._common import JsonOption, StoreOption, print_json

if TYPE_CHECKING:
    from coord_plugins import RunRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("outcome")(outcome_command)


def outcome_command(  # typer reads options from parameters
    run_id: Annotated[str | None, typer.Argument(help="The run; or give --task.")] = None,
    passed: Annotated[
        bool | None, typer.Option("--passed/--failed", help="Whether the job was done.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help='Who says so, for example "ticket reopened".')
    ] = "coord outcome",
    task: Annotated[str | None, typer.Option("--task", help="The latest run of this task.")] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="With --task.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="When it became known; default now.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record whether a run did its job, after the fact. The latest label counts."""
    if passed is None:
        raise PolicyError("coord outcome: say --passed or --failed")
    if (run_id is None) == (task is None):
        raise PolicyError("coord outcome: give a RUN_ID, or --task with --pipeline")
    from coord_plugins._reporting._report import reading
    from coord_plugins._store_query import when

    with reading(store) as opened:
        labelled = opened.record_outcome(
            run_id=run_id,
            task=task,
            pipeline=pipeline,
            passed=passed,
            source=source,
            at=when(at, "--at"),
        )
        record = opened.get_run(labelled)
    outcome = None if record is None else record.outcome
    told = {} if record is None else _tell(record)
    if as_json:
        said = {"run_id": labelled, "passed": passed, "source": source, "outcome": outcome}
        print_json({**said, "traces": told})
        return
    for name, how in told.items():
        typer.echo(f"{name}: {how}")
    if outcome is None:
        typer.echo(f"{labelled}: the label is kept; the store has no such run yet")
    else:
        typer.echo(f"{labelled}: {outcome}")


def _tell(record: RunRecord) -> dict[str, str]:
    """Correct the outcome where the run was traced; what became of it, by name."""
    from ._listeners import installed

    found = {}
    for name, kind in installed().items():
        if kind.has_traced(record):
            found[name] = kind.correct(record)
    return found
