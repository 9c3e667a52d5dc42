"""LangGraph, called in every way: whose trace it is, which project, and labels that come late."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import langsmith
import pytest

pytest.importorskip("langgraph.graph")

from coord_langgraph import attach
from coord_langsmith import LangSmith
from langchain_core.tracers import LangChainTracer
from langgraph.graph import START, StateGraph

from coord_plugins import LATER, ValidationEdge, flush, judge, record_outcome
from coord_plugins.testing import LangSmithServer

from ..langgraph.graphs import Lab, State, positive
from .test_traces_langgraph import EDGE, FIRST, goal, graph
from .test_traces_shared import delivered, feedback, labels, named, ours, told, untraced

__all__ = ["untraced"]
X: Any = {"x": 0}


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


# ---------------------------------------------------------------------- the ways to call it


def batch(app: Any) -> None:
    app.batch([X, X], {"max_concurrency": 1})


def stream(app: Any) -> None:
    for _ in range(2):
        list(app.stream(X, stream_mode=["updates", "values"]))


def configured(app: Any) -> None:
    app.with_config(tags=["copy"]).invoke(X)
    app.with_config({"recursion_limit": 9}).invoke(X)


def in_threads(app: Any) -> None:
    for _ in range(2):
        thread = threading.Thread(target=app.invoke, args=(X,))
        thread.start()
        thread.join()


async def abatch(app: Any) -> None:
    await app.abatch([X, X], {"max_concurrency": 1})


async def astream(app: Any) -> None:
    for _ in range(2):
        _ = [chunk async for chunk in app.astream(X)]


async def astream_events(app: Any) -> None:
    for _ in range(2):
        _ = [event async for event in app.astream_events(X, version="v2")]


async def gathered(app: Any) -> None:
    await asyncio.gather(app.ainvoke(X), app.ainvoke(X))


WAYS: list[Any] = [batch, stream, configured, in_threads, abatch, astream, astream_events, gathered]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_call_it_is_one_root_per_run(
    traced: LangSmithServer, tracer: LangSmith, way: Any
) -> None:
    """The second of two runs needs no repeat: the first was given all the bad answers."""
    lab = Lab(1, is_async=asyncio.iscoroutinefunction(way))
    app = graph(lab, tracer)
    asyncio.run(way(app)) if lab.is_async else way(app)
    delivered(tracer)
    roots = traced.roots()
    assert len(roots) == 2
    ended = sorted([told(traced, r) for r in roots], key=lambda f: f["attempts"])
    assert ended == [FIRST, feedback("success.unjudged", 2)]
    records = {r.run_id: r.outcome for r in app.coord.runs}
    assert {labels(r)["coord.run_id"]: ours(r)["outcome"] for r in roots} == records
    assert {r["name"] for r in roots} == {"LangGraph"}
    assert len(traced.feedback) == 8
    assert len(named(traced, "attempt 2")) == 1


def test_a_stream_that_its_reader_leaves(traced: LangSmithServer, tracer: LangSmith) -> None:
    chunks = graph(Lab(), tracer).stream(X)
    next(chunks)
    chunks.close()
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("error.cancelled")


# ---------------------------------------------------------------------- whose trace it is


def test_an_attached_graph_inside_an_attached_graph(
    traced: LangSmithServer, tracer: LangSmith
) -> None:
    lab = Lab(1)
    small = StateGraph(State)
    small.add_node("b", lab.node("b", lab.candidate))
    small.add_edge(START, "b")
    inner = attach(small.compile(), EDGE, pipeline="inner", goal=goal, listeners=[tracer])
    builder = StateGraph(State)
    builder.add_node("a", lab.node("a"))
    builder.add_node("s", inner)
    builder.add_edge(START, "a")
    builder.add_edge("a", "s")
    edge = ValidationEdge("s", positive)
    app = attach(builder.compile(), edge, pipeline="outer", goal=goal, listeners=[tracer])
    app.invoke(X)
    delivered(tracer)
    assert traced.tree() == (
        "LangGraph [chain] success attempts=1 cost_usd=0 outcome.first_try=1"
        " outcome=1(success.first_pass)\n"
        "  a [chain] success #graph:step:1\n"
        "  s [chain] success #graph:step:2\n"
        "    LangGraph [chain] success #seq:step:1 attempts.sub=2 cost_usd.sub=0"
        " outcome.sub.first_try=0 outcome.sub=1(success.unjudged)\n"
        "      b [chain] success #graph:step:1\n"
        "        validate:positive [chain] success #validate:rejected\n"
        "        attempt 2 [chain] success #retry:attempt:2\n"
        "          validate:positive [chain] success\n"
        "    validate:positive [chain] success"
    )
    outer, child = named(traced, "LangGraph")
    assert [ours(r)["pipeline"] for r in (outer, child)] == ["outer", "inner"]


def nodes(deeper: str, *marks: str) -> str:
    found = ["LangGraph [chain] success" + "".join(f" {m}" for m in marks)]
    found += [f"  {n} [chain] success #graph:step:{i}" for i, n in enumerate("abc", 1)]
    found.insert(3, "    validate:positive [chain] success")
    return "\n".join(deeper + line for line in found)


ONE = "attempts=1 cost_usd=0 outcome.first_try=1 outcome=1(success.first_pass)"
SUB = "attempts.sub=1 cost_usd.sub=0 outcome.sub.first_try=1 outcome.sub=1(success.first_pass)"


def test_the_users_own_trace_gets_the_outcome(traced: LangSmithServer, tracer: LangSmith) -> None:
    """One `outcome` a trace; what is said of a graph stands on its own run alone."""
    app = graph(Lab(), tracer, tags=["nightly"])

    @langsmith.traceable
    def work() -> None:
        app.invoke(X)

    work()
    with langsmith.trace("two", inputs={}):
        app.invoke(X)
        app.invoke(X)
    delivered(tracer)
    tag, deeper = "#nightly", "  "
    assert traced.tree().splitlines() == [
        f"work [chain] success {ONE}",
        *nodes(deeper, tag).splitlines(),
        f"two [chain] success {ONE}",
        *nodes(deeper, tag).splitlines(),
        *nodes(deeper, tag, SUB).splitlines(),
    ]
    assert [ours(r) for r in traced.roots()] == [{}, {}]
    assert [ours(r)["outcome"] for r in named(traced, "LangGraph")] == ["success.first_pass"] * 3


# ---------------------------------------------------------------------- where it goes


def test_only_what_is_traced_has_an_outcome_in_its_own_project(
    server: LangSmithServer, tracer: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's tracing is off: a tracer among the callbacks, or a context, turns it on."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, "false" if name == "LANGSMITH_TRACING" else value)
    app = graph(Lab(), tracer)
    app.invoke(X)
    app.invoke(X, {"callbacks": [LangChainTracer(project_name="callbacks")]})
    with langsmith.tracing_context(enabled=True, project_name="context"):
        app.invoke(X)
    with langsmith.tracing_context(enabled=True):
        app.invoke(X)
    delivered(tracer)
    assert [p["name"] for p in server.projects] == ["callbacks", "context", "default"]
    for project in ("callbacks", "context", "default"):
        [root] = server.roots(project)
        assert told(server, root) == FIRST
        assert {f["session_id"] for f in server.feedback_on(root["id"])} == {root["session_id"]}
    assert len(app.coord.runs) == 4
    assert tracer.stats()["traced"] == 3


def test_a_context_turns_it_off(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = graph(Lab(1), tracer)
    with langsmith.tracing_context(enabled=False):
        app.invoke(X)
    assert flush()
    assert (traced.requests, tracer.stats()["traced"], len(app.coord.runs)) == ([], 0, 1)


# ---------------------------------------------------------------------- late labels


def test_a_judge_labels_after_the_run(traced: LangSmithServer, tracer: LangSmith) -> None:
    """`attempts` is there at once; the label comes from a worker."""
    asked = threading.Event()

    def says(state: Any) -> Any:
        assert asked.wait(10)
        return False, "not polite"

    app = graph(Lab(), tracer, goal=judge(says, name="polite"))
    app.invoke(X)
    asked.set()
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("silent_failure.first_pass")
    [outcome] = traced.feedback_on(root["id"], "outcome")
    assert outcome["comment"] == "lost at goal: not polite"


def test_late_labels_correct_the_same_feedback(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = graph(Lab(), tracer, goal=LATER)
    app.invoke(X)
    delivered(tracer)
    [root], run_id = traced.roots(), app.coord.last.run_id
    assert told(traced, root) == {"attempts": 1, "cost_usd": 0}
    ids = set()
    for passed, outcome in [(True, "success"), (False, "silent_failure"), (True, "success")]:
        record_outcome(run_id, passed=passed, source="the customer")
        delivered(tracer)
        assert told(traced, root) == feedback(f"{outcome}.first_pass")
        ids |= {f["id"] for f in traced.feedback}
    assert len(ids) == 4


OTHER = """
import sys
from coord_langsmith import LangSmith
from coord_plugins import configure, flush, record_outcome
tracer = LangSmith(spool=sys.argv[3])
configure(store=sys.argv[1], listeners=[tracer])
record_outcome(sys.argv[2], passed=False, source="ticket reopened")
assert flush(30) and tracer.flush(30), tracer.stats()
"""


@pytest.mark.parametrize("first", [LATER, goal], ids=["unlabelled", "labelled"])
def test_a_label_from_another_process(
    traced: LangSmithServer, tracer: LangSmith, tmp_path: Path, first: Any
) -> None:
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    app = graph(Lab(), tracer, goal=first, store=store)
    app.invoke(X)
    delivered(tracer)
    arguments = [store, app.coord.last.run_id, str(tmp_path / "other")]
    subprocess.run([sys.executable, "-c", OTHER, *arguments], check=True, timeout=60)
    [root] = traced.roots()
    assert told(traced, root) == feedback("silent_failure.first_pass")
    [outcome] = traced.feedback_on(root["id"], "outcome")
    assert outcome["feedback_source"]["metadata"]["coord"]["run_id"] == app.coord.last.run_id
    assert len(traced.feedback) == 4
