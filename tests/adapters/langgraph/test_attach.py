"""What attaching does, finds and refuses."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import inspect
import warnings
from typing import Any

import pytest
from coord_langgraph import _private, attach, retrying, validated
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, RetryPolicy, Send
from typing_extensions import TypedDict

from coord_plugins import (
    HUMAN,
    AlreadyAttachedError,
    AsyncValidatorError,
    AttemptsExhaustedError,
    Budget,
    CoordWarning,
    PolicyError,
    Retry,
    UnknownStepError,
    UnsupportedHostError,
    ValidationEdge,
    check,
    collect_runs,
    current_feedback,
    current_run,
    track,
)
from coord_plugins import START as ENTRY

from .graphs import Lab, State, fan_out, implicit_join, positive, static
from .test_topologies import SYNC_AND_ASYNC, quietly_attached

NO_WAIT = Retry(max_attempts=3, initial_interval=0.0)
CONFIG = {"configurable": {"thread_id": "t"}}


_CACHES = ("flat_writers", "node", "input_cache_key")  # computed on demand, by drawing for one


def snapshot(graph: Any) -> dict[str, Any]:
    """Everything of a compiled graph that attaching could have touched."""
    nodes = {
        name: (
            node.bound,
            tuple(node.writers),
            tuple(node.writers[0].writes),
            {k: v for k, v in vars(node).items() if k not in _CACHES},
        )
        for name, node in graph.nodes.items()
    }
    return {
        "nodes": nodes,
        "channels": dict(graph.channels),
        "rest": {k: v for k, v in vars(graph).items() if k not in ("nodes", "channels")},
    }


@SYNC_AND_ASYNC
def test_the_users_graph_is_untouched(is_async: bool) -> None:
    """Before and after are the same objects, and both graphs run side by side."""
    lab = Lab(1, is_async=is_async)
    bare = static(lab).compile()
    before = snapshot(bare)
    app = quietly_attached(
        bare, ValidationEdge("b", positive, back_to=("a", ENTRY)), retry={"*": NO_WAIT}
    )
    assert lab.run(app, {"x": 0})["x"] == 5
    after = snapshot(bare)
    assert after["nodes"] == before["nodes"]
    assert after["channels"] == before["channels"]
    assert after["rest"] == before["rest"]
    lab.calls.clear()
    assert lab.run(bare, {"x": 0})["x"] == -1
    assert lab.calls == {"a": 1, "b": 1, "c": 1}
    assert len(app.coord.runs) == 1
    assert type(app).__mro__[2] is type(bare)
    assert isinstance(app, type(bare))


def test_the_loop_back_is_drawn() -> None:
    """`get_graph()` shows each way back and the way out, with labels."""
    lab = Lab()
    edge = ValidationEdge("b", positive, back_to=("b", "a"), otherwise="desk")
    graph = static(lab)
    graph.add_node("desk", lab.node("desk"))
    app = quietly_attached(graph.compile(), edge)
    drawn = {(e.source, e.target, e.data) for e in app.get_graph().edges}
    assert {("b", "b", "rejected"), ("b", "a", "rejected"), ("b", "desk", "exhausted")} <= drawn
    assert ("b", "c", None) in drawn  # the user's own edge
    assert "rejected" in app.get_graph().draw_mermaid()
    app = quietly_attached(static(lab).compile(), ValidationEdge("b", positive, back_to=ENTRY))
    assert ("b", "a", "rejected") in {(e.source, e.target, e.data) for e in app.get_graph().edges}


def test_attaching_twice() -> None:
    """Equal arguments give the same object; others are an error that says what to do."""
    app = quietly_attached(static(Lab()).compile(), ValidationEdge("b", positive))
    assert attach(app, ValidationEdge("b", positive), pipeline="p") is app
    with pytest.raises(AlreadyAttachedError, match=r"\.coord\.detach\(\)"):
        attach(app, pipeline="p")
    assert attach(app.coord.detach(), pipeline="q").coord.policy.pipeline == "q"


def test_hosts_that_are_no_compiled_graph() -> None:
    """An uncompiled graph, a workflow of the functional API, and anything else."""
    with pytest.raises(PolicyError, match=r"graph\.compile\(\)"):
        attach(static(Lab()), pipeline="p")

    @entrypoint()
    def workflow(x: int) -> int:
        return x

    for host in (workflow, object()):
        with pytest.raises(PolicyError, match="decorate the functions"):
            attach(host, pipeline="p")


@pytest.mark.parametrize(
    ("edges", "settings", "words"),
    [
        ([ValidationEdge("bb", positive)], {}, "edge 'bb': there is no step 'bb'; did you mean"),
        ([ValidationEdge("b", positive, back_to="aa")], {}, "back_to: there is no step 'aa'"),
        ([ValidationEdge("b", positive, otherwise="cc")], {}, "otherwise: there is no step 'cc'"),
        ([], {"retry": {"zz": NO_WAIT}}, "there is no step 'zz'; the steps are a, b, c"),
        ([], {"retry": {"a": Retry(fallbacks=["bb"])}}, "fallbacks: there is no step 'bb'"),
        ([], {"budget": Budget(max_attempts=1, otherwise="cc")}, "there is no step 'cc'"),
    ],
)
def test_unknown_names(edges: Any, settings: Any, words: str) -> None:
    """The error names the thing and suggests the mend."""
    with pytest.raises(UnknownStepError, match=words):
        attach(static(Lab()).compile(), *edges, pipeline="p", **settings)


def warned(graph: Any, *edges: ValidationEdge) -> list[str]:
    """What attaching warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CoordWarning)
        app = attach(graph, *edges, pipeline="p")
    said = [str(w.message) for w in caught if w.category is CoordWarning]
    assert list(app.coord.findings) == said
    assert all(sentence in app.coord.explain() for sentence in said)
    assert all(w.filename == __file__ for w in caught if w.category is CoordWarning)
    return said


