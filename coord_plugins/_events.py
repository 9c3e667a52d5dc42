"""What listeners hear: the events of a run, and the `Listener` protocol."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from ._record import RunRecord, Source
from ._tally import StepSettled


class RunStarted(NamedTuple):
    """A run began."""

    record: RunRecord
    """The run as it stands."""


class RunPaused(NamedTuple):
    """A run waits for a person or another signal; its resume continues the same run."""

    record: RunRecord


class RunFinished(NamedTuple):
    """A run ended; exactly one per run unless a finished run is resumed from a checkpoint."""

    record: RunRecord


class OutcomeRecorded(NamedTuple):
    """A label arrived: from a goal on a worker, or from outside with `record_outcome`."""

    run_id: str
    """The run that is labelled."""
    passed: bool | None
    """Whether the goal was met; None: the goal failed and gives no label."""
    at: float
    """Unix seconds; the latest label by this time counts."""
    source: Source
    """Who says so."""
    explanation: str | None = None
    """Why, or the label's origin ("ticket reopened")."""
    goal_error: str | None = None
    """What the goal raised, if it did."""
    record: RunRecord | None = None
    """The run as it was stored, for listeners with `wants_record = True`."""


Event = RunStarted | RunPaused | RunFinished | OutcomeRecorded | StepSettled


@runtime_checkable
class Listener(Protocol):
    """A sink of events: a store, a tracer, a test.

    Events are delivered in order by a worker of this listener's own, never by the run. A
    listener that also has `on_events(list[Event])` gets batches instead; one with
    `run_events_only = True` is spared `StepSettled`. One that delivers further by itself may have
    `flush(timeout) -> bool`, which `coord_plugins.flush` calls too, and `rescue()`, called when
    the process ends with work undone. One with `trace` is also a `Tracer`.
    """

    def on_event(self, event: Event) -> None:
        """Take one event. What it raises is logged and counted and costs the run nothing."""
