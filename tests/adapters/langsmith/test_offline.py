"""`evaluate_offline` and `aevaluate_offline`: the same numbers, and not one request."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import uuid
from dataclasses import FrozenInstanceError
from typing import Any

import langsmith
import pytest
from coord_langsmith._offline import (
    OfflineResult,
    OfflineRow,
    aevaluate_offline,
    evaluate_offline,
)
from langchain_core.runnables import RunnableLambda
from langsmith.schemas import Example
from pydantic import BaseModel

from coord_plugins import PolicyError, check, configure, wilson
from coord_plugins.testing import LangSmithServer

from .test_evaluation_pipelines import EXAMPLES, VALUES, doubled, pipeline

DATA = [{"inputs": {"n": n}, "outputs": {"n": 2 * n}} for n in range(4)]


class Case:
    """As in test_evaluation.py: 5 of 8 do their job."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.lock = threading.Lock()

    def target(self, inputs: dict[str, Any]) -> dict[str, Any]:
        n = inputs["n"]
        with self.lock:
            nth = self.seen[n] = self.seen.get(n, -1) + 1
        if (n, nth) == (3, 0):
            raise RuntimeError("boom")
        return {"n": 0 if (n, nth) == (2, 0) else 2 * n, "nth": nth}

    async def atarget(self, inputs: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self.target(inputs)

    @staticmethod
    def goal(outputs: dict[str, Any], *, reference_outputs: dict[str, Any]) -> bool:
        if outputs["n"] == 2 and outputs["nth"] == 0:
            raise KeyError("amount")
        return bool(outputs["n"] == reference_outputs["n"])

    @staticmethod
    async def agoal(outputs: dict[str, Any], *, reference_outputs: dict[str, Any]) -> bool:
        return Case.goal(outputs, reference_outputs=reference_outputs)


def offline(is_async: bool, *args: Any, **settings: Any) -> OfflineResult:
    if is_async:
        return asyncio.run(aevaluate_offline(*args, **settings))
    return evaluate_offline(*args, **settings)


def sent_by_now() -> None:
    """What was to be sent is; a client that nobody made is not made here, for it would ask."""
    if langsmith.run_trees._CLIENT is not None:
        langsmith.run_trees._CLIENT.flush()


BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@BOTH
@pytest.mark.parametrize("concurrency", [1, 3])
def test_every_run_counts(is_async: bool, concurrency: int) -> None:
    case = Case()
    found = offline(
        is_async, case.target, DATA, case.goal, repetitions=2, max_concurrency=concurrency
    )
    rows = [(row.example, row.repetition) for row in found.rows]
    assert rows == [(n, r) for n in range(4) for r in range(2)]
    assert (found.success_rate.successes, found.success_rate.n) == (5, 8)
    assert found.success_rate.value == 5 / 8
    assert found.completed_only is not None
    assert found.completed_only.value == 5 / 7
    assert found.pass_hat_k(1) == 5 / 8
    assert found.pass_hat_k(2) == 1 / 4
    with pytest.raises(PolicyError, match="pass\\^3 needs 3 repetitions"):
        found.pass_hat_k(3)
    assert all(row.seconds >= 0 for row in found.rows)
    assert all(row.passed == (row.value == "success") for row in found.rows)
    if concurrency == 1:
        told = [row.value for row in found.rows]
        assert told[0::2] == ["success", "goal_error", "failure", "error"]
        assert told[1::2] == ["success"] * 4


def test_async_target_and_goal() -> None:
    case = Case()
    found = offline(True, case.atarget, DATA, case.agoal, repetitions=2, max_concurrency=8)
    assert found.success_rate.value == 5 / 8


@pytest.mark.parametrize(("target", "goal"), [("atarget", "goal"), ("target", "agoal")])
def test_without_an_event_loop_async_is_refused_and_not_counted(target: str, goal: str) -> None:
    case = Case()
    with pytest.raises(PolicyError, match="is async.*: use aevaluate_offline"):
        evaluate_offline(getattr(case, target), DATA, getattr(case, goal))


@BOTH
def test_an_attached_graph(is_async: bool) -> None:
    found = offline(is_async, pipeline(), EXAMPLES, doubled, output="answer")
    assert [row.value for row in found.rows] == VALUES
    assert found.success_rate.value == 2 / 4
    error = found.rows[3].error
    assert error is not None
    assert error.startswith("AttemptsExhaustedError(")


@BOTH
@pytest.mark.parametrize("concurrency", [1, 3])
def test_not_one_request_though_the_environment_traces(
    traced: LangSmithServer, is_async: bool, concurrency: int
) -> None:
    @langsmith.traceable
    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"answer": chain.invoke(inputs)["answer"]}

    @langsmith.traceable
    def goal(answer: Any, reference_outputs: Any) -> bool:
        return doubled(answer, reference_outputs=reference_outputs)

    chain = RunnableLambda(lambda inputs: {"answer": 2 * inputs["n"]})
    for tried in (target, chain, pipeline()):
        found = offline(
            is_async, tried, EXAMPLES, goal, output="answer", max_concurrency=concurrency
        )
        assert found.success_rate.value in (1.0, 2 / 4)
    sent_by_now()
    assert traced.requests == []
    # and the same is traced when nothing keeps it from being
    target({"n": 1})
    sent_by_now()
    assert {run["name"] for run in traced.runs} == {"target", "RunnableLambda"}


