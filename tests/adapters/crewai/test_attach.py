"""Attaching: names, copies, classes, and every input that cannot hold."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from typing import Any

import pytest

pytest.importorskip("crewai")

import coord_crewai
from coord_crewai import attach
from crewai import Agent
from crewai.project import CrewBase, agent, crew, task
from crewai.tasks.conditional_task import ConditionalTask

from coord_plugins import (
    HUMAN,
    START,
    STOP,
    AlreadyAttachedError,
    AsyncValidatorError,
    Budget,
    CoordWarning,
    PolicyError,
    Retry,
    UnknownStepError,
    UnsupportedHostError,
    ValidationEdge,
    check,
    collect_runs,
    configure,
    run_context,
)

from .crews import FORMS, Crew, Model, Task, counts, crew_of, model_of, no_bad, run_crew

fine = check(no_bad, name="fine", feedback="do better")
SCRIPTS = {"reader": "facts", "writer": ["bad draft", "good draft"], "sender": "sent"}


def attached(*edges: ValidationEdge, scripts: Any = SCRIPTS, **settings: Any) -> tuple[Any, Model]:
    """A crew of three tasks under a policy."""
    made = {k: settings.pop(k) for k in ("kind", "task_class", "tasks", "model") if k in settings}
    if "task_class" in made:
        made["task"] = made.pop("task_class")
    host, model = crew_of(scripts, **made)
    settings.setdefault("pipeline", "p")
    settings.setdefault("store", "off")
    return attach(host, *edges, **settings), model


# ------------------------------------------------------------------ what it returns


def test_the_signature_is_the_same_on_every_host() -> None:
    pytest.importorskip("langgraph.graph")
    import coord_langgraph

    ours, theirs = (inspect.signature(m.attach).parameters for m in (coord_crewai, coord_langgraph))
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


def test_it_returns_the_same_object_and_its_call_sites_stay() -> None:
    host, _ = crew_of(SCRIPTS)
    kind, tasks = type(host), [type(t) for t in host.tasks]
    found = attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")
    assert found is host
    assert isinstance(found, Crew)
    assert type(found).__name__ == "Crew"
    assert [type(t).__name__ for t in host.tasks] == ["Task"] * 3
    assert found.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert counts(found.coord.last) == {"reader": (1, 0), "writer": (2, 1), "sender": (1, 0)}
    assert found.coord.detach() is host
    assert type(host) is kind
    assert [type(t) for t in host.tasks] == tasks
    assert not hasattr(host, "coord")
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert not [key for key in host.__dict__ if key.startswith("_coord") and key != "_coord_busy"]
    again = attach(host, pipeline="q", store="off")
    assert again.coord.policy.pipeline == "q"


def test_attaching_again() -> None:
    edge = ValidationEdge("writer", fine)
    host, _ = attached(edge)
    assert attach(host, edge, pipeline="p", store="off") is host
    assert attach(host, ValidationEdge("tasks[1]", fine), pipeline="p", store="off") is host
    with pytest.raises(AlreadyAttachedError, match=r"pipeline 'p'.*\.coord\.detach\(\)"):
        attach(host, edge, pipeline="q", store="off")
    assert host.coord.policy.pipeline == "p"


def test_explain_names_the_policy() -> None:
    host, _ = attached(
        ValidationEdge("writer", fine, back_to=("writer", "reader", START)), retry=Retry()
    )
    said = host.coord.explain()
    assert "on crewai" in said
    assert "back to writer -> reader -> START; 4 attempts" in said
    assert "worst case: 4 x 3 = 12 calls" in said
    assert "it also ends a batch" in said


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("named", ["writer", "tasks[1]", "object"])
def test_a_task_is_named_by_name_by_object_or_by_its_place(named: str) -> None:
    host, _ = crew_of(SCRIPTS)
    step: Any = host.tasks[1] if named == "object" else named
    target: Any = {"object": host.tasks[0], "tasks[1]": "tasks[0]"}.get(named, "reader")
    attach(host, ValidationEdge(step, fine, back_to=target), pipeline="p", store="off")
    host.kickoff(inputs={"ticket": "T-1"})
    assert counts(host.coord.last) == {"reader": (2, 0), "writer": (2, 1), "sender": (1, 0)}


def test_a_retry_is_keyed_by_a_task_object_too() -> None:
    host, model = crew_of({"reader": [TimeoutError("slow"), "facts"], "sender": "sent"})
    retry = {host.tasks[0]: Retry(initial_interval=0.0)}
    attach(host, pipeline="p", retry=retry, store="off")
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert host.coord.last.steps["reader"].retries == 1


def test_an_object_of_an_attached_crews_class_is_a_bare_one() -> None:
    host, _ = attached(ValidationEdge("writer", fine))
    made, _ = crew_of(SCRIPTS, kind=type(host), task=type(host.tasks[0]))
    assert not hasattr(made, "coord")
    with pytest.raises(AttributeError, match="is not attached|no attribute 'coord'"):
        made.coord  # noqa: B018 - reading it is the test
    assert made.kickoff(inputs={"ticket": "T-1"}).tasks_output[1].raw == "bad draft"
    assert made.copy().kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    again = attach(made, ValidationEdge("writer", fine), pipeline="q", store="off")
    assert again.coord.policy.pipeline == "q"


def test_tasks_without_a_name_are_called_by_their_place() -> None:
    model = model_of({"?": "x", "*": ["facts", "bad", "good"]})
    role = Agent(role="r", goal="g", backstory="b", llm=model)
    tasks = [Task(description=d, expected_output="t", agent=role) for d in ("read", "write")]
    host = attach(
        Crew(agents=[role], tasks=tasks),
        ValidationEdge("tasks[1]", fine),
        pipeline="p",
        store="off",
        retry={"tasks[0]": Retry()},
    )
    assert host.kickoff().raw == "good"
    assert counts(host.coord.last) == {"tasks[0]": (1, 0), "tasks[1]": (2, 1)}
    with pytest.raises(PolicyError, match="a Task without a name"):
        ValidationEdge(tasks[0], fine)


def test_a_task_added_later_is_attached_too() -> None:
    host, model = attached()
    model._scripts["closer"] = ["closed"]
    more = Task(name="closer", description="c", expected_output="t", agent=host.agents[0])
    host.tasks.append(more)
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "closed"
    assert counts(host.coord.last)["closer"] == (1, 0)


# ------------------------------------------------------------------ the ways to kick off


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_run(form: str) -> None:
    edge = ValidationEdge("writer", fine, back_to=("writer", "reader"))
    scripts = {"reader": "facts", "writer": ["bad 1", "bad 2", "good"], "sender": "sent"}
    host, model = attached(
        edge, scripts=scripts, goal=lambda o: o == "sent", task="ticket", tags=["nightly"]
    )
    with collect_runs() as runs, run_context(metadata={"tenant": "a"}):
        assert run_crew(host, form).raw == "sent"
    [record] = runs
    assert counts(record) == {"reader": (2, 0), "writer": (3, 2), "sender": (1, 0)}
    assert (record.outcome, record.task) == ("success.unjudged", "T-1")
    assert (record.tags, record.metadata["tenant"]) == (("nightly",), "a")
    # the second try in place has the reader's facts still, and the reason
    again = model.prompts["writer"][1]
    assert "facts" in again
    assert "do better" in again
    assert "bad 1" not in again
    assert "do better" not in model.prompts["sender"][0]
    assert "bad" not in model.prompts["sender"][0]


@pytest.mark.parametrize(
    "form", ["kickoff_for_each", "kickoff_for_each_async", "akickoff_for_each"]
)
def test_for_each_is_a_run_per_input(form: str) -> None:
    def writes(prompt: str, task: Any) -> str:
        return "good" if "do better" in prompt or "T-2" not in task.description else "bad"

    scripts = {"reader": "facts", "writer": writes, "sender": "sent"}
    host, _ = attached(ValidationEdge("writer", fine), scripts=scripts, task="ticket")
    inputs = [{"ticket": f"T-{i}"} for i in range(4)]
    found = getattr(host, form)(inputs)
    outputs = asyncio.run(found) if form != "kickoff_for_each" else found
    assert [o.raw for o in outputs] == ["sent"] * 4
    rejects = {r.task: counts(r)["writer"] for r in host.coord.runs}
    assert rejects == {"T-0": (1, 0), "T-1": (1, 0), "T-2": (2, 1), "T-3": (1, 0)}
    assert len({r.run_id for r in host.coord.runs}) == 4


def test_a_copy_is_attached_to_the_same_policy() -> None:
    host, _ = attached(ValidationEdge("writer", fine))
    copied = host.copy()
    assert copied is not host
    assert copied.coord is host.coord
    assert copied.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert copied.copy().coord is host.coord
    assert len(host.coord.runs) == 1


class TheirCrew(Crew):
    """A user's own subclass."""

    def _post_kickoff(self, result: Any) -> Any:
        result.raw = result.raw.upper()
        return result