def test_findings() -> None:
    """Each thing that works otherwise than expected is named, and nothing else."""
    lab = Lab()
    edge = ValidationEdge("b", positive, back_to="a")
    assert warned(static(lab).compile(), edge) == []
    (human,) = warned(static(lab).compile(), ValidationEdge("b", positive, otherwise=HUMAN))
    assert "edge 'b': otherwise=HUMAN needs a checkpointer" in human
    saved = static(lab).compile(checkpointer=InMemorySaver())
    assert warned(saved, ValidationEdge("b", positive, otherwise=HUMAN)) == []
    sibling, join = warned(implicit_join(lab).compile(), edge)
    assert "edge 'b': going back to 'a' also runs m again" in sibling
    assert "makes 'j' run more than once: it is an implicit join" in join
    assert warned(implicit_join(lab).compile(), ValidationEdge("b", positive)) == []
    assert warned(fan_out(lab).compile(), edge) == []  # the fan-out comes after the edge


def test_the_finding_of_a_cached_node() -> None:
    """A cached rejection would come back for ever, so the judged node's cache is off."""
    lab = Lab(1)
    graph = StateGraph(State)
    graph.add_node("b", lab.node("b", lab.candidate), cache_policy=CachePolicy())
    graph.add_edge(START, "b")
    bare = graph.compile(cache=InMemoryCache())
    (cached,) = warned(bare, ValidationEdge("b", positive))
    assert "edge 'b': the node's cache is switched off" in cached
    app = quietly_attached(bare, ValidationEdge("b", positive))
    assert [app.invoke({"x": 0})["vals"] for _ in range(2)] == [[("b", 2)], [("b", 3)]]
    app = quietly_attached(bare)  # without an edge the cache stays
    assert [app.invoke({"x": 1})["vals"] for _ in range(2)] == [[("b", 4)], [["b", 4]]]
    assert lab.calls["b"] == 4


