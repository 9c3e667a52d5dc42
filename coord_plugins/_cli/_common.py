"""Options that commands share, and how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from coord_plugins._value import Value
from coord_plugins.errors import PolicyError

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="A path or URL. Default: COORD_STORE, else .coord/outcomes.db."),
]
PipelineOption = Annotated[
    list[str] | None, typer.Option("--pipeline", help="Only this pipeline; repeatable.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="An ISO date (UTC), or an age like 7d or 12h.")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Like --since; excluded.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE", help="A metadata key or a run's column; repeatable."
    ),
]
SettleOption = Annotated[
    str | None, typer.Option("--settle", help="Only runs at least this old, like 7d.")
]
ValueOption = Annotated[
    float | None,
    typer.Option(
        "--value",
        metavar="DOLLARS",
        help="What a run that did its job brings; 0 where only costs are given.",
    ),
]
EscalationOption = Annotated[
    float, typer.Option("--escalation-cost", metavar="DOLLARS", help="What an escalation costs.")
]
SilentOption = Annotated[
    float, typer.Option("--silent-cost", metavar="DOLLARS", help="What a silent failure costs.")
]
ErrorOption = Annotated[
    float | None,
    typer.Option("--error-cost", metavar="DOLLARS", help="Default: as an escalation."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def filters(
    pipeline: list[str] | None,
    since: str | None,
    until: str | None,
    where: list[str] | None,
    settle: str | None,
) -> dict[str, Any]:
    """The options as keyword arguments of `report` and `iter_runs`.

    Raises:
        PolicyError: A --where without "=".
    """
    wanted = {}
    for pair in where or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise PolicyError(f"--where {pair!r}; write KEY=VALUE")
        wanted[key] = value
    return {
        "pipeline": pipeline or None,
        "since": since,
        "until": until,
        "where": wanted,
        "settle": settle,
    }


def value_of(
    worth: float | None, escalation_cost: float, silent_cost: float, error_cost: float | None
) -> Value | None:
    """The prices as a `Value`, a success without one worth 0; None: no price was given.

    Raises:
        PolicyError: A negative amount.
    """
    if worth is None and not (escalation_cost or silent_cost or error_cost):
        return None
    return Value(
        success=worth or 0.0,
        escalation_cost=escalation_cost,
        silent_cost=silent_cost,
        error_cost=error_cost,
    )


DEMO_STORE = Path(".coord") / "demo.db"
"""Where the demo records: a file of its own, so that simulated runs never mix with real ones."""


def place_to_read(store: str | None) -> str | None:
    """The store to read from; where nothing but the demo has recorded here, the demo's."""
    from .._config import configured
    from .._store import DEFAULT_PATH

    named = store is not None or configured("store") is not None
    if named or DEFAULT_PATH.exists() or not DEMO_STORE.exists():
        return store
    typer.echo(f"coord: no runs of your own yet; this is {DEMO_STORE}", err=True)
    return str(DEMO_STORE)


def print_json(data: dict[str, Any]) -> None:
    """Print one JSON object; every one carries its `schema_version`."""
    typer.echo(json.dumps({"schema_version": 1, **data}, indent=2, allow_nan=False))


def print_rich(*renderables: Any) -> None:
    """Print for people; without colours where stdout is no terminal."""
    from rich.console import Console

    Console(highlight=False).print(*renderables, sep="\n")


@contextmanager
def counting(what: str, unit: str = "runs") -> Iterator[Callable[[int], None]]:
    """A counter on stderr for long work; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        shown = 0

        def show(seen: int) -> None:
            nonlocal shown
            if seen - shown >= 1_000:
                shown = seen
                status.update(f"{what}: {seen:,} {unit}")

        yield show