class TheirTask(Task):
    """A user's own subclass, which overrides what the adapter overrides."""

    def execute_sync(self, agent: Any = None, context: Any = None, tools: Any = None) -> Any:
        return super().execute_sync(agent, f"{context}; theirs", tools)


def test_subclasses_of_the_user() -> None:
    host, model = attached(ValidationEdge("writer", fine), kind=TheirCrew, task_class=TheirTask)
    assert isinstance(host, TheirCrew)
    assert type(host).__name__ == "TheirCrew"
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "SENT"
    assert "facts; theirs" in model.prompts["writer"][0]
    assert counts(host.coord.last)["writer"] == (2, 1)
    assert type(host.coord.detach()) is TheirCrew


@CrewBase
class Desk:
    """The usual class of a CrewAI project."""

    model = model_of({"reader": "facts", "writer": ["bad", "good"]})

    @agent
    def clerk(self) -> Agent:
        return Agent(role="Clerk", goal="g", backstory="b", llm=self.model)

    @task
    def reader(self) -> Task:
        return Task(description="read {ticket}", expected_output="t", agent=self.clerk())

    @task
    def writer(self) -> Task:
        return Task(description="write {ticket}", expected_output="t", agent=self.clerk())

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks)


def test_crew_base() -> None:
    """Its `crew()` is memoised, so that the attached crew is what every call site gets."""
    desk = Desk()
    host = attach(
        desk.crew(), ValidationEdge("writer", fine, back_to="reader"), pipeline="p", store="off"
    )
    assert desk.crew() is host
    assert desk.crew().kickoff(inputs={"ticket": "T-1"}).raw == "good"
    assert counts(host.coord.last) == {"reader": (2, 0), "writer": (2, 1)}
    for wrong in (desk, Desk):
        with pytest.raises(PolicyError, match=r"attach\(Desk\(\)\.crew\(\), \.\.\.\)"):
            attach(wrong, pipeline="p")


