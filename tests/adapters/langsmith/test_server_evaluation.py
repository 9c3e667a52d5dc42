"""LangSmith's own evaluation and pytest plugin run against the server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import langsmith
import pytest
from langsmith import aevaluate, evaluate

from coord_plugins.testing import LangSmithServer

from .projects import REFERENCE

ROOT = Path(__file__).parents[3]


# what the SDK itself says about its own call for a summary evaluator
SDK_OWN = "ignore:The following arguments are no longer used:DeprecationWarning"


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return outputs == reference_outputs


def share(outputs: list[Any], reference_outputs: list[Any]) -> dict[str, Any]:
    same = sum(a == b for a, b in zip(outputs, reference_outputs, strict=True))
    return {"key": "share", "score": same / len(outputs)}


@pytest.fixture
def client(traced: LangSmithServer) -> langsmith.Client:
    client: langsmith.Client = traced.client()
    dataset = client.create_dataset("d")
    client.create_examples(
        dataset_id=dataset.id,
        examples=[{"inputs": {"x": x}, REFERENCE: {"y": 2 * min(x, 2)}} for x in (1, 2, 3)],
    )
    return client


def look(server: LangSmithServer, client: langsmith.Client, experiment: str) -> None:
    """Six runs of the target, two thirds of them right."""
    client.flush()
    roots = server.roots(experiment)
    assert len(roots) == 6
    assert len({run["reference_example_id"] for run in roots}) == 3
    assert [len(server.feedback_on(run["id"], "right")) for run in roots] == [1] * 6
    read = client.read_project(project_name=experiment, include_stats=True)
    assert (read.run_count, read.error_rate) == (6, 0)
    assert read.feedback_stats["right"]["n"] == 6
    assert read.feedback_stats["right"]["avg"] == pytest.approx(2 / 3)
    assert read.session_feedback_stats["share"]["avg"] == 0.6667
    assert len(server.roots("evaluators")) >= 6
    server.check()


@pytest.mark.filterwarnings(SDK_OWN)
def test_evaluate(traced: LangSmithServer, client: langsmith.Client) -> None:
    results = evaluate(
        lambda inputs: {"y": 2 * inputs["x"]},
        data="d",
        evaluators=[right],
        summary_evaluators=[share],
        num_repetitions=2,
        client=client,
    )
    assert len(list(results)) == 6
    look(traced, client, results.experiment_name)


@pytest.mark.filterwarnings(SDK_OWN)
def test_aevaluate(traced: LangSmithServer, client: langsmith.Client) -> None:
    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"y": 2 * inputs["x"]}

    async def run() -> str:
        results = await aevaluate(
            target,
            data="d",
            evaluators=[right],
            summary_evaluators=[share],
            num_repetitions=2,
            client=client,
        )
        assert len([r async for r in results]) == 6
        return results.experiment_name

    look(traced, client, asyncio.run(run()))


def test_an_experiment_is_evaluated_again_and_compared(
    traced: LangSmithServer, client: langsmith.Client
) -> None:
    names = []
    for factor in (2, 3):
        results = evaluate(
            lambda inputs, factor=factor: {"y": factor * inputs["x"]}, data="d", client=client
        )
        names.append(results.experiment_name)
    client.flush()
    again = langsmith.evaluation.evaluate_existing(names[0], evaluators=[right], client=client)
    assert len(list(again)) == 3
    client.flush()
    assert len([f for f in traced.feedback if f["key"] == "right"]) == 3

    def better(outputs: list[Any], reference_outputs: dict[str, Any]) -> list[float]:
        return [float(o == reference_outputs) for o in outputs]

    compared = langsmith.evaluation.evaluate_comparative(
        tuple(names), evaluators=[better], client=client
    )
    assert len(list(compared)) == 3
    client.flush()
    assert len([f for f in traced.feedback if f["key"] == "better"]) == 6


PLUGIN = """
import pytest
from langsmith import testing as t

@pytest.mark.langsmith
@pytest.mark.parametrize("x", [1, 2, 3])
def test_double(x):
    t.log_inputs({"x": x})
    t.log_outputs({"y": 2 * x})
    t.log_reference_outputs({"y": 2 * min(x, 2)})
    t.log_feedback(key="small", score=x < 3)
    assert x < 3
"""


def test_the_pytest_plugin(server: LangSmithServer, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PLUGIN)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    for _ in range(2):  # the second time the examples exist
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
            cwd=tmp_path,
            env={**environment, **server.environment(), "LANGSMITH_TEST_SUITE": "suite"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    client = server.client()
    assert client.read_dataset(dataset_name="suite").example_count == 3
    experiments = list(client.list_projects(reference_dataset_name="suite", include_stats=True))
    assert [e.run_count for e in experiments] == [3, 3]
    for experiment in experiments:
        assert (experiment.feedback_stats or {})["pass"]["avg"] == pytest.approx(2 / 3)
        assert (experiment.feedback_stats or {})["small"]["n"] == 3
    assert "pass=1" in server.tree()
