"""LangGraph's own traces: nothing above or around them, the outcome on their roots."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph.graph")

from coord_langgraph import attach
from coord_langsmith import LangSmith
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import EmptyInputError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from coord_plugins import (
    HUMAN,
    STOP,
    AttemptsExhaustedError,
    ValidationEdge,
    run_context,
)
from coord_plugins.testing import LangSmithServer

from ..langgraph.graphs import Lab, State, positive, static
from .test_traces_shared import NO_WAIT, delivered, feedback, labels, named, ours, told, untraced

__all__ = ["untraced"]
EDGE = ValidationEdge("b", positive)
THREAD: Any = {"configurable": {"thread_id": "t"}}
FIRST = feedback("success.first_pass")
ASYNC = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


def goal(state: Any) -> bool:
    return bool(state.get("x", 0) > 0)


def graph(lab: Lab, tracer: LangSmith, *edges: ValidationEdge, **settings: Any) -> Any:
    """a -> b -> c, whose b is bad for the first `fails` calls."""
    saver = settings.pop("checkpointer", None)
    given = {"pipeline": "p", "goal": goal, "listeners": [tracer], **settings}
    return attach(static(lab).compile(checkpointer=saver), *(edges or (EDGE,)), **given)


# ---------------------------------------------------------------------- what stays as it was


def seen(server: LangSmithServer, name: str, but: tuple[str, ...] = ()) -> list[Any]:
    """The traces of the graphs of this name, less their ids and times, and less some runs."""
    [project] = [p["id"] for p in server.projects if p["name"] == "default"]
    found = []
    for root in server.roots("default"):
        if root["name"] == name:
            below = [r for r in server.runs if r["trace_id"] == root["id"]]
            below = [r for r in below if not r["name"].startswith(but or ("-",))]
            below.sort(key=lambda r: str(r["dotted_order"]))
            assert {r["session_id"] for r in below} == {project}
            found.append([shown(r) for r in below])
    return found


def shown(run: Any) -> Any:
    kept = ("name", "run_type", "inputs", "outputs", "error", "serialized")
    depth = str(run["dotted_order"]).count(".")
    own = ("coord.", "langgraph_checkpoint_ns", "checkpoint_ns")
    metadata = {k: v for k, v in labels(run).items() if not k.startswith(own)}
    events = [event["name"] for event in run.get("events") or []]
    return depth, {k: run.get(k) for k in kept}, sorted(run["tags"] or ()), events, metadata


@ASYNC
def test_a_run_without_repeats_is_the_bare_one_and_its_validators(
    traced: LangSmithServer, tracer: LangSmith, is_async: bool
) -> None:
    """Names, tags, metadata, inputs, outputs, events and project of every run of LangGraph's."""
    bare_id, own_id = uuid.uuid4(), uuid.uuid4()
    config: Any = {"tags": ["mine"], "metadata": {"tenant": "a"}, "run_name": "desk"}
    lab = Lab(is_async=is_async)
    lab.run(static(lab).compile(), {"x": 0}, {**config, "run_id": bare_id})
    lab = Lab(is_async=is_async)
    lab.run(graph(lab, tracer), {"x": 0}, {**config, "run_id": own_id})
    delivered(tracer)
    bare, attached = seen(traced, "desk", but=("validate:",))
    assert attached == bare
    assert [r["id"] for r in traced.roots()] == [str(bare_id), str(own_id)]
    assert (told(traced, traced.roots()[0]), told(traced, traced.roots()[1])) == ({}, FIRST)
    assert len(traced.runs) == 9
    assert traced.tree(own_id).replace(" #mine", "").splitlines()[1:] == [
        "  a [chain] success #graph:step:1",
        "  b [chain] success #graph:step:2",
        "    validate:positive [chain] success",
        "  c [chain] success #graph:step:3",
    ]


