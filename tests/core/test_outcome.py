"""How a run ends: exactly one outcome, in the order of precedence."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import (
    OUTCOMES,
    BudgetExceededError,
    RunRecord,
    StepTally,
    UnpricedModelError,
)
from coord_plugins._outcome import describe, ending, error_class, lost_at, outcome_of, recovery


def tally(**counts: object) -> StepTally:
    return StepTally(executions=1, **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tallies", "word"),
    [
        ([], "first_pass"),
        ([tally()], "first_pass"),
        ([tally(errors=1)], "crash_retried"),
        ([tally(errors=1, fallbacks=1)], "fallback"),
        ([tally(errors=1, fallbacks=1, human=1)], "human"),
        ([tally(rejects=1, human=1)], "unjudged"),
        ([tally(rejects=2, rejects_right=1)], "unjudged"),
        ([tally(rejects=2, rejects_right=2)], "false_alarm_survived"),
        ([tally(rejects=2, rejects_right=1, rejects_wrong=1)], "rescued"),
        ([tally(rejects=1), tally(rejects=1, rejects_wrong=1)], "rescued"),
    ],
)
def test_recovery(tallies: list[StepTally], word: str) -> None:
    assert recovery(tallies) == word
    assert f"success.{word}" in OUTCOMES


@pytest.mark.parametrize(
    ("tallies", "error", "end"),
    [
        ([tally()], None, ("delivered", "first_pass")),
        ([tally()], KeyError(), ("error", "crash")),
        ([tally(escalations=1)], None, ("escalated", "unjudged")),
        ([tally(escalations=1)], KeyError(), ("escalated", "unjudged")),
        ([tally(escalations=1, exhausted_right=1)], None, ("escalated", "needless")),
        (
            [tally(escalations=2, exhausted_right=1, exhausted_wrong=1)],
            None,
            ("escalated", "justified"),
        ),
    ],
)
def test_ending(tallies: list[StepTally], error: Exception | None, end: tuple[str, str]) -> None:
    assert ending(tallies, error) == end


class GraphRecursionError(RecursionError):
    pass


class Quiet(Exception):
    status_code = 504


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (KeyError("x"), "crash"),
        (TimeoutError(), "timeout"),
        (asyncio.TimeoutError(), "timeout"),
        (Quiet(), "timeout"),
        (BudgetExceededError("max_tokens", 1, 1), "budget"),
        (UnpricedModelError("x"), "budget"),
        (RecursionError(), "recursion_limit"),
        (GraphRecursionError(), "recursion_limit"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
)
def test_error_class(error: BaseException, word: str) -> None:
    assert error_class(error) == word
    assert f"error.{word}" in OUTCOMES


@given(
    st.lists(
        st.builds(
            StepTally,
            executions=st.integers(1, 3),
            rejects=st.integers(0, 2),
            rejects_right=st.integers(0, 2),
            rejects_wrong=st.integers(0, 2),
            escalations=st.integers(0, 1),
            human=st.integers(0, 1),
            exhausted_right=st.integers(0, 1),
            exhausted_wrong=st.integers(0, 1),
            fallbacks=st.integers(0, 1),
            errors=st.integers(0, 2),
        ),
        max_size=3,
    ),
    st.sampled_from([None, KeyError(), TimeoutError(), asyncio.CancelledError()]),
    st.sampled_from([True, False, None]),
)
def test_every_run_has_exactly_one_outcome(
    tallies: list[StepTally], error: BaseException | None, passed: bool | None
) -> None:
    end, detail = ending(tallies, error)
    assert OUTCOMES.count(outcome_of(end, detail, passed)) == 1


def test_only_a_delivered_run_depends_on_its_label() -> None:
    for passed in (True, False, None):
        assert outcome_of("escalated", "unjudged", passed) == "escalated.unjudged"
        assert outcome_of("error", "crash", passed) == "error.crash"
    assert outcome_of("delivered", "rescued", True) == "success.rescued"
    assert outcome_of("delivered", "rescued", False) == "silent_failure.after_retry"
    assert outcome_of("delivered", "first_pass", False) == "silent_failure.first_pass"
    assert outcome_of("delivered", "rescued", None) == "unlabelled"


def test_lost_at() -> None:
    right, wrong = tally(accepted=True), tally(accepted=False)
    upstream = tally(accepted=False, accepted_given_right=False)
    assert lost_at({"a": right, "b": wrong, "c": upstream}, "c", False) == "b"
    assert lost_at({"a": right, "b": upstream}, None, False) == "b"
    assert lost_at({"a": right}, "a", None) == "a"
    assert lost_at({"a": right}, None, False) == "goal"


def test_in_flight() -> None:
    assert RunRecord(run_id="r", pipeline="p").outcome == "in_flight.running"
    assert RunRecord(run_id="r", pipeline="p", status="paused").outcome == "in_flight.paused"


def test_a_record_survives_its_own_json() -> None:
    import json

    from coord_plugins import Note

    record = RunRecord(
        run_id="r",
        pipeline="p",
        end="delivered",
        detail="rescued",
        passed=True,
        tags=("a",),
        metadata={"k": 1},
        steps={"w": tally(rejects=1, validators={"v": [1, 0, 1, 0, 0, 0, 0, 0]})},
        notes=(Note(step="w", execution=1, kind="loop", text="x"),),
    )
    data = json.loads(json.dumps(record.to_dict()))
    assert data["outcome"] == "success.rescued"
    assert RunRecord.from_dict({**data, "a newer field": 1}) == record


def test_describe() -> None:
    assert describe(ValueError("x")) == "ValueError: x"