def test_the_finding_of_a_missing_feedback_route() -> None:
    """A step that cannot hear why it was rejected is named."""

    class Small(TypedDict, total=False):
        x: int

    graph = StateGraph(Small)
    graph.add_node("b", lambda state: {"x": 1})
    graph.add_edge(START, "b")
    (deaf,) = warned(graph.compile(), ValidationEdge("b", positive))
    assert "feedback has no route to 'b'" in deaf
    routed = ValidationEdge("b", positive, feedback_to="x")
    assert warned(graph.compile(), routed) == []

    def hears(state: Any) -> Any:
        return {"x": 1 if current_feedback() else -1}

    graph = StateGraph(Small)
    graph.add_node("b", hears)
    graph.add_edge(START, "b")
    assert warned(graph.compile(), ValidationEdge("b", positive)) == []
    app = quietly_attached(graph.compile(), ValidationEdge("b", positive))
    assert app.invoke({}) == {"x": 1}


def test_a_decorated_node_and_a_policy_for_it() -> None:
    """One of the two, never both."""

    @validated(lambda out: out["x"] > 0)
    def b(state: Any) -> Any:
        return {"x": 5}

    graph = StateGraph(State)
    graph.add_node("b", b)
    graph.add_edge(START, "b")
    for edges, settings in (([ValidationEdge("b", positive)], {}), ([], {"retry": {"b": NO_WAIT}})):
        with pytest.raises(PolicyError, match="decorated"):
            attach(graph.compile(), *edges, pipeline="p", **settings)


@SYNC_AND_ASYNC
def test_decorated_nodes_in_an_attached_graph(is_async: bool) -> None:
    """The decorators' executions belong to the run; LangGraph's injection still works."""
    lab, calls = Lab(is_async=is_async), []

    def work(state: Any, config: Any, feedback: Any = None) -> Any:
        calls.append(feedback)
        if len(calls) == 1:
            raise ConnectionError("lost")
        assert config["configurable"]["tenant"] == "acme"
        return {"x": len(calls) - 2}

    from langchain_core.runnables import RunnableConfig

    if is_async:

        @retrying(NO_WAIT)
        @validated(positive, max_attempts=3)
        async def b(state: Any, config: RunnableConfig, feedback: Any = None) -> Any:
            return work(state, config, feedback)
    else:

        @retrying(NO_WAIT)
        @validated(positive, max_attempts=3)
        def b(state: Any, config: RunnableConfig, feedback: Any = None) -> Any:
            return work(state, config, feedback)

    graph = StateGraph(State)
    graph.add_node("b", b)
    graph.add_edge(START, "b")
    app = quietly_attached(graph.compile(), goal=lambda out: out["x"] == 1)
    config = {"configurable": {"tenant": "acme"}}
    assert lab.run(app, {"x": 0}, config)["x"] == 1
    step = app.coord.last.steps["b"]
    assert (step.executions, step.errors, step.rejects, step.passes) == (3, 1, 1, 1)
    assert calls == [None, None, "x must be above 0, not 0"]
    assert app.coord.last.outcome == "success.unjudged"
    calls.clear()
    bare = graph.compile()  # and without attaching, around it
    with track("t") as run:
        assert lab.run(bare, {"x": 0}, config)["x"] == 1
    assert run.tallies["b"].executions == 3


def test_a_model_as_fallback_is_refused() -> None:
    """LangGraph has no place for it; the error says what fits."""
    model = GenericFakeChatModel(messages=iter([]))
    with pytest.raises(PolicyError, match="retry of 'b'.*a function like the node"):
        attach(static(Lab()).compile(), pipeline="p", retry={"b": Retry(fallbacks=[model])})


