"""Tokens, money and limits: counted from CrewAI's events, beside CrewAI's own totals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import attach
from crewai.hooks import HookAborted

from coord_plugins import (
    STOP,
    Budget,
    BudgetExceededError,
    Retry,
    UnpricedModelError,
    UsageUnavailableError,
    ValidationEdge,
    check,
    collect_runs,
    current_run,
    judge,
    track,
)

from .crews import (
    TOKENS_IN,
    TOKENS_OUT,
    Model,
    Silent,
    counts,
    crew_of,
    model_of,
    no_bad,
    run_crew,
)

fine = check(no_bad, name="fine", feedback="do better")
THREE = {"a": "a", "b": "b", "c": "c"}
EACH = TOKENS_IN + TOKENS_OUT
PRICES = {"fake-model": (1_000_000.0, 2_000_000.0)}  # 1 USD per input token, 2 per output token
COST = TOKENS_IN + 2.0 * TOKENS_OUT
BOTH = ("kickoff", "akickoff")


def attached(scripts: Any = THREE, *edges: Any, **settings: Any) -> tuple[Any, Model]:
    made = {k: settings.pop(k) for k in ("model", "tasks") if k in settings}
    host, model = crew_of(scripts, **made)
    return attach(host, *edges, pipeline="p", **{"store": "off", **settings}), model


# ------------------------------------------------------------------ beside CrewAI's own totals


def test_our_tokens_are_the_models_and_crewais_are_not() -> None:
    """Three agents that share a model: two kickoffs, and three inputs."""
    host, model = attached(prices=PRICES)
    theirs = [host.kickoff(inputs={"ticket": str(i)}).token_usage.total_tokens for i in range(2)]
    outputs = host.kickoff_for_each([{"ticket": str(i)} for i in range(3)])
    theirs += [o.token_usage.total_tokens for o in outputs]
    ours = [r.tokens for r in host.coord.runs]
    truth = 3 * EACH
    assert ours == [truth] * 5
    assert sum(ours) == EACH * model.calls
    assert [r.cost for r in host.coord.runs] == [3 * COST] * 5
    # CrewAI adds a model's lifetime counters up, once per agent that has it (its issue 7259)
    assert theirs == [3 * truth * n for n in (1, 2, 3, 4, 5)]
    assert host.usage_metrics.total_tokens == 3 * truth * (3 + 4 + 5)


def test_runs_at_the_same_time_count_for_themselves() -> None:
    def asks(prompt: str, task: Any) -> str:
        return "good" if "do better" in prompt or "T-3" not in task.description else "bad"

    scripts = {"a": "a", "writer": asks}
    host, model = attached(scripts, ValidationEdge("writer", fine), task="ticket")
    asyncio.run(host.akickoff_for_each([{"ticket": f"T-{i}"} for i in range(6)]))
    assert {r.task: r.tokens for r in host.coord.runs} == {
        f"T-{i}": EACH * (3 if i == 3 else 2) for i in range(6)
    }
    assert sum(r.tokens for r in host.coord.runs) == EACH * model.calls


@pytest.mark.parametrize("form", BOTH)
def test_the_cost_of_each_attempt_is_where_it_belongs(form: str) -> None:
    """First, repeated and rejected work, a fallback's, and a judge's."""
    critic = model_of({"*": "fine"})

    def asks(output: str) -> bool:
        critic.call("is it fine?")
        return no_bad(output)

    host, _ = attached(
        {"writer": ["bad", TimeoutError("slow"), "good"]},
        ValidationEdge("writer", judge(asks)),
        retry=Retry(initial_interval=0.0),
        prices=PRICES,
    )
    run_crew(host, form)
    tally = host.coord.last.steps["writer"]
    # the call that failed reports no usage
    assert (tally.cost_first, tally.cost_retry) == (COST, COST)
    assert (tally.cost_validation, tally.cost_fallback) == (2 * COST, 0.0)
    assert host.coord.last.tokens == 4 * EACH
    assert host.coord.last.cost_unknown == 0


def test_what_no_task_spends_is_counted_outside_of_tasks() -> None:
    planner = model_of({"*": "plan"})

    def plans(inputs: Any) -> Any:
        planner.call("plan it")
        return inputs

    host, _ = crew_of({"a": "a"})
    host.before_kickoff_callbacks.append(plans)
    attach(host, pipeline="p", prices=PRICES, store="off")
    host.kickoff(inputs={"ticket": "T-1"})
    assert {n: t.cost for n, t in host.coord.last.steps.items()} == {
        "(outside steps)": COST,
        "a": COST,
    }


def test_a_crew_inside_a_task_is_a_child_and_counted_once() -> None:
    inner, _ = attached({"deep": ["bad", "deep"]}, ValidationEdge("deep", fine), prices=PRICES)

    def delegates(prompt: str, task: Any) -> str:
        return inner.kickoff(inputs={"ticket": "inner"}).raw

    outer, _ = attached({"top": delegates, "end": "end"}, prices=PRICES)
    with collect_runs() as runs:
        outer.kickoff(inputs={"ticket": "T-1"})
    child, parent = runs
    assert child.parent_id == parent.run_id
    assert (child.tokens, parent.tokens) == (2 * EACH, 4 * EACH)
    assert parent.steps["(child runs)"].cost == child.cost == 2 * COST
    assert counts(child) == {"deep": (2, 1)}


def test_a_bare_crew_inside_a_run_counts_for_that_run() -> None:
    host, _ = crew_of({"a": "a", "b": "b"})
    attached_host, _ = attached({"top": lambda p, t: host.kickoff(inputs={"ticket": "x"}).raw})
    attached_host.kickoff(inputs={"ticket": "T-1"})
    assert attached_host.coord.last.tokens == 3 * EACH
    assert attached_host.coord.last.steps["top"].input_tokens == 3 * TOKENS_IN
    with track("plain", store="off") as run:
        attached_host.kickoff(inputs={"ticket": "T-2"})
    assert run.coord.last.tokens == 3 * EACH


# ------------------------------------------------------------------ what is not known


def test_a_model_that_says_nothing_is_unknown_and_not_zero() -> None:
    host, _ = attached(THREE, model=model_of(THREE, Silent), prices=PRICES)
    host.kickoff(inputs={"ticket": "T-1"})
    record = host.coord.last
    assert (record.tokens, record.cost) == (0, 0.0)
    assert record.cost_unknown == 3
    assert {n: t.unknown_tokens for n, t in record.steps.items()} == {"a": 1, "b": 1, "c": 1}
    assert host.coord.summary().only.cost.lower_bound


class Counting(Silent):
    """Keeps CrewAI's own counters, and emits no event."""

    def usage(self) -> Any:
        return Model.usage(self)