def test_only_the_root_says_what_the_run_context_and_the_outcome_are(
    traced: LangSmithServer, tracer: LangSmith
) -> None:
    app = graph(Lab(1), tracer, tags=["nightly"], metadata={"team": "x"}, task="x")
    with run_context(tags=["ctx"], metadata={"tenant": "a"}):
        app.invoke({"x": 0}, {"tags": ["mine"], "metadata": {"theirs": 1}})
    delivered(tracer)
    [root] = traced.roots()
    assert root["tags"] == ["mine", "nightly", "ctx"]
    assert {k: v for k, v in labels(root).items() if not k.startswith("coord.")} == {
        "theirs": 1,
        "team": "x",
        "tenant": "a",
    }
    assert labels(root)["coord.run_id"] == app.coord.last.run_id
    assert ours(root) == {
        "pipeline": "p",
        "mode": "enforce",
        "outcome": "success.unjudged",
        "attempts": 2,
        "task": "0",
        "tokens": 0,
        "cost_usd": 0,
    }
    below = [r for r in traced.runs if r["id"] != root["id"]]
    assert len(below) == 6
    for run in below:
        assert not ours(run), run["name"]
        assert not {"team", "tenant"} & set(labels(run)), run["name"]
        assert not {"nightly", "ctx"} & set(run["tags"] or ()), run["name"]


# ---------------------------------------------------------------------- repeats and ends


def test_a_crash_that_is_retried(traced: LangSmithServer, tracer: LangSmith) -> None:
    """The first attempt is directly under the node; a model call is below its attempt."""
    model = RunnableLambda(lambda call: AIMessage(str(call))).with_config(run_name="model")

    def act(state: Any, call: int) -> Any:
        model.invoke(call)
        if call < 3:
            raise TimeoutError(f"slow {call}")
        return {"x": 5}

    lab, builder = Lab(), StateGraph(State)
    builder.add_node("b", lab.node("b", act))
    builder.add_edge(START, "b")
    app = attach(
        builder.compile(), pipeline="p", goal=goal, listeners=[tracer], retry={"*": NO_WAIT}
    )
    app.invoke({"x": 0})
    delivered(tracer)
    [root], [node] = traced.roots(), named(traced, "b")
    assert told(traced, root) == feedback("success.crash_retried", 3)
    below = traced.children(node["id"])
    # a first attempt that raised has a run of its own after the fact, for node-level figures
    assert sorted(r["name"] for r in below) == ["attempt 1", "attempt 2", "attempt 3", "model"]
    [first], [second], [third] = (named(traced, f"attempt {n}") for n in (1, 2, 3))
    assert (first["error"], first["tags"]) == ("TimeoutError: slow 1", [])
    assert traced.children(first["id"]) == []
    assert [r["tags"] for r in (second, third)] == [["retry:attempt:2"], ["retry:attempt:3"]]
    for again in (second, third):
        assert [r["name"] for r in traced.children(again["id"])] == ["model"]
    assert second["inputs"] == {"after": "TimeoutError: slow 1"}
    assert (second["error"], third.get("error")) == ("TimeoutError: slow 2", None)
    assert third["outputs"] == {"output": {"x": 5}}


NODE_B = """\
  a [chain] success #graph:step:1
  b [chain] {} #graph:step:2
    validate:positive [chain] success #validate:rejected
    attempt 2 [chain] success #retry:attempt:2
      validate:positive [chain] success"""
C = "\n  c [chain] success #graph:step:3"
REJECTED = " #validate:rejected"
MARKS = "attempts={} cost_usd=0 outcome.first_try=0 outcome={}"


@ASYNC
def test_a_rejection_in_place(traced: LangSmithServer, tracer: LangSmith, is_async: bool) -> None:
    lab = Lab(1, is_async=is_async)
    lab.run(graph(lab, tracer), {"x": 0})
    delivered(tracer)
    marks = MARKS.format(2, "1(success.unjudged)")
    assert traced.tree() == f"LangGraph [chain] success {marks}\n{NODE_B.format('success')}{C}"
    [again] = named(traced, "attempt 2")
    assert again["inputs"] == {"after": "loop", "feedback": "x must be above 0, not -1"}
    first, second = named(traced, "validate:positive")
    assert first["inputs"] == {"output": {"x": -1, "vals": [["b", 1]]}}
    assert first["outputs"] == {"passed": False, "explanation": "x must be above 0, not -1"}
    assert second["outputs"] == {"passed": True, "explanation": "x must be above 0, not 5"}