@BOTH
def test_inside_a_trace_nothing_is_added_to_it(traced: LangSmithServer, is_async: bool) -> None:
    with langsmith.trace("outer"):
        offline(is_async, pipeline(), EXAMPLES, doubled, output="answer")
    sent_by_now()
    assert [run["name"] for run in traced.runs] == ["outer"]


# not two tasks: asyncio itself loses the second of two such errors, and says so on its way out
@pytest.mark.parametrize(("is_async", "concurrency"), [(False, 1), (False, 2), (True, 1)])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_the_evaluation(
    is_async: bool, concurrency: int, error: type[BaseException]
) -> None:
    started = []

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        started.append(inputs["n"])
        raise error

    with pytest.raises(error):
        offline(is_async, target, DATA * 10, Case.goal, max_concurrency=concurrency)
    assert 1 <= len(started) <= concurrency


def test_cancellation_ends_the_evaluation() -> None:
    both = asyncio.Event()
    started, ended = [], []

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        started.append(inputs["n"])
        if len(started) == 2:
            both.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(inputs["n"])
        return {}

    async def main() -> None:
        task = asyncio.create_task(aevaluate_offline(target, DATA, Case.goal, max_concurrency=2))
        await both.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(ended) == [0, 1]


@BOTH
def test_as_many_at_the_same_time_as_asked_for(is_async: bool) -> None:
    """All of a batch meet at a barrier, which breaks when one waits for a place."""
    barrier = threading.Barrier(4)

    def target(inputs: dict[str, Any]) -> int:
        return barrier.wait(timeout=30)

    found = offline(is_async, target, DATA, lambda output: True, max_concurrency=4)
    assert found.success_rate.value == 1


@BOTH
def test_not_more_at_the_same_time_than_asked_for(is_async: bool) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def target(inputs: dict[str, Any]) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    offline(is_async, target, DATA * 20, lambda output: True, max_concurrency=2)
    assert most <= 2


def test_goals_see_what_langsmith_would_record() -> None:
    class Reply(BaseModel):
        text: str
        note: str | None = None

    seen: list[Any] = []
    for said in ({"a": 1}, "text", None, Reply(text="t")):
        evaluate_offline(lambda _, s=said: s, DATA[:1], lambda output: seen.append(output) or True)
    assert seen == [{"a": 1}, {"output": "text"}, {"output": None}, {"text": "t"}]


def test_evaluators_of_langsmiths_get_a_run_and_an_example() -> None:
    def evaluator(run: Any, example: Any) -> dict[str, Any]:
        assert run.inputs == example.inputs
        assert run.reference_example_id == example.id
        assert run.end_time >= run.start_time
        return {"score": run.outputs["n"] / max(1, example.outputs["n"])}

    found = evaluate_offline(lambda inputs: {"n": inputs["n"] * 2}, DATA, evaluator, threshold=1.0)
    assert [row.passed for row in found.rows] == [False, True, True, True]


