"""The demo itself: the same tickets through the bare pipeline and the attached one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext, suppress
from importlib.metadata import entry_points
from typing import Any, Protocol

from .. import PolicyError, RunRecord, StoreError, flush, report, run_context
from .._clock import Clock, use_clock
from ._desk import PRICES, Desk
from ._found import ATTACHED, BARE, Demo, against_one_call, compared
from ._prediction import predicted
from ._simulated import working
from ._single import single_call

HOST_RETRIES = "host_retries"
"""Key of a run's metadata: failed model calls that the host repeated by itself."""


class Wiring(Protocol):
    """How one framework runs the billing desk; found by the entry point `coord_plugins.demo`."""

    default_runs: int
    """Runs of each pipeline where nobody says how many."""
    rate_limit_tries: int
    """Calls that the bare framework itself makes of a rate-limited model, the first included."""

    def build(self, desk: Desk, model: str | None) -> Any:
        """The framework's own pipeline, with the simulated model or a real one."""

    def attach(self, host: Any, *edges: Any, **settings: Any) -> Any:
        """The adapter's `attach`."""

    def run(self, host: Any, inputs: Mapping[str, Any]) -> None:
        """Run one ticket; what the framework raises goes on to the caller."""


class DemoClock(Clock):
    """The real clock without the waiting: backoff and Retry-After only move it forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def monotonic(self) -> float:
        """Seconds, waits included."""
        return super().monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        """Do not wait; be later."""
        self._ahead += seconds

    async def asleep(self, seconds: float) -> None:
        """Do not wait; be later."""
        self._ahead += seconds


def load_wiring(framework: str) -> Wiring:
    """The wiring of a framework, through its adapter.

    Raises:
        PolicyError: There is none, or its package is not installed.
    """
    found = {e.name: e for e in entry_points(group="coord_plugins.demo")}
    if framework not in found:
        raise PolicyError(
            f"there is no demo for {framework!r}; there is one for {', '.join(sorted(found))}"
        )
    try:
        loaded: Wiring = found[framework].load()()
    except ImportError as error:
        raise PolicyError(
            f"the demo for {framework} needs its package: "
            f'pip install "coord-plugins[{framework}]" ({error})'
        ) from error
    return loaded


def run_demo(
    *,
    framework: str = "langgraph",
    runs: int | None = None,
    seed: int = 0,
    model: str | None = None,
    store: Any = None,
    traced: Any = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Demo:
    """Run the tickets through the bare pipeline, the attached one and one call, and compare.

    Run r takes ticket r mod T as its trial r div T, T being the number of tickets.

    Args:
        framework: The host's name, for example "langgraph".
        runs: Runs of each pipeline; None: as many as the framework's wiring proposes.
        seed: Seed of the simulated faults.
        model: "PROVIDER:NAME" of a real chat model; None: the simulated one.
        store: Where the runs are recorded.
        traced: A tracer with a context manager `tracing(on)`: it follows the attached pipeline, and
            nothing traces the bare one.
        progress: Called after each run, with the number of all runs.

    Raises:
        PolicyError: There is no such framework, or `runs` is not positive.
    """
    if runs is not None and runs < 1:
        raise PolicyError(f"--runs {runs}; give at least 1")
    wiring, desk = load_wiring(framework), Desk(seed)
    runs = runs or wiring.default_runs
    bare, attached = _pipelines(wiring, desk, model, store, traced)
    total = runs * (3 if model is None else 2)

    def done(_: int) -> None:
        progress(total)

    tracing = traced.tracing if traced is not None else lambda _: nullcontext()
    with closing(desk.conn), use_clock(DemoClock()):
        with tracing(False):
            before = _campaign(wiring, bare, desk, runs, done)
            alone = [] if model else _campaign(_OneCall(), _single(desk, store), desk, runs, done)
        with tracing(True):
            after = _campaign(wiring, attached, desk, runs, done)
    # what LangSmith has not taken waits on disk, and `traced` says so itself
    if not flush(120.0) and (traced is None or traced.flush(0.0)):
        raise StoreError("the demo's runs could not all be stored; see the log")
    simulated, tries = model is None, wiring.rate_limit_tries
    own = [r.metadata[HOST_RETRIES] for r in before if r.metadata.get(HOST_RETRIES)]
    return Demo(
        framework=framework,
        model=model or desk.model.name,
        simulated=simulated,
        seed=seed,
        bare=report(before),
        attached=report(after),
        bare_predicted=predicted(before, None, rate_limit_tries=tries) if simulated else None,
        attached_predicted=predicted(before, desk) if simulated else None,
        comparison=compared(before, after),
        host_retries=(sum(own), len(own)),
        single=against_one_call(alone, before, after) if simulated else None,
    )


class _OneCall:
    """Runs the one call as a wiring runs a framework's pipeline."""

    def run(self, host: Any, inputs: Mapping[str, Any]) -> None:
        host(inputs)


def _single(desk: Desk, store: Any) -> Any:
    said = {"seed": desk.seed, "simulated": True, "model": desk.model.name, "variant": "single"}
    return single_call(desk, store=store, metadata=said)


def _pipelines(
    wiring: Wiring, desk: Desk, model: str | None, store: Any, traced: Any
) -> tuple[Any, Any]:
    """The bare pipeline and the attached one.

    The bare one only observes: the validators judge, nothing is held, repeated or stopped. So it is
    the pipeline as it was, and the validators' rates are measured on it.
    """
    simulated, edges = model is None, desk.edges()
    shared = {
        "goal": desk.goal(),
        "label": desk.label,
        "task": "ticket_id",
        "store": store,
        "prices": PRICES if simulated else None,
    }
    said = {"seed": desk.seed, "simulated": simulated, "model": model or desk.model.name}
    bare = wiring.attach(
        wiring.build(desk, model),
        *edges,
        pipeline=BARE,
        mode="observe",
        metadata={**said, "variant": "bare"},
        **shared,
    )
    attached = wiring.attach(
        wiring.build(desk, model),
        *edges,
        pipeline=ATTACHED,
        retry=desk.retry(),
        listeners=[] if traced is None else [traced],
        metadata={**said, "variant": "attached"},
        **shared,
    )
    return bare, attached


def _campaign(
    wiring: Wiring | _OneCall,
    host: Any,
    desk: Desk,
    runs: int,
    done: Callable[[int], None],
) -> list[RunRecord]:
    """Run every ticket in turn; the records, in order of the runs."""
    from .. import collect_runs

    tickets = desk.tickets
    with collect_runs() as records:
        for number in range(runs):
            ticket, trial = tickets[number % len(tickets)], number // len(tickets)
            inputs = {"ticket_id": ticket.id, "ticket": ticket.text}
            labels = run_context(metadata={"trial": trial})
            # a run that crashed is an outcome: it is in its record
            with working(ticket.id, trial), labels, suppress(Exception):
                wiring.run(host, inputs)
            done(number + 1)
    if len(records) != runs:
        raise StoreError(f"{runs} runs were made and {len(records)} have an outcome")
    return records
