"""CrewAI's crews and flows: the root and its tasks are ours, what the user traces is below them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import langsmith
import pytest

pytest.importorskip("crewai")

from coord_crewai import attach
from coord_langsmith import LangSmith
from crewai.flow import Flow, listen, start

from coord_plugins import STOP, AttemptsExhaustedError, ValidationEdge, run_context
from coord_plugins.testing import LangSmithServer

from ..crewai.crews import FORMS, Model, crew_of, model_of, run_crew
from .test_traces_shared import (
    BAD,
    GOOD,
    NO_WAIT,
    delivered,
    feedback,
    fine,
    labels,
    named,
    ours,
    told,
    untraced,
)

__all__ = ["untraced"]
EDGE = ValidationEdge("writer", fine)
SCRIPTS = {"reader": "facts", "writer": [BAD, GOOD], "sender": "sent"}
INPUTS = [{"ticket": "T-1"}, {"ticket": "T-2"}]


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


@langsmith.traceable(run_type="llm")
def model(task: str) -> str:
    """The user's own model call."""
    return task


class Asking(Model):
    """CrewAI's model interface, with a traced call behind it."""

    def call(self, messages: Any, *args: Any, from_task: Any = None, **kwargs: Any) -> Any:
        model(from_task.name)
        return super().call(messages, *args, from_task=from_task, **kwargs)


def sent(output: Any) -> bool:
    return bool(output == "sent")


def attached(tracer: LangSmith, *edges: ValidationEdge, scripts: Any = SCRIPTS, **more: Any) -> Any:
    tasks = more.pop("tasks", None)
    crew, _ = crew_of(scripts, model=model_of(scripts, Asking), tasks=tasks)
    given = {"pipeline": "desk", "goal": sent, "listeners": [tracer], **more}
    return attach(crew, *(edges or (EDGE,)), **given)


def task(name: str, *after: str) -> list[str]:
    return [f"  {name} [chain] success", "    model [llm] success", *after]


AGAIN = "attempts=2 outcome.first_try=0 outcome=1(success.unjudged)"
ONCE = "attempts=1 outcome.first_try=1 outcome=1(success.first_pass)"
REJECTED = "    validate:fine [chain] success #validate:rejected"
PASSED = "    validate:fine [chain] success"
SECOND = [
    "    attempt 2 [chain] success #retry:attempt:2",
    "      model [llm] success",
    "      validate:fine [chain] success",
]
IN_PLACE = [
    f"desk [chain] success {AGAIN}",
    *task("reader"),
    *task("writer", REJECTED, *SECOND),
    *task("sender"),
]


# ---------------------------------------------------------------------- the ways to kick off


@pytest.mark.parametrize("form", FORMS)
def test_a_rejection_in_place(traced: LangSmithServer, tracer: LangSmith, form: str) -> None:
    run_crew(attached(tracer), form)
    delivered(tracer)
    assert traced.tree().splitlines() == IN_PLACE
    [root], [again] = traced.roots(), named(traced, "attempt 2")
    assert (root["inputs"], again["inputs"]) == (
        {"ticket": "T-1"},
        {"after": "loop", "feedback": "do better"},
    )
    first, second = named(traced, "validate:fine")
    assert (first["inputs"], second["inputs"]) == ({"output": BAD}, {"output": GOOD})
    assert first["outputs"] == {"passed": False, "explanation": "do better"}
    assert second["outputs"] == {"passed": True}


def kickoff_for_each(crew: Any) -> None:
    crew.kickoff_for_each(inputs=INPUTS)


async def kickoff_for_each_async(crew: Any) -> None:
    await crew.kickoff_for_each_async(inputs=INPUTS)


async def akickoff_for_each(crew: Any) -> None:
    await crew.akickoff_for_each(inputs=INPUTS)


EACH: list[Any] = [kickoff_for_each, kickoff_for_each_async, akickoff_for_each]


@pytest.mark.parametrize("way", EACH, ids=lambda way: way.__name__)
def test_each_input_is_a_trace(traced: LangSmithServer, tracer: LangSmith, way: Any) -> None:
    """Also where they run at the same time."""

    def writes(prompt: str, task: Any) -> str:
        return BAD if "T-2" in task.description and "do better" not in prompt else GOOD

    crew = attached(tracer, scripts={"writer": writes}, goal=lambda output: output == GOOD)
    asyncio.run(way(crew)) if asyncio.iscoroutinefunction(way) else way(crew)
    delivered(tracer)
    trees = {root["inputs"]["ticket"]: traced.tree(root["id"]) for root in traced.roots()}
    assert {ticket: tree.splitlines() for ticket, tree in trees.items()} == {
        "T-1": [f"desk [chain] success {ONCE}", *task("writer", PASSED)],
        "T-2": [f"desk [chain] success {AGAIN}", *task("writer", REJECTED, *SECOND)],
    }


@pytest.mark.parametrize("form", ["kickoff", "akickoff"])
def test_tasks_in_threads_of_their_own(
    traced: LangSmithServer, tracer: LangSmith, form: str
) -> None:
    parallel = {name: {"async_execution": True} for name in ("reader", "writer")}
    run_crew(attached(tracer, tasks=parallel), form)
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("success.unjudged", 2, cost=None)
    # the two may begin in either order
    assert sorted(traced.tree().splitlines()) == sorted(IN_PLACE)
    assert [r["name"] for r in traced.children(root["id"])][2:] == ["sender"]
    for name, below in [("reader", ["model"]), ("writer", ["model", "validate:fine", "attempt 2"])]:
        [one] = named(traced, name)
        assert [r["name"] for r in traced.children(one["id"])] == below


