"""Tasks of every kind: conditional, parallel, structured, with callbacks; stand-ins and STOP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import attach
from crewai.crews.crew_output import CrewOutput
from crewai.hooks import HookAborted, InterceptionPoint
from crewai.hooks.dispatch import register_scoped, scoped_hooks
from crewai.tasks.conditional_task import ConditionalTask
from pydantic import BaseModel

from coord_plugins import (
    START,
    STOP,
    AttemptsExhaustedError,
    Budget,
    Retry,
    ValidationEdge,
    Verdict,
    check,
    report,
    schema,
)

from .crews import AT_LEAST_1_15_24, FORMS, counts, crew_of, events, no_bad, run_crew

pytestmark = pytest.mark.filterwarnings("ignore:.*callbacks cannot be serialized:UserWarning")
fine = check(no_bad, name="fine", feedback="do better")
BOTH = ("kickoff", "akickoff")


class Letter(BaseModel):
    """What a structured task makes."""

    text: str


# ------------------------------------------------------------------ stand-ins and STOP

ALL = {"reader": "facts", "writer": ["bad 1", "bad 2"], "sender": "sent", "desk": "by hand"}


@pytest.mark.parametrize("form", FORMS)
def test_a_task_out_of_the_normal_order_stands_in(form: str) -> None:
    host, model = crew_of(ALL)
    attach(host, ValidationEdge("writer", fine, otherwise="desk"), pipeline="p", store="off")
    output = run_crew(host, form)
    assert output.raw == "sent"
    assert [t.raw for t in output.tasks_output] == ["facts", "by hand", "sent"]
    assert {n: len(p) for n, p in model.prompts.items()} == {
        "reader": 1,
        "writer": 2,
        "desk": 1,
        "sender": 1,
    }
    # it works on what the exhausted task had, and what follows sees its work alone
    assert "facts" in model.prompts["desk"][0]
    assert "do better" not in model.prompts["desk"][0]
    assert "by hand" in model.prompts["sender"][0]
    assert "bad" not in model.prompts["sender"][0]
    record = host.coord.last
    assert counts(record) == {"reader": (1, 0), "writer": (2, 2), "sender": (1, 0), "desk": (1, 0)}
    assert (record.outcome, record.lost_at) == ("escalated.unjudged", "writer")


def test_its_output_is_the_exhausted_tasks_own() -> None:
    """For tasks that name the exhausted one as their context, and in the crew's output."""
    scripts = {"reader": "facts", "writer": "bad", "sender": "bad", "desk": "by hand"}
    host, model = crew_of(scripts)
    host.tasks[2].context = [host.tasks[1]]
    attach(
        host,
        ValidationEdge("writer", fine, otherwise="desk"),
        ValidationEdge("sender", fine, otherwise=STOP),
        pipeline="p",
        store="off",
    )
    output = run_crew(host, "kickoff")
    assert "by hand" in model.prompts["sender"][0]
    assert "facts" not in model.prompts["sender"][0]
    assert [t.raw for t in output.tasks_output] == ["facts", "by hand"]


def test_where_it_is_listed_does_not_matter() -> None:
    scripts = {"desk": "by hand", **{k: ALL[k] for k in ("reader", "writer", "sender")}}
    host, model = crew_of(scripts)
    edge = ValidationEdge("writer", fine, back_to=START, otherwise="desk")
    attach(host, edge, pipeline="p", store="off")
    output = run_crew(host, "kickoff")
    assert [t.raw for t in output.tasks_output] == ["facts", "by hand", "sent"]
    assert len(model.prompts["reader"]) == 2, "START is the first task of the normal order"
    good, model = crew_of({**scripts, "writer": "good"})
    attach(good, edge, pipeline="p", store="off")
    assert [t.raw for t in run_crew(good, "kickoff").tasks_output] == ["facts", "good", "sent"]
    assert "desk" not in model.prompts


def test_a_stand_in_is_judged_by_its_own_edge() -> None:
    host, _ = crew_of({**ALL, "desk": ["bad by hand", "by hand"]})
    attach(
        host,
        ValidationEdge("writer", fine, otherwise="desk"),
        ValidationEdge("desk", fine),
        pipeline="p",
        store="off",
    )
    assert [t.raw for t in run_crew(host, "kickoff").tasks_output] == ["facts", "by hand", "sent"]
    assert counts(host.coord.last)["desk"] == (2, 1)


