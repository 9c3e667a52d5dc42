"""One wrapped node: execute it, call the core, turn the decision into LangGraph's mechanism."""

from __future__ import annotations

import contextvars
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from coord_plugins import HUMAN, START, STOP
from coord_plugins.host import (
    Accept,
    Again,
    Coord,
    Decision,
    Escalate,
    Step,
    arun_step,
    declares,
    route_feedback,
    run_step,
)
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from langgraph.types import Command, Send

from . import _human
from ._memory import GraphRun
from ._private import PUSH_TRIGGER, RUNTIME, SCRATCHPAD, STREAM, RunnableCallable
from ._stream import (
    ATTEMPT_TAG,
    Held,
    again_config,
    configured,
    held_config,
    judge_config,
    tagged,
    watched,
)
from ._topology import Topology
from ._values import as_fields, feedback_message, neutral, with_update, without_feedback
from ._writers import Diverted

graph_run: contextvars.ContextVar[GraphRun | None] = contextvars.ContextVar(
    "coord_graph_run", default=None
)
HUMAN_ARG = "__coord_human__"
"""Marks the argument of a `Send` that brings a rejected candidate back for a person."""


class Node:
    """What attaching knows of one node; shared by all runs."""

    def __init__(
        self,
        name: str,
        pregel: Any,
        coord: Coord,
        topology: Topology,
        *,
        is_target: bool,
        others: dict[str, Any],
        entry_branches: list[Any],
    ) -> None:
        self.name = name
        self.inner = pregel.bound
        self.mapper = pregel.mapper
        self.coord = coord
        self.topology = topology
        self.edge = coord.policy.edges.get(name)
        self.is_target = is_target
        self.others = others
        self.entry_branches = entry_branches
        self.takes_feedback = declares_feedback(self.inner)
        self.has_subgraph = bool(pregel.subgraphs)
        self._substitutes: dict[int, Any] = {}

    def wrapped(self) -> Any:
        """The runnable that takes the place of the node's own."""

        def call(input: Any, config: RunnableConfig) -> Any:
            found = self._run()
            if found is None:
                return self.inner.invoke(input, config)
            visit = Visit(self, found, input, config)
            if visit.waiting is not None:
                return visit.decided_by_human()
            with visit.judging():
                decision = run_step(visit.step, visit.execute)
            result = visit.end(decision)
            for branch in visit.branches:
                branch.invoke(visit.start_input, config)
            return result

        async def acall(input: Any, config: RunnableConfig) -> Any:
            found = self._run()
            if found is None:
                return await self.inner.ainvoke(input, config)
            visit = Visit(self, found, input, config)
            if visit.waiting is not None:
                return visit.decided_by_human()
            with visit.judging():
                decision = await arun_step(visit.step, visit.aexecute)
            result = visit.end(decision)
            for branch in visit.branches:
                await branch.ainvoke(visit.start_input, config)
            return result

        name = getattr(self.inner, "name", None)
        return RunnableCallable(call, acall, name=name, trace=False, recurse=False)

    def _run(self) -> GraphRun | None:
        """The run under way, unless it belongs to another graph around this one."""
        found = graph_run.get()
        return found if found is not None and found.run.coord is self.coord else None

    def serving(self, substitute: Any) -> Any:
        """The runnable of a fallback: another node's work, or a callable like the node."""
        if substitute is None:
            return self.inner
        if isinstance(substitute, str):
            return self.others[substitute]
        found = self._substitutes.get(id(substitute))
        if found is None:
            found = self._substitutes[id(substitute)] = as_runnable(substitute)
        return found


def as_runnable(fn: Any) -> Any:
    """A callable as LangGraph itself would take it as a node."""
    from langgraph._internal._runnable import coerce_to_runnable

    return coerce_to_runnable(fn, name=None, trace=False)


def function_of(runnable: Any) -> Any:
    """The user's function inside a node's runnable, or None."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None)


def declares_feedback(runnable: Any) -> bool:
    """Whether the node's function has a parameter `feedback`."""
    fn = function_of(runnable)
    return fn is not None and declares(fn, "feedback")


