"""A repeated subgraph: where it goes on after an error, and that it starts afresh after a no."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

from coord_plugins import Retry, ValidationEdge

from .graphs import Lab, State, positive
from .test_topologies import SYNC_AND_ASYNC, quietly_attached

CONFIG = {"configurable": {"thread_id": "t"}}
NO_WAIT = Retry(max_attempts=4, initial_interval=0.0)
DURABILITY = pytest.mark.parametrize("durability", ["sync", "async"])


def nested(lab: Lab, second: Any) -> Any:
    """b is the subgraph i1 -> i2; `second` is what i2 does."""
    inner = StateGraph(State)
    inner.add_node("i1", lab.node("i1", lambda s, n: {"vals": [f"i1.{n}"]}))
    inner.add_node("i2", lab.node("i2", second))
    inner.add_edge(START, "i1")
    inner.add_edge("i1", "i2")
    graph = StateGraph(State)
    graph.add_node("b", inner.compile())
    graph.add_edge(START, "b")
    return graph.compile(checkpointer=InMemorySaver())


def failing(*bad: int) -> Any:
    """i2 loses the connection in these calls."""

    def second(state: Any, call: int) -> Any:
        if call in bad:
            raise ConnectionError("lost")
        return {"vals": [f"i2.{call}"], "x": call}

    return second


@SYNC_AND_ASYNC
@DURABILITY
def test_after_an_error_the_subgraph_resumes_at_its_failing_node(
    durability: str, is_async: bool
) -> None:
    """i1 runs once and i2 twice, where LangGraph's own retry runs both twice."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(nested(lab, failing(1)), retry=NO_WAIT)
    out = lab.run(app, {"x": 0}, CONFIG, durability=durability)
    assert lab.calls == {"i1": 1, "i2": 2}
    assert (out["vals"], out["x"]) == (["i1.1", "i2.2"], 2)
    b = app.coord.last.steps["b"]
    assert (b.executions, b.errors, b.retries) == (2, 1, 1)


@SYNC_AND_ASYNC
def test_after_a_rejection_the_subgraph_starts_afresh(is_async: bool) -> None:
    """Both nodes run again, on the step's own input; nothing of the rejected run is left."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(
        nested(lab, failing()), ValidationEdge("b", lambda out: (out["x"] > 1, "more"))
    )
    out = lab.run(app, {"x": 0}, CONFIG)
    assert lab.calls == {"i1": 2, "i2": 2}
    assert (out["vals"], out["x"]) == (["i1.2", "i2.2"], 2)


@SYNC_AND_ASYNC
@DURABILITY
def test_an_error_after_a_rejection_resumes_the_second_run(durability: str, is_async: bool) -> None:
    """Reject, fail, fail, pass: the retries go on in the regenerated candidate's own subgraph."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(
        nested(lab, failing(2, 3)),
        ValidationEdge("b", lambda out: (out["x"] > 1, "more")),
        retry=NO_WAIT,
    )
    out = lab.run(app, {"x": 0}, CONFIG, durability=durability)
    assert lab.calls == {"i1": 2, "i2": 4}
    assert (out["vals"], out["x"]) == (["i1.2", "i2.4"], 4)
    b = app.coord.last.steps["b"]
    assert (b.executions, b.errors, b.rejects, b.passes) == (4, 2, 1, 1)


@SYNC_AND_ASYNC
def test_reject_fail_reject_fail(is_async: bool) -> None:
    """Every candidate has a subgraph run of its own, and every error resumes the right one."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(
        nested(lab, failing(2, 4)),
        ValidationEdge("b", lambda out: (out["x"] > 3, "more"), max_attempts=3),
        retry=NO_WAIT,
    )
    out = lab.run(app, {"x": 0}, CONFIG)
    assert lab.calls == {"i1": 3, "i2": 5}
    assert out["vals"] == ["i1.3", "i2.5"]


@SYNC_AND_ASYNC
def test_an_interrupt_in_a_subgraph_resumes_there(is_async: bool) -> None:
    """The human is asked once, and the inner node before the question is not repeated."""
    lab = Lab(is_async=is_async)
    answers: list[Any] = []

    def second(state: Any, call: int) -> Any:
        answers.append(interrupt("?"))
        if len(answers) == 1:
            raise ConnectionError("lost")
        return {"x": 5}

    app = quietly_attached(nested(lab, second), ValidationEdge("b", positive), retry=NO_WAIT)
    lab.run(app, {"x": 0}, CONFIG)
    out = lab.run(app, Command(resume="yes"), CONFIG)
    assert (out["x"], answers) == (5, ["yes", "yes"])
    assert lab.calls == {"i1": 1, "i2": 3}


@SYNC_AND_ASYNC
def test_without_a_checkpointer_the_whole_subgraph_runs_again(is_async: bool) -> None:
    """There is nothing to resume from, so the inner state is not doubled either."""
    lab = Lab(is_async=is_async)
    graph = nested(lab, failing(1))
    graph.checkpointer = None
    app = quietly_attached(graph, retry=NO_WAIT)
    out = lab.run(app, {"x": 0})
    assert lab.calls == {"i1": 2, "i2": 2}
    assert out["vals"] == ["i1.2", "i2.2"]


@SYNC_AND_ASYNC
def test_a_fallback_does_not_resume_what_failed(is_async: bool) -> None:
    """The stand-in starts from the step's input."""
    lab = Lab(is_async=is_async)
    stand_in = lab.node("stand_in", lambda s, n: {"x": 7, "vals": [s["x"]]})
    retry = Retry(max_attempts=2, initial_interval=0.0, fallbacks=[stand_in])
    app = quietly_attached(nested(lab, failing(1, 2)), retry={"b": retry})
    out = lab.run(app, {"x": 0}, CONFIG)
    assert lab.calls == {"i1": 1, "i2": 2, "stand_in": 1}
    assert (out["x"], out["vals"]) == (7, [0])
    assert app.coord.last.steps["b"].fallbacks == 1


@SYNC_AND_ASYNC
def test_langgraphs_own_retry_policy_gives_the_same(is_async: bool) -> None:
    """Given to `attach`, LangGraph's RetryPolicy gets our resume and our error table."""
    lab = Lab(is_async=is_async)
    policy = RetryPolicy(initial_interval=0.0, max_attempts=2, jitter=False)
    app = quietly_attached(nested(lab, failing(1)), retry=policy)
    assert lab.run(app, {"x": 0}, CONFIG)["x"] == 2
    assert lab.calls == {"i1": 1, "i2": 2}
