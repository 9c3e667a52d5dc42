"""What holds of the traces of every host: one outcome a root, also with many runs at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from coord_langsmith import LangSmith
from langchain_core.runnables import RunnableLambda
from langsmith import run_trees

from coord_plugins import (
    LATER,
    AttemptsExhaustedError,
    Retry,
    ValidationEdge,
    _bus,
    check,
    configure,
    current_step,
    flush,
    iter_runs,
    record_outcome,
    track,
)
from coord_plugins.testing import LangSmithServer

GOOD, BAD = "a good draft", "a bad draft"
fine = check(lambda text: "bad" not in str(text), name="fine", feedback="do better")
"""Rejects BAD."""
NO_WAIT = Retry(max_attempts=3, initial_interval=0.0)


@pytest.fixture(autouse=True)
def untraced(untraced: None) -> Iterator[None]:
    """As the directory's own; a listener that outlives its test would hear later labels."""
    before = set(_bus._kept)
    yield
    for key in set(_bus._kept) - before:
        if isinstance(_bus._kept[key].listener, LangSmith):
            _bus._kept.pop(key).listener.close()


def delivered(*listeners: LangSmith) -> None:
    """Everything that was traced and told so far is in LangSmith."""
    run_trees.get_cached_client().flush()
    assert flush(30.0)
    assert all(listener.flush(30.0) for listener in listeners)
    run_trees.get_cached_client().flush()


def told(server: LangSmithServer, run: Any) -> dict[str, Any]:
    """The feedback on one run by key: the score, and the value where there is one."""
    found = server.feedback_on(run["id"])
    assert len({f["key"] for f in found}) == len(found)
    pairs = {f["key"]: (f["score"], f.get("value")) for f in found}
    return {key: pair[0] if pair[1] is None else pair for key, pair in pairs.items()}


def labels(run: Any) -> dict[str, Any]:
    """A run's metadata without what LangSmith's client adds by itself."""
    added = ("LANGSMITH_", "LANGCHAIN_", "ls_", "revision_id")
    found = (run.get("extra") or {}).get("metadata") or {}
    return {k: v for k, v in found.items() if not k.startswith(added)}


def ours(run: Any) -> dict[str, Any]:
    """What is said of the outcome in a run's metadata, short of ids and versions."""
    named = {k[6:]: v for k, v in labels(run).items() if k.startswith("coord.")}
    return {k: v for k, v in named.items() if k not in ("run_id", "policy_id", "version")}


def named(server: LangSmithServer, name: str) -> list[Any]:
    """The runs of a name, in dotted order."""
    found = [run for run in server.runs if run["name"] == name]
    return sorted(found, key=lambda run: str(run["dotted_order"]))


def feedback(outcome: str, attempts: int = 1, *, sub: str = "", cost: int | None = 0) -> Any:
    """All feedback of one run, as `told` gives it."""
    found = {
        f"outcome{sub}": (int(outcome.startswith("success.")), outcome),
        f"outcome{sub}.first_try": int(outcome == "success.first_pass"),
        f"attempts{sub}": attempts,
        f"cost_usd{sub}": cost,
    }
    return {k: v for k, v in found.items() if v is not None}


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path / "spool")


def langgraph_app(*listeners: Any, pipeline: str = "p", **settings: Any) -> Any:
    """One node that does what its input says: how often it is rejected first, and whether right."""
    coord_langgraph = pytest.importorskip("coord_langgraph")
    from langgraph.graph import START, StateGraph
    from typing_extensions import TypedDict

    class State(TypedDict, total=False):
        bad: int
        right: bool
        text: str
        hint: str

    def write(state: State) -> Any:
        return {"text": BAD if current_step().execution <= state["bad"] else GOOD}

    async def awrite(state: State) -> Any:
        await asyncio.sleep(0)
        return write(state)

    builder = StateGraph(State)
    builder.add_node("write", RunnableLambda(write, awrite))
    builder.add_edge(START, "write")
    edge = ValidationEdge("write", fine, of="text", feedback_to="hint")
    given = {"pipeline": pipeline, "listeners": listeners, "goal": lambda s: s["right"], **settings}
    return coord_langgraph.attach(builder.compile(), edge, **given)