@pytest.mark.parametrize("kind", ["by_name", "callable"])
@SYNC_AND_ASYNC
def test_fallbacks(kind: str, is_async: bool) -> None:
    """Another node's work, or a function like the node; its output is judged like any other."""
    lab = Lab(is_async=is_async)

    def broken(state: Any, call: int) -> Any:
        raise ConnectionError("lost")

    spare = lab.node("spare", lambda s, n: {"x": n - 1, "vals": [s["x"]]})
    graph = StateGraph(State)
    graph.add_node("b", lab.node("b", broken))
    graph.add_node("other", spare)
    graph.add_edge(START, "b")
    fallback = "other" if kind == "by_name" else spare
    retry = Retry(max_attempts=2, initial_interval=0.0, fallbacks=[fallback])
    app = quietly_attached(graph.compile(), ValidationEdge("b", positive), retry={"b": retry})
    out = lab.run(app, {"x": 0})
    # two failures and a stand-in whose first candidate is rejected: the same again, then it holds
    assert lab.calls == {"b": 4, "spare": 2}
    assert (out["x"], out["vals"]) == (1, [0])
    assert lab.heard["spare"] == [None, "x must be above 0, not 0"]
    b = app.coord.last.steps["b"]
    assert (b.errors, b.retries, b.fallbacks, b.rejects) == (4, 2, 2, 1)