@pytest.mark.parametrize("form", FORMS)
def test_stop_ends_normally_without_the_rejected_output(form: str) -> None:
    host, model = crew_of({k: ALL[k] for k in ("reader", "writer", "sender")})
    ended: list[Any] = []
    edge = ValidationEdge("writer", fine, otherwise=STOP)
    attach(host, edge, pipeline="p", goal=lambda o: o == "sent", store="off")
    with events() as heard, scoped_hooks():

        def ends(context: Any) -> None:  # older releases tell of CrewAI's inner flows too
            if context.crew is host:
                ended.append(getattr(context, "status", "completed"))

        register_scoped(InterceptionPoint.EXECUTION_END, ends)
        output = run_crew(host, form)
    assert isinstance(output, CrewOutput)
    assert output.raw == ""
    assert (output.pydantic, output.json_dict) == (None, None)
    assert [t.raw for t in output.tasks_output] == ["facts"]
    assert "sender" not in model.prompts
    assert host.coord.last.outcome == "escalated.unjudged"
    # CrewAI's own events and hooks see an end like any other, and why
    [end] = [e for e in heard if e.type == "crew_kickoff_completed"]
    assert end.output.raw.startswith("stopped at 'writer': step 'writer': 2 of 2 attempts")
    assert not [e for e in heard if e.type == "crew_kickoff_failed"]
    assert ended == ["completed"]


def test_stop_after_a_loop_back_forgets_what_was_rolled_back() -> None:
    host, _ = crew_of({"reader": ["facts", "bad"], "writer": "draft", "sender": "bad"})
    attach(
        host,
        ValidationEdge("reader", fine, max_attempts=1, otherwise=STOP),
        ValidationEdge("sender", fine, back_to="reader"),
        pipeline="p",
        store="off",
    )
    output = run_crew(host, "kickoff")
    assert (output.raw, output.tasks_output) == ("", [])
    assert counts(host.coord.last) == {"reader": (2, 1), "writer": (1, 0), "sender": (1, 1)}


def test_what_a_users_hook_made_of_a_stop_stays() -> None:
    host, _ = crew_of({"writer": "bad"})
    attach(host, ValidationEdge("writer", fine, otherwise=STOP), pipeline="p", store="off")

    def replaces(context: Any) -> Any:
        return {"theirs": context.output.raw.split(":")[0]} if context.crew is host else None

    with scoped_hooks():
        register_scoped(InterceptionPoint.OUTPUT, replaces)
        assert run_crew(host, "kickoff") == {"theirs": "stopped at 'writer'"}


def test_stop_at_the_first_task() -> None:
    host, _ = crew_of({"writer": "bad", "sender": "sent"})
    attach(host, ValidationEdge("writer", fine, otherwise=STOP), pipeline="p", store="off")
    output = run_crew(host, "kickoff")
    assert (output.raw, output.tasks_output) == ("", [])


def test_unset_raises_with_every_verdict() -> None:
    host, _ = crew_of({"writer": "bad"})
    attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")
    with events() as heard, pytest.raises(AttemptsExhaustedError) as raised:
        run_crew(host, "kickoff")
    assert [(v.name, v.explanation) for v in raised.value.verdicts] == [("fine", "do better")]
    assert [e.type for e in heard if e.type.startswith("crew_kickoff")] == [
        "crew_kickoff_started",
        "crew_kickoff_failed",
    ]


def test_a_hundred_inputs_of_which_one_is_exhausted(tmp_path: Path) -> None:
    """`kickoff_for_each` goes on under STOP, and the report has one outcome per ticket."""

    def writes(prompt: str, task: Any) -> str:
        return "bad" if "T-42!" in task.description else "good"

    host, _ = crew_of({"writer": writes, "sender": "sent"})
    store = str(tmp_path / "outcomes.db")
    attach(
        host,
        ValidationEdge("writer", fine, otherwise=STOP),
        pipeline="hundred",
        goal=lambda o: o == "sent",
        task="ticket",
        store=store,
    )
    outputs = host.kickoff_for_each([{"ticket": f"T-{i}!"} for i in range(100)])
    assert [o.raw for o in outputs] == ["" if i == 42 else "sent" for i in range(100)]

    from typer.testing import CliRunner

    from coord_plugins import flush
    from coord_plugins._cli._app import app

    assert flush(30.0)
    said = CliRunner().invoke(app, ["report", "--store", store, "--unit", "task", "--json"])
    [group] = json.loads(said.output)["groups"]
    assert (group["started"], group["finished"]) == (100, 100)
    assert {k: v for k, v in group["outcomes"].items() if v} == {
        "success.first_pass": 99,
        "escalated.unjudged": 1,
    }
    per_task = {r.task: r.outcome for r in host.coord.runs}
    assert len(per_task) == 100
    assert per_task["T-42!"] == "escalated.unjudged"
    assert report(pipeline="hundred", store=store).only.lost_at == {"writer": 1}