ENDS = [
    ({"bad": 0, "right": True}, "success.first_pass"),
    ({"bad": 1, "right": True}, "success.unjudged"),
    ({"bad": 0, "right": False}, "silent_failure.first_pass"),
    ({"bad": 1, "right": False}, "silent_failure.after_retry"),
    ({"bad": 2, "right": True}, "escalated.unjudged"),
]


def each_has_its_own(server: LangSmithServer, count: int, stored: dict[str, str]) -> None:
    """Every root has the outcome that the store has for its run, and the inputs of that run."""
    roots, attempts = server.roots(), {"first_pass": 1, "unjudged": 2, "after_retry": 2}
    assert (len(roots), len(stored), len(server.feedback)) == (count, count, 4 * count)
    assert {labels(r)["coord.run_id"]: ours(r)["outcome"] for r in roots} == stored
    ends = {json.dumps(given, sort_keys=True): outcome for given, outcome in ENDS}
    for root in roots:
        outcome = ours(root)["outcome"]
        assert ends[json.dumps(root["inputs"], sort_keys=True)] == outcome
        assert told(server, root) == feedback(outcome, attempts[outcome.rpartition(".")[2]])
        [value] = server.feedback_on(root["id"], "outcome")
        source = value["feedback_source"]["metadata"]["coord"]
        assert source["run_id"] == labels(root)["coord.run_id"]


def test_300_concurrent_runs(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = langgraph_app(tracer)

    async def one(number: int) -> None:
        with suppress(AttemptsExhaustedError):
            await app.ainvoke(ENDS[number % len(ENDS)][0])

    async def main() -> None:
        await asyncio.gather(*(one(n) for n in range(300)))

    asyncio.run(main())
    delivered(tracer)
    each_has_its_own(traced, 300, {r.run_id: r.outcome for r in iter_runs()})
    assert len(named(traced, "attempt 2")) == 180


def test_16_threads(traced: LangSmithServer, tracer: LangSmith) -> None:
    app = langgraph_app(tracer)

    def some(worker: int) -> None:
        for number in range(5):
            with suppress(AttemptsExhaustedError):
                app.invoke(ENDS[(worker + number) % len(ENDS)][0])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(some, range(16)))
    delivered(tracer)
    each_has_its_own(traced, 80, {r.run_id: r.outcome for r in iter_runs()})


# ---------------------------------------------------------------------- more than one listener


def test_the_same_listener_given_twice(
    traced: LangSmithServer, tracer: LangSmith, tmp_path: Path
) -> None:
    """In one list, in `configure` beside it, and as another one with the same settings."""
    configure(listeners=[tracer, LangSmith(spool=tmp_path / "spool")])
    app = langgraph_app(tracer, tracer)
    app.invoke({"bad": 1, "right": True})
    with track("plain", listeners=[tracer], goal=lambda out: out) as run:
        run.output = True
    delivered(tracer)
    assert [told(traced, root) for root in traced.roots()] == [
        feedback("success.unjudged", 2),
        feedback("success.first_pass"),
    ]
    assert len(traced.runs) == 8
    assert len(named(traced, "attempt 2")) == 1
    assert (traced.duplicates, traced.repeated_feedback) == (0, 0)
    assert (tracer.stats()["traced"], tracer.stats()["sent"]) == (2, 2)


def test_two_listeners_with_different_keys(
    traced: LangSmithServer, tracer: LangSmith, tmp_path: Path
) -> None:
    """Each tells its own; a label that comes later corrects both, also inside a trace."""
    other = LangSmith(key="quality", spool=tmp_path / "other")
    app = langgraph_app(tracer, other, goal=LATER)
    app.invoke({"bad": 0, "right": True})
    delivered(tracer, other)
    [root] = traced.roots()
    assert told(traced, root) == {"attempts": 1, "cost_usd": 0}
    for passed, outcome in [(True, "success.first_pass"), (False, "silent_failure.first_pass")]:
        record_outcome(app.coord.last.run_id, passed=passed)
        delivered(tracer, other)
        assert told(traced, root) == {
            **feedback(outcome),
            "quality": (int(passed), outcome),
            "quality.first_try": int(passed),
        }
    [record] = iter_runs()
    assert {k for k in record.metadata if k.endswith(".key")} == {
        "langsmith.key",
        "langsmith.quality.key",
    }