class Visit:
    """One task of one node: all attempts in it."""

    def __init__(self, node: Node, found: GraphRun, input: Any, config: Any) -> None:
        self.node = node
        self.graph_run = found
        self.config = config
        metadata = config.get("metadata") or {}
        self.superstep: int = metadata.get("langgraph_step", 0)
        self.push = tuple(metadata.get("langgraph_triggers") or ()) == PUSH_TRIGGER
        found.bind(config)
        self.branches: list[Any] = []
        self.start_input: Any = None
        self.change: dict[str, Any] = {}
        self.waiting = self._waiting(input)
        if self.waiting is not None:
            return
        self.input = self._stored(input) if node.is_target else input
        branch = str(metadata.get("langgraph_checkpoint_ns", "")) if self.push else ""
        self.step: Step = found.run.enter(
            node.name, input=self.input, branch=branch, reachable=self._reachable
        )
        self.raw: Any = None
        self.count = 0
        self.held: Held | None = None
        self.watched = node.edge is not None and (
            found.live or STREAM in config["configurable"] or watched(config)
        )

    # ------------------------------------------------------------------ before

    def _waiting(self, input: Any) -> dict[str, Any] | None:
        """The candidate that this visit only brings before a person."""
        if self.push and isinstance(input, dict) and HUMAN_ARG in input:
            found: dict[str, Any] = input[HUMAN_ARG]
            return found
        return None if self.push else self.graph_run.waiting.get(self.node.name)

    def _stored(self, input: Any) -> Any:
        """The input that an earlier target works on: after a loop-back, what it had last."""
        name, found = self.node.name, self.graph_run
        if not self.push and found.again.get(name) == self.superstep - 1:
            kept = found.inputs.get(name)
            if kept is not None:
                input = kept["args"][0]
                if self.node.mapper is not None:
                    input = self.node.mapper(input)
        found.remember(name, as_fields(input), self.superstep, self.push)
        self.change[f"i:{name}"] = {
            "step": self.superstep,
            "push": self.push,
            "args": [as_fields(input)],
        }
        return input

    def _reachable(self, target: str) -> bool:
        """Whether the recursion limit leaves room for target, edge and end."""
        left = self.config["configurable"].get(SCRATCHPAD)
        if left is None:
            return True
        topology, name = self.node.topology, self.node.name
        needed = topology.distance(target, name) + topology.tail(name) + 2
        return bool(left.stop - left.step >= needed)

    # ------------------------------------------------------------------ each attempt

    def judging(self) -> AbstractContextManager[None]:
        """Where the validators run: with no way to a user's stream."""
        return configured(judge_config(self.config)) if self.watched else nullcontext()

    def execute(self, step: Step) -> Any:
        """Execute the node once."""
        runnable, given, config, named = self._prepare(step)
        with self._in(config):
            try:
                return self._took(runnable.invoke(given, config, **named))
            except GraphBubbleUp:
                self._bubbled()
                raise

    async def aexecute(self, step: Step) -> Any:
        """Execute the node once, on the event loop."""
        runnable, given, config, named = self._prepare(step)
        with self._in(config):
            try:
                return self._took(await runnable.ainvoke(given, config, **named))
            except GraphBubbleUp:
                self._bubbled()
                raise

    def _in(self, config: Any) -> AbstractContextManager[None]:
        return nullcontext() if config is self.config else configured(config)

    def _prepare(self, step: Step) -> tuple[Any, Any, Any, dict[str, Any]]:
        runnable = self.node.serving(step.substitute)
        config = self.config
        if self.count:
            rejected = step.events[-1].decision == "loop" if step.events else False
            config = again_config(config, resume_subgraph=not rejected)
            self._announce(rejected)
        self.count += 1
        if self.watched:
            config = tagged(config, f"{ATTEMPT_TAG}{step.attempt}")
            if self.node.edge is not None and self.node.edge.stream == "hold":
                self.held = Held()
                config = held_config(config, self.held)
        if step.feedback is None:
            return runnable, self.input, config, {}
        if declares_feedback(runnable):
            return runnable, self.input, config, {"feedback": step.deliver()}
        return runnable, route_feedback(step, self.input, feedback_message), config, {}

    def _took(self, raw: Any) -> Any:
        self.raw = without_feedback(raw) if self.step.delivered else raw
        return neutral(self.raw)

    def _bubbled(self) -> None:
        """LangGraph's control flow passes: what was said before it was not rejected."""
        self.graph_run.interrupted = True
        if self.held is not None:
            self.held.release()

    def _announce(self, rejected: bool) -> None:
        """With `stream="live"` a rejection is announced on the custom stream."""
        edge, runtime = self.node.edge, self.config["configurable"].get(RUNTIME)
        if rejected and edge is not None and edge.stream == "live" and runtime is not None:
            event = self.step.events[-1]
            runtime.stream_writer(
                {"type": "coord.rejected", "step": event.step, "execution": event.execution}
            )

    # ------------------------------------------------------------------ after

    def end(self, decision: Decision) -> Any:
        """Give LangGraph what the decision asks for, and commit."""
        step = self.step
        rejected = bool(step.events) and step.events[-1].decision in ("loop", "exhausted")
        self._announce(rejected and not isinstance(decision, Accept))
        result: Any = None
        error: BaseException | None = None
        if isinstance(decision, Accept):
            result = self._accepted(decision)
        elif isinstance(decision, Again):
            result = self._back_to(decision.target)
        elif isinstance(decision, Escalate) and decision.otherwise is not None:
            result = self._otherwise(decision)
        else:
            error = decision.error  # type: ignore[union-attr]  # Fail, or Escalate without otherwise
        self.change.update(step.commit())
        self.graph_run.keep(self.config, self.change)
        if error is not None:
            raise error
        return result

    def _accepted(self, decision: Accept) -> Any:
        if self.held is not None:
            self.held.release()
        if self.graph_run.wants_outputs:
            self.graph_run.run.outputs[self.node.name] = decision.value
            self.change[f"o:{self.node.name}"] = as_fields(decision.value)
        return with_update(self.raw, decision.value) if decision.replaced else self.raw

    def _back_to(self, target: str) -> Diverted:
        """Go back: each target runs on the input it had when it last ran in this run."""
        goto: list[Any] = []
        found, topology = self.graph_run, self.node.topology
        entries = topology.static_entries if target == START else (target,)
        if target == START:
            self.branches = self.node.entry_branches
            self.start_input = (found.inputs.get(START) or {"args": [None]})["args"][0]
        for entry in topology.entries if target == START else (target,):
            kept = found.inputs.get(entry)
            if kept is not None and not kept["push"]:
                found.again[entry] = self.superstep
                self.change[f"g:{entry}"] = self.superstep
        for entry in entries:
            kept = found.inputs.get(entry)
            if kept is not None and kept["push"]:
                goto += [Send(entry, argument) for argument in kept["args"]]
            else:
                goto.append(entry)
        return Diverted(goto=goto)

    def _otherwise(self, decision: Escalate) -> Any:
        if decision.otherwise == STOP:
            return Diverted(goto=())
        if decision.otherwise == HUMAN:
            return self._to_human(decision)
        target = str(decision.otherwise)
        return Diverted(goto=[Send(target, self.input) if self.push else target])

    def _to_human(self, decision: Escalate) -> Diverted:
        name = self.node.name
        waiting = {
            "output": as_fields(decision.value),
            "goto": _names(self.raw),
            "why": str(decision.error),
            "attempts": self.node.edge.max_attempts if self.node.edge is not None else 1,
        }
        if self.push:
            return Diverted(goto=[Send(name, {HUMAN_ARG: waiting})])
        self.graph_run.waiting[name] = waiting
        self.change[f"h:{name}"] = waiting
        return Diverted(goto=[name])

    def decided_by_human(self) -> Any:
        """Ask the person; their word is the node's output."""
        assert self.waiting is not None
        name, found = self.node.name, self.graph_run
        try:
            output = _human.ask(found.run, name, self.waiting)
        except GraphBubbleUp:
            found.interrupted = True
            raise
        found.waiting.pop(name, None)
        found.keep(self.config, {f"h:{name}": None})
        goto = self.waiting["goto"]
        return Command(update=output, goto=goto) if goto else output


def _names(raw: Any) -> list[str]:
    """The nodes that a `Command` goes to, as far as a checkpoint can keep them."""
    if not isinstance(raw, Command):
        return []
    goto = [raw.goto] if isinstance(raw.goto, (str, Send)) else list(raw.goto)
    return [g for g in goto if isinstance(g, str)]
