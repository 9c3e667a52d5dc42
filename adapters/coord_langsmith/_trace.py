"""One run in LangSmith: its root, and what of ours stands under it.

On a host whose steps LangSmith does not trace by itself the run and its steps are runs of ours.
LangGraph traces itself: see `_trace_host`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from langsmith import get_current_run_tree
from langsmith.run_helpers import set_tracing_parent
from langsmith.run_trees import RunTree

from coord_plugins import Run, RunRecord, Step, Validator
from coord_plugins.host import clean

from ._children import Child, leave
from ._feedback import Reference
from ._told import told

if TYPE_CHECKING:
    from ._listener import LangSmith

RETRY_TAG = "retry:attempt:"
"""LangChain's own tag of a repeated attempt, followed by its number."""


class Trace:
    """What both kinds of traces share: the runs below, and the reference to the root."""

    def __init__(self, owner: LangSmith, run: Run) -> None:
        self.owner = owner
        self.outer = get_current_run_tree()

    def _child(self, name: str, inputs: dict[str, Any], tags: list[str]) -> Child | None:
        parent = self._parent()
        if parent is None:
            return None
        payloads = self.owner.payloads
        made = parent.create_child(name, "chain", inputs=inputs if payloads else {}, tags=tags)
        return Child(made, payloads=payloads)

    def _parent(self) -> RunTree | None:
        return get_current_run_tree()

    def enter(self) -> Callable[[], None]:
        """Nothing to do: the host's own runs are the parents."""
        return _nothing

    def repeat(self, step: Step, number: int) -> Child | None:
        """One more execution, with the reason why."""
        last = step.events[-1]
        inputs = {
            "after": clean(last.error) or last.decision,
            "feedback": clean(last.feedback),
            "fallback": step.served_by,
        }
        inputs = {k: v for k, v in inputs.items() if v is not None}
        return self._child(f"attempt {number}", inputs, [f"{RETRY_TAG}{number}"])

    def failed(self, step: Step, number: int) -> None:
        """An execution that stood directly under its step raised: it gets a run after the fact."""
        parent, last = self._parent(), step.events[-1]
        if parent is None:
            return
        start = datetime.fromtimestamp(last.started_at, timezone.utc)
        made = parent.create_child(f"attempt {number}", "chain", start_time=start)
        made.end(error=clean(last.error), end_time=start + timedelta(seconds=last.duration))
        made.post()

    def judge(self, step: Step, validator: Validator, output: Any) -> Child | None:
        """One validator's word on one candidate."""
        return self._child(f"validate:{validator.name}", {"output": output}, [])

    def _refer(
        self, run: Run, *, own: str, trace_id: str, project: str, start: str, name: str
    ) -> Reference:
        """Who gets the outcome: the trace, unless it has one already."""
        key = self.owner.claim(trace_id, run)
        return Reference(
            trace_id=trace_id,
            target=trace_id if key == self.owner.key else own,
            project=project,
            key=key,
            name=name,
            start=start,
            sampled=self.owner.clients.is_sampled(trace_id),
        )


def _nothing() -> None:
    """Undo nothing."""


class OwnTrace(Trace):
    """A run on a host that LangSmith does not trace: the root and the steps are ours."""

    def __init__(self, owner: LangSmith, run: Run, *, is_sent: bool) -> None:
        super().__init__(owner, run)
        self._is_sent = is_sent
        self.root = self._begin(run)
        if is_sent:
            self.root.post()

    def _begin(self, run: Run) -> RunTree:
        name, tags = run.policy.pipeline, list(run.tags)
        inputs = _as_inputs(run.inputs) if self.owner.payloads else {}
        if self.outer is not None:
            return self.outer.create_child(name, "chain", inputs=inputs, tags=tags)
        made = RunTree(name=name, inputs=inputs, tags=tags, ls_client=self.owner.client)
        project = self.owner.project_here()
        if project is not None:
            made.session_name = project
        return made

    def _parent(self) -> RunTree | None:
        """The run under way here, where it belongs to this trace; else the root.

        A host's thread or runtime may have a context of its own. None: nothing can be sent.
        """
        if not self._is_sent:
            return None
        here = get_current_run_tree()
        mine = here is not None and here.trace_id == self.root.trace_id
        return here if mine and here is not None else self.root

    def enter(self) -> Callable[[], None]:
        """Make the root the parent."""
        inside = set_tracing_parent(self.root)
        inside.__enter__()
        return lambda: leave(inside)

    def step(self, step: Step, number: int) -> Child | None:
        """A run of the step's name."""
        tags = [f"{RETRY_TAG}{number}"] if number > 1 else []
        given = {"input": step.input, "feedback": clean(step.feedback)}
        inputs = {k: v for k, v in given.items() if v is not None}
        return self._child(step.name, inputs, tags)

    def reference(self, run: Run) -> Mapping[str, Any]:
        """Where the root is."""
        root = self.root
        found = self._refer(
            run,
            own=str(root.id),
            trace_id=str(root.trace_id),
            project=root.session_name or "",
            start=root.trace_start_time.isoformat(),
            name=root.name,
        )
        return self.owner.kept(found)

    def end(self, run: Run, record: RunRecord) -> None:
        """End the root; what is said of the outcome comes last, so that no child inherits it."""
        outputs = _as_outputs(run.output) if self.owner.payloads else {}
        self.root.end(outputs=outputs, error=record.error, metadata=told(record))
        if self._is_sent:
            self.root.patch()


def _as_inputs(inputs: Any) -> dict[str, Any]:
    return dict(inputs) if isinstance(inputs, Mapping) else {"input": inputs}


def _as_outputs(output: Any) -> dict[str, Any]:
    if output is None:
        return {}
    return dict(output) if isinstance(output, Mapping) else {"output": output}
