"""An attached LangGraph graph as the target: its own rescue and its own error are what counts."""

from __future__ import annotations

import asyncio
from typing import Any

import langsmith
import pytest
from coord_langgraph import attach
from coord_langsmith._evaluation import e2e_evaluator, e2e_summary
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from coord_plugins import ValidationEdge, check
from coord_plugins.testing import LangSmithServer

from .projects import REFERENCE


class State(TypedDict, total=False):
    n: int
    answer: int


def pipeline() -> Any:
    """Doubles n. 1 is rescued by the second candidate, 2 is delivered wrong, 3 is never right."""
    calls: dict[int, int] = {}

    def double(state: State, feedback: str | None = None) -> State:
        n = state["n"]
        calls[n] = calls.get(n, 0) + 1
        if n == 3 or (n == 1 and calls[n] == 1):
            return {"answer": -1}
        return {"answer": 5 if n == 2 else 2 * n}

    graph = StateGraph(State)
    graph.add_node("double", double)
    graph.add_edge(START, "double")
    graph.add_edge("double", END)
    edge = ValidationEdge("double", check(lambda out: out["answer"] >= 0, name="positive"))
    return attach(graph.compile(), edge, pipeline="doubles", store="off")


EXAMPLES = [{"inputs": {"n": n}, "outputs": {"answer": 2 * n}} for n in range(4)]
VALUES = ["success", "success", "failure", "error"]


def doubled(answer: Any, *, reference_outputs: Any) -> bool:
    return bool(answer == reference_outputs["answer"])


@pytest.mark.parametrize("is_async", [False, True], ids=["evaluate", "aevaluate"])
def test_an_attached_graph_is_evaluated_end_to_end(server: LangSmithServer, is_async: bool) -> None:
    client = server.client()
    dataset = client.create_dataset("doubles")
    client.create_examples(
        dataset_id=dataset.id,
        examples=[{"inputs": e["inputs"], REFERENCE: e["outputs"]} for e in EXAMPLES],
    )
    evaluator = e2e_evaluator(doubled, output="answer")
    settings: dict[str, Any] = {
        "data": "doubles",
        "evaluators": [evaluator],
        "summary_evaluators": [e2e_summary(evaluator, k=[1])],
        "client": client,
    }
    target = pipeline()
    if is_async:
        results: Any = asyncio.run(langsmith.aevaluate(target, **settings))
    else:
        results = langsmith.evaluate(target, **settings)
    client.flush()
    project = client.read_project(project_name=results.experiment_name, include_stats=True)
    assert project.feedback_stats["e2e"]["avg"] == 2 / 4
    assert project.run_count == 4
    said = {f["run_id"]: f for f in server.feedback if f["key"] == "e2e" and f.get("run_id")}
    n_of = {str(e.id): e.inputs["n"] for e in client.list_examples(dataset_id=dataset.id)}
    roots = server.roots(results.experiment_name)
    by_n = {n_of[root["reference_example_id"]]: said[root["id"]] for root in roots}
    assert [by_n[n]["value"] for n in range(4)] == VALUES
    assert by_n[3]["comment"].startswith("the target raised AttemptsExhaustedError")
    assert [r.outcome for r in target.coord.runs] == [
        "unlabelled",
        "unlabelled",
        "unlabelled",
        "escalated.unjudged",
    ]
