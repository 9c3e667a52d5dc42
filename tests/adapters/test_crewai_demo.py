"""The demo on CrewAI: outcomes equal to LangGraph's, ticket by ticket."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("crewai")
pytest.importorskip("langgraph.graph")

from coord_crewai import _crew, _private
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks

from coord_plugins import PolicyError, RunRecord
from coord_plugins.demo import STEPS, run_demo
from coord_plugins.demo._prediction import predicted

from .demo_runs import RUNS, SEED, Key, counts, eventful, runs_of


@pytest.fixture(scope="module")
def numbers() -> list[int]:
    return eventful(range(RUNS))


@pytest.fixture(scope="module")
def langgraph(numbers: list[int]) -> dict[Key, RunRecord]:
    return runs_of("langgraph", numbers)


@pytest.fixture(scope="module")
def crewai(numbers: list[int]) -> tuple[dict[Key, RunRecord], list[Any]]:
    """The records, and every event of CrewAI's about its tasks."""
    heard: list[Any] = []

    def sink(source: Any, event: Any) -> None:
        if event.type in ("task_started", "task_completed", "task_failed"):
            heard.append(event.type)

    token = add_stream_sink(sink)
    try:
        return runs_of("crewai", numbers), heard
    finally:
        reset_stream_sinks(token)


def test_every_run_is_the_same_on_both_hosts(
    langgraph: dict[Key, RunRecord], crewai: tuple[dict[Key, RunRecord], list[Any]]
) -> None:
    """Not the outcomes alone: each step's executions, verdicts, loops, retries and feedback."""
    records, _ = crewai
    assert list(records) == list(langgraph)
    assert {k: counts(r) for k, r in records.items()} == {
        k: counts(r) for k, r in langgraph.items()
    }
    assert len({r.outcome for r in records.values()}) >= 3
    assert sum(t.loops for r in records.values() for t in r.steps.values()) > 40


def test_tokens_and_cost_are_the_same(
    langgraph: dict[Key, RunRecord], crewai: tuple[dict[Key, RunRecord], list[Any]]
) -> None:
    """The simulated model is asked the same, read off what each host brings it."""
    records, _ = crewai
    assert {k: (r.tokens, r.cost, r.cost_unknown) for k, r in records.items()} == {
        k: (r.tokens, r.cost, r.cost_unknown) for k, r in langgraph.items()
    }


def test_every_attempt_stands_in_crewais_own_event_stream(
    crewai: tuple[dict[Key, RunRecord], list[Any]],
) -> None:
    records, heard = crewai
    tallies = [t for r in records.values() for n, t in r.steps.items() if n in STEPS]
    executions = sum(t.executions for t in tallies)
    passes = sum(t.passes for t in tallies)
    assert heard.count("task_started") == executions
    assert heard.count("task_completed") == passes
    assert heard.count("task_failed") == executions - passes


def test_without_the_adapters_loop_back_the_integers_differ(
    langgraph: dict[Key, RunRecord], numbers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the loop to an earlier task is really made, and by the adapter."""
    earlier = [
        number
        for number, record in zip(numbers, langgraph.values(), strict=True)
        if any(t.loops > 1 for t in record.steps.values())
    ]
    assert earlier, "some run goes back to an earlier step"

    def in_place(tasks: Any, target: str) -> int:
        return next(i for i, task in enumerate(tasks) if task.output is None)

    monkeypatch.setattr(_crew, "_rewind", in_place)
    deaf = runs_of("crewai", earlier)
    assert all(counts(record) != counts(langgraph[key]) for key, record in deaf.items())


def test_the_bare_crew_differs_by_what_crewai_itself_repeats() -> None:
    """Rate-limited calls, where CrewAI repeats them; and the runs that they saved say so."""
    chosen = eventful(range(240))
    theirs = runs_of("langgraph", chosen, bare=True)
    ours = runs_of("crewai", chosen, bare=True)
    saved = {k for k in ours if ours[k].succeeded and not theirs[k].succeeded}
    assert not {k for k in ours if theirs[k].succeeded and not ours[k].succeeded}
    repeated = {k for k, r in ours.items() if r.metadata.get("host_retries")}
    assert saved <= repeated
    assert bool(saved) == (_private.rate_limit_retry is not None)


def test_the_prediction_of_the_bare_crew_counts_them() -> None:
    """With q the rate of rate-limited calls: each other end comes 1 + q + q^2 times as often."""
    found = predicted([], None, rate_limit_tries=3)
    q, right = 0.03 / 6, 0.97
    assert found["success"] == pytest.approx((right * (1 + q + q**2)) ** 6, abs=1e-12)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-12)
    assert predicted([], None)["success"] == pytest.approx(0.97**6, abs=1e-12)


def test_the_demo_itself() -> None:
    demo = run_demo(framework="crewai", runs=24, seed=SEED, store="memory")
    data = demo.to_dict()
    assert (data["framework"], data["simulated"]) == ("crewai", True)
    assert sum(data["attached"]["outcomes"].values()) == 24
    assert data["bare"]["host_retries"].keys() == {"calls", "runs"}
    same = run_demo(framework="langgraph", runs=24, seed=SEED, store="memory")
    for side in ("attached", "single_call"):
        assert data[side]["outcomes"] == same.to_dict()[side]["outcomes"]


@pytest.mark.parametrize(
    ("model", "words"),
    [("gpt", "PROVIDER:NAME"), ("nosuchprovider:x", "the model could not be made")],
)
def test_a_model_that_cannot_be_made_is_one_clear_error(model: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        run_demo(framework="crewai", runs=1, model=model, store="memory")
