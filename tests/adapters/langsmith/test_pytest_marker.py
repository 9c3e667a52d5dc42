"""LangSmith's own `@pytest.mark.langsmith` beside an attached pipeline, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coord_plugins.testing import LangSmithServer

ROOT = Path(__file__).parents[3]
TESTS = """
import pytest
from coord_langgraph import attach
from langgraph.graph import END, START, StateGraph
from langsmith import testing
from typing_extensions import TypedDict

from coord_plugins import ValidationEdge, check


class State(TypedDict, total=False):
    n: int
    answer: int


calls = []


def double(state):
    calls.append(state["n"])
    return {"answer": -1 if len(calls) == 1 else 2 * state["n"]}


graph = StateGraph(State)
graph.add_node("double", double)
graph.add_edge(START, "double")
graph.add_edge("double", END)
edge = ValidationEdge("double", check(lambda out: out["answer"] >= 0, name="positive"))
app = attach(graph.compile(), edge, pipeline="doubles", goal=lambda out: out["answer"] % 2 == 0)


@pytest.mark.langsmith
@pytest.mark.parametrize("n", [1, 2])
def test_doubles(n):
    testing.log_inputs({"n": n})
    testing.log_reference_outputs({"answer": 2 * n})
    output = app.invoke({"n": n})
    testing.log_outputs(output)
    testing.log_feedback(key="e2e", score=int(app.coord.last.passed))
    assert output["answer"] == 2 * n


@pytest.mark.langsmith
def test_fails():
    testing.log_inputs({"n": 3})
    testing.log_feedback(key="e2e", score=0)
    assert app.invoke({"n": 3})["answer"] == 7


def test_what_the_pipeline_recorded():
    assert [r.outcome for r in app.coord.runs] == [
        "success.unjudged",
        "success.first_pass",
        "success.first_pass",
    ]
"""


def run(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (folder / "test_marked.py").write_text(TESTS)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_marked.py"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
            "COORD_STORE": "memory",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_marked_tests_are_traced_with_their_feedback_on_the_root(
    server: LangSmithServer, tmp_path: Path
) -> None:
    done = run(tmp_path, {**server.environment(), "LANGSMITH_TEST_SUITE": "doubles"})
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    by_test: dict[str, list[Any]] = {}
    for root in server.roots():
        by_test.setdefault(root["name"], []).append(root)
    said = {
        name: [{f["key"]: f["score"] for f in server.feedback_on(root["id"])} for root in roots]
        for name, roots in by_test.items()
    }
    assert said == {
        "test_doubles": [{"e2e": 1, "pass": 1}] * 2,
        "test_fails": [{"e2e": 0, "pass": 0}],
    }
    # the pipeline's own runs stand below the test's
    for root in server.roots():
        assert [child["name"] for child in server.children(root["id"])] == ["LangGraph"]


@pytest.mark.parametrize("tracing", ["true", "false"])
def test_without_tracking_nothing_of_the_tests_is_sent(
    server: LangSmithServer, tmp_path: Path, tracing: str
) -> None:
    environment = {
        **server.environment(),
        "LANGSMITH_TEST_TRACKING": "false",
        "LANGSMITH_TRACING": tracing,
    }
    done = run(tmp_path, environment)
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert server.feedback == []
    # with tracing on the pipeline traces its own runs, as outside of a test
    assert {root["name"] for root in server.roots()} == (
        {"LangGraph"} if tracing == "true" else set()
    )
    sent = {"/info", "/runs/multipart"} if tracing == "true" else set()
    assert {request.path for request in server.requests} == sent
