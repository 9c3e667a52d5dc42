"""What may be a goal, how it is called, and that each of its failures is a failure."""

from __future__ import annotations

import asyncio
import math
import uuid
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from coord_langsmith._evaluation import e2e_evaluator
from coord_langsmith._goal import Judged
from langsmith.evaluation import EvaluationResult, run_evaluator
from langsmith.schemas import Example, RunBase
from langsmith.schemas import Run as LangSmithRun
from pydantic import BaseModel

from coord_plugins import Handover, PolicyError, Retry, Verdict, any_of, check, judge, schema

EXAMPLE = Example(id=uuid.uuid4(), inputs={"q": "6 x 7"}, outputs={"answer": 42})


def finished(outputs: Any = None, error: str | None = None) -> RunBase:
    return RunBase(
        id=uuid.uuid4(),
        name="Target",
        run_type="chain",
        start_time=datetime.now(timezone.utc),
        inputs={"q": "6 x 7"},
        outputs={"answer": 42} if outputs is None and error is None else outputs,
        error=error,
        reference_example_id=EXAMPLE.id,
    )


def said(goal: Any, outputs: Any = None, **settings: Any) -> Judged:
    """What the evaluator says of a run, the same with and without an event loop."""
    evaluator = e2e_evaluator(goal, **settings)
    run = finished(outputs)
    here = evaluator.judge(run, EXAMPLE)
    assert asyncio.run(evaluator.ajudge(run, EXAMPLE)) == here
    return here


def by_output(output: Any) -> bool:
    return bool(output["answer"] == 42)


def by_reference(output: Any, reference_outputs: Any) -> bool:
    return bool(output == reference_outputs)


def by_inputs(output: Any, *, inputs: Any, ctx: Handover) -> bool:
    assert ctx.inputs is ctx.input
    assert (ctx.step, ctx.attempt, ctx.metadata["repetition"]) == ("", 0, 0)
    assert ctx.metadata["reference_outputs"] == {"answer": 42}
    return inputs == {"q": "6 x 7"} and by_output(output)


def by_run_and_example(run: LangSmithRun, example: Example) -> dict[str, Any]:
    assert run.outputs is not None
    assert example.outputs is not None
    return {"score": run.outputs["answer"] == example.outputs["answer"]}


def by_run(run: LangSmithRun) -> bool:
    return by_output(run.outputs)


def by_names(inputs: Any, outputs: Any, reference_outputs: Any) -> float:
    return 1.0 if by_output(outputs) and outputs == reference_outputs and inputs else 0.0


def like_openevals(
    *, inputs: Any = None, outputs: Any = None, reference_outputs: Any = None, **kwargs: Any
) -> dict[str, Any]:
    assert not kwargs
    return {"key": "correctness", "score": outputs == reference_outputs, "comment": "compared"}


def by_any_name(**kwargs: Any) -> bool:
    assert set(kwargs) == {"inputs", "outputs", "reference_outputs"}
    return by_output(kwargs["outputs"])


class Callable_:
    def __call__(self, output: Any) -> bool:
        return by_output(output)


class Answer(BaseModel):
    answer: int


@run_evaluator
def decorated(run: Any, example: Any) -> dict[str, Any]:
    return {"key": "decorated", "score": int(by_output(run.outputs))}


GOALS = [
    by_output,
    by_reference,
    by_inputs,
    by_run_and_example,
    by_run,
    by_names,
    like_openevals,
    by_any_name,
    Callable_(),
    decorated,
    check(by_output),
    judge(by_output),
    judge(lambda output: output["answer"] / 42, threshold=0.9, name="scored"),
    schema(Answer),
    any_of(check(lambda output: False, name="never"), check(by_output)),
]


@pytest.mark.parametrize("goal", GOALS, ids=range(len(GOALS)))
def test_every_kind_of_goal_passes_and_misses(goal: Any) -> None:
    assert said(goal).value == "success"
    wrong = "x" if getattr(goal, "model", None) else 7
    assert said(goal, {"answer": wrong}).value == "failure"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (True, "success"),
        (False, "failure"),
        (np.True_, "success"),
        (np.float32(0.25), "failure"),
        (1, "success"),
        (0, "failure"),
        (0.5, "success"),
        (0.499, "failure"),
        (Verdict(passed=True, score=0.0), "success"),
        (Verdict(passed=False, score=1.0), "failure"),
        ((True, "fine"), "success"),
        ((False, "wrong"), "failure"),
        ({"score": 0.7}, "success"),
        ({"score": False}, "failure"),
        (EvaluationResult(key="k", score=0.7), "success"),
        (EvaluationResult(key="k", score=0.2), "failure"),
        ([{"score": 1}, {"score": 0.1}], "failure"),
        ({"results": [EvaluationResult(key="k", score=1), {"score": True}]}, "success"),
        (None, "goal_error"),
        (math.nan, "goal_error"),
        (math.inf, "goal_error"),
        ({"score": math.nan}, "goal_error"),
        ({"score": None}, "goal_error"),
        (EvaluationResult(key="k", value="good"), "goal_error"),
        ({}, "goal_error"),
        ([], "goal_error"),
        ({"results": []}, "goal_error"),
        ([{"score": 1}, None], "goal_error"),
        ("yes", "goal_error"),
        ("", "goal_error"),
        (Callable_(), "goal_error"),
    ],
    ids=lambda said: type(said).__name__ + (str(said) if isinstance(said, (str, float)) else ""),
)
def test_every_answer_is_a_pass_or_a_failure(answer: Any, value: str) -> None:
    found = said(lambda output: answer)
    assert (found.value, found.passed) == (value, value == "success")
    if value == "goal_error":
        assert found.comment is not None
        assert "the goal '<lambda>' failed: it returned" in found.comment