@CrewBase
class AttachedDesk:
    """A project whose own `@crew` method attaches."""

    model = model_of({"writer": ["bad", "good"]})

    @agent
    def clerk(self) -> Agent:
        return Agent(role="Clerk", goal="g", backstory="b", llm=self.model)

    @task
    def writer(self) -> Task:
        return Task(description="write {ticket}", expected_output="t", agent=self.clerk())

    @crew
    def crew(self) -> Crew:
        made = Crew(agents=self.agents, tasks=self.tasks)
        return attach(made, ValidationEdge("writer", fine), pipeline="p", store="off")


def test_attaching_inside_of_the_crew_method() -> None:
    desk = AttachedDesk()
    assert desk.crew().kickoff(inputs={"ticket": "T-1"}).raw == "good"
    assert desk.crew() is desk.crew()
    assert counts(desk.crew().coord.last) == {"writer": (2, 1)}


def test_mode_off_is_crewais_own_path() -> None:
    host, model = attached(ValidationEdge("writer", fine), retry=Retry(), mode="off")
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert model.prompts["writer"] == model.prompts["writer"][:1]
    assert host.coord.last is None
    configure(mode="off")
    other, _ = attached(ValidationEdge("writer", fine))
    other.kickoff(inputs={"ticket": "T-1"})
    assert other.coord.last is None


# ------------------------------------------------------------------ bad input


STANDING_IN = {"reader": "facts", "writer": "bad", "sender": "sent", "desk": "by hand"}


