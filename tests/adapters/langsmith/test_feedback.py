"""What LangSmith is told of a run, from its record alone."""

from __future__ import annotations

from typing import Any

import pytest
from coord_langsmith._feedback import Reference, feedback_of

from coord_plugins import OUTCOMES, RunRecord, StepTally

WHERE = Reference(
    trace_id="t",
    target="t",
    project="p",
    key="outcome",
    name="n",
    start="2026-01-01T00:00:00",
)


def record(outcome: str = "success.first_pass", **more: Any) -> RunRecord:
    kind, _, detail = outcome.partition(".")
    ends: dict[str, Any] = {
        "success": {"end": "delivered", "detail": detail, "passed": True},
        "silent_failure": {
            "end": "delivered",
            "detail": "first_pass" if detail == "first_pass" else "rescued",
            "passed": False,
        },
        "unlabelled": {"end": "delivered", "detail": "first_pass"},
        "in_flight": {"status": detail},
    }
    said = ends.get(kind, {"end": kind, "detail": detail})
    made = RunRecord(**{"run_id": "r", "pipeline": "p", "status": "finished", **said, **more})
    assert made.outcome == outcome
    return made


def told(one: RunRecord, where: Reference = WHERE) -> dict[str, tuple[Any, ...]]:
    return {f.key: (f.score, f.value, f.comment) for f in feedback_of(one, where)}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_one_zero_or_nothing(outcome: str) -> None:
    said = told(record(outcome))
    if outcome.startswith("in_flight"):
        assert said == {}
    elif outcome == "unlabelled":
        assert sorted(said) == ["attempts", "cost_usd"]
    else:
        assert said["outcome"] == (int(outcome.startswith("success")), outcome, None)
        assert said["outcome.first_try"][0] == int(outcome == "success.first_pass")


def test_attempts_are_one_and_every_repeat() -> None:
    steps = {"a": StepTally(executions=4, loops=1, retries=2), "b": StepTally(fallbacks=1)}
    assert told(record(steps=steps))["attempts"] == (5, None, None)
    assert told(record(steps={"a": StepTally(executions=3)}))["attempts"] == (1, None, None)


@pytest.mark.parametrize(
    ("steps", "cost"),
    [
        ({}, (0.0, None, None)),
        ({"a": StepTally(cost_first=0.25, cost_retry=0.5)}, (0.75, None, None)),
        (
            {"a": StepTally(cost_first=0.25, unknown_cost=2)},
            (0.25, None, "a lower bound: 2 model call(s) without a price"),
        ),
        ({"a": StepTally(unknown_cost=2)}, None),  # unknown is not 0
    ],
)
def test_a_cost_that_is_not_known_is_not_nothing(steps: Any, cost: Any) -> None:
    assert told(record(steps=steps)).get("cost_usd") == cost


def test_a_failure_says_where_and_why() -> None:
    lost = record("silent_failure.first_pass", lost_at="writer", explanation="too long")
    assert told(lost)["outcome"][2] == "lost at writer: too long"
    crashed = record("error.crash", lost_at="fetch", error="KeyError: 'x'")
    assert told(crashed)["outcome"][2] == "lost at fetch: KeyError: 'x'"


def test_beside_another_outcome_all_keys_say_so() -> None:
    where = Reference(**{**vars(WHERE), "target": "own", "key": "outcome.sub"})
    assert sorted(told(record(), where)) == [
        "attempts.sub",
        "cost_usd.sub",
        "outcome.sub",
        "outcome.sub.first_try",
    ]


def test_ids_are_those_of_run_target_and_key() -> None:
    def ids(one: RunRecord, where: Reference = WHERE) -> set[str]:
        return {f.id for f in feedback_of(one, where)}

    assert ids(record()) == ids(record("error.crash"))
    elsewhere = Reference(**{**vars(WHERE), "target": "other"})
    others = [ids(record(run_id="s")), ids(record(), elsewhere)]
    assert all(ids(record()).isdisjoint(other) for other in others)
    assert len(ids(record())) == 4


def test_a_reference_survives_its_record() -> None:
    kept = record(metadata={"customer": "x", **WHERE.to_metadata()})
    assert Reference.of(RunRecord.from_dict(kept.to_dict())) == WHERE
    assert Reference.of(record(metadata={"langsmith.project": "p"})) is None
