"""Runs the conformance suite on LangGraph, over several ways to draw the same pipeline."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

from coord_langgraph import attach
from coord_langgraph._attach import HOST
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from coord_plugins import CoordWarning, collect_runs, current_feedback, current_step, use_clock
from coord_plugins.testing import Script
from coord_plugins.testing.conformance import Case, Killed, Observed, Ran

Topology = Literal["static", "router", "command", "fanout", "send", "subgraph"]
TOPOLOGIES = get_args(Topology)


class GraphDriver:
    """One topology: how the steps of a case are joined to a graph.

    - static: plain edges
    - router: a conditional edge after every node
    - command: every node says `Command(goto=...)`
    - fanout: a second branch starts beside the first step
    - send: the first step is a `Send` worker
    - subgraph: every node is a compiled graph of its own
    """

    host = HOST

    def __init__(self, topology: Topology = "static") -> None:
        self.topology = topology

    def run(self, case: Case, *, is_async: bool) -> Observed:
        with warnings.catch_warnings(record=True) as warned, use_clock(case.clock):
            warnings.simplefilter("always", CoordWarning)
            app = Built(case, is_async, self.topology).attached()
            runs = [_once(case, app, is_async, {"input": i}, None) for i in case.inputs]
        said = [str(w.message) for w in warned if issubclass(w.category, CoordWarning)]
        return Observed(runs=runs, log=case.log, warnings=said)

    def resume(self, case: Case, *, is_async: bool) -> Observed:
        saver = InMemorySaver()
        runs: list[Ran] = []
        given: Any = {"input": case.inputs[0]}
        with warnings.catch_warnings(), use_clock(case.clock):
            warnings.simplefilter("ignore", CoordWarning)
            while not runs or (runs[-1].record is None and len(runs) < 5):
                # everything that lives in this process is made anew; only the saver stays
                app = Built(case, is_async, self.topology, saver).attached()
                runs.append(_once(case, app, is_async, given, "thread-1"))
                decisions = {"decisions": [dict(case.decision)]} if case.decision else {}
                killed = isinstance(runs[-1].error, Killed)
                given = None if killed else Command(resume=decisions or "go on")
        return Observed(runs=runs, log=case.log)

    def pause(self) -> None:
        interrupt("wait")


def _once(case: Case, app: Any, is_async: bool, given: Any, thread: str | None) -> Ran:
    config: dict[str, Any] = {"configurable": {"thread_id": thread}} if thread else {}
    if case.host_steps is not None:
        config["recursion_limit"] = case.host_steps
    streamed: list[str] = []
    state: dict[str, Any] = {}

    def saw(mode: str, chunk: Any) -> None:
        if mode == "values":
            state.clear()
            state.update({k: v for k, v in chunk.items() if k != "__interrupt__"})
        else:
            streamed.append(repr(chunk))

    modes = ["values", "custom", "updates"]

    async def main() -> None:
        case.task = asyncio.current_task()
        async for mode, chunk in app.astream(given, config, stream_mode=modes):
            saw(mode, chunk)

    error = None
    with collect_runs() as records:
        try:
            if is_async:
                asyncio.run(main())
            else:
                for mode, chunk in app.stream(given, config, stream_mode=modes):
                    saw(mode, chunk)
        except BaseException as raised:
            error = raised
    over = records and not isinstance(error, (Killed, GraphInterrupt))
    return Ran(
        record=records[-1] if over else None,
        output=state.get(case.last),
        error=error,
        state=state,
        streamed=streamed,
    )


class Built:
    """One case as a graph."""

    def __init__(
        self, case: Case, is_async: bool, topology: str, saver: InMemorySaver | None = None
    ) -> None:
        self.case = case
        self.is_async = is_async
        self.topology = topology
        self.saver = saver
        self.route = (
            "current" if (topology, case.route) == ("subgraph", "parameter") else case.route
        )
        keys = ["input", "notes", "side", *case.scripts]
        self.state: Any = TypedDict("State", dict.fromkeys(keys, Any), total=False)  # type: ignore[misc]  # dynamic

    def attached(self) -> Any:
        case = self.case
        return attach(
            self.graph(),
            *case.edges,
            pipeline="conformance",
            goal=case.goal,
            output=case.last,
            retry=case.retries(self.step),
            budget=case.budget,
            **case.settings,
        )

    def graph(self) -> Any:
        case, first = self.case, self.case.order[0]
        builder = StateGraph(self.state)
        for name in case.scripts:
            following = case.after(name) or END
            step = self.step(name)
            if self.topology == "subgraph":
                builder.add_node(name, self.inner(name, step))
            elif self.topology == "command":
                builder.add_node(name, step, destinations=(following,))
            else:
                builder.add_node(name, step)
            if self.topology == "router":
                builder.add_conditional_edges(name, lambda state, to=following: to, [following])
            elif self.topology != "command":
                builder.add_edge(name, following)
        if self.topology == "send":
            builder.add_conditional_edges(START, lambda s: [Send(first, dict(s))], [first])
        else:
            builder.add_edge(START, first)
        if self.topology == "fanout":
            builder.add_node("side_branch", lambda state: {"side": "done"})
            builder.add_edge(START, "side_branch")
        return builder.compile(checkpointer=self.saver)

    def inner(self, name: str, step: Any) -> Any:
        """A graph of one node that hands back this step's key alone."""
        output: Any = TypedDict("Output", {self.case.place(name): Any}, total=False)  # type: ignore[misc]  # dynamic
        builder = StateGraph(self.state, output_schema=output)
        builder.add_node("inner", step)
        builder.add_edge(START, "inner")
        return builder.compile()

    def step(self, step: str | Script) -> Callable[..., Any]:
        """A step of the case as a node function with the case's feedback route."""
        case = self.case

        def before(state: Any) -> Any:
            name = step if isinstance(step, str) else current_step().name
            source = case.before(name)
            return state["input"] if source is None else state.get(source)

        def after(value: Any) -> Any:
            if sys.version_info >= (3, 11) or not self.is_async:
                get_stream_writer()(value)
            name = step if isinstance(step, str) else current_step().name
            update = {case.place(name): value}
            if self.topology == "command":
                return Command(update=update, goto=case.after(name) or END)
            return update

        work = _async_node if self.is_async else _node
        return work(case, step, before, after, self.route)


def _node(case: Case, step: Any, before: Any, after: Any, route: str) -> Any:
    def declaring(state: Any, feedback: str | None = None) -> Any:
        return after(case.call(step, before(state), feedback))

    def asking(state: Any) -> Any:
        return after(case.call(step, before(state), current_feedback()))

    def reading(state: Any) -> Any:
        return after(case.call(step, before(state), state.get("notes")))

    def deaf(state: Any) -> Any:
        return after(case.call(step, before(state)))

    return {"parameter": declaring, "current": asking, "state": reading, "none": deaf}[route]


def _async_node(case: Case, step: Any, before: Any, after: Any, route: str) -> Any:
    async def declaring(state: Any, feedback: str | None = None) -> Any:
        return after(await case.acall(step, before(state), feedback))

    async def asking(state: Any) -> Any:
        return after(await case.acall(step, before(state), current_feedback()))

    async def reading(state: Any) -> Any:
        return after(await case.acall(step, before(state), state.get("notes")))

    async def deaf(state: Any) -> Any:
        return after(await case.acall(step, before(state)))

    return {"parameter": declaring, "current": asking, "state": reading, "none": deaf}[route]