@pytest.mark.parametrize(
    ("edges", "settings", "kind", "words"),
    [
        ([ValidationEdge("writer", fine, back_to="sender")], {}, PolicyError, "comes after"),
        (
            [ValidationEdge("reader", fine, back_to="writer")],
            {},
            PolicyError,
            "there is none.*in place, or to START",
        ),
        ([ValidationEdge("wrter", fine)], {}, UnknownStepError, "did you mean 'writer'"),
        ([ValidationEdge("writer", fine, back_to="redr")], {}, UnknownStepError, "back_to.*reader"),
        ([ValidationEdge("tasks[9]", fine)], {}, UnknownStepError, r"no step 'tasks\[9\]'"),
        ([ValidationEdge("writer", fine, otherwise="nobody")], {}, UnknownStepError, "otherwise"),
        (
            [ValidationEdge("writer", fine, otherwise=HUMAN)],
            {},
            PolicyError,
            "crewai cannot hand over to a person.*a step that stands in, or STOP",
        ),
        (
            [ValidationEdge("sender", fine, back_to="desk", otherwise="desk")],
            {},
            PolicyError,
            "'desk' only stands in and is not in the normal order",
        ),
        (
            [
                ValidationEdge("writer", fine, otherwise="desk"),
                ValidationEdge("desk", fine, back_to="reader"),
            ],
            {},
            PolicyError,
            "'desk' only stands in for another task, so it can go back in place only",
        ),
        (
            [ValidationEdge("writer", fine), ValidationEdge("tasks[1]", fine)],
            {},
            PolicyError,
            "two edges for step 'writer'",
        ),
        ([], {"retry": {"nobody": Retry()}}, UnknownStepError, "retry"),
        ([], {"retry": Retry(fallbacks=["gpt-4o"])}, UnknownStepError, "fallbacks"),
        (
            [],
            {"retry": Retry(fallbacks=[3])},
            PolicyError,
            "or a callable like the step or a model",
        ),
        ([], {"budget": Budget(max_tokens=1, otherwise="nobody")}, UnknownStepError, "budget"),
        ([], {"pipeline": ""}, PolicyError, "give the pipeline a name"),
    ],
)
def test_what_cannot_hold_is_one_clear_error(
    edges: Any, settings: Any, kind: Any, words: str
) -> None:
    host, _ = crew_of(STANDING_IN)
    with pytest.raises(kind, match=words):
        attach(host, *edges, **{"pipeline": "p", "store": "off", **settings})
    assert type(host) is Crew, "nothing is half attached"
    assert {type(t) for t in host.tasks} == {Task}
    assert host.__dict__.keys() == crew_of(STANDING_IN)[0].__dict__.keys()


def test_two_tasks_with_one_name() -> None:
    host, _ = crew_of(SCRIPTS)
    host.tasks[2].name = "reader"
    with pytest.raises(PolicyError, match=r"tasks\[0\] and tasks\[2\] are both named 'reader'"):
        attach(host, pipeline="p")
    assert type(host) is Crew


def test_a_crew_that_only_stands_in() -> None:
    host, _ = crew_of({"a": "x", "b": "y"})
    with pytest.raises(PolicyError, match="every task of this crew only stands in"):
        attach(
            host,
            ValidationEdge("a", fine, otherwise="b"),
            ValidationEdge("b", fine, otherwise="a"),
            pipeline="p",
        )


def test_a_conditional_task_cannot_stand_in() -> None:
    more = {"desk": {"class": ConditionalTask, "condition": lambda output: True}}
    host, _ = crew_of(STANDING_IN, tasks=more)
    with pytest.raises(PolicyError, match="'desk' stands in, so it cannot be a ConditionalTask"):
        attach(host, ValidationEdge("writer", fine, otherwise="desk"), pipeline="p")


@pytest.mark.parametrize("wrong", [Task, 3, None, "crew"])
def test_what_is_no_crew(wrong: Any) -> None:
    thing = Task(description="d", expected_output="e") if wrong is Task else wrong
    with pytest.raises(PolicyError, match="is neither a Crew nor a Flow"):
        attach(thing, pipeline="p")


def test_one_object_cannot_run_twice_at_once() -> None:
    """CrewAI keeps a kickoff's state in the crew: the second call is refused, not mixed in."""
    entered, go_on = threading.Event(), threading.Event()

    def waits(prompt: str, task: Any) -> str:
        entered.set()
        assert go_on.wait(10)
        return "facts"

    host, _ = attached(scripts={"reader": waits, "sender": "sent"})
    outputs: list[Any] = []
    first = threading.Thread(target=lambda: outputs.append(host.kickoff(inputs={"ticket": "1"})))
    first.start()
    try:
        assert entered.wait(10)
        with pytest.raises(PolicyError, match="is running already.*use kickoff_for_each"):
            host.kickoff(inputs={"ticket": "2"})
    finally:
        go_on.set()
        first.join()
    assert [o.raw for o in outputs] == ["sent"]
    assert host.kickoff(inputs={"ticket": "3"}).raw == "sent"
    assert len(host.coord.runs) == 2


