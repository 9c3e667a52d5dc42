"""One run in LangSmith: its root, and what of ours stands under it.

On a host whose steps LangSmith does not trace by itself the run and its steps are runs of ours.
LangGraph traces itself: there nothing is added above or around its runs, only repeats and
validators below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from langsmith import get_current_run_tree
from langsmith.run_helpers import set_tracing_parent
from langsmith.run_trees import RunTree

from coord_plugins import Run, RunRecord, Step, Validator
from coord_plugins.host import Accept, Again, Escalate, Fail, clean

from ._feedback import PREFIX, Reference, attempts_of
from ._langchain import live_run, node_run

if TYPE_CHECKING:
    from ._listener import LangSmith

VERSION = metadata.version("coord-plugins")
RETRY_TAG = "retry:attempt:"
"""LangChain's own tag of a repeated attempt, followed by its number."""


class Child:
    """A run of ours under way; what is traced until it is closed stands under it."""

    __slots__ = ("_inside", "_payloads", "_run")

    def __init__(self, run: RunTree, *, payloads: bool) -> None:
        self._run = run
        self._payloads = payloads
        run.post()
        self._inside: AbstractContextManager[None] = set_tracing_parent(run)
        self._inside.__enter__()

    def close(self, result: Any, error: BaseException | None) -> None:
        """End it with what came of it."""
        _leave(self._inside)
        outputs, failed = _said(result, error, payloads=self._payloads)
        if outputs.get("passed") is False:
            self._run.add_tags("validate:rejected")
        self._run.end(outputs=outputs, error=failed)
        self._run.patch()


def _said(
    result: Any, error: BaseException | None, *, payloads: bool
) -> tuple[dict[str, Any], str | None]:
    """The outputs and the error of a child run."""
    if error is not None:
        return {}, _text(error)
    if isinstance(result, Accept):
        return ({"output": result.value} if payloads else {}), None
    if isinstance(result, Again):
        return {
            "decision": "loop",
            "back_to": result.target,
            "feedback": clean(result.feedback),
        }, None
    if isinstance(result, Escalate):
        return {"decision": "escalate", "otherwise": result.otherwise}, _text(result.error)
    if isinstance(result, Fail):
        return {"decision": "fail"}, _text(result.error)
    if hasattr(result, "passed") and hasattr(result, "kind"):  # a Judgement
        said = {n: getattr(result, n) for n in ("passed", "score", "label")}
        said = {n: v for n, v in said.items() if v is not None}
        words = clean(result.explanation)
        return {**said, **({"explanation": words} if words else {})}, (
            f"the validator failed: {words}" if result.passed is None else None
        )
    return ({"output": result} if payloads and result is not None else {}), None


def _text(error: BaseException | None) -> str | None:
    return None if error is None else clean(f"{type(error).__name__}: {error}")


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

    def step(self, step: Step, number: int) -> Child | None:
        """A visit of a step."""
        raise NotImplementedError

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
            sampled=self.owner.is_sampled(trace_id),
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
        return lambda: _leave(inside)

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


def _leave(inside: AbstractContextManager[None]) -> None:
    with suppress(ValueError):  # another context than it was entered in: nothing was set there
        inside.__exit__(None, None, None)


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
        if own is None or not traced or not self.owner.is_usable():
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
        if queue is not None and queue.unfinished_tasks:
            # it keeps no order among the parts of one run: LangGraph's own end must be out of it
            self.owner.later(record.run_id, update)
        else:
            update()


def told(record: RunRecord) -> dict[str, Any]:
    """The metadata of a run's root: the run context's own, and what is known at its end."""
    given = {k: v for k, v in record.metadata.items() if not k.startswith(PREFIX)}
    ours = {
        "run_id": record.run_id,
        "pipeline": record.pipeline,
        "policy_id": record.policy_id,
        "mode": record.mode,
        "outcome": record.outcome,
        "attempts": attempts_of(record),
        "lost_at": record.lost_at,
        "would_stop": record.would_stop,
        "task": record.task,
        "tokens": record.tokens,
        "cost_usd": record.cost,
        "environment": record.environment,
        "release": record.release,
        "version": VERSION,
    }
    found = {f"coord.{k}": v for k, v in ours.items() if v is not None}
    thread = {} if record.thread is None else {"thread_id": record.thread}
    return {**thread, **given, **found}


def _as_inputs(inputs: Any) -> dict[str, Any]:
    return dict(inputs) if isinstance(inputs, Mapping) else {"input": inputs}


def _as_outputs(output: Any) -> dict[str, Any]:
    if output is None:
        return {}
    return dict(output) if isinstance(output, Mapping) else {"output": output}
