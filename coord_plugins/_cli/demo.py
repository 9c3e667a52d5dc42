"""`coord demo`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coord_plugins.errors import CoordError, PolicyError

from ._common import DEMO_STORE, JsonOption, print_json, print_rich
from ._listeners import commands_of

if TYPE_CHECKING:
    from ..demo import Demo


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo_command)


def demo_command(
    framework: Annotated[
        str, typer.Option("--framework", help="Whose pipeline: langgraph, autogen, crewai.")
    ] = "langgraph",
    runs: Annotated[
        int | None,
        typer.Option("--runs", help="Runs of each pipeline. Default: 1000; on CrewAI 240."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated faults.")] = 7,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="PROVIDER:NAME",
            help="A real chat model, through LangChain's init_chat_model. It costs money.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", help="Add the runs to this store. Default: a new .coord/demo.db."),
    ] = None,
    langsmith: Annotated[
        bool,
        typer.Option(
            "--langsmith", help="Trace the attached pipeline in LangSmith, and read it back."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """A billing desk's tickets through a bare pipeline, one with edges, and one model call."""
    from ..demo import run_demo

    service = commands_of("langsmith") if langsmith else None
    traced = None if service is None else service.tracer(_project(service, framework))
    place = store or _fresh_store()
    began = time.time()
    with _bar() as progress:
        found = run_demo(
            framework=framework,
            runs=runs,
            seed=seed,
            model=model,
            store=place,
            traced=traced,
            progress=progress,
        )
    read_back, failed = _read_back(service, traced, found, began)
    if as_json:
        print_json({**found.to_dict(), **({"langsmith": read_back} if read_back else {})})
    else:
        _print(found)
        if read_back is not None:
            print_rich("", *_traced(read_back))
    if failed is not None:  # after the result: it took its time to come by
        raise failed
    if as_json:
        return
    where = "" if store is None else f" --store {store}"
    print_rich("", f"Recorded in {place}. Look closer with: coord report{where} --by trial")
    if found.single is not None:
        print_rich(f"coord compare pipeline=billing-desk-single pipeline=billing-desk{where}")


def _read_back(
    service: Any, traced: Any, found: Demo, began: float
) -> tuple[dict[str, Any] | None, CoordError | None]:
    """What LangSmith says of the attached runs, or why it says nothing."""
    if service is None:
        return None, None
    try:
        return service.read_back(traced, found.attached, began), None
    except CoordError as error:
        return None, error
    finally:
        traced.close()


def _project(service: Any, framework: str) -> str:
    """LangSmith's project: the environment's, or one of the demo's own.

    Raises:
        PolicyError: No key is set for LangSmith.
    """
    about = service.describe()
    if not about["api_key"]:
        raise PolicyError(
            "--langsmith: set LANGSMITH_API_KEY, and LANGSMITH_ENDPOINT where it is not "
            f"{about['endpoint']}"
        )
    named = os.environ.get("LANGSMITH_PROJECT") or os.environ.get("LANGCHAIN_PROJECT")
    return named or f"coord-demo-{framework}"


def _traced(read: Mapping[str, Any]) -> Iterator[str]:
    """What LangSmith says of the attached runs, beside what the store says."""
    yield f"[cyan]In LangSmith[/], project {read['project']}"
    runs, stats = read["runs"], read["delivery"]
    yield (
        f"{read['labelled']:,} of {runs:,} root traces carry their outcome; "
        f"{stats['traced'] - stats['sampled_out']:,} of {stats['traced']:,} runs traced"
    )
    if read["accuracy"] is None:
        yield f"no accuracy: {read['withheld']}"
        return
    low, high = read["interval"]
    least, most = read["node_interval"]
    yield (
        f"{read['successes']:,} of {read['labelled']:,} runs did their job: "
        f"{read['accuracy']:.1%} [{low:.1%}, {high:.1%}] (the store says "
        f"{read['store_accuracy']:.1%})"
    )
    yield (
        f"below the roots {read['node_success']:.1%} [{least:.1%}, {most:.1%}] of "
        f"{read['node_runs']:,} runs have no error"
    )
    yield f"Look closer with: coord langsmith report --project {read['project']}"


def _print(found: Demo) -> None:
    """Both pipelines side by side, and what the validators were measured to do."""
    from .._reporting._side_by_side import render_comparison, render_one_call
    from .._reporting._text import validators_table

    predicted = {"bare": found.bare_predicted, "attached": found.attached_predicted}
    print_rich(
        render_comparison(
            found.bare,
            found.attached,
            comparison=found.comparison,
            predicted={k: v for k, v in predicted.items() if v is not None},
            simulated=found.simulated,
        ),
        "",
        (
            "No single call stands beside it: one is made with the simulated model alone."
            if found.single is None
            else render_one_call(found.single.bare, found.single.attached)
        ),
        "",
        "[cyan]Validators, measured on the bare pipeline[/]",
        validators_table(found.bare.only.validators),
    )
    calls, runs_with = found.host_retries
    if calls:
        print_rich(
            "",
            f"{found.framework} itself repeated {calls:,} failed model calls, in {runs_with:,} "
            "runs of the bare pipeline; its prediction counts them.",
        )


def _fresh_store() -> str:
    """An empty store for this demo; "memory" where nothing can be written."""
    try:
        DEMO_STORE.parent.mkdir(parents=True, exist_ok=True)
        ignore = DEMO_STORE.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{DEMO_STORE}{suffix}").unlink(missing_ok=True)
    except OSError as error:
        typer.echo(f"coord: {DEMO_STORE} cannot be written ({error}); using memory", err=True)
        return "memory"
    return str(DEMO_STORE)


@contextmanager
def _bar() -> Iterator[Callable[[int], Any]]:
    """A progress bar on stderr; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("tickets", total=None)

        def advance(total: int) -> None:
            bar.update(task, total=total, advance=1)

        yield advance