def test_a_loop_back_marks_the_nodes_that_run_again(
    traced: LangSmithServer, tracer: LangSmith
) -> None:
    graph(Lab(2), tracer, ValidationEdge("b", positive, back_to=("b", "a"))).invoke({"x": 0})
    delivered(tracer)
    assert traced.tree() == (
        f"LangGraph [chain] success {MARKS.format(3, '1(success.unjudged)')}\n"
        f"{NODE_B.format('success')}{REJECTED}\n"
        "  a [chain] success #graph:step:3 #retry:attempt:3\n"
        "  b [chain] success #graph:step:4 #retry:attempt:3\n"
        "    validate:positive [chain] success\n"
        "  c [chain] success #graph:step:5"
    )


def test_exhausted_and_stop_count_as_0(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = graph(Lab(9), tracer)
    with pytest.raises(AttemptsExhaustedError):
        app.invoke({"x": 0})
    graph(Lab(9), tracer, ValidationEdge("b", positive, otherwise=STOP)).invoke({"x": 0})
    delivered(tracer)
    marks = MARKS.format(2, "0(escalated.unjudged)")
    assert traced.tree() == "\n".join(
        f"LangGraph [chain] {ended} {marks}\n{NODE_B.format(ended)}{REJECTED}"
        for ended in ("error", "success")
    )
    comments = {f.get("comment") for f in traced.feedback if f["key"] == "outcome"}
    assert comments == {f"lost at b: {app.coord.last.error}", "lost at b"}


def test_an_error_before_any_node(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = graph(Lab(), tracer)
    with pytest.raises(EmptyInputError):
        app.invoke(None)
    delivered(tracer)
    [root] = traced.runs
    assert told(traced, root) == feedback("error.crash")


@ASYNC
def test_a_pause_has_no_outcome_and_its_resume_has_one(
    traced: LangSmithServer, tracer: LangSmith, is_async: bool
) -> None:
    if is_async and sys.version_info < (3, 11):
        pytest.skip("before Python 3.11 LangGraph's async nodes have no interrupt()")

    def ask(state: Any, call: int) -> Any:
        return {"x": interrupt("how much?")}

    lab, builder = Lab(is_async=is_async), StateGraph(State)
    builder.add_node("b", lab.node("b", ask))
    builder.add_edge(START, "b")
    app = attach(
        builder.compile(checkpointer=InMemorySaver()),
        EDGE,
        pipeline="p",
        goal=goal,
        listeners=[tracer],
    )
    lab.run(app, {"x": 0}, THREAD)
    delivered(tracer)
    assert traced.feedback == []
    lab.run(app, Command(resume=7), THREAD)
    delivered(tracer)
    paused, resumed = traced.roots()
    assert (told(traced, paused), told(traced, resumed)) == ({}, FIRST)
    assert [ours(r)["outcome"] for r in (paused, resumed)] == [
        "in_flight.paused",
        "success.first_pass",
    ]
    assert labels(paused)["coord.run_id"] == labels(resumed)["coord.run_id"]
    assert {labels(r)["thread_id"] for r in (paused, resumed)} == {"t"}


def test_a_person_is_asked(traced: LangSmithServer, tracer: LangSmith) -> None:
    edge = ValidationEdge("b", positive, otherwise=HUMAN)
    app = graph(Lab(9), tracer, edge, checkpointer=InMemorySaver())
    app.invoke({"x": 0}, THREAD)
    delivered(tracer)
    assert traced.feedback == []
    app.invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    delivered(tracer)
    paused, resumed = traced.roots()
    assert (told(traced, paused), told(traced, resumed)) == ({}, feedback("escalated.unjudged", 2))
