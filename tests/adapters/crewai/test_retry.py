"""Retries: CrewAI's own are off under a `Retry` and stay without one; fallbacks; long tasks."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import _private, attach

from coord_plugins import PolicyError, Retry, ValidationEdge, check, use_clock
from coord_plugins.testing import FakeClock

from .crews import Model, counts, crew_of, model_of, no_bad, run_crew

fine = check(no_bad, name="fine", feedback="do better")
BOTH = ("kickoff", "akickoff")
NO_WAIT = Retry(max_attempts=2, initial_interval=0.0)


class RateLimitError(Exception):
    """What CrewAI's own models raise."""

    status_code = 429
    headers = {"retry-after": "0"}


def attached(scripts: Any, *edges: Any, **settings: Any) -> tuple[Any, Model]:
    made = {k: settings.pop(k) for k in ("model", "tasks", "agents_limit") if k in settings}
    limit = made.pop("agents_limit", None)
    host, model = crew_of(scripts, **made)
    for agent in host.agents if limit is not None else ():
        agent.max_retry_limit = limit
    return attach(host, *edges, pipeline="p", store="off", **settings), model


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize("error", [RateLimitError("429"), ConnectionError("reset")])
def test_under_a_retry_every_failed_call_is_ours(form: str, error: Exception) -> None:
    """Neither the agent's nor the model's own retry hides one: two calls, two executions."""
    host, model = attached({"a": [error, error, "a"]}, retry=NO_WAIT)
    with pytest.raises(type(error)):
        run_crew(host, form)
    assert model.calls == 2
    tally = host.coord.last.steps["a"]
    assert (tally.executions, tally.errors, tally.retries) == (2, 2, 1)
    assert "host_retries" not in host.coord.last.metadata


@pytest.mark.parametrize("form", BOTH)
def test_without_one_crewais_own_stay_and_are_named(form: str) -> None:
    host, model = attached({"a": [ConnectionError("reset"), "a"], "b": "b"}, retry={"b": NO_WAIT})
    assert run_crew(host, form).raw == "b"
    assert model.calls == 3
    record = host.coord.last
    assert (record.steps["a"].executions, record.steps["a"].errors) == (1, 0)
    assert record.metadata["host_retries"] == 1
    assert record.outcome == "unlabelled"


def test_a_task_that_must_not_be_repeated_is_not() -> None:
    """`None` is an order: CrewAI's own retry would send the letter twice."""
    host, model = attached({"a": "a", "send": ConnectionError("reset")}, retry={"send": None})
    with pytest.raises(ConnectionError):
        run_crew(host, "kickoff")
    assert len(model.prompts["send"]) == 1
    assert "never repeated" in host.coord.explain()


@pytest.mark.skipif(_private.rate_limit_retry is None, reason="came with CrewAI 1.15.20")
def test_without_one_crewai_repeats_rate_limited_calls() -> None:
    host, model = attached({"a": [RateLimitError("429"), "a"]}, agents_limit=0)
    assert run_crew(host, "kickoff").raw == "a"
    assert (model.calls, host.coord.last.metadata["host_retries"]) == (2, 1)


def test_the_lifetime_counter_of_an_agent_does_not_matter() -> None:
    """CrewAI never resets it: after three failures in its life an agent is not retried at all."""
    host, _ = attached({"a": [ConnectionError("1"), "a"] * 5}, retry=NO_WAIT)
    for _ in range(5):
        assert run_crew(host, "kickoff").raw == "a"
    assert [r.steps["a"].retries for r in host.coord.runs] == [1] * 5
    assert [a.max_retry_limit for a in host.agents] == [2]


def test_coworkers_are_not_retried_behind_our_back() -> None:
    """A manager delegates: its coworkers' own retries are off for the task as well."""
    limits: list[list[int]] = []
    host, _ = crew_of(
        {"a": lambda p, t: str(limits.append([x.max_retry_limit for x in host.agents]))}
    )
    host.agents[0].allow_delegation = True
    other, _ = crew_of({"b": "b"})
    host.agents.append(other.agents[0])
    attach(host, pipeline="p", retry=NO_WAIT, store="off")
    run_crew(host, "kickoff")
    assert limits == [[0, 0]]
    assert [x.max_retry_limit for x in host.agents] == [2, 2]


@pytest.mark.parametrize("form", BOTH)
def test_a_fallback_model_takes_over_at_the_failed_task(form: str) -> None:
    other = model_of({"*": ["bad b", "b by the other"]})
    host, model = attached(
        {"a": "a", "b": [TimeoutError("1"), TimeoutError("2"), TimeoutError("3"), "c"], "c": "c"},
        ValidationEdge("b", fine, max_attempts=3),
        retry=Retry(max_attempts=2, initial_interval=0.0, fallbacks=[other]),
    )
    output = run_crew(host, form)
    # 2 failed calls, the other model's bad answer, 1 failed call more and one that answers
    assert [t.raw for t in output.tasks_output] == ["a", "c", "c"]
    assert {n: len(p) for n, p in model.prompts.items()} == {"a": 1, "b": 4, "c": 1}
    assert len(other.prompts["b"]) == 1
    record = host.coord.last
    assert counts(record) == {"a": (1, 0), "b": (5, 1), "c": (1, 0)}
    assert (record.steps["b"].fallbacks, record.steps["b"].retries) == (1, 2)
    assert all(agent.llm is model for agent in host.agents)


