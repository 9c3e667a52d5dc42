"""A run in LangSmith on a host that traces itself: nothing is added above or around its runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from langsmith import get_current_run_tree
from langsmith.run_trees import RunTree

from coord_plugins import Run, RunRecord, Step

from ._langchain import live_run, node_run
from ._told import told
from ._trace import RETRY_TAG, Trace

if TYPE_CHECKING:
    from ._listener import LangSmith


class HostTrace(Trace):
    """A run on a host that traces itself: LangGraph's own root and its nodes' runs."""

    def __init__(self, owner: LangSmith, run: Run, *, enabled: bool) -> None:
        super().__init__(owner, run)
        self._enabled = enabled
        self._seen: RunTree | None = None
        self._own: RunTree | None = None

    def _parent(self) -> RunTree | None:
        return get_current_run_tree() or node_run()

    def step(self, step: Step, number: int) -> None:
        """A node has its own run; a visit that repeats it is marked as one."""
        here = self._parent()
        if here is None:
            return
        if self._seen is None:
            self._seen = here
            self._own = live_run(step.run.host_run_id)
        if number > 1:
            here.add_tags(f"{RETRY_TAG}{number}")

    def reference(self, run: Run) -> Mapping[str, Any]:
        """Where LangGraph's own run is; nothing where LangSmith has not traced it."""
        own, known = run.host_run_id, self._seen or self.outer
        traced = self._enabled or self._seen is not None
        if own is None or not traced or not self.owner.clients.is_usable():
            return {}
        found = self._refer(
            run,
            own=own,
            trace_id=str(known.trace_id) if known is not None else own,
            project=(known.session_name if known is not None else None)
            or self.owner.project_here()
            or self.owner.default_project(),
            start=(known.trace_start_time.isoformat() if known is not None else ""),
            name=self._own.name if self._own is not None else run.policy.pipeline,
        )
        return self.owner.kept(found)

    def end(self, run: Run, record: RunRecord) -> None:
        """Add to LangGraph's own run what is said of the outcome, after all its children."""
        own = self._own
        if own is None or own.end_time is None:
            return
        tags = [t for t in record.tags if t not in (own.tags or ())]
        update = partial(
            own.client.update_run,
            own.id,
            trace_id=own.trace_id,
            parent_run_id=own.parent_run_id,
            dotted_order=own.dotted_order,
            session_name=own.session_name,
            end_time=own.end_time,  # without it LangSmith would take the present moment
            extra={**own.extra, "metadata": {**own.metadata, **told(record)}},
            tags=[*(own.tags or ()), *tags],
        )
        queue = own.client.tracing_queue
        if queue is not None and not queue.unfinished_tasks:
            update()  # a process that ends at once has said it
        # and again when LangGraph's own end is out: LangSmith's client keeps no order among the
        # parts of one run, and whichever comes last wins
        self.owner.later(record.run_id, update)
