"""`e2e_evaluator` and `e2e_summary` inside the real `evaluate` and `aevaluate`."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import langsmith
import pytest
from coord_langsmith._evaluation import E2EEvaluator, e2e_evaluator, e2e_summary
from langsmith.evaluation import evaluate_existing

from coord_plugins import PolicyError, check, configure
from coord_plugins.testing import LangSmithServer

from .projects import REFERENCE

VALUES = {
    (0, 0): "success",
    (1, 0): "goal_error",
    (2, 0): "failure",
    (3, 0): "error",
    (0, 1): "success",
    (1, 1): "success",
    (2, 1): "success",
    (3, 1): "success",
}
"""What becomes of each (example, repetition) of the case below."""


class Case:
    """4 examples x 2 repetitions: a goal that crashes, a wrong answer, and a target that raises.

    By the numbers: 5 of 8 do their job. Without those that crashed: 5 of 7. An evaluator that
    crashes with the outputs: 5 of 6.
    """

    def __init__(self, server: LangSmithServer) -> None:
        self.server = server
        self.client = server.client()
        self.seen: dict[int, int] = {}
        self.asked = 0
        self.lock = threading.Lock()
        dataset = self.client.create_dataset("refunds")
        self.client.create_examples(
            dataset_id=dataset.id,
            examples=[{"inputs": {"n": n}, REFERENCE: {"n": 2 * n}} for n in range(4)],
        )

    def target(self, inputs: dict[str, Any]) -> dict[str, Any]:
        n = inputs["n"]
        with self.lock:
            nth = self.seen[n] = self.seen.get(n, -1) + 1
        if (n, nth) == (3, 0):
            raise RuntimeError("boom")
        return {"n": 0 if (n, nth) == (2, 0) else 2 * n, "nth": nth}

    async def atarget(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return self.target(inputs)

    def goal(self, outputs: dict[str, Any], *, reference_outputs: dict[str, Any]) -> bool:
        self.asked += 1
        if outputs["n"] == 2 and outputs["nth"] == 0:
            raise KeyError("amount")
        return bool(outputs["n"] == reference_outputs["n"])

    def naive(self, run: Any, example: Any) -> dict[str, Any]:
        return {"key": "naive", "score": self.goal(run.outputs, reference_outputs=example.outputs)}

    def evaluate(self, *evaluators: Any, **settings: Any) -> Any:
        return langsmith.evaluate(
            self.target, data="refunds", evaluators=evaluators, client=self.client, **settings
        )

    def aevaluate(self, *evaluators: Any, **settings: Any) -> Any:
        async def run() -> Any:
            return await langsmith.aevaluate(
                self.atarget, data="refunds", evaluators=evaluators, client=self.client, **settings
            )

        return asyncio.run(run())

    def project(self, results: Any) -> Any:
        """The experiment as the client reads it back."""
        self.client.flush()
        return self.client.read_project(project_name=results.experiment_name, include_stats=True)

    def said(self, key: str = "e2e") -> dict[tuple[int, int], dict[str, Any]]:
        """The feedback of this key by example and repetition, as it arrived."""
        self.client.flush()
        inputs = {run["id"]: run["inputs"] for run in self.server.roots()}
        return {
            (inputs[f["run_id"]]["n"], f["extra"]["coord"]["repetition"]): f
            for f in self.server.feedback
            if f["key"] == key and f.get("run_id")
        }


@pytest.fixture
def case(server: LangSmithServer) -> Case:
    return Case(server)


def summaries(project: Any) -> dict[str, float]:
    return {key: stats["avg"] for key, stats in project.session_feedback_stats.items()}


@pytest.mark.parametrize("is_async", [False, True], ids=["evaluate", "aevaluate"])
def test_the_mean_in_langsmith_is_the_true_share(case: Case, is_async: bool) -> None:
    """One goal crash and one raising target count; the naive evaluator beside it loses both."""
    evaluator = e2e_evaluator(case.goal)
    evaluate = case.aevaluate if is_async else case.evaluate
    results = evaluate(
        evaluator, case.naive, summary_evaluators=[e2e_summary(evaluator)], num_repetitions=2
    )
    project = case.project(results)
    e2e, naive = project.feedback_stats["e2e"], project.feedback_stats["naive"]
    assert (e2e["n"], e2e["avg"], e2e["errors"]) == (8, 5 / 8, 0)
    assert e2e["values"] == {"success": 5, "failure": 1, "error": 1, "goal_error": 1}
    assert (naive["n"], naive["avg"], naive["errors"]) == (8, 5 / 6, 2)
    assert summaries(project) == {
        "e2e.success_rate": 5 / 8,
        "e2e.pass_hat_1": 5 / 8,
        "e2e.pass_hat_2": 1 / 4,
        "e2e.completed_only": round(5 / 7, 4),
    }
    (words,) = project.session_feedback_stats["e2e.success_rate"]["comments"]
    assert "5 of 8 runs did their job: 62.5 %" in words
    assert "1 crashed, counted as failed" in words
    assert "pass^4 is left out: an example has 2 repetitions" in words


@pytest.mark.parametrize("is_async", [False, True], ids=["evaluate", "aevaluate"])
@pytest.mark.parametrize("concurrency", [0, 4])
def test_the_repetition_arrives_with_the_feedback(
    case: Case, is_async: bool, concurrency: int
) -> None:
    """In `extra` and in the source's metadata, 0 and 1 of every example, once each."""
    evaluate = case.aevaluate if is_async else case.evaluate
    evaluate(e2e_evaluator(case.goal), num_repetitions=2, max_concurrency=concurrency)
    said = case.said()
    assert said.keys() == VALUES.keys()
    assert sorted(f["value"] for f in said.values()) == sorted(VALUES.values())
    for (_, repetition), feedback in said.items():
        assert feedback["feedback_source"]["metadata"]["coord"]["repetition"] == repetition
        assert feedback["score"] == int(feedback["value"] == "success")
    if concurrency == 0:
        assert {k: f["value"] for k, f in said.items()} == VALUES


