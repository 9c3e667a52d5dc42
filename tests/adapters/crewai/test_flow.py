"""Flows: the flow is the run, the attached crews inside are its children."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import attach, retrying, validated
from crewai.flow import Flow, listen, start
from crewai.flow.async_feedback.types import HumanFeedbackPending, PendingFeedbackContext
from crewai.flow.human_feedback import human_feedback

from coord_plugins import (
    AlreadyAttachedError,
    Budget,
    BudgetExceededError,
    PolicyError,
    Retry,
    RunPaused,
    ValidationEdge,
    check,
    collect_runs,
    flush,
    run_context,
)

from .crews import TOKENS_IN, TOKENS_OUT, counts, crew_of, no_bad

fine = check(no_bad, name="fine", feedback="do better")
EACH = TOKENS_IN + TOKENS_OUT
FORMS = ("kickoff", "kickoff_async", "akickoff")


def crews() -> tuple[Any, Any]:
    reader, _ = crew_of({"reader": ["old facts", "facts"]})
    writer, _ = crew_of({"writer": ["bad", "worse bad", "good"]})
    return reader, writer


class Desk(Flow):
    """Two crews, one after the other."""

    reader: Any = None
    writer: Any = None

    @start()
    def read(self) -> str:
        return self.reader.kickoff(inputs={"ticket": self.state["ticket"]}).raw

    @listen(read)
    async def write(self, facts: str) -> str:
        found = await self.writer.akickoff(inputs={"ticket": facts})
        return found.raw


def desk(**settings: Any) -> Any:
    flow = Desk()
    flow.reader, flow.writer = crews()
    attach(flow.writer, ValidationEdge("writer", fine, max_attempts=3), pipeline="w", store="off")
    return attach(flow, **{"pipeline": "flow", "store": "off", **settings})


def run_flow(flow: Any, form: str) -> Any:
    inputs = {"ticket": "T-1"}
    if form == "kickoff":
        return flow.kickoff(inputs=inputs)
    return asyncio.run(getattr(flow, form)(inputs=inputs))


@pytest.mark.parametrize("form", FORMS)
def test_the_flow_is_the_run_and_its_crews_are_children(form: str) -> None:
    flow = desk(goal=lambda o: o == "good", task="ticket", tags=["nightly"])
    assert type(flow).__name__ == "Desk"
    assert isinstance(flow, Desk)
    with collect_runs() as runs, run_context(metadata={"tenant": "a"}):
        assert run_flow(flow, form) == "good"
    child, parent = runs
    assert (child.pipeline, child.parent_id) == ("w", parent.run_id)
    assert counts(child) == {"writer": (3, 2)}
    assert (parent.outcome, parent.task, parent.tags) == ("success.first_pass", "T-1", ("nightly",))
    assert parent.metadata["tenant"] == "a"
    # three calls of the child, and one of the crew that nobody attached
    assert (child.tokens, parent.tokens) == (3 * EACH, 4 * EACH)
    assert flow.usage_metrics.total_tokens == 4 * EACH
    assert parent.steps["(child runs)"].input_tokens == 3 * TOKENS_IN


def test_a_flow_that_fails() -> None:
    flow = desk()
    flow.reader = crew_of({"reader": KeyError("x")})[0]
    with pytest.raises(KeyError):
        run_flow(flow, "kickoff")
    assert flow.coord.last.outcome == "error.crash"


def test_detach_and_attach_again() -> None:
    flow = desk()
    assert attach(flow, pipeline="flow", store="off") is flow
    with pytest.raises(AlreadyAttachedError):
        attach(flow, pipeline="other", store="off")
    assert flow.coord.detach() is flow
    assert type(flow) is Desk
    assert not hasattr(flow, "coord")
    assert run_flow(flow, "kickoff") == "good"


def test_mode_off_and_streams() -> None:
    flow = desk(mode="off")
    assert run_flow(flow, "kickoff") == "good"
    assert flow.coord.last is None
    flow = desk(goal=lambda o: o == "good")
    flow.stream = True
    found = run_flow(flow, "kickoff")
    frames = list(found)
    assert found.result == "good"
    assert [f.type for f in frames if f.type.startswith("flow_")][-1] == "flow_finished"
    assert [r.outcome for r in flow.coord.runs] == ["success.first_pass"]


def test_a_budget_over_all_crews() -> None:
    flow = desk(budget=Budget(max_tokens=2 * EACH))
    with pytest.raises(BudgetExceededError):
        run_flow(flow, "kickoff")
    assert flow.coord.last.outcome == "error.budget"
    assert flow.coord.last.tokens == 2 * EACH


def test_a_budget_stops_the_crews_that_nobody_attached() -> None:
    class Bare(Flow):
        crews: Any = None

        @start()
        def work(self) -> list[str]:
            return [crew.kickoff(inputs={"ticket": "x"}).raw for crew in self.crews]

    flow = Bare()
    flow.crews = [crew_of({"a": "a"})[0] for _ in range(3)]
    attach(flow, pipeline="flow", budget=Budget(max_tokens=2 * EACH), store="off")
    with pytest.raises(BudgetExceededError):
        flow.kickoff(inputs={})
    assert (flow.coord.last.outcome, flow.coord.last.tokens) == ("error.budget", 2 * EACH)


def test_a_flow_is_made_from_its_own_class() -> None:
    with pytest.raises(PolicyError, match="make a Desk from Desk itself"):
        type(desk())()


def test_an_async_goal() -> None:
    async def goal(output: str) -> bool:
        return output == "good"

    flow = desk(goal=goal)
    run_flow(flow, "kickoff")
    assert flow.coord.last.outcome == "success.first_pass"


@pytest.mark.parametrize(
    ("edges", "settings", "words"),
    [
        ([ValidationEdge("read", fine)], {}, "has no tasks for edges.*decorate its methods"),
        ([], {"retry": Retry()}, "has no tasks for edges or retries"),
        ([], {"budget": Budget(max_tokens=1, otherwise="x")}, "budget has no `otherwise`"),
    ],
)
def test_what_a_flow_cannot(edges: Any, settings: Any, words: str) -> None:
    flow = Desk()
    with pytest.raises(PolicyError, match=words):
        attach(flow, *edges, pipeline="p", **settings)
    assert type(flow) is Desk


class Decorated(Flow):
    """Methods under the library's own decorators."""

    tries: Any = None

    @start()
    @retrying(Retry(max_attempts=2, initial_interval=0.0))
    def read(self) -> str:
        self.tries.append("read")
        if len(self.tries) == 1:
            raise TimeoutError("slow")
        return "facts"

    @listen(read)
    @validated(fine)
    def write(self, facts: str, feedback: str | None = None) -> str:
        self.tries.append("write")
        return f"good, from {facts}" if feedback else "bad"


