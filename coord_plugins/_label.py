"""`record_outcome`: labels that arrive after the run, from any process."""

from __future__ import annotations

from typing import Any

from ._bus import deliveries, delivery_of
from ._clock import current_clock
from ._config import clean, configured
from ._events import OutcomeRecorded
from .errors import PolicyError


def record_outcome(
    run_id: str | None = None,
    *,
    passed: bool,
    source: str | None = None,
    task: str | None = None,
    pipeline: str | None = None,
    at: float | None = None,
    store: Any = None,
) -> str:
    """Record a label that arrives later, from any process.

    The latest label by time counts; the history is kept, and every listener of this process
    hears it.

    Args:
        run_id: The run; or
        task: the task, whose latest run in `pipeline` is meant.
        pipeline: With `task`.
        passed: Whether the goal was met.
        source: Where the label comes from, for example "ticket reopened".
        at: Unix seconds; default now.
        store: Where the run is recorded; default the configured store.

    Returns:
        The run's id.

    Raises:
        PolicyError: Neither a run nor a task with its pipeline is named, or there is none.
    """
    from ._stores import shared_store

    opened = shared_store(store if store is not None else configured("store"))
    if run_id is None:
        if task is None or pipeline is None:
            raise PolicyError("record_outcome: give run_id=, or task= and pipeline=")
        run_id = opened.find_run(task=task, pipeline=pipeline) if opened is not None else None
        if run_id is None:
            raise PolicyError(
                f"record_outcome: no run of task {task!r} in pipeline {pipeline!r} is stored"
            )
    when = current_clock().time() if at is None else at
    event = OutcomeRecorded(run_id, passed, when, "late", clean(source))
    found = {id(d): d for d in deliveries()}
    for listener in configured("listeners"):  # of a process that runs no pipeline itself
        own = delivery_of(listener)
        found[id(own)] = own
    if opened is not None:
        own = delivery_of(opened)
        found[id(own)] = own
    wanting = [d for d in found.values() if getattr(d.listener, "wants_record", False)]
    get_run = getattr(opened, "get_run", None)  # a store of the user's own may have none
    whole = event._replace(record=get_run(run_id)) if wanting and get_run is not None else event
    for delivery in found.values():
        delivery.put([whole if delivery in wanting else event])
    return run_id