def test_the_repetition_can_be_read_back_through_the_client(case: Case) -> None:
    results = case.evaluate(e2e_evaluator(case.goal), num_repetitions=2)
    case.client.flush()
    ids = [run["id"] for run in case.server.roots(results.experiment_name)]
    read = list(case.client.list_feedback(run_ids=ids, feedback_key=["e2e"]))
    assert sorted(f.extra["coord"]["repetition"] for f in read) == [0, 0, 0, 0, 1, 1, 1, 1]
    sources = [f.feedback_source.metadata["coord"]["repetition"] for f in read]
    assert sources == [f.extra["coord"]["repetition"] for f in read]


def test_comments_say_what_went_wrong(case: Case) -> None:
    case.evaluate(e2e_evaluator(case.goal), num_repetitions=2)
    said = {f["value"]: f.get("comment") for f in case.said().values()}
    assert said == {
        "success": None,
        "failure": None,
        "error": "the target raised RuntimeError('boom')",
        "goal_error": "the goal 'goal' failed: it raised KeyError: 'amount'",
    }


def test_comments_are_redacted(case: Case) -> None:
    configure(redact=lambda text: text.replace("boom", "[secret]"))
    case.evaluate(e2e_evaluator(case.goal))
    assert case.said()[3, 0]["comment"] == "the target raised RuntimeError('[secret]')"


def test_long_comments_are_truncated(case: Case) -> None:
    wordy = check(lambda outputs: (False, "x" * 2000), name="wordy")
    case.evaluate(e2e_evaluator(wordy))
    assert len(case.said()[0, 0]["comment"]) == 500


def test_an_async_goal(case: Case) -> None:
    async def goal(outputs: Any, reference_outputs: Any) -> bool:
        await asyncio.sleep(0)
        return case.goal(outputs, reference_outputs=reference_outputs)

    evaluator = e2e_evaluator(goal)
    results = case.aevaluate(
        evaluator, summary_evaluators=[e2e_summary(evaluator)], num_repetitions=2
    )
    project = case.project(results)
    assert project.feedback_stats["e2e"]["avg"] == 5 / 8
    assert summaries(project)["e2e.success_rate"] == 5 / 8


