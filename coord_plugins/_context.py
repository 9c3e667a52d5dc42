"""Where a run is under way: the context variables, and what reads and sets them."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._record import RunRecord
from ._tracing import leave

if TYPE_CHECKING:
    from ._run import Run

current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("coord_run", default=None)
collectors: contextvars.ContextVar[tuple[list[RunRecord], ...]] = contextvars.ContextVar(
    "coord_collectors", default=()
)
labels: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("coord_labels")


def current_run() -> Run:
    """The run that is under way here.

    Raises:
        LookupError: No attached pipeline or `track` is running in this context.
    """
    run = current.get()
    if run is None:
        raise LookupError("no run is under way here; use attach(...) or `with track(...)`")
    return run


@contextmanager
def collect_runs() -> Iterator[list[RunRecord]]:
    """Collect the records of the runs that start inside, also under concurrency.

    Yields:
        A list that each of these runs appends its record to when it ends.
    """
    found: list[RunRecord] = []
    token = collectors.set((*collectors.get(), found))
    try:
        yield found
    finally:
        collectors.reset(token)


@contextmanager
def run_context(
    *,
    task: str | None = None,
    tags: tuple[str, ...] | list[str] = (),
    metadata: Mapping[str, Any] | None = None,
    run_id: str | None = None,
) -> Iterator[None]:
    """Label the runs that start inside, on any host. Nested contexts add up.

    Args:
        task: What the runs are to get done.
        tags: Added to the runs' tags.
        metadata: Added to the runs' metadata; inner contexts win.
        run_id: The id of the one run that starts inside.
    """
    outer = labels.get({})
    merged: dict[str, Any] = {
        "task": task or outer.get("task"),
        "run_id": run_id,
        "tags": (*outer.get("tags", ()), *tags),
        "metadata": {**outer.get("metadata", {}), **(metadata or {})},
    }
    token = labels.set(merged)
    try:
        yield
    finally:
        labels.reset(token)


class activate:  # noqa: N801 - used like a function, as contextlib's own classes are
    """Make `run` the current run inside; an adapter does this around the host's own work."""

    __slots__ = ("_run", "_token", "_undo")

    def __init__(self, run: Run) -> None:
        """Prepare it; it may be entered again after it was left.

        Args:
            run: The run.
        """
        self._run = run

    def __enter__(self) -> Run:
        self._token = current.set(self._run)
        traces = self._run.traces
        self._undo = None if traces is None else traces.enter()
        return self._run

    def __exit__(self, *error: object) -> None:
        if self._undo is not None:
            leave(self._undo)
        current.reset(self._token)