def test_examples_of_langsmiths_and_its_newer_name() -> None:
    examples = [
        Example(id=uuid.uuid4(), inputs={"n": 1}, outputs={"n": 2}),
        {"inputs": {"n": 1}, "reference_outputs": {"n": 2}},
        {"inputs": {"n": 1}},
    ]
    found = evaluate_offline(
        lambda inputs: {"n": 2}, examples, lambda out, reference_outputs: out == reference_outputs
    )
    assert [row.passed for row in found.rows] == [True, True, False]


@pytest.mark.parametrize(
    "data",
    [[], "refunds", [1], [{}], [{"inputs": 3}], [{"inputs": {}, "outputs": 3}]],
    ids=repr,
)
def test_data_that_is_refused(data: Any) -> None:
    with pytest.raises(PolicyError, match="evaluate_offline"):
        evaluate_offline(lambda inputs: {}, data, lambda output: True)


@pytest.mark.parametrize(
    "settings", [{"repetitions": 0}, {"max_concurrency": 0}, {"threshold": math.nan}], ids=repr
)
def test_numbers_that_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        evaluate_offline(lambda inputs: {}, DATA, lambda output: True, **settings)


def test_a_target_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(PolicyError, match="not callable"):
        evaluate_offline("target", DATA, lambda output: True)


def test_the_interval_counts_examples_where_repetitions_are_alike() -> None:
    found = evaluate_offline(lambda inputs: inputs, DATA * 5, lambda o: o["n"] > 0, repetitions=8)
    assert (found.success_rate.successes, found.success_rate.n) == (120, 160)
    assert found.success_rate.interval == pytest.approx(wilson(15, 20), abs=1e-9)
    alone = evaluate_offline(lambda inputs: inputs, DATA * 5, lambda o: o["n"] > 0)
    assert alone.success_rate.interval == wilson(15, 20)


def test_what_is_kept_is_redacted() -> None:
    configure(redact=lambda text: text.replace("boom", "[secret]"))
    row = evaluate_offline(Case().target, DATA, Case.goal).rows[3]
    assert row.error == "RuntimeError('[secret]')"
    assert row.comment == "the target raised RuntimeError('[secret]')"


def test_the_result_is_frozen_and_goes_into_json() -> None:
    found = evaluate_offline(Case().target, DATA, Case.goal, repetitions=2, key="resolved")
    with pytest.raises(FrozenInstanceError):
        found.key = "other"  # type: ignore[misc]
    told = json.loads(json.dumps(found.to_dict()))
    assert told["schema_version"] == 1
    assert (told["key"], told["examples"], told["repetitions"]) == ("resolved", 4, 2)
    assert told["success_rate"]["value"] == 5 / 8
    assert told["completed_only"]["n"] == 7
    assert told["pass_hat_k"] == {"1": 5 / 8, "2": 1 / 4}
    assert told["values"] == {"success": 5, "failure": 1, "error": 1, "goal_error": 1}
    rows = [OfflineRow(**row) for row in told["rows"]]
    assert rows == list(found.rows)


def test_it_reads_well() -> None:
    found = evaluate_offline(Case().target, DATA, Case.goal, repetitions=2)
    crashed = "example 1, repetition 0: goal_error: the goal 'goal' failed: it raised KeyError"
    assert str(found).splitlines() == [
        "e2e: 5 of 8 runs did their job: 62.5 % [30.6, 86.3] (4 examples x 2)",
        "  5 success, 1 failure, 1 error, 1 goal_error",
        "  without those that raised: 71.4 % [32.9, 92.7], not the success rate",
        "  pass^1 62.5 %, pass^2 25.0 %",
        f"  {crashed}: 'amount'",
        "  example 2, repetition 0: failure",
        "  example 3, repetition 0: error: the target raised RuntimeError('boom')",
    ]
    many = evaluate_offline(lambda inputs: {}, DATA * 4, check(lambda output: False, name="no"))
    assert str(many).splitlines()[-1] == "  and 6 more"
