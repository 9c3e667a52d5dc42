"""Every benchmark runs, with tiny counts: figures mean nothing here, and none is asserted."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coord_plugins import ValidationEdge, check, track, validated

RUN = Path(__file__).with_name("run.py")

NAMES = [
    "success",
    "failure",
    "langgraph",
    "autogen",
    "crewai",
    "langsmith",
    "recording",
    "identities",
    "planning",
    "compare",
    "importing",
    "imports",
    "statistics",
]
HOSTS = {
    "langgraph": "langgraph",
    "autogen": "autogen_agentchat",
    "crewai": "crewai",
    "langsmith": "langsmith",
    "planning": "langgraph",
}
NEEDS = {"statistics": ("scipy", "statsmodels")}


@pytest.mark.parametrize("name", NAMES)
def test_the_benchmark_runs(name: str) -> None:
    if name in HOSTS:
        pytest.importorskip(HOSTS[name])
    for needed in NEEDS.get(name, ("stamina", "tenacity")):
        pytest.importorskip(needed)
    command = [sys.executable, str(RUN), name, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"== {name}" in done.stdout
    assert "target" in done.stdout


def garbage(work: Callable[[], Any]) -> int:
    """Objects that only the garbage collector can free after `work`."""
    work()
    gc.collect()
    gc.disable()
    try:
        work()
        return gc.collect()
    finally:
        gc.enable()


def test_a_run_leaves_no_circles() -> None:
    step = validated(check(lambda output: True))(lambda: 1)
    tracked = track("circles", store="off")

    def work() -> None:
        with tracked:
            step()

    assert garbage(work) == 0


def test_an_attached_graph_leaves_no_more_circles_than_the_bare_one() -> None:
    """Circles cost a node more than all of our own work, in garbage collections."""
    graph = pytest.importorskip("langgraph.graph")
    from coord_langgraph import attach

    def write(state: dict[str, Any], feedback: str | None = None) -> dict[str, Any]:
        return {"n": 1}

    builder = graph.StateGraph(dict)
    builder.add_node("write", write)
    builder.add_edge(graph.START, "write")
    bare = builder.compile()
    edge = ValidationEdge("write", check(lambda output: True))
    app = attach(bare, edge, pipeline="circles", store="off")
    assert garbage(lambda: app.invoke({})) <= garbage(lambda: bare.invoke({}))
