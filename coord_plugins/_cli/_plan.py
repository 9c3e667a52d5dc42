"""`coord plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coord_plugins.errors import PolicyError

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

if TYPE_CHECKING:
    from coord_plugins.planning import PipelineRates, Plan

_RATES = (".yaml", ".yml", ".json")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan_command)


def plan_command(  # typer reads options from parameters
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    settle: SettleOption = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Steps and validators (.yaml, .json), or exported runs."),
    ] = None,
    target: Annotated[
        float | None, typer.Option("--target", help="Least success, for example 0.99.")
    ] = None,
    value: ValueOption = None,
    escalation_cost: EscalationOption = 0.0,
    silent_cost: SilentOption = 0.0,
    error_cost: ErrorOption = None,
    confidence: Annotated[
        float, typer.Option("--confidence", help="How credible the target must be.")
    ] = 0.9,
    max_attempts: Annotated[
        int, typer.Option("--max-attempts", help="Most candidates of one edge.")
    ] = 5,
    for_runs: Annotated[
        int | None, typer.Option("--for-runs", help="Runs of a later measurement, for its band.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draws.")] = 0,
    apply: Annotated[bool, typer.Option("--apply", help="Print the edges as Python.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Where to put which edge, for a target success or for prices, and what to expect.

    Exit code 1 when no plan reaches the target.
    """
    from coord_plugins.planning import plan

    if apply and as_json:
        raise PolicyError("coord plan: --apply and --json each want stdout; give one")
    prices = value_of(value, escalation_cost, silent_cost, error_cost)
    if target is None and prices is None:
        raise PolicyError(
            "coord plan: give --target, for example --target 0.99, or prices like --silent-cost"
        )
    chosen = filters(pipeline, since, until, where, settle)
    rates = _rates(file, store, chosen)
    with counting("planning", "plans") as progress:
        found = plan(
            rates,
            target=target,
            value=prices,
            confidence=confidence,
            max_attempts=max_attempts,
            for_runs=for_runs,
            seed=seed,
            progress=progress,
        )
    _print(found, apply, as_json)
    if not found.reached:
        raise typer.Exit(1)


def _rates(file: Path | None, store: str | None, chosen: dict[str, Any]) -> PipelineRates:
    """What is known of the pipeline: from a description, a file of runs, or a store."""
    from coord_plugins._reporting._report import iter_runs, reading
    from coord_plugins.planning import rates_from_file, rates_from_runs

    if file is not None and store is not None:
        raise PolicyError("coord plan: give --file or --store, not both")
    if file is not None and file.suffix.lower() in _RATES:
        if any(chosen.values()):
            raise PolicyError(f"coord plan: filters choose runs; {file.name} describes a pipeline")
        return rates_from_file(file)
    if file is not None:
        from coord_plugins._importing._import import read_runs

        with counting("reading") as progress:
            return rates_from_runs(iter_runs(read_runs(file), **chosen), progress=progress)
    with reading(place_to_read(store)) as opened:
        policies = opened.policies()
        with counting("reading") as progress:
            runs = iter_runs(opened, **chosen)
            return rates_from_runs(runs, policies=policies, progress=progress)


def _print(found: Plan, apply: bool, as_json: bool) -> None:
    from coord_plugins.planning import edges_source

    if as_json:
        print_json(found.to_dict())
        return
    if not apply:
        from ._plan_text import render

        print_rich(render(found))
        return
    source, missing = edges_source(found)
    typer.echo(source, nl=False)
    for sentence in missing:
        typer.echo(f"coord: fill in {sentence}", err=True)
    if not found.reached:
        typer.echo(f"coord: {found.why_not}", err=True)