def test_an_async_goal_under_evaluate_gives_no_number_and_says_why(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    async def goal(outputs: Any) -> bool:
        return True

    evaluator = e2e_evaluator(goal)
    results = case.evaluate(evaluator, summary_evaluators=[e2e_summary(evaluator)])
    stats = case.project(results).feedback_stats["e2e"]
    # the target that raised is judged without the goal
    assert (stats["n"], stats["avg"], stats["errors"]) == (4, 0.0, 3)
    assert "the goal 'goal' is async, and here nothing is awaited: use aevaluate" in caplog.text
    assert case.project(results).session_feedback_stats == {}


def test_the_summary_reuses_the_verdicts_and_asks_only_for_what_is_missing(case: Case) -> None:
    evaluator = e2e_evaluator(case.goal)
    results = case.evaluate(evaluator, summary_evaluators=[e2e_summary(evaluator)])
    assert case.asked == 3  # not for the target that raised
    rows = list(results)
    fresh = e2e_summary(e2e_evaluator(case.goal))
    told = fresh([row["run"] for row in rows], [row["example"] for row in rows])
    assert case.asked == 6
    assert told["results"][0].score == 1 / 4
    known = e2e_summary(evaluator)
    known([row["run"] for row in rows], [row["example"] for row in rows])
    assert case.asked == 6


def test_a_summary_without_the_evaluator_beside_it(case: Case) -> None:
    summary = e2e_summary(e2e_evaluator(case.goal, key="resolved"), k=[2])
    results = case.evaluate(summary_evaluators=[summary], num_repetitions=2)
    assert summaries(case.project(results)) == {
        "resolved.success_rate": 5 / 8,
        "resolved.pass_hat_2": 1 / 4,
        "resolved.completed_only": round(5 / 7, 4),
    }


def test_one_evaluator_in_two_experiments_counts_from_zero_in_each(case: Case) -> None:
    evaluator = e2e_evaluator(lambda outputs: True)
    for _ in range(2):
        case.evaluate(evaluator)
    case.client.flush()
    arrived = [f["extra"]["coord"]["repetition"] for f in case.server.feedback]
    assert arrived == [0] * 8


@pytest.mark.filterwarnings("ignore:.*parameter is in beta")
def test_nothing_is_sent_without_upload(case: Case) -> None:
    before = len(case.server.requests)
    evaluator = e2e_evaluator(case.goal)
    results = case.evaluate(
        evaluator,
        summary_evaluators=[e2e_summary(evaluator)],
        num_repetitions=2,
        upload_results=False,
    )
    scores = [row["evaluation_results"]["results"][0].score for row in results]
    assert sum(scores) / len(scores) == 5 / 8
    assert {r.method for r in case.server.requests[before:]} == {"GET"}


def test_an_existing_experiment_is_judged_again(case: Case) -> None:
    results = case.evaluate(num_repetitions=2)
    case.client.flush()
    evaluator = e2e_evaluator(case.goal)
    evaluate_existing(
        results.experiment_name,
        evaluators=[evaluator],
        summary_evaluators=[e2e_summary(evaluator)],
        client=case.client,
    )
    project = case.project(results)
    assert project.feedback_stats["e2e"]["avg"] == 5 / 8
    assert summaries(project)["e2e.pass_hat_2"] == 1 / 4
    assert case.said().keys() == VALUES.keys()


def test_the_key_is_known_before_the_first_run(case: Case) -> None:
    evaluator = e2e_evaluator(case.goal, key="resolved")
    assert isinstance(evaluator, E2EEvaluator)
    assert evaluator.feedback_keys == ["resolved"]
    results = case.evaluate(evaluator)
    assert set(case.project(results).feedback_stats) == {"resolved"}


@pytest.mark.parametrize("k", [[0], [-1, 2], [1.5], ["2"]])
def test_k_counts_repetitions(k: Any) -> None:
    with pytest.raises(PolicyError, match="from 1"):
        e2e_summary(e2e_evaluator(bool), k=k)


def test_a_summary_needs_an_evaluator_of_ours() -> None:
    with pytest.raises(PolicyError, match="e2e_evaluator returned"):
        e2e_summary(bool)  # type: ignore[arg-type]