def test_a_models_own_counters_are_taken_where_they_are_exact() -> None:
    host, _ = attached(THREE, model=model_of(THREE, Counting), prices=PRICES)
    host.kickoff(inputs={"ticket": "T-1"})
    host.kickoff(inputs={"ticket": "T-2"})
    assert [r.tokens for r in host.coord.runs] == [3 * EACH] * 2
    assert [r.cost_unknown for r in host.coord.runs] == [0, 0]


def test_counters_that_other_calls_moved_too_are_not_taken() -> None:
    model = model_of({}, Counting)

    def busy(prompt: str, task: Any) -> str:
        Model.usage(model)  # another crew's call on the same object, at the same time
        return "a"

    model._scripts = {"a": [busy]}
    host, _ = attached({"a": "a"}, model=model)
    host.kickoff(inputs={"ticket": "T-1"})
    assert host.coord.last.tokens == 0
    assert host.coord.last.steps["a"].unknown_tokens == 1


def test_a_model_that_reports_by_itself_is_not_counted_twice() -> None:
    def reports(prompt: str, task: Any) -> str:
        current_run().add_usage(input_tokens=1, output_tokens=2, cost_usd=3.0)
        return "a"

    host, _ = attached({"a": reports}, model=model_of({"a": reports}, Silent))
    host.kickoff(inputs={"ticket": "T-1"})
    record = host.coord.last
    assert (record.tokens, record.cost, record.cost_unknown) == (3, 3.0, 0)


class Vague(Model):
    """Emits CrewAI's events without a usage, as CrewAI's structured paths do."""

    def usage(self) -> Any:
        return None


def test_an_event_without_usage_is_an_unknown_call() -> None:
    host, _ = attached({"a": "a"}, model=model_of({"a": "a"}, Vague))
    host.kickoff(inputs={"ticket": "T-1"})
    assert host.coord.last.steps["a"].unknown_tokens == 1