def test_after_an_error_everything_is_as_it_was() -> None:
    """Callbacks, retry limits, models and the lock are given back, whatever happened."""
    called: list[Any] = []
    host, model = attached(
        ValidationEdge("writer", fine),
        scripts={"reader": "facts", "writer": [KeyError("x"), "good"], "sender": "sent"},
        retry=Retry(max_attempts=2, fallbacks=[model_of({"*": KeyError("y")})]),
        tasks={"writer": {"callback": called.append}},
    )
    with pytest.raises(KeyError):
        host.kickoff(inputs={"ticket": "T-1"})
    assert host.coord.last.outcome == "error.crash"
    assert host.tasks[1].callback == called.append
    assert [a.max_retry_limit for a in host.agents] == [2, 2, 2]
    assert all(a.llm is model for a in host.agents)
    assert host.kickoff(inputs={"ticket": "T-2"}).raw == "sent"
    assert [o.raw for o in called] == ["good"]


def test_an_async_validator_needs_akickoff() -> None:
    async def asks(output: str) -> bool:
        return no_bad(output)

    host, model = attached(ValidationEdge("writer", asks))
    for form in ("kickoff", "kickoff_async"):
        with pytest.raises(AsyncValidatorError, match="'asks'.*akickoff"):
            run_crew(host, form)
    assert model.calls == 0
    assert run_crew(host, "akickoff").raw == "sent"
    assert counts(host.coord.last)["writer"] == (2, 1)


# ------------------------------------------------------------------ what attaching says


def test_tasks_at_the_same_time_are_named() -> None:
    more = {n: {"async_execution": True} for n in ("left", "right")}
    scripts = {"reader": "facts", "left": "l", "right": "r", "sender": "sent"}
    host, _ = crew_of(scripts, tasks=more)
    with pytest.warns(CoordWarning, match="also runs right again: they run at the same time"):
        attach(host, ValidationEdge("left", fine, back_to="reader"), pipeline="p", store="off")
    host, _ = crew_of(scripts, tasks=more)
    host.tasks[2].agent = host.tasks[1].agent
    with pytest.warns(CoordWarning, match="left, right run at the same time with one agent"):
        attach(host, pipeline="p", store="off")


def test_a_version_that_was_not_tested_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coord_plugins._private_parts.version", lambda name: "1.99.0")
    host, _ = crew_of(SCRIPTS)
    with pytest.warns(CoordWarning, match="CrewAI 1.99.0 is not among the tested versions"):
        attach(host, pipeline="p", store="off")


def test_a_private_shape_that_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from coord_crewai import _private

    host, _ = crew_of(SCRIPTS)
    with monkeypatch.context() as patched:
        patched.setattr(Crew, "_execute_tasks", lambda self, tasks: None)
        with pytest.raises(UnsupportedHostError, match="Crew._execute_tasks is no longer called"):
            attach(host, pipeline="p")
    with monkeypatch.context() as patched:
        patched.setattr(_private.PARTS, "gone", ["crewai.hooks.dispatch.scoped_hooks"])
        with pytest.raises(UnsupportedHostError, match=f"is gone.*{_private.PARTS.last_good}"):
            attach(host, pipeline="p")
    if _private.rate_limit_retry is not None:
        with monkeypatch.context() as patched:
            patched.setattr(_private, "rate_limit_retry", object())
            with pytest.raises(UnsupportedHostError, match="_active_llm_rate_limit_retry"):
                attach(host, pipeline="p")
    assert type(host) is Crew


def test_telemetry_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attaching and running change no variable of CrewAI's."""
    before = {k: v for k, v in os.environ.items() if "CREWAI" in k or "OTEL" in k}
    host, _ = attached()
    host.kickoff(inputs={"ticket": "T-1"})
    assert {k: v for k, v in os.environ.items() if "CREWAI" in k or "OTEL" in k} == before


def test_start_and_stop_are_no_tasks() -> None:
    host, _ = attached(
        ValidationEdge("writer", fine, back_to=START, otherwise=STOP), retry={"*": Retry()}
    )
    assert host.kickoff(inputs={"ticket": "T-1"}).raw == "sent"
    assert counts(host.coord.last) == {"reader": (2, 0), "writer": (2, 1), "sender": (1, 0)}