def test_changed_private_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one is an error at attach that names it and the last good version."""

    def refused(what: str) -> None:
        with pytest.raises(UnsupportedHostError, match=what) as caught:
            attach(static(Lab()).compile(), pipeline="p")
        assert _private.PARTS.last_good in str(caught.value)

    with monkeypatch.context() as patch:
        patch.setattr(_private.PARTS, "gone", ["langgraph.pregel._write.ChannelWrite"])
        refused("ChannelWrite is gone")
    with monkeypatch.context() as patch:
        patch.setattr(_private, "_COUNTERS", {"step", "a_new_field"})
        refused("PregelScratchpad lost a_new_field")
    with monkeypatch.context() as patch:
        patch.setattr("langgraph._internal._constants.CONFIG_KEY_SEND", "__other__")
        refused("CONFIG_KEY_SEND is no longer '__pregel_send'")
    graph = static(Lab()).compile()
    graph.nodes["b"].writers.insert(0, object())
    with pytest.raises(UnsupportedHostError, match="the first writer of node 'b'"):
        attach(graph, pipeline="p")
    graph = static(Lab()).compile()
    graph.nodes["b"].writers.append(object())
    with pytest.raises(UnsupportedHostError, match="a writer of node 'b'"):
        attach(graph, pipeline="p")
    assert _private.PARTS.name("langgraph.types", "NoSuchName") is None
    assert _private.PARTS.gone.pop() == "langgraph.types.NoSuchName"


@SYNC_AND_ASYNC
def test_coord_survives_copies(is_async: bool) -> None:
    """`with_config`, `copy` and use as a subgraph keep the policy and `.coord`."""
    lab = Lab(1, is_async=is_async)
    app = quietly_attached(static(lab).compile(), ValidationEdge("b", positive))
    named = app.with_config(tags=["x"], metadata={"tenant": "acme"}, run_name="named")
    assert named.coord is app.coord
    assert app.copy({"name": "other"}).name == "other"
    assert copy.copy(app).coord is app.coord
    lab.run(named, {"x": 0}, {"metadata": {"user": 7}})
    record = app.coord.last
    assert record.tags == ("x",)
    assert record.metadata == {"tenant": "acme", "user": 7}
    assert record.steps["b"].rejects == 1
    outer = StateGraph(State)
    outer.add_node("sub", app)
    outer.add_edge(START, "sub")
    lab.calls.clear()
    assert lab.run(outer.compile(), {"x": 0})["x"] == 5
    assert len(app.coord.runs) == 2


@SYNC_AND_ASYNC
@pytest.mark.parametrize("ours", [True, False])
def test_the_nodes_own_retry_policy(ours: bool, is_async: bool) -> None:
    """Off under our Retry, so that tries do not multiply; without ours it stays."""
    lab = Lab(is_async=is_async)

    def flaky(state: Any, call: int) -> Any:
        if call < 4:
            raise ConnectionError("lost")
        return {"x": 5}

    graph = StateGraph(State)
    native = RetryPolicy(initial_interval=0.0, max_attempts=4, jitter=False)
    graph.add_node("b", lab.node("b", flaky), retry_policy=native)
    graph.add_edge(START, "b")
    app = quietly_attached(graph.compile(), retry={"b": NO_WAIT} if ours else None)
    if ours:
        with pytest.raises(ConnectionError):
            lab.run(app, {"x": 0})
        assert lab.calls["b"] == 3
    else:
        assert lab.run(app, {"x": 0})["x"] == 5
        assert lab.calls["b"] == 4
    b = app.coord.last.steps["b"]
    assert b.executions == lab.calls["b"]
    assert b.errors == 3


@SYNC_AND_ASYNC
def test_none_switches_the_nodes_own_retry_policy_off(is_async: bool) -> None:
    """It is an order: nobody repeats this node. The others keep theirs."""
    lab = Lab(is_async=is_async)

    def flaky(state: Any, call: int) -> Any:
        if call < 2:
            raise ConnectionError("lost")
        return {"x": 5}

    native = RetryPolicy(initial_interval=0.0, max_attempts=4, jitter=False)
    graph = StateGraph(State)
    graph.add_node("a", lab.node("a", flaky), retry_policy=native)
    graph.add_node("b", lab.node("b", flaky), retry_policy=native)
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    app = quietly_attached(graph.compile(), retry={"b": None})
    with pytest.raises(ConnectionError):
        lab.run(app, {"x": 0})
    assert (lab.calls["a"], lab.calls["b"]) == (2, 1)


@SYNC_AND_ASYNC
def test_an_exhausted_edge_is_not_for_the_nodes_own_retry_policy(is_async: bool) -> None:
    """LangGraph must not start a spent edge anew."""
    lab = Lab(99, is_async=is_async)
    graph = StateGraph(State)
    native = RetryPolicy(initial_interval=0.0, max_attempts=3, jitter=False, retry_on=Exception)
    graph.add_node("b", lab.node("b", lab.candidate), retry_policy=native)
    graph.add_edge(START, "b")
    app = quietly_attached(graph.compile(), ValidationEdge("b", positive))
    with pytest.raises(AttemptsExhaustedError):
        lab.run(app, {"x": 0})
    assert lab.calls["b"] == 2
    assert app.coord.last.steps["b"].exhausted == 1


def test_a_node_timeout_under_our_retry() -> None:
    """LangGraph cancels the node from outside (1.2 on; before, the node times itself out)."""
    lab = Lab(is_async=True)

    async def slow(state: Any) -> Any:
        lab.calls["b"] += 1
        if lab.calls["b"] < 3:
            await asyncio.wait_for(asyncio.Event().wait(), None if native else 0.01)
        return {"x": 5}

    graph = StateGraph(State)
    native = "timeout" in inspect.signature(StateGraph.add_node).parameters
    graph.add_node("b", slow, **({"timeout": 0.02} if native else {}))
    graph.add_edge(START, "b")
    retry = Retry(max_attempts=3, initial_interval=0.0, jitter=False)
    app = quietly_attached(graph.compile(), retry={"b": retry}, goal=lambda out: True)
    assert lab.run(app, {"x": 0})["x"] == 5
    assert lab.calls["b"] == 3
    record = app.coord.last
    assert (record.steps["b"].executions, record.steps["b"].errors) == (3, 2)
    assert record.outcome == "success.crash_retried"
    lab.calls["b"] = -10
    with pytest.raises(Exception) as caught:
        lab.run(app, {"x": 0})
    assert type(caught.value).__name__ == ("NodeTimeoutError" if native else "TimeoutError")
    assert lab.calls["b"] == -7
    assert app.coord.last.outcome == "error.timeout"


def test_async_validators_on_a_sync_call() -> None:
    """The error comes before the first step, for edges and goals alike."""

    async def later(output: Any) -> bool:
        return True

    for edges, settings in (([ValidationEdge("b", later)], {}), ([], {"goal": check(later)})):
        lab = Lab()
        app = quietly_attached(static(lab).compile(), *edges, **settings)
        with pytest.raises(AsyncValidatorError, match="later"):
            app.invoke({"x": 0})
        with pytest.raises(AsyncValidatorError, match="later"):
            list(app.stream({"x": 0}))
        assert lab.calls == {}
        assert asyncio.run(app.ainvoke({"x": 0}))["x"] == 5


@SYNC_AND_ASYNC
def test_batches(is_async: bool) -> None:
    """Each input is a run of its own."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(static(lab).compile(), task=lambda inputs: inputs["x"])
    inputs = [{"x": n} for n in range(10)]
    with collect_runs() as runs:
        out = asyncio.run(app.abatch(inputs)) if is_async else app.batch(inputs)
    assert len(out) == 10
    assert sorted(int(r.task) for r in runs) == list(range(10))
    assert len({r.run_id for r in app.coord.runs}) == 10