def test_decorated_methods_are_steps_of_the_flow() -> None:
    flow = Decorated()
    flow.tries = []
    attach(flow, pipeline="flow", goal=no_bad, store="off")
    assert flow.kickoff() == "good, from facts"
    assert flow.tries == ["read", "read", "write", "write"]
    assert counts(flow.coord.last) == {"read": (2, 0), "write": (2, 1)}
    assert flow.coord.last.outcome == "success.unjudged"


class Later:
    """A provider that asks a person who answers later."""

    def request_feedback(self, context: PendingFeedbackContext, flow: Any) -> str:
        raise HumanFeedbackPending(context=context)


class Reviewed(Flow):
    """Waits for a person between its two methods."""

    writer: Any = None

    @start()
    @human_feedback(message="Is it fine?", provider=Later())
    def write(self) -> str:
        return self.writer.kickoff(inputs={"ticket": "T-1"}).raw

    @listen(write)
    def send(self, result: Any) -> str:
        return f"sent: {result.feedback}"


def test_a_pause_and_its_resume_are_one_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    heard: list[Any] = []

    class Hears:
        def on_event(self, event: Any) -> None:
            heard.append(event)

    def attached(flow: Any) -> Any:
        flow.writer = crew_of({"writer": "good"})[0]
        goal = check(lambda o: o == "sent: yes", name="sent")
        return attach(flow, pipeline="flow", goal=goal, store="off", listeners=[Hears()])

    flow = attached(Reviewed())
    pending = flow.kickoff(inputs={})
    assert isinstance(pending, HumanFeedbackPending)
    assert flow.coord.last is None
    restored = type(flow).from_pending(pending.context.flow_id)
    assert type(restored) is Reviewed
    resumed = attached(restored)
    assert resumed.resume("yes") == "sent: yes"
    assert flush(10.0)
    [record] = resumed.coord.runs
    assert (record.outcome, record.tokens) == ("success.first_pass", EACH)
    assert {e.record.run_id for e in heard if hasattr(e, "record")} == {record.run_id}
    [paused] = [e.record for e in heard if isinstance(e, RunPaused)]
    assert (paused.run_id, paused.status) == (record.run_id, "paused")