def test_a_threshold_of_its_own() -> None:
    assert not said(lambda output: 0.8, threshold=0.9).passed
    assert said(lambda output: {"score": 0.8}, threshold=0.8).passed
    with pytest.raises(PolicyError, match="threshold=nan"):
        e2e_evaluator(by_output, threshold=math.nan)


def test_explanations_are_the_comment() -> None:
    assert said(lambda output: (False, "off by one")).comment == "off by one"
    assert said(lambda output: {"score": 0, "comment": "off"}).comment == "off"
    assert said(lambda output: {"score": 1, "reasoning": "fine"}).comment == "fine"
    assert said(check(lambda output: False, name="n", feedback="mend it")).comment == "mend it"


def test_a_goal_says_no_by_an_assertion_but_an_evaluator_of_langsmiths_only_crashes() -> None:
    def goal(output: Any) -> bool:
        raise AssertionError("the amount is wrong")

    def evaluator(run: Any, example: Any) -> bool:
        raise AssertionError("no such key")

    assert said(goal) == Judged(value="failure", comment="the amount is wrong", repetition=0)
    assert said(check(goal)).value == "failure"
    crashed = said(evaluator)
    assert crashed.value == "goal_error"
    assert crashed.comment == ("the goal 'evaluator' failed: it raised AssertionError: no such key")


def test_a_stop_iteration_is_an_error_like_any_other() -> None:
    """It cannot pass through a future: without care an event loop waits for it for ever."""
    found = said(lambda output: next(part for part in output if part == "missing"))
    assert found.value == "goal_error"


def test_a_target_that_raised_is_an_error_whatever_the_goal_would_say() -> None:
    evaluator = e2e_evaluator(lambda output: True)
    found = evaluator.judge(finished(error="ValueError('bad')\n\nTraceback: long"), EXAMPLE)
    assert found == Judged(
        value="error", comment="the target raised ValueError('bad')", repetition=0
    )


def test_output_selects_what_the_goal_sees() -> None:
    assert said(lambda answer: answer == 42, output="answer").passed
    assert said(lambda answer: answer == 43, output=lambda o: o["answer"] + 1).passed
    assert said(lambda outputs: outputs == 42, output="answer").passed
    assert said(lambda missing: missing is None, output="other").passed
    broken = said(lambda output: True, output=lambda o: o["other"])
    assert broken.value == "goal_error"
    assert broken.comment == "output= raised KeyError: 'other'"


def test_a_validator_that_fails_is_asked_again_as_often_as_its_retry_says() -> None:
    calls = 0

    def flaky(output: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RuntimeError("the model is busy")
        return True

    patient = judge(flaky, retry=Retry(max_attempts=3))
    assert e2e_evaluator(patient).judge(finished(), EXAMPLE).passed
    assert calls == 3


def test_an_async_goal_is_refused_where_nothing_is_awaited() -> None:
    async def goal(output: Any) -> bool:
        return by_output(output)

    for one in (goal, check(goal), lambda output: goal(output)):
        evaluator = e2e_evaluator(one)
        with pytest.raises(PolicyError, match="is async.*: use aevaluate"):
            evaluator.judge(finished(), EXAMPLE)
        assert asyncio.run(evaluator.ajudge(finished(), EXAMPLE)).passed


def test_an_async_evaluator_of_langsmiths() -> None:
    @run_evaluator
    async def evaluator(run: Any, example: Any) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"key": "k", "score": int(by_output(run.outputs))}

    assert asyncio.run(e2e_evaluator(evaluator).ajudge(finished(), EXAMPLE)).passed


@pytest.mark.parametrize(
    "goal",
    [
        lambda output, expected: True,
        lambda: True,
        lambda outputs, expected: True,
        lambda *, inputs: True,
        "by_output",
        None,
    ],
)
def test_a_goal_that_cannot_be_called_so_is_refused_at_once(goal: Any) -> None:
    with pytest.raises(PolicyError, match="the goal"):
        e2e_evaluator(goal)


def test_builtins_take_the_output() -> None:
    assert said(bool).passed
    assert said(len, {"answer": 42}).passed


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_no_exception_passes(error: type[BaseException]) -> None:
    def goal(output: Any) -> bool:
        raise error

    with pytest.raises(error):
        e2e_evaluator(goal).judge(finished(), EXAMPLE)


def test_repetitions_are_counted_in_order_of_arrival_from_many_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    evaluator = e2e_evaluator(by_output)
    runs = [finished() for _ in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda run: evaluator.judge(run, EXAMPLE).repetition, runs))
    assert sorted(found) == list(range(200))
    again = [evaluator.judge(run, EXAMPLE).repetition for run in runs]
    assert again == found
