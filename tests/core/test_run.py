"""Runs: labels, collection, nesting, resume, money."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from coord_plugins import (
    Retry,
    RunRecord,
    ValidationEdge,
    check,
    collect_runs,
    configure,
    current_feedback,
    current_run,
    current_step,
    retrying,
    run_context,
    track,
    validated,
)
from coord_plugins._run import CHILD, OUTSIDE
from coord_plugins.host import Coord, Host, Run, activate, make_policy, merge_durable, settle
from coord_plugins.testing import Act, assert_identities, scripted, simulate


def one(**settings: Any) -> RunRecord:
    with track("p", store="off", **settings) as run:
        run.output = "x"
    return run.coord.last  # type: ignore[return-value]


def test_outside_of_anything() -> None:
    for ask in (current_run, current_step):
        with pytest.raises(LookupError):
            ask()
    assert current_feedback() is None


def test_collect_runs_also_under_concurrency() -> None:
    async def work(n: int) -> list[RunRecord]:
        with collect_runs() as runs, run_context(task=f"t{n}"):
            for _ in range(n):
                async with track("p", store="off") as run:
                    await asyncio.sleep(0)
                    run.output = n
        return runs

    async def main() -> list[list[RunRecord]]:
        return await asyncio.gather(*(work(n) for n in range(5)))

    found = asyncio.run(main())
    assert [len(runs) for runs in found] == [0, 1, 2, 3, 4]
    assert [{r.task for r in runs} for runs in found[1:]] == [{f"t{n}"} for n in range(1, 5)]


def test_collections_nest() -> None:
    with collect_runs() as outer:
        one()
        with collect_runs() as inner:
            one()
    assert (len(outer), len(inner)) == (2, 1)


def test_run_context_adds_up_and_inner_wins() -> None:
    configure(tags=["all"], metadata={"region": "eu", "k": 0})
    with run_context(task="t", tags=["a"], metadata={"k": 1, "tenant": "x"}):
        with run_context(tags=["b"], metadata={"k": 2}):
            record = one(tags=["attached"], metadata={"k": 9})
        assert one().metadata["k"] == 1
    assert record.task == "t"
    assert record.tags == ("all", "attached", "a", "b")
    assert record.metadata == {"region": "eu", "k": 2, "tenant": "x"}
    assert one().tags == ("all",)


def test_run_context_gives_an_id_to_one_run_and_none_to_nested_contexts() -> None:
    with run_context(run_id="mine"):
        assert one().run_id == "mine"
        with run_context(tags=["x"]):
            assert one().run_id != "mine"


def test_task_from_the_input() -> None:
    assert simulate(steps={"a": "x"}, inputs={"ticket": 7}, task="ticket").record.task == "7"  # type: ignore[union-attr]
    seen = simulate(steps={"a": "x"}, inputs=[3], task=lambda given: given[0])
    assert seen.record is not None
    assert seen.record.task == "3"


def test_nested_runs_roll_their_cost_up_once() -> None:
    def spend(usd: float) -> None:
        current_run().add_usage(input_tokens=1, output_tokens=1, cost_usd=usd)

    @retrying(max_attempts=1)
    def inner_step() -> None:
        spend(2.0)

    with collect_runs() as runs, track("outer", store="off"):
        spend(1.0)
        with track("inner", store="off"):
            inner_step()
            with track("innermost", store="off"):
                spend(4.0)
        spend(8.0)
    innermost, inner, outer = runs
    assert [r.pipeline for r in runs] == ["innermost", "inner", "outer"]
    assert (outer.parent_id, inner.parent_id, innermost.parent_id) == (
        None,
        outer.run_id,
        inner.run_id,
    )
    assert (innermost.cost, inner.cost, outer.cost) == (4.0, 6.0, 15.0)
    assert (inner.steps["inner_step"].cost_first, inner.steps[CHILD].cost) == (2.0, 4.0)
    assert (outer.steps[OUTSIDE].cost, outer.steps[CHILD].cost) == (9.0, 6.0)
    assert (outer.tokens, inner.tokens) == (8, 4)
    for record in runs:
        assert_identities(record)


def test_a_run_after_another_is_no_child() -> None:
    assert one().parent_id is None
    assert one().parent_id is None


HOST = Host(name="test")
always_no = check(lambda o: False, name="no", feedback="why")


def coord() -> Coord:
    edge = ValidationEdge("writer", always_no, back_to="reader", max_attempts=3, otherwise="desk")
    policy = make_policy(edge, pipeline="p", store="off", retry=Retry(max_attempts=2))
    return Coord(policy, HOST)


def visit(run: Run, name: str, value: Any) -> tuple[Any, dict[str, Any]]:
    step = run.enter(name)
    step.begin()
    with activate(run):
        decision = settle(step, value=value)
    return decision, dict(step.commit())


def test_resume_restores_counts_feedback_identity_and_time() -> None:
    first = coord().start(None, is_async=False)
    assert first is not None
    first.resumable = True
    kept: dict[str, Any] = {"run": {**first.identity(), "elapsed": 5.0}}
    for name in ("reader", "writer", "reader"):
        _, change = visit(first, name, "x")
        kept = json.loads(json.dumps(merge_durable(kept, change)))
    second = coord().start(None, is_async=False)
    assert second is not None
    second.restore(kept)
    assert (second.run_id, second.started_at) == (first.run_id, first.started_at)
    assert second.elapsed >= 5.0
    assert second.feedback_for("writer") == second.feedback_for("reader") == "why"
    step = second.enter("writer")
    assert (step.attempt, step.feedback) == (2, "why")
    assert step.idempotency_key == f"{first.run_id}:writer:2"
    step.begin()
    assert step.execution == 2
    decisions = [visit(second, "writer", "x")[0] for _ in range(2)]
    assert [type(d).__name__ for d in decisions] == ["Again", "Escalate"]
    record = second.close()
    assert record.outcome == "escalated.unjudged"
    assert (record.steps["writer"].rejects, record.steps["reader"].executions) == (3, 2)
    assert_identities(record)


def test_execution_numbers_are_atomic_across_threads() -> None:
    run = coord().start(None, is_async=False)
    assert run is not None
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(next(run.executions("reader")) for _ in range(200))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 801))


def test_cancellation_counts_what_was_spent_and_nothing_else() -> None:
    @retrying(max_attempts=3)
    @validated(lambda o: True)
    def writer() -> str:
        current_run().add_usage(input_tokens=1, output_tokens=1, cost_usd=3.0)
        raise KeyboardInterrupt

    with collect_runs() as runs, pytest.raises(KeyboardInterrupt), track("p", store="off"):
        writer()
    (record,) = runs
    assert record.outcome == "error.cancelled"
    assert (record.cost, record.steps["writer"].cost_retry) == (3.0, 3.0)
    assert (record.steps["writer"].executions, record.steps["writer"].retries) == (0, 0)


def test_cost_split_over_retry_loop_fallback_and_judge() -> None:
    def judged(output: str) -> bool:
        current_run().add_usage(input_tokens=1, output_tokens=1, cost_usd=0.25)
        return output == "good"

    backup = scripted(Act(then="good", cost_usd=16.0), name="backup")
    steps = {
        "writer": [
            Act(then=TimeoutError(), cost_usd=1.0),
            Act(then="bad", cost_usd=2.0),
            Act(then="bad", cost_usd=4.0),
            Act(then=TimeoutError(), cost_usd=8.0),
            Act(then=TimeoutError(), cost_usd=8.0),
        ]
    }
    edge = ValidationEdge("writer", judged, max_attempts=3)
    retry = Retry(max_attempts=2, jitter=False, fallbacks=[backup])
    seen = simulate(edge, steps, retry=retry, goal=lambda o: o == "good")
    assert seen.record is not None
    t = seen.record.steps["writer"]
    assert (t.cost_first, t.cost_retry, t.cost_validation, t.cost_fallback) == (
        2.0,
        21.0,
        0.75,
        16.0,
    )
    assert seen.record.cost == 39.75


def test_labels_measure_the_first_execution_and_the_validators() -> None:
    edge = ValidationEdge("b", check(lambda o: o != "bad", name="v"))
    seen = simulate(
        edge,
        {"a": "wrong", "b": ["bad", "right"]},
        label=lambda value, step: value == "right",
        goal=lambda o: True,
    )
    assert seen.record is not None
    a, b = seen.record.steps["a"], seen.record.steps["b"]
    assert (a.first_ok, a.first_given_right, b.first_ok, b.first_given_right) == (
        False,
        True,
        False,
        False,
    )
    assert b.validators["v"] == [2, 1, 1, 0, 1, 0, 0, 1]
    assert (b.reject_upstream, b.reject_own, b.pass_right) == (1, 0, 1)
    assert seen.outcome == "success.rescued"


def test_only_a_thousand_runs_are_kept() -> None:
    here = track("p", store="off")
    for _ in range(1_005):
        with here:
            pass
    assert len(here.coord.runs) == 1_000
    assert here.coord.last is here.coord.runs[-1]