def echoing() -> Any:
    """a says which run it is in; b checks it, rejecting every second input once."""
    graph = StateGraph(State)

    async def a(state: Any) -> Any:
        await asyncio.sleep(0)
        return {"vals": [current_run().run_id]}

    async def b(state: Any, feedback: str | None = None) -> Any:
        assert state["vals"] == [current_run().run_id]
        await asyncio.sleep(0)
        return {"x": -1 if state["x"] % 2 and feedback is None else state["x"] + 1}

    graph.add_node("a", a)
    graph.add_node("b", b)
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    return graph.compile()


def test_300_concurrent_runs() -> None:
    """Every run has its own id, counters and record."""
    app = quietly_attached(
        echoing(), ValidationEdge("b", positive), task=lambda i: i["x"], goal=lambda out: True
    )

    async def main() -> list[Any]:
        return await asyncio.gather(*(app.ainvoke({"x": n}) for n in range(300)))

    out = asyncio.run(main())
    assert [o["x"] for o in out] == list(range(1, 301))
    records = {int(r.task): r for r in app.coord.runs}
    assert len(records) == len({r.run_id for r in records.values()}) == 300
    for n, record in records.items():
        assert record.run_id == out[n]["vals"][0]
        assert record.steps["b"].rejects == n % 2
    assert app.coord.summary().only.outcomes["success.unjudged"] == 150


def test_16_threads() -> None:
    """The same from threads, with parallel Send workers in each run."""
    lab = Lab()
    graph = StateGraph(State)
    graph.add_node("w", lambda s: {"vals": [s["i"]]})
    graph.add_conditional_edges(START, lambda s: [Send("w", {"i": i}) for i in range(20)], ["w"])
    app = quietly_attached(graph.compile(), ValidationEdge("w", lambda out: True))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda n: app.invoke({"x": n}), range(64)))
    assert all(sorted(out["vals"]) == list(range(20)) for out in done)
    assert len(app.coord.runs) == 64
    for record in app.coord.runs:
        w = record.steps["w"]
        assert (w.executions, w.calls, w.passes) == (20, 20, 20)
    assert lab.calls == {}


@SYNC_AND_ASYNC
def test_nested_attached_graphs(is_async: bool) -> None:
    """The inner run is a child; what it spent is the outer run's too, once."""
    lab = Lab(is_async=is_async)

    def spend(state: Any, call: int) -> Any:
        current_run().add_usage(model="m", input_tokens=10, output_tokens=5, cost_usd=0.25)
        return {"x": 5}

    inner = StateGraph(State)
    inner.add_node("i", lab.node("i", spend))
    inner.add_edge(START, "i")
    child = attach(inner.compile(), pipeline="child")
    outer = StateGraph(State)
    outer.add_node("a", lab.node("a", spend))
    outer.add_node("sub", child)
    outer.add_edge(START, "a")
    outer.add_edge("a", "sub")
    app = attach(outer.compile(), pipeline="parent")
    lab.run(app, {"x": 0})
    parent, inside = app.coord.last, child.coord.last
    assert inside.parent_id == parent.run_id
    assert parent.parent_id is None
    assert (inside.cost, inside.tokens) == (0.25, 15)
    assert (parent.cost, parent.tokens) == (0.5, 30)
    assert parent.steps["(child runs)"].cost == 0.25
    assert (parent.steps["a"].executions, parent.steps["sub"].executions) == (1, 1)
    assert "i" not in parent.steps