def test_a_flow_and_the_crew_inside(traced: LangSmithServer, tracer: LangSmith) -> None:
    """The flow speaks for the trace; its crews have keys of their own."""

    class Desk(Flow):
        crew: Any = None

        @start()
        def first(self) -> str:
            return str(self.crew.kickoff(inputs=INPUTS[0]).raw)

        @listen(first)
        async def second(self, before: str) -> str:
            model("between")
            return str((await self.crew.akickoff(inputs=INPUTS[1])).raw)

    flow = Desk()
    flow.crew = attached(tracer, pipeline="crew", scripts={"writer": [BAD, GOOD, "sent"]})
    attach(flow, pipeline="flow", goal=sent, listeners=[tracer])
    flow.kickoff()
    delivered(tracer)
    sub = "outcome.sub.first_try"
    wrong = f"attempts.sub=2 {sub}=0 outcome.sub=0(silent_failure.after_retry)"
    assert traced.tree().splitlines() == [
        f"flow [chain] success {ONCE}",
        f"  crew [chain] success {wrong}",
        *["  " + line for line in task("writer", REJECTED, *SECOND)],
        "  model [llm] success",
        f"  crew [chain] success attempts.sub=1 {sub}=1 outcome.sub=1(success.first_pass)",
        *["  " + line for line in task("writer", PASSED)],
    ]


# ---------------------------------------------------------------------- repeats and ends


def test_the_retries_of_a_guardrail_of_the_users(
    traced: LangSmithServer, tracer: LangSmith
) -> None:
    """They are CrewAI's, inside one execution; an edge's are attempts."""

    def polite(output):  # type: ignore[no-untyped-def]  # CrewAI refuses annotations written as text
        return "please" in output.raw, output.raw if "please" in output.raw else "say please"

    scripts = {"writer": ["rude", "please, bad", "please"], "sender": "sent"}
    crew = attached(tracer, scripts=scripts, tasks={"writer": {"guardrail": polite}})
    run_crew(crew, "kickoff")
    delivered(tracer)
    assert traced.tree().splitlines() == [
        f"desk [chain] success {AGAIN}",
        *task("writer", "    model [llm] success", REJECTED, *SECOND),
        *task("sender"),
    ]


def test_a_loop_back_to_an_earlier_task(traced: LangSmithServer, tracer: LangSmith) -> None:
    run_crew(attached(tracer, ValidationEdge("writer", fine, back_to="reader")), "kickoff")
    delivered(tracer)
    marked = [
        line.replace("[chain] success", "[chain] success #retry:attempt:2", 1)
        if line.startswith(("  reader", "  writer"))
        else line
        for line in [*task("reader"), *task("writer", PASSED)]
    ]
    assert traced.tree().splitlines() == [
        f"desk [chain] success {AGAIN}",
        *task("reader"),
        *task("writer", REJECTED),
        *marked,
        *task("sender"),
    ]
    [first, _] = named(traced, "writer")
    assert first["outputs"] == {"decision": "loop", "back_to": "reader", "feedback": "do better"}


def test_a_crash_is_retried(traced: LangSmithServer, tracer: LangSmith) -> None:
    scripts = {**SCRIPTS, "writer": [TimeoutError("slow"), GOOD]}
    run_crew(attached(tracer, scripts=scripts, retry=NO_WAIT), "kickoff")
    delivered(tracer)
    [root], [first], [again] = (named(traced, n) for n in ("desk", "attempt 1", "attempt 2"))
    assert told(traced, root) == feedback("success.crash_retried", 2, cost=None)
    assert first["error"] == "TimeoutError: slow"
    assert again["inputs"] == {"after": "TimeoutError: slow"}
    assert [r["name"] for r in traced.children(again["id"])] == ["model", "validate:fine"]


@pytest.mark.parametrize("otherwise", [None, STOP], ids=["raises", "stops"])
def test_exhausted(traced: LangSmithServer, tracer: LangSmith, otherwise: Any) -> None:
    edge = ValidationEdge("writer", fine, otherwise=otherwise)
    crew = attached(tracer, edge, scripts={"writer": BAD, "sender": "sent"})
    if otherwise is None:
        with pytest.raises(AttemptsExhaustedError):
            run_crew(crew, "kickoff")
    else:
        run_crew(crew, "kickoff")
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("escalated.unjudged", 2, cost=None)
    assert [r["name"] for r in traced.children(root["id"])] == ["writer"]
    assert ("error" in root) == (otherwise is None)
    assert ours(root)["lost_at"] == "writer"


def test_the_users_trace_and_the_run_context(traced: LangSmithServer, tracer: LangSmith) -> None:
    crew = attached(tracer, tags=["nightly"], metadata={"team": "x"})
    with langsmith.trace("mine", inputs={}), run_context(tags=["ctx"], metadata={"tenant": "a"}):
        run_crew(crew, "kickoff")
    delivered(tracer)
    [mine], [desk] = traced.roots(), named(traced, "desk")
    assert told(traced, mine) == feedback("success.unjudged", 2, cost=None)
    assert (mine["name"], told(traced, desk), desk["tags"]) == ("mine", {}, ["nightly", "ctx"])
    assert (labels(desk)["team"], labels(desk)["tenant"]) == ("x", "a")
    for other in [r for r in traced.runs if r["id"] != desk["id"]]:
        assert not ours(other)
        assert not {"team", "tenant"} & set(labels(other))
