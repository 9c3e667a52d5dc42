"""The graphs of these tests: nine topologies whose node `b` fails its validator n times."""

from __future__ import annotations

import asyncio
import operator
import sys
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict


def compare_with_bare(is_async: bool) -> None:
    """Skip where the bare graph itself cannot do what the attached one does."""
    if is_async and sys.version_info < (3, 11):
        pytest.skip("before Python 3.11 LangGraph's async nodes have no interrupt() and no writer")


class State(TypedDict, total=False):
    x: int
    entry: str
    vals: Annotated[list[Any], operator.add]
    messages: Annotated[list[Any], operator.add]


class Lab:
    """Makes nodes that count their calls and remember their inputs."""

    def __init__(self, fails: int = 0, *, is_async: bool = False) -> None:
        self.fails = fails
        self.is_async = is_async
        self.calls: Counter[str] = Counter()
        self.inputs: dict[str, list[Any]] = {}
        self.heard: dict[str, list[str | None]] = {}

    def node(self, name: str, act: Callable[[Any, int], Any] | None = None) -> Any:
        """A node; `act(state, call)` gives its update."""

        def work(state: Any, feedback: str | None) -> Any:
            self.calls[name] += 1
            self.inputs.setdefault(name, []).append(state)
            self.heard.setdefault(name, []).append(feedback)
            return act(state, self.calls[name]) if act is not None else {}

        def sync(state: Any, feedback: str | None = None) -> Any:
            return work(state, feedback)

        async def asynchronous(state: Any, feedback: str | None = None) -> Any:
            return work(state, feedback)

        fn = asynchronous if self.is_async else sync
        fn.__name__ = name
        return fn

    def candidate(self, state: Any, call: int) -> dict[str, Any]:
        """What `b` returns: bad for the first `fails` calls."""
        return {"x": -1 if call <= self.fails else 5, "vals": [("b", call)]}

    def run(self, app: Any, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        """Invoke, synchronously or not."""
        if self.is_async:
            return asyncio.run(app.ainvoke(inputs, config, **kwargs))
        return app.invoke(inputs, config, **kwargs)


def positive(output: Any) -> tuple[bool, str]:
    """The validator of `b`."""
    x = output.get("x", 0)
    return x > 0, f"x must be above 0, not {x}"


def _graph(lab: Lab, *names: str) -> StateGraph[Any, Any, Any, Any]:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    for name in names:
        graph.add_node(name, lab.node(name))
    return graph


def static(lab: Lab) -> Any:
    """a -> b -> c"""
    graph = _graph(lab, "a", "c")
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", "c")
    return graph


def fan_out(lab: Lab) -> Any:
    """a -> b -> c and d"""
    graph = static(lab)
    graph.add_node("d", lab.node("d"))
    graph.add_edge("b", "d")
    return graph


def conditional(lab: Lab) -> Any:
    """a -> b -> c or d, by what b wrote"""
    graph = _graph(lab, "a", "c", "d")
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_conditional_edges("b", lambda s: "c" if s["x"] > 0 else "d", ["c", "d"])
    return graph


def goto(lab: Lab) -> Any:
    """a -> b, which goes to c by a Command"""
    graph = _graph(lab, "a", "c")
    graph.add_node("b", lab.node("b", lambda s, n: Command(update=lab.candidate(s, n), goto="c")))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    return graph


def send(lab: Lab) -> Any:
    """a sends three workers b, whose second fails; all lead to j"""
    graph = _graph(lab, "a", "j")
    tries: Counter[int] = Counter()

    def work(state: Any, call: int) -> Any:
        worker = state["i"]
        tries[worker] += 1
        bad = worker == 1 and tries[worker] <= lab.fails
        return {"vals": [(worker, tries[worker])], **({"x": -1} if bad else {})}

    graph.add_node("b", lab.node("b", work))
    graph.add_edge(START, "a")
    graph.add_conditional_edges("a", lambda s: [Send("b", {"i": i}) for i in range(3)], ["b"])
    graph.add_edge("b", "j")
    return graph


def not_negative(output: Any) -> tuple[bool, str]:
    """The validator of the workers of `send`."""
    return output.get("x", 0) >= 0, "negative"


def waiting_join(lab: Lab) -> Any:
    """a -> b and m, both waited for by j"""
    graph = _graph(lab, "a", "m", "j")
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("a", "m")
    graph.add_edge(["b", "m"], "j")
    return graph


def implicit_join(lab: Lab) -> Any:
    """a -> b and m, each with an edge to j"""
    graph = _graph(lab, "a", "m", "j")
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("a", "m")
    graph.add_edge("b", "j")
    graph.add_edge("m", "j")
    return graph


def subgraph(lab: Lab) -> Any:
    """a -> b -> c, where b is a graph with the node i"""
    inner: StateGraph[Any, Any, Any, Any] = StateGraph(State)
    inner.add_node("i", lab.node("i", lab.candidate))
    inner.add_edge(START, "i")
    graph = _graph(lab, "a", "c")
    graph.add_node("b", inner.compile())
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", "c")
    return graph


def defer(lab: Lab) -> Any:
    """START -> a and q -> b (deferred) -> c"""
    graph = _graph(lab, "a", "q", "c")
    graph.add_node("b", lab.node("b", lab.candidate), defer=True)
    graph.add_edge(START, "a")
    graph.add_edge(START, "q")
    graph.add_edge("a", "b")
    graph.add_edge("q", "b")
    graph.add_edge("b", "c")
    return graph