# ------------------------------------------------------------------ budgets


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    ("budget", "done"),
    [
        (Budget(max_tokens=2 * EACH), ["a", "b"]),
        (Budget(max_cost_usd=COST + 0.5), ["a", "b"]),
        (Budget(max_attempts=1), ["a"]),
    ],
)
def test_a_budget_ends_the_run(form: str, budget: Budget, done: list[str]) -> None:
    host, model = attached(THREE, budget=budget, retry=Retry(), prices=PRICES)
    with pytest.raises(BudgetExceededError):
        run_crew(host, form)
    assert list(model.prompts) == done
    assert host.coord.last.outcome == "error.budget"
    assert host.coord.last.tokens == EACH * len(done)


@pytest.mark.parametrize("form", BOTH)
def test_a_budget_stops_a_call_inside_a_task(form: str) -> None:
    """CrewAI's guardrail asks the model again by itself; the second call is not made."""

    def never(output):  # type: ignore[no-untyped-def]  # CrewAI refuses annotations written as text
        return False, "again"

    host, model = attached(
        {"a": "a"}, tasks={"a": {"guardrail": never}}, budget=Budget(max_tokens=EACH), retry=Retry()
    )
    with pytest.raises(BudgetExceededError) as raised:
        run_crew(host, form)
    assert not isinstance(raised.value, HookAborted)
    assert model.calls == 1
    assert host.coord.last.outcome == "error.budget"


def test_a_spent_budget_takes_its_otherwise() -> None:
    scripts = {"a": "a", "b": "b", "desk": "by hand"}
    host, model = attached(scripts, budget=Budget(max_tokens=EACH, otherwise="desk"))
    assert [t.raw for t in run_crew(host, "kickoff").tasks_output] == ["a", "by hand"]
    assert "b" not in model.prompts
    seen: list[Any] = []

    def goal(output: Any) -> bool:
        seen.append(output)
        return False

    host, model = attached(THREE, budget=Budget(max_tokens=EACH, otherwise=STOP), goal=goal)
    output = run_crew(host, "kickoff")
    assert seen == [None], "a run that stopped has no output"
    assert (output.raw, [t.raw for t in output.tasks_output]) == ("", ["a"])
    assert host.coord.last.end == "delivered"


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("kind", [Silent, Vague])
def test_a_budget_that_cannot_be_measured_says_so_at_once(form: str, kind: type[Model]) -> None:
    host, model = attached(
        THREE, model=model_of(THREE, kind), budget=Budget(max_tokens=1_000), retry=Retry()
    )
    with pytest.raises(UsageUnavailableError, match="max_tokens"):
        run_crew(host, form)
    assert model.calls == 1
    assert host.coord.last.outcome == "error.budget"


def test_a_judge_that_cannot_be_measured_says_so_too() -> None:
    """Its calls pass no hook of CrewAI's: the error comes when the task has been judged."""
    critic = model_of({"*": "fine"}, Vague)
    edge = ValidationEdge("a", judge(lambda o: bool(critic.call("is it fine?")), name="asks"))
    host, _ = attached({"a": "a"}, edge, budget=Budget(max_tokens=1_000))
    with pytest.raises(UsageUnavailableError, match="max_tokens"):
        run_crew(host, "kickoff")
    assert host.coord.last.outcome == "error.budget"


def test_a_cost_budget_needs_a_price() -> None:
    host, model = attached(THREE, budget=Budget(max_cost_usd=1.0), prices={})
    with pytest.raises(UnpricedModelError, match="'fake-model' has no price"):
        run_crew(host, "kickoff")
    assert model.calls == 1


def test_a_parents_budget_stops_the_crew_inside() -> None:
    inner, model = attached({"x": "x", "y": "y", "z": "z"}, prices=PRICES)
    host, _ = attached(
        {"top": lambda p, t: inner.kickoff(inputs={"ticket": "i"}).raw},
        budget=Budget(max_tokens=2 * EACH),
    )
    with pytest.raises(BudgetExceededError):
        run_crew(host, "kickoff")
    assert list(model.prompts) == ["x", "y"]
    assert [r.outcome for r in (inner.coord.last, host.coord.last)] == ["error.budget"] * 2
