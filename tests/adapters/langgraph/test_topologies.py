"""Exact call counts and states: nine topologies, every way back, sync and async."""

from __future__ import annotations

import dataclasses
import operator
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from coord_langgraph import attach
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from pydantic import BaseModel

from coord_plugins import START as ENTRY
from coord_plugins import CoordWarning, ValidationEdge, schema

from .graphs import (
    Lab,
    State,
    conditional,
    defer,
    fan_out,
    goto,
    implicit_join,
    not_negative,
    positive,
    send,
    static,
    subgraph,
    waiting_join,
)

IN_PLACE: tuple[str, ...] = ()
EARLIER = ("a",)
LADDER = ("a", ENTRY)
SYNC_AND_ASYNC = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])

Counts = Callable[[int], dict[str, int]]
TOPOLOGIES: dict[str, tuple[Any, Counts, Counts, Counts]] = {
    # build, and the calls after n failures: in place, back to a, back to a and then to START
    "static": (
        static,
        lambda n: {"a": 1, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
    ),
    "fan_out": (
        fan_out,
        lambda n: {"a": 1, "b": 1 + n, "c": 1, "d": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1, "d": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1, "d": 1},
    ),
    "conditional": (
        conditional,
        lambda n: {"a": 1, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
    ),
    "goto": (
        goto,
        lambda n: {"a": 1, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "c": 1},
    ),
    "send": (  # going back to a sends all three workers again, and each round joins
        send,
        lambda n: {"a": 1, "b": 3 + n, "j": 1},
        lambda n: {"a": 1 + n, "b": 3 + 3 * n, "j": 1 + n},
        lambda n: {"a": 1 + n, "b": 3 + 3 * n, "j": 1 + n},
    ),
    "waiting_join": (
        waiting_join,
        lambda n: {"a": 1, "b": 1 + n, "m": 1, "j": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "m": 1 + n, "j": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "m": 1 + n, "j": 1},
    ),
    "implicit_join": (  # named at attach: the join runs once per round
        implicit_join,
        lambda n: {"a": 1, "b": 1 + n, "m": 1, "j": 1},
        lambda n: {"a": 1 + n, "b": 1 + n, "m": 1 + n, "j": 1 + n},
        lambda n: {"a": 1 + n, "b": 1 + n, "m": 1 + n, "j": 1 + n},
    ),
    "subgraph": (
        subgraph,
        lambda n: {"a": 1, "i": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "i": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "i": 1 + n, "c": 1},
    ),
    "defer": (
        defer,
        lambda n: {"a": 1, "q": 1, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "q": 1, "b": 1 + n, "c": 1},
        lambda n: {"a": 1 + n, "q": 2 if n == 2 else 1, "b": 1 + n, "c": 1},
    ),
}
WAYS = {"in_place": (1, IN_PLACE), "earlier": (2, EARLIER), "ladder": (3, LADDER)}


def quietly_attached(graph: Any, *edges: ValidationEdge, **settings: Any) -> Any:
    """Attach without the findings, which other tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CoordWarning)
        return attach(graph, *edges, pipeline="p", **settings)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("fails", [0, 1, 2])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_topology(topology: str, way: str, fails: int, is_async: bool) -> None:
    """The calls, the state and the record, for every way back."""
    build, number_of = TOPOLOGIES[topology][0], TOPOLOGIES[topology]
    column, ladder = WAYS[way]
    lab = Lab(fails, is_async=is_async)
    check = not_negative if topology == "send" else positive
    edge = ValidationEdge("b", check, back_to=ladder, max_attempts=4)
    app = quietly_attached(build(lab).compile(), edge)
    out = lab.run(app, {"x": 0}, {"recursion_limit": 30})
    assert dict(lab.calls) == number_of[column](fails)
    if topology == "send":
        seen = [w for w in out["vals"] if w[0] == 1]
        assert seen == [(1, 1 + fails)]  # of the failing worker, only the accepted output
        assert out["x"] == 0
    else:
        assert out["vals"] == [("b", 1 + fails)]
        assert out["x"] == 5
    assert all(given == lab.inputs["a"][0] for given in lab.inputs["a"])
    record = app.coord.last
    b = record.steps["b"]
    assert (b.calls, b.rejects, b.loops) == (b.passes + fails, fails, fails)
    assert record.steps["a"].executions == lab.calls["a"]
    assert record.outcome == "unlabelled"
    assert app.coord.detach().channels.keys() == app.channels.keys() - {"__coord__"}


@SYNC_AND_ASYNC
def test_conditional_entry_is_evaluated_again(is_async: bool) -> None:
    """Going back to START asks its conditional edge again, on the state as it is now."""
    lab, asked = Lab(2, is_async=is_async), []
    graph = StateGraph(State)
    for name in ("left", "right"):
        graph.add_node(name, lab.node(name))
        graph.add_edge(name, "b")
    graph.add_node("b", lab.node("b", lab.candidate))

    def entry(state: Any) -> str:
        asked.append(dict(state))
        return "right" if len(asked) == 2 else state["entry"]

    graph.add_conditional_edges(START, entry, ["left", "right"])
    app = quietly_attached(
        graph.compile(), ValidationEdge("b", positive, back_to=ENTRY, max_attempts=3)
    )
    out = lab.run(app, {"x": 0, "entry": "left"})
    assert lab.calls == {"left": 2, "right": 1, "b": 3}
    assert asked == [{"x": 0, "entry": "left", "vals": [], "messages": []}] * 3
    assert out["vals"] == [("b", 3)]


@SYNC_AND_ASYNC
def test_sends_from_the_entry_are_made_again(is_async: bool) -> None:
    """A conditional entry that fans out by Send does so again."""
    lab = Lab(1, is_async=is_async)
    graph = StateGraph(State)
    graph.add_node("w", lab.node("w", lambda s, n: {"vals": [s["i"]]}))
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_conditional_edges(START, lambda s: [Send("w", {"i": i}) for i in (1, 2)], ["w"])
    graph.add_edge("w", "b")
    app = quietly_attached(graph.compile(), ValidationEdge("b", positive, back_to=ENTRY))
    out = lab.run(app, {"x": 0})
    assert lab.calls == {"w": 4, "b": 2}
    assert [i["i"] for i in lab.inputs["w"]] == [1, 2, 1, 2]
    assert out["vals"] == [1, 2, 1, 2, ("b", 2)]  # reducers are not undone


@SYNC_AND_ASYNC
@pytest.mark.parametrize(("target", "calls"), [("w", 4), ((), 2)])
def test_a_send_target_gets_its_arguments_again(target: Any, calls: int, is_async: bool) -> None:
    """Going back to a node that `Send` made repeats each of its arguments."""
    lab = Lab(1, is_async=is_async)
    graph = StateGraph(State)
    graph.add_node("w", lab.node("w", lambda s, n: {"vals": [s["i"]]}))
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_conditional_edges(START, lambda s: [Send("w", {"i": i}) for i in (7, 8)], ["w"])
    graph.add_edge("w", "b")
    app = quietly_attached(
        graph.compile(), ValidationEdge("b", positive, back_to=target, max_attempts=2)
    )
    lab.run(app, {"x": 0})
    assert [i["i"] for i in lab.inputs["w"]] == [7, 8] * (calls // 2)
    assert lab.calls["b"] == 2


@SYNC_AND_ASYNC
@pytest.mark.parametrize("fails", [1, 2])
def test_parallel_rejections(fails: int, is_async: bool) -> None:
    """Two branches reject in one superstep: the target runs once for both, and so the join."""
    lab = Lab(fails, is_async=is_async)
    graph = StateGraph(State)
    graph.add_node("a", lab.node("a"))
    for name in ("b", "m"):
        work = lambda s, n, name=name: {"vals": [(name, n, "entry" if n > fails else "")]}
        graph.add_node(name, lab.node(name, work))
        graph.add_edge("a", name)
    graph.add_node("j", lab.node("j"))
    graph.add_edge(START, "a")
    graph.add_edge(["b", "m"], "j")
    has_entry = lambda out: ("entry" in out["vals"][0], "no entry")
    edges = [ValidationEdge(n, has_entry, back_to="a", max_attempts=3) for n in ("b", "m")]
    app = quietly_attached(graph.compile(), *edges)
    out = lab.run(app, {})
    assert lab.calls == {"a": 1 + fails, "b": 1 + fails, "m": 1 + fails, "j": 1}
    assert sorted(out["vals"]) == [(name, 1 + fails, "entry") for name in ("b", "m")]
    for name in ("b", "m"):
        assert app.coord.last.steps[name].rejects == fails
    assert lab.heard["a"] == [None] + ["no entry\nno entry"] * fails


class Model(BaseModel):
    x: int = 0
    vals: Annotated[list[Any], operator.add] = []


@dataclasses.dataclass
class Data:
    x: int = 0
    vals: Annotated[list[Any], operator.add] = dataclasses.field(default_factory=list)


@SYNC_AND_ASYNC
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [State, Model, Data])
def test_state_classes(kind: Any, way: str, is_async: bool) -> None:
    """TypedDict, pydantic and dataclass state: the target gets its stored input, in its class."""
    lab = Lab(2, is_async=is_async)
    graph = StateGraph(kind)
    graph.add_node("a", lab.node("a", lambda s, n: {"vals": ["a"]}))
    graph.add_node("b", lab.node("b", lab.candidate))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    column, ladder = WAYS[way]
    edge = ValidationEdge("b", positive, back_to=ladder, max_attempts=3)
    app = quietly_attached(graph.compile(), edge)
    out = lab.run(app, {"x": 0, "vals": []})
    rounds = 1 if column == 1 else 3
    assert lab.calls == {"a": rounds, "b": 3}
    assert (out["x"], out["vals"]) == (5, ["a"] * rounds + [("b", 3)])
    expected = dict if kind is State else kind
    assert all(type(given) is expected for given in lab.inputs["a"])
    assert all(given == lab.inputs["a"][0] for given in lab.inputs["a"])


@SYNC_AND_ASYNC
def test_a_node_that_returns_an_object(is_async: bool) -> None:
    """A node may return its state class; validators see the object."""
    lab = Lab(1, is_async=is_async)
    graph = StateGraph(Model)
    graph.add_node("b", lab.node("b", lambda s, n: Model(x=-1 if n == 1 else 5, vals=[n])))
    graph.add_edge(START, "b")
    app = quietly_attached(
        graph.compile(), ValidationEdge("b", lambda x: x > 0, of="x", max_attempts=2)
    )
    assert lab.run(app, {}) == {"x": 5, "vals": [2]}


class Parsed(BaseModel):
    amount: int


@SYNC_AND_ASYNC
@pytest.mark.parametrize("as_list", [False, True])
def test_commands(as_list: bool, is_async: bool) -> None:
    """Validators see a Command's update; a repaired one goes on where the Command said."""
    lab = Lab(is_async=is_async)
    graph = StateGraph(dict)

    def act(state: Any, call: int) -> Any:
        text = "nonsense" if call == 1 else '{"amount": 7}'
        first = Command(update={"draft": text}, goto="c")
        return [first, Command(update={"more": 1}, goto="d")] if as_list else first

    class Wide(State, total=False):
        draft: Any
        more: int

    graph = StateGraph(Wide)
    graph.add_node("b", lab.node("b", act))
    for name in ("c", "d"):
        graph.add_node(name, lab.node(name))
    graph.add_edge(START, "b")
    app = quietly_attached(graph.compile(), ValidationEdge("b", schema(Parsed), of="draft"))
    out = lab.run(app, {})
    assert lab.calls == ({"b": 2, "c": 1, "d": 1} if as_list else {"b": 2, "c": 1})
    assert out == {
        "vals": [],
        "messages": [],
        "draft": Parsed(amount=7),
        **({"more": 1} if as_list else {}),
    }


@SYNC_AND_ASYNC
@pytest.mark.parametrize("way", ["in_place", "earlier"])
def test_messages_route(way: str, is_async: bool) -> None:
    """Feedback is one user message on a copy of the input, and never in the state."""
    lab = Lab(is_async=is_async)
    seen: dict[str, list[list[str]]] = {"a": [], "b": []}

    def speaker(name: str) -> Any:
        def work(state: Any) -> Any:
            seen[name].append([m.content for m in state["messages"]])
            said = AIMessage(f"{name}{len(seen[name])}")
            return {"messages": [said], "x": 5 if len(seen["b"]) == 2 and name == "b" else -1}

        async def awork(state: Any) -> Any:
            return work(state)

        return awork if is_async else work

    graph = StateGraph(State)
    graph.add_node("a", speaker("a"))
    graph.add_node("b", speaker("b"))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    edge = ValidationEdge("b", positive, back_to=WAYS[way][1], max_attempts=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # `messages` is a route: nothing to warn of
        app = attach(graph.compile(), edge, pipeline="p")
    out = lab.run(app, {"messages": [HumanMessage("hi")]})
    words = "x must be above 0, not -1"
    if way == "in_place":
        assert seen == {"a": [["hi"]], "b": [["hi", "a1"], ["hi", "a1", words]]}
        assert [m.content for m in out["messages"]] == ["hi", "a1", "b2"]
    else:
        assert seen["a"] == [["hi"], ["hi", words]]
        assert seen["b"] == [["hi", "a1"], ["hi", "a1", "a2", words]]
        assert [m.content for m in out["messages"]] == ["hi", "a1", "a2", "b2"]
    assert app.coord.last.steps["b"].delivered == 1


@SYNC_AND_ASYNC
def test_feedback_to_a_state_key_reaches_the_target(is_async: bool) -> None:
    """`feedback_to` is the route to the edge's own step and to its target."""
    lab = Lab(1)

    class Noted(State, total=False):
        notes: str

    graph = StateGraph(Noted)
    for name in "ab":
        heard = lab.node(name, lab.candidate if name == "b" else None)
        graph.add_node(name, RunnableLambda(lambda state, heard=heard: heard(state)))
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    edge = ValidationEdge("b", positive, back_to="a", feedback_to="notes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        app = attach(graph.compile(), edge, pipeline="p")
    lab.is_async = is_async
    out = lab.run(app, {"x": 0})
    words = "x must be above 0, not -1"
    assert [s.get("notes") for s in lab.inputs["a"]] == [None, words]
    assert [s.get("notes") for s in lab.inputs["b"]] == [None, words]
    assert "notes" not in out
    steps = app.coord.last.steps
    assert (steps["a"].delivered, steps["b"].delivered) == (1, 1)


def _agent(model: Any) -> Any:
    """A prebuilt agent: langchain's where it is installed, else LangGraph's own."""
    try:
        from langchain.agents import create_agent
    except ImportError:
        from langgraph.prebuilt import create_react_agent as create_agent
    return create_agent(model, tools=[])


@SYNC_AND_ASYNC
def test_a_prebuilt_agent(is_async: bool) -> None:
    """An agent that nobody here wrote: its model node is judged and hears the feedback."""
    lab, heard = Lab(is_async=is_async), []

    class Model(GenericFakeChatModel):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            heard.append([m.content for m in messages])
            return super()._generate(messages, *args, **kwargs)

    graph = _agent(Model(messages=iter([AIMessage("too short"), AIMessage("long enough now")])))
    node = "model" if "model" in graph.nodes else "agent"
    longer = lambda out: (len(out["messages"][-1].content) > 10, "write more")
    app = quietly_attached(graph, ValidationEdge(node, longer))
    out = lab.run(app, {"messages": [HumanMessage("hi")]})
    assert [m.content for m in out["messages"]] == ["hi", "long enough now"]
    assert heard == [["hi"], ["hi", "write more"]]
    assert app.coord.last.steps[node].rejects == 1


@SYNC_AND_ASYNC
def test_an_agent_as_a_judged_node_keeps_feedback_out_of_the_state(is_async: bool) -> None:
    """A subgraph hands back every message it was given, our feedback excluded."""
    lab = Lab(is_async=is_async)
    model = GenericFakeChatModel(messages=iter([AIMessage("short"), AIMessage("long enough now")]))
    from langgraph.graph import MessagesState

    graph = StateGraph(MessagesState)
    graph.add_node("writer", _agent(model))
    graph.add_edge(START, "writer")
    longer = lambda out: (len(out["messages"][-1].content) > 10, "write more")
    app = quietly_attached(graph.compile(), ValidationEdge("writer", longer))
    out = lab.run(app, {"messages": [HumanMessage("hi")]})
    assert [m.content for m in out["messages"]] == ["hi", "long enough now"]
    assert app.coord.last.steps["writer"].delivered == 1
