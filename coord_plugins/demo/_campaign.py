"""The demo itself: the same tickets through the bare pipeline and the attached one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from .. import PolicyError, RunRecord, StoreError, flush, report, run_context
from .._clock import Clock, use_clock
from .._report_types import Report
from .._stats import mcnemar_exact, newcombe_paired
from ._desk import PRICES, Desk
from ._prediction import predicted
from ._simulated import working

BARE, ATTACHED = "billing-desk-bare", "billing-desk"
"""The pipelines' names in the store."""
SCHEMA_VERSION = 1
"""Of the demo's `--json`."""


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


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a demo run found."""

    framework: str
    model: str
    simulated: bool
    seed: int
    bare: Report
    attached: Report
    bare_predicted: Mapping[str, float] | None
    attached_predicted: Mapping[str, float] | None
    comparison: Mapping[str, Any]
    host_retries: tuple[int, int]
    """Failed model calls that the bare framework repeated by itself, and the runs with any."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the keys of `bare` and `attached` are those of a report."""
        return {
            "schema_version": SCHEMA_VERSION,
            "framework": self.framework,
            "model": self.model,
            "simulated": self.simulated,
            "seed": self.seed,
            "bare": {
                **_side(self.bare, self.bare_predicted),
                "host_retries": dict(zip(("calls", "runs"), self.host_retries, strict=True)),
            },
            "attached": _side(self.attached, self.attached_predicted),
            "comparison": dict(self.comparison),
        }


def _side(found: Report, expected: Mapping[str, float] | None) -> dict[str, Any]:
    group = found.groups[0]
    data = asdict(group)
    return {
        "runs": group.started,
        "success_rate": group.success_rate.value,
        "interval": list(group.success_rate.interval),
        "outcomes": dict(group.outcomes),
        "naive_step_product": group.naive_step_product,
        "cost_per_success": group.cost.per_success,
        "lost_at": dict(group.lost_at),
        "predicted": None if expected is None else dict(expected),
        "report": data,
    }


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
    """Run the tickets through the bare pipeline and the attached one, and compare.

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
    tracing = traced.tracing if traced is not None else lambda _: nullcontext()
    with closing(desk.conn), use_clock(DemoClock()):
        with tracing(False):
            before = _campaign(wiring, bare, desk, runs, progress)
        with tracing(True):
            after = _campaign(wiring, attached, desk, runs, progress)
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
    )


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
    wiring: Wiring, host: Any, desk: Desk, runs: int, progress: Callable[[int], None]
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
            progress(2 * runs)
    if len(records) != runs:
        raise StoreError(f"{runs} runs were made and {len(records)} have an outcome")
    return records


def compared(before: list[RunRecord], after: list[RunRecord]) -> dict[str, Any]:
    """The paired difference: the same ticket and trial in both pipelines."""
    pairs = [(a.succeeded, b.succeeded) for a, b in zip(before, after, strict=True)]
    both, gained = pairs.count((True, True)), pairs.count((False, True))
    harmed, neither = pairs.count((True, False)), pairs.count((False, False))
    # attached minus bare
    difference, low, high = newcombe_paired(both, gained, harmed, neither)
    cost = sum(r.cost for r in after) - sum(r.cost for r in before)
    return {
        "runs": len(pairs),
        "both_succeeded": both,
        "gained": gained,
        "harmed": harmed,
        "neither": neither,
        "difference": difference,
        "interval": [low, high],
        "p_value": mcnemar_exact(gained, harmed),
        "cost_per_run": cost / len(pairs),
    }