# ------------------------------------------------------------------ going back


@pytest.mark.parametrize("form", BOTH)
def test_going_back_keeps_the_earlier_context_and_forgets_what_came_after(form: str) -> None:
    scripts = {
        "triage": "double charge",
        "reader": ["facts 1", "facts 2"],
        "writer": ["bad draft", "good draft"],
        "sender": "sent",
    }
    host, model = crew_of(scripts)
    attach(host, ValidationEdge("writer", fine, back_to="reader"), pipeline="p", store="off")
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == [
        "double charge",
        "facts 2",
        "good draft",
        "sent",
    ]
    again = model.prompts["reader"][1]
    assert "double charge" in again
    assert "do better" in again
    assert "facts 1" not in again
    writer = model.prompts["writer"][1]
    assert "double charge" in writer
    assert "facts 2" in writer
    assert "facts 1" not in writer
    assert "bad draft" not in "".join(model.prompts["sender"] + [again, writer])


def test_feedback_to_makes_the_context() -> None:
    """A callable's result is the context, also of the earlier task; a state key is not for us."""
    scripts = {"reader": ["facts 1", "facts 2"], "writer": ["bad", "good"]}

    def route(context: str | None, words: str) -> str:
        return f"[{context}] mind: {words}"

    host, _ = crew_of(scripts)
    edge = ValidationEdge("writer", fine, back_to="reader", feedback_to=route)
    attach(host, edge, pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert host.tasks[0].prompt_context == "[] mind: do better"
    assert host.tasks[1].prompt_context == "[facts 2] mind: do better"
    assert [t.delivered for t in host.coord.last.steps.values()] == [1, 1]
    host, _ = crew_of(scripts)
    edge = ValidationEdge("writer", fine, feedback_to="notes")
    attach(host, edge, pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert host.tasks[1].prompt_context.startswith("facts 1\n\nYour previous attempt")


def test_explicit_context_survives_a_loop() -> None:
    scripts = {"a": ["a1", "a2"], "b": "b", "c": ["bad", "good"]}
    host, model = crew_of(scripts)
    host.tasks[2].context = [host.tasks[0]]
    attach(host, ValidationEdge("c", fine, back_to="a"), pipeline="p", store="off")
    run_crew(host, "kickoff")
    assert "a1" in model.prompts["c"][0]
    assert "a2" in model.prompts["c"][1]
    assert "a1" not in model.prompts["c"][1]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("form", BOTH)
def test_conditional_tasks(form: str, runs: bool) -> None:
    """One before the target is kept as it was; one that is skipped stays in the crew's output."""
    scripts = {"a": "a", "maybe": "maybe", "b": "b", "c": ["bad", "good"]}
    asked: list[str] = []

    def condition(output: Any) -> bool:
        asked.append(output.raw)
        return runs

    more = {"maybe": {"class": ConditionalTask, "condition": condition}}
    host, model = crew_of(scripts, tasks=more)
    attach(host, ValidationEdge("c", fine, back_to="b"), pipeline="p", store="off")
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == ["a", "maybe" if runs else "", "b", "good"]
    assert len(model.prompts["maybe"]) == int(runs)
    assert asked == ["a"], "it is not asked again"
    wanted = {"a": (1, 0), "maybe": (1, 0), "b": (2, 0), "c": (2, 1)}
    assert counts(host.coord.last) == {k: v for k, v in wanted.items() if runs or k != "maybe"}


@pytest.mark.parametrize("form", BOTH)
def test_a_validated_conditional_task(form: str) -> None:
    more = {"maybe": {"class": ConditionalTask, "condition": lambda output: True}}
    host, _ = crew_of({"a": ["a1", "a2"], "maybe": ["bad", "good"]}, tasks=more)
    attach(host, ValidationEdge("maybe", fine, back_to="a"), pipeline="p", store="off")
    assert run_crew(host, form).raw == "good"
    assert counts(host.coord.last) == {"a": (2, 0), "maybe": (2, 1)}


@pytest.mark.parametrize("form", BOTH)
def test_parallel_tasks_loop_in_place_for_themselves(form: str) -> None:
    scripts = {"a": "A1", "left": ["bad l", "l"], "right": ["bad r1", "bad r2", "r"], "end": "end"}
    more = {n: {"async_execution": True} for n in ("left", "right")}
    host, model = crew_of(scripts, tasks=more)
    host.tasks[2].context = [host.tasks[0]]  # CrewAI gives a parallel task no other context
    attach(
        host,
        ValidationEdge("left", fine, max_attempts=3),
        ValidationEdge("right", fine, max_attempts=3),
        pipeline="p",
        store="off",
    )
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == ["A1", "l", "r", "end"]
    assert counts(host.coord.last) == {"a": (1, 0), "left": (2, 1), "right": (3, 2), "end": (1, 0)}
    assert all("A1" in p for p in model.prompts["right"])
    assert "bad" not in model.prompts["end"][0]


@pytest.mark.filterwarnings("ignore::coord_plugins.errors.CoordWarning")
@pytest.mark.parametrize("form", BOTH)
def test_a_parallel_task_goes_back_when_its_siblings_have_ended(form: str) -> None:
    """Without waiting, the next pass would meet an agent that is still at work."""
    import time

    def slow(prompt: str, task: Any) -> str:
        time.sleep(0.05)  # longer than the sibling takes to be rejected
        return "r"

    scripts = {"a": ["a1", "a2"], "left": ["bad l", "l"], "right": slow, "end": "end"}
    more = {n: {"async_execution": True} for n in ("left", "right")}
    host, model = crew_of(scripts, tasks=more)
    host.tasks[1].context = [host.tasks[0]]  # CrewAI gives a parallel task no other context
    attach(host, ValidationEdge("left", fine, back_to="a"), pipeline="p", store="off")
    output = run_crew(host, form)
    assert [t.raw for t in output.tasks_output] == ["a2", "l", "r", "end"]
    assert counts(host.coord.last) == {"a": (2, 0), "left": (2, 1), "right": (2, 0), "end": (1, 0)}
    assert "a2" in model.prompts["left"][1]


@pytest.mark.parametrize("form", BOTH)
def test_a_parallel_task_works_on_what_it_had(form: str) -> None:
    """CrewAI's second pass would bring it the output of the task before, which it never had."""
    scripts = {"a": "A1", "left": "l", "right": "r", "end": ["bad", "good"]}
    more = {n: {"async_execution": True} for n in ("left", "right")}
    host, model = crew_of(scripts, tasks=more)
    attach(host, ValidationEdge("end", fine, back_to="left"), pipeline="p", store="off")
    run_crew(host, form)
    first, again = model.prompts["left"]
    assert "A1" not in first
    assert "A1" not in again
    assert "do better" in again
    assert model.prompts["right"][0] == model.prompts["right"][1]
    assert counts(host.coord.last) == {"a": (1, 0), "left": (2, 0), "right": (2, 0), "end": (2, 1)}


# ------------------------------------------------------------------ outputs


@pytest.mark.parametrize("form", BOTH)
def test_structured_outputs_are_seen_parsed(form: str) -> None:
    seen: list[Any] = []

    def looks(output: Any) -> bool:
        seen.append(output)
        text = output.text if isinstance(output, Letter) else output["text"]
        return no_bad(text)

    scripts = {"letter": ['{"text": "bad"}', '{"text": "good"}'], "json": '{"text": "j"}'}
    more = {"letter": {"output_pydantic": Letter}, "json": {"output_json": Letter}}
    host, model = crew_of(scripts, tasks=more)
    attach(
        host,
        ValidationEdge("letter", check(looks, name="looks", feedback="better")),
        ValidationEdge("json", check(looks, name="looks")),
        pipeline="p",
        goal=lambda o: o == {"text": "j"},
        store="off",
    )
    output = run_crew(host, form)
    assert seen == [Letter(text="bad"), Letter(text="good"), {"text": "j"}]
    assert [t.pydantic for t in output.tasks_output] == [Letter(text="good"), None]
    assert output.json_dict == {"text": "j"}
    assert host.coord.last.outcome == "success.unjudged"
    assert model.calls == 3, "no call is spent on a conversion"


@pytest.mark.parametrize("form", BOTH)
def test_of_takes_a_field(form: str) -> None:
    scripts = {"letter": ['{"text": "bad"}', '{"text": "good"}']}
    host, _ = crew_of(scripts, tasks={"letter": {"output_pydantic": Letter}})
    edge = ValidationEdge("letter", check(lambda t: t == "good", name="good"), of="text")
    attach(host, edge, pipeline="p", output="text", goal=lambda t: t == "good", store="off")
    assert run_crew(host, form).pydantic == Letter(text="good")
    assert host.coord.last.outcome == "success.unjudged"


@pytest.mark.parametrize(
    ("value", "task", "raw", "pydantic", "json_dict"),
    [
        ("better", {}, "better", None, None),
        (Letter(text="x"), {}, '{"text":"x"}', Letter(text="x"), None),
        ({"text": "ü"}, {}, '{"text": "ü"}', None, {"text": "ü"}),
        (["a", 1], {}, '["a", 1]', None, None),
        ('{"text": "y"}', {"output_pydantic": Letter}, '{"text": "y"}', Letter(text="y"), None),
        ('{"text": "z"}', {"output_json": Letter}, '{"text": "z"}', None, {"text": "z"}),
    ],
)
def test_what_a_verdict_brings_goes_on(
    value: Any, task: Any, raw: str, pydantic: Any, json_dict: Any
) -> None:
    """A repaired or parsed value is what later tasks and the caller get, in CrewAI's own form."""
    host, model = crew_of({"writer": '{"text": "w"}', "sender": "sent"}, tasks={"writer": task})
    edge = ValidationEdge("writer", check(lambda o: Verdict(passed=True, value=value), name="v"))
    attach(host, edge, pipeline="p", store="off")
    output = run_crew(host, "kickoff").tasks_output[0]
    assert (output.raw, output.pydantic, output.json_dict) == (raw, pydantic, json_dict)
    assert raw in model.prompts["sender"][0]


def test_text_that_is_no_longer_its_shape_is_refused() -> None:
    host, _ = crew_of({"writer": '{"text": "w"}'}, tasks={"writer": {"output_pydantic": Letter}})
    edge = ValidationEdge("writer", check(lambda o: Verdict(passed=True, value="prose"), name="v"))
    attach(host, edge, pipeline="p", store="off")
    with pytest.raises(
        ValueError, match="replaced the output by text that is no longer its Letter"
    ):
        run_crew(host, "kickoff")


def test_schema_parses_a_plain_text_task() -> None:
    host, _ = crew_of({"writer": ["no json", '{"text": "w"}'], "sender": "sent"})
    attach(host, ValidationEdge("writer", schema(Letter)), pipeline="p", store="off")
    assert run_crew(host, "kickoff").tasks_output[0].pydantic == Letter(text="w")
    assert counts(host.coord.last)["writer"] == (2, 1)


@pytest.mark.parametrize("form", BOTH)
def test_a_rejected_draft_reaches_no_callback_and_no_file(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    everywhere: list[str] = []

    async def saves(output: Any) -> None:
        seen.append(output.raw)

    more = {"writer": {"callback": saves, "output_file": "letter.txt"}}
    host, _ = crew_of(
        {"reader": "facts", "writer": ["bad 1", "bad 2", "good"]},
        tasks=more,
        task_callback=lambda output: everywhere.append(output.raw),
    )
    edge = ValidationEdge("writer", fine, back_to=("writer", "reader"))
    attach(host, edge, pipeline="p", store="off")
    run_crew(host, form)
    assert seen == ["good"]
    assert everywhere == ["facts", "facts", "good"], "once per accepted output"
    assert (tmp_path / "letter.txt").read_text() == "good"


def test_a_callback_that_raises_is_not_repeated() -> None:
    called: list[str] = []

    def breaks(output: Any) -> None:
        called.append(output.raw)
        raise ConnectionError("the desk is down")

    host, model = crew_of({"writer": ["bad", "good"]}, tasks={"writer": {"callback": breaks}})
    attach(
        host, ValidationEdge("writer", fine), pipeline="p", retry=Retry(max_attempts=5), store="off"
    )
    with pytest.raises(ConnectionError, match="the desk is down"):
        run_crew(host, "kickoff")
    assert called == ["good"]
    assert model.calls == 2
    assert (host.coord.last.outcome, host.coord.last.lost_at) == ("error.crash", "writer")


def test_every_attempt_stands_in_crewais_own_events() -> None:
    scripts = {"reader": "facts", "writer": ["bad 1", TimeoutError("slow"), "bad 2", "good"]}
    host, _ = crew_of(scripts)
    edge = ValidationEdge("writer", fine, back_to=("writer", "reader"))
    attach(host, edge, pipeline="p", retry=Retry(initial_interval=0.0), store="off")
    with events() as heard:
        run_crew(host, "kickoff")
    tasks = [
        (e.type.removeprefix("task_"), e.task_name or e.task.name)
        for e in heard
        if e.type in ("task_started", "task_completed", "task_failed")
    ]
    assert tasks == [
        *(("started", "reader"), ("completed", "reader")),
        *(("started", "writer"), ("failed", "writer")),
        *(("started", "writer"), ("failed", "writer")),
        *(("started", "writer"), ("failed", "writer")),
        *(("started", "reader"), ("completed", "reader")),
        *(("started", "writer"), ("completed", "writer")),
    ]
    failed = [e.error for e in heard if e.type == "task_failed"]
    assert failed == [
        "rejected, back to 'writer': do better",
        "slow",
        "rejected, back to 'reader': do better",
    ]
    assert [e.type for e in heard if e.type.startswith("crew_")] == [
        "crew_kickoff_started",
        "crew_kickoff_completed",
    ]


# ------------------------------------------------------------------ control flow and replay


@pytest.mark.skipif(not AT_LEAST_1_15_24, reason="CrewAI itself makes it a ValueError")
@pytest.mark.parametrize("form", BOTH)
def test_a_hook_that_aborts_passes_untouched(form: str) -> None:
    """A deliberate stop of the user's is no error of the step: it is not tried again."""
    stop = HookAborted("not today", "policy")

    def forbids(context: Any) -> None:
        raise stop

    host, model = crew_of({"writer": "good"})
    attach(host, ValidationEdge("writer", fine), pipeline="p", retry=Retry(), store="off")
    with scoped_hooks():
        register_scoped(InterceptionPoint.PRE_MODEL_CALL, forbids)
        with pytest.raises(HookAborted) as raised:
            run_crew(host, form)
    assert raised.value is stop
    assert model.calls == 0
    assert counts(host.coord.last) == {}
    assert host.coord.last.outcome == "error.crash"


def test_the_users_own_hooks_still_run() -> None:
    heard: list[str] = []
    host, _ = crew_of({"writer": ["bad", "good"]})
    attach(
        host,
        ValidationEdge("writer", fine),
        pipeline="p",
        budget=Budget(max_tokens=10_000),
        store="off",
    )

    def hears(context: Any) -> None:
        kind = type(context).__name__
        if kind != "StepContext" or context.kind == "task":
            heard.append(kind)

    with scoped_hooks():
        for point in (InterceptionPoint.PRE_MODEL_CALL, InterceptionPoint.POST_STEP):
            register_scoped(point, hears)
        run_crew(host, "kickoff")
    assert heard == ["LLMCallHookContext", "StepContext"] * 2


def test_replay_is_a_run_from_a_later_task() -> None:
    host, model = crew_of({"reader": "facts", "writer": ["good", "bad", "better"], "end": "end"})
    attach(host, ValidationEdge("writer", fine), pipeline="p", store="off")
    host.kickoff(inputs={"ticket": "T-1"})
    output = host.replay(str(host.tasks[1].id))
    assert [t.raw for t in output.tasks_output] == ["facts", "better", "end"]
    assert len(model.prompts["reader"]) == 1
    assert [counts(r) for r in host.coord.runs] == [
        {"reader": (1, 0), "writer": (1, 0), "end": (1, 0)},
        {"writer": (2, 1), "end": (1, 0)},
    ]