@pytest.mark.parametrize("form", BOTH)
def test_a_callable_stands_in_for_a_task(form: str, tmp_path: Any) -> None:
    """It is judged, and what CrewAI does with an output happens to its output too."""
    heard: list[tuple[str | None, str | None]] = []
    seen: list[str] = []

    def by_rule(context: str | None, feedback: str | None = None) -> str:
        heard.append((context, feedback))
        return "good" if feedback else "bad"

    host, model = attached(
        {"a": "facts", "b": TimeoutError("down"), "c": "c"},
        ValidationEdge("b", fine),
        retry={"b": Retry(max_attempts=1, fallbacks=[by_rule])},
        tasks={"b": {"callback": seen.append}},
    )
    agent = host.tasks[1].agent
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == ["facts", "good", "c"]
    assert [(c.split("\n")[0] if c else None, f) for c, f in heard] == [
        ("facts", None),
        ("facts", "do better"),
    ]
    assert [o.raw for o in seen] == ["good"]
    assert "good" in model.prompts["c"][0]
    assert host.tasks[1].agent is agent
    assert host.coord.last.steps["b"].fallbacks == 2


@pytest.mark.parametrize("form", BOTH)
def test_an_async_callable_stands_in_under_akickoff(form: str) -> None:
    async def by_rule(context: str | None) -> dict[str, int]:
        return {"n": 1}

    host, _ = attached(
        {"b": TimeoutError("down")}, retry=Retry(max_attempts=1, fallbacks=[by_rule])
    )
    if form == "akickoff":
        assert run_crew(host, form).raw == '{"n": 1}'
    else:
        with pytest.raises(PolicyError, match="fallback 'by_rule' is async.*call akickoff"):
            run_crew(host, form)


@pytest.mark.parametrize("form", BOTH)
def test_another_task_is_the_fallback(form: str) -> None:
    seen: list[str] = []
    host, model = attached(
        {"a": "facts", "b": TimeoutError("down"), "plan_b": ["bad", "good"], "c": "c"},
        ValidationEdge("b", fine),
        retry={"b": Retry(max_attempts=1, fallbacks=["plan_b"])},
        tasks={"plan_b": {"callback": seen.append}},
    )
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == ["facts", "good", "c"]
    assert counts(host.coord.last) == {"a": (1, 0), "b": (4, 1), "c": (1, 0)}
    assert "facts" in model.prompts["plan_b"][0]
    assert "do better" in model.prompts["plan_b"][1]
    assert [o.raw for o in seen] == ["good"]


def test_backoff_is_on_the_injected_clock() -> None:
    clock = FakeClock()
    retry = Retry(max_attempts=4, initial_interval=1.0, jitter=False)
    host, _ = attached({"a": [TimeoutError("1"), TimeoutError("2"), "a"]}, retry=retry)
    with use_clock(clock):
        run_crew(host, "kickoff")
    assert clock.sleeps == [1.0, 2.0]


@pytest.mark.parametrize("form", BOTH)
def test_the_error_of_a_task_with_a_time_limit_is_what_it_was(form: str) -> None:
    """CrewAI wraps it into a RuntimeError; under a policy it is what the model raised."""
    host, model = attached({"a": [ConnectionError("reset"), "a"]}, retry=NO_WAIT)
    host.agents[0].max_execution_time = 30
    assert run_crew(host, form).raw == "a"
    assert model.calls == 2
    assert host.coord.last.steps["a"].retries == 1


def test_a_cancelled_run_gives_everything_back() -> None:
    """Cancellation is prompt, is no error of the step, and the crew can run again."""
    import asyncio

    entered, go_on = threading.Event(), threading.Event()

    def waits(prompt: str, task: Any) -> str:
        entered.set()
        go_on.wait(10)
        return "late"

    host, model = attached({"a": [waits, "a"]}, ValidationEdge("a", fine), retry=NO_WAIT)

    async def main() -> None:
        run = asyncio.create_task(host.akickoff(inputs={"ticket": "T-1"}))
        while not entered.is_set():
            await asyncio.sleep(0.001)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        go_on.set()

    asyncio.run(main())
    assert host.coord.last.outcome == "error.cancelled"
    assert [a.max_retry_limit for a in host.agents] == [2]
    assert host.tasks[0].callback is None
    assert run_crew(host.copy(), "kickoff").raw == "a"
    assert model.calls == 2
