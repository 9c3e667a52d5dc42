"""`Visit`: one task of one node, with all its attempts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.errors import GraphBubbleUp

from coord_plugins.host import Accept, Again, Decision, Escalate, Step, route_feedback

from . import _exits
from ._functions import declares_feedback
from ._memory import GraphRun
from ._private import PUSH_TRIGGER, RUNTIME, SCRATCHPAD
from ._stream import (
    ATTEMPT_TAG,
    HOST_SETS_CONFIG,
    Held,
    again_config,
    configured,
    count_subgraph_runs,
    held_config,
    judge_config,
    tagged,
    watched,
)
from ._values import as_fields, feedback_message, neutral, with_update, without_feedback

if TYPE_CHECKING:
    from ._node import Node


def _reachable(node: Node, config: Any, target: str) -> bool:
    """Whether the recursion limit leaves room for target, edge and end.

    Not a method: a step that knew its visit would be a circle, and all that hangs on it (config,
    callbacks, state) would wait for the garbage collector, which costs more than the visit.
    """
    left = config["configurable"].get(SCRATCHPAD)
    if left is None:
        return True
    needed = 1 + node.topology.distance(target, node.name) + node.topology.tail(node.name)
    return bool(left.stop - left.step > needed)


class Visit:
    """One task of one node.

    Attributes:
        push: Whether a `Send` made this task.
        waiting: The rejected candidate that this visit only brings before a person.
        branches: START's conditional edges, to be evaluated again on `start_input`.
        change: What the hidden channel is to keep of this visit.
    """

    def __init__(self, node: Node, found: GraphRun, input: Any, config: Any) -> None:
        self.node = node
        self.graph_run = found
        self.config = config
        metadata = config.get("metadata") or {}
        self.superstep: int = metadata.get("langgraph_step", 0)
        self.push = tuple(metadata.get("langgraph_triggers") or ()) == PUSH_TRIGGER
        self.branches: list[Any] = []
        self.start_input: Any = None
        self.change: dict[str, Any] = {}
        self.waiting = _exits.waiting(self, input)
        if self.waiting is not None:
            return
        self.input = self._stored(input) if node.is_target else input
        branch = str(metadata.get("langgraph_checkpoint_ns", "")) if self.push else ""
        going_on = found.going_on.get(node.name)
        self.step: Step = (
            going_on.pop(0)
            if going_on
            else found.run.enter(
                node.name,
                input=self.input,
                branch=branch,
                reachable=partial(_reachable, node, config),
            )
        )
        if node.has_timeout:
            found.under_way.setdefault(node.name, []).append(self.step)
        self.raw: Any = None
        self._attempts = self._subgraph_runs = 0
        self._held: Held | None = None
        edge = node.edge
        self._judged = edge is not None and found.run.mode == (edge.mode or "enforce") == "enforce"
        self._watched = edge is not None and (found.live or watched(config))

    # ------------------------------------------------------------------ before

    def _stored(self, input: Any) -> Any:
        """The input that an earlier target works on: after a loop-back, what it had last."""
        name, found, mapper = self.node.name, self.graph_run, self.node.mapper
        given = input
        if not self.push and found.again.get(name) == self.superstep - 1 and name in found.inputs:
            stored = found.inputs[name]["args"][0]
            given = stored if mapper is None else mapper(stored)
        argument = given if self.push else as_fields(given)
        self.change.update(found.remember(name, argument, self.superstep, self.push))
        return given

    # ------------------------------------------------------------------ each attempt

    def judging(self) -> AbstractContextManager[None]:
        """Where the validators run: with no way to a user's stream."""
        if self._watched:
            return configured(judge_config(self.config))
        # a tracer must find the node's own run, where LangGraph says nothing of it
        unsaid = not HOST_SETS_CONFIG and self.graph_run.run.traces is not None
        return configured(self.config) if unsaid else nullcontext()

    def execute(self, step: Step) -> Any:
        """Execute the node once."""
        runnable, given, config, named = self._prepare(step)
        with self._in(config):
            try:
                return self._took(runnable.invoke(given, config, **named))
            except GraphBubbleUp:
                self._release()  # what was said before an interrupt was not rejected
                raise

    async def aexecute(self, step: Step) -> Any:
        """Execute the node once, on the event loop."""
        runnable, given, config, named = self._prepare(step)
        with self._in(config):
            try:
                return self._took(await runnable.ainvoke(given, config, **named))
            except GraphBubbleUp:
                self._release()
                raise

    def _in(self, config: Any) -> AbstractContextManager[None]:
        unchanged = HOST_SETS_CONFIG and config is self.config and not self._watched
        return nullcontext() if unchanged else configured(config)

    def _prepare(self, step: Step) -> tuple[Any, Any, Any, dict[str, Any]]:
        """What to run, on what, in which config, with which arguments."""
        runnable = self.node.serving(step.substitute)
        config = self._again(step) if self._attempts else self.config
        self._attempts += 1
        if self._watched and self._judged:
            config = tagged(config, f"{ATTEMPT_TAG}{step.attempt}")
            if self.node.edge is not None and self.node.edge.stream == "hold":
                self._held = Held()
                config = held_config(config, self._held)
        if step.feedback is None:
            return runnable, self.input, config, {}
        if declares_feedback(runnable):
            return runnable, self.input, config, {"feedback": step.deliver()}
        return runnable, route_feedback(step, self.input, feedback_message), config, {}

    def _again(self, step: Step) -> Any:
        """The config of a second attempt, and a word about the first."""
        rejected = bool(step.events) and step.events[-1].decision == "loop"
        if rejected:
            self._announce()
            self._subgraph_runs = count_subgraph_runs(self.config)
        resume = not rejected and step.substitute is None
        return again_config(self.config, resume_subgraph=resume, runs_before=self._subgraph_runs)

    def _took(self, raw: Any) -> Any:
        self.raw = without_feedback(raw) if self.step.delivered else raw
        return neutral(self.raw)

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()

    def _announce(self) -> None:
        """With `stream="live"` a rejection is announced on the custom stream."""
        edge, runtime = self.node.edge, self.config["configurable"].get(RUNTIME)
        if edge is not None and edge.stream == "live" and runtime is not None:
            event = self.step.events[-1]
            with configured(self.config):  # where the writer looks for its place
                runtime.stream_writer(
                    {"type": "coord.rejected", "step": event.step, "execution": event.execution}
                )

    # ------------------------------------------------------------------ after

    def end(self, decision: Decision) -> Any:
        """Give LangGraph what the decision asks for, and enter the executions into the record."""
        events = self.step.events
        result: Any = None
        error: BaseException | None = None
        if isinstance(decision, Accept):
            result = self._accepted(decision)
        elif events and events[-1].decision in ("loop", "exhausted"):
            self._announce()
        if isinstance(decision, Again):
            result = _exits.back_to(self, decision.target)
        elif isinstance(decision, Escalate) and decision.otherwise is not None:
            result = _exits.otherwise(self, decision.otherwise, decision)
        elif not isinstance(decision, Accept):
            error = decision.error  # type: ignore[union-attr]  # Fail, or Escalate without otherwise
        self.change.update(self.step.commit())
        if error is not None:
            raise error
        return result

    def leave(self) -> None:
        """Whatever came of it: no node timeout can hit this step any more."""
        under_way = self.graph_run.under_way.get(self.node.name)
        if under_way and self.step in under_way:
            under_way.remove(self.step)

    def keep(self) -> None:
        """Last of all: LangGraph takes a failed task that has written something for done."""
        self.graph_run.keep(self.config, self.change)

    def _accepted(self, decision: Accept) -> Any:
        self._release()
        if self.graph_run.wants_outputs:
            self.graph_run.run.outputs[self.node.name] = decision.value
            self.change[f"o:{self.node.name}"] = as_fields(decision.value)
        return with_update(self.raw, decision.value) if decision.replaced else self.raw

    def decided_by_human(self) -> Any:
        """Ask the person; their word is the node's output."""
        with configured(self.config):  # LangGraph does not, in async nodes before Python 3.11
            return _exits.decided_by_human(self)
