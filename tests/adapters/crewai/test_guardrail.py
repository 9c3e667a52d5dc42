"""CrewAI's guardrails: beside an edge, and as validators of one."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import attach, guardrail
from crewai.tasks.llm_guardrail import LLMGuardrail
from crewai.tasks.task_output import TaskOutput

from coord_plugins import PolicyError, Retry, ValidationEdge, ValidatorError, check, validated

from .crews import Model, counts, crew_of, model_of, no_bad, run_crew

BOTH = ("kickoff", "akickoff")
SECRET = "the password is hunter2"


def no_secret(output):  # type: ignore[no-untyped-def]  # CrewAI refuses annotations written as text
    return ("hunter2" not in output.raw, output.raw if "hunter2" not in output.raw else "a secret")


def polite(output):  # type: ignore[no-untyped-def]
    return ("please" in output.raw, output.raw if "please" in output.raw else "say please")


DRAFTS = ["a letter", f"please: {SECRET}", "please: a letter"]
"""The first is not polite; the second is, and tells the secret; the third is fine."""


@pytest.mark.parametrize("form", BOTH)
def test_what_crewai_lets_through_we_do_not(form: str) -> None:
    """`guardrails=[a, b]`: CrewAI asks a once, and not of what b's retry has brought."""
    theirs, _ = crew_of({"writer": DRAFTS}, tasks={"writer": {"guardrails": [no_secret, polite]}})
    assert run_crew(theirs, form).raw == f"please: {SECRET}"

    for chain in (
        [guardrail(no_secret), guardrail(polite)],
        [
            check(lambda o: "hunter2" not in o, name="no_secret"),
            check(lambda o: "please" in o, name="polite"),
        ],
    ):
        ours, _ = crew_of({"writer": DRAFTS})
        edge = ValidationEdge("writer", *chain, max_attempts=3)
        attach(ours, edge, pipeline="p", store="off")
        assert run_crew(ours, form).raw == "please: a letter"
        tally = ours.coord.last.steps["writer"]
        assert tally.validators["no_secret"][:3] == [3, 2, 1]
        assert tally.validators["polite"][:3] == [3, 2, 1]


@pytest.mark.parametrize("form", BOTH)
def test_the_users_own_guardrails_run_first(form: str) -> None:
    """They stay CrewAI's, their retries are part of one execution, and we see what they let by."""
    seen: list[str] = []

    def looks(output: str) -> bool:
        seen.append(output)
        return no_bad(output)

    scripts = {"reader": "facts", "writer": ["rude", "please bad", "please good"]}
    host, model = crew_of(scripts, tasks={"writer": {"guardrail": polite}})
    edge = ValidationEdge("writer", check(looks, name="looks", feedback="do better"))
    attach(host, edge, pipeline="p", store="off")
    assert run_crew(host, form).raw == "please good"
    assert seen == ["please bad", "please good"]
    assert counts(host.coord.last)["writer"] == (2, 1)
    assert len(model.prompts["writer"]) == 3
    assert "facts" not in model.prompts["writer"][1], "CrewAI's own retry drops the context"
    assert "facts" in model.prompts["writer"][2], "ours keeps it"


def test_the_tasks_words_and_the_earlier_target() -> None:
    """As a validator its words go to an earlier task, which no guardrail of CrewAI's can do."""
    host, model = crew_of({"reader": ["a", "b"], "writer": ["rude", "please"]})
    edge = ValidationEdge("writer", guardrail(polite), back_to="reader")
    attach(host, edge, pipeline="p", store="off")
    assert run_crew(host, "kickoff").raw == "please"
    assert "say please" in model.prompts["reader"][1]


def test_a_result_takes_the_place_of_the_output() -> None:
    def shouts(output):  # type: ignore[no-untyped-def]
        return True, output.raw.upper()

    def whole(output):  # type: ignore[no-untyped-def]
        return True, TaskOutput(description="d", agent="a", raw=f"<{output.raw}>")

    for fn, raw in ((shouts, "GOOD"), (whole, "<good>")):
        host, model = crew_of({"writer": "good", "end": "end"})
        attach(host, ValidationEdge("writer", guardrail(fn)), pipeline="p", store="off")
        assert run_crew(host, "kickoff").tasks_output[0].raw == raw
        assert raw in model.prompts["end"][0]
        assert counts(host.coord.last)["writer"] == (1, 0)


def test_unchanged_results_replace_nothing() -> None:
    for answer in (lambda o: (True, o.raw), lambda o: (True, o), lambda o: (True, None)):
        validator = guardrail(answer, name="same")
        verdict = validator.verdict(validator.call("text", None))
        assert (verdict.passed, verdict.value) == (True, None)


def test_an_async_guardrail_needs_akickoff() -> None:
    async def asks(output):  # type: ignore[no-untyped-def]
        return no_secret(output)

    assert guardrail(asks).binding.is_async
    host, _ = crew_of({"writer": [SECRET, "a letter"]})
    attach(host, ValidationEdge("writer", guardrail(asks)), pipeline="p", store="off")
    assert run_crew(host, "akickoff").raw == "a letter"


def test_nonsense_is_a_validator_error() -> None:
    host, _ = crew_of({"writer": "good"})
    edge = ValidationEdge("writer", guardrail(lambda o: "yes", name="odd"))
    attach(host, edge, pipeline="p", store="off")
    with pytest.raises(ValidatorError, match="validator 'odd' failed: it returned 'yes'"):
        run_crew(host, "kickoff")


class Critic(Model):
    """Answers as CrewAI's own guardrail agent wants it."""


SAYS_NO = '{"valid": false, "feedback": "it is rude"}'
SAYS_YES = '{"valid": true, "feedback": null}'


def test_a_text_is_judged_by_a_model() -> None:
    critic = model_of({"*": [SAYS_NO, SAYS_YES]}, Critic)
    validator = guardrail("be polite", llm=critic)
    assert (validator.name, validator.kind) == ("guardrail", "llm")
    host, model = crew_of({"writer": ["rude", "please"]})
    attach(host, ValidationEdge("writer", validator), pipeline="p", store="off")
    assert run_crew(host, "kickoff").raw == "please"
    assert "it is rude" in model.prompts["writer"][1]
    assert critic.calls == 2
    # the judge's own tokens are validation, not work
    tally = host.coord.last.steps["writer"]
    assert tally.input_tokens == 14 * 4
    assert guardrail(LLMGuardrail("be polite", critic), name="g").kind == "llm"


def test_a_judges_own_failure_is_no_rejection() -> None:
    """CrewAI turns a provider's error into a rejection, and spends the task's retries on it."""
    critic = model_of({"*": ConnectionError("the judge is down")}, Critic)
    host, model = crew_of({"writer": "please"})
    attach(
        host,
        ValidationEdge("writer", guardrail("be polite", llm=critic)),
        pipeline="p",
        store="off",
    )
    with pytest.raises(ValidatorError, match="the judge is down"):
        run_crew(host, "kickoff")
    assert model.calls == 1
    tally = host.coord.last.steps["writer"]
    assert (tally.rejects, tally.validator_errors) == (0, 1)


def test_outside_of_crewai_it_sees_a_task_output() -> None:
    """The same validator serves any host."""

    @validated(guardrail(polite), max_attempts=2)
    def writer(feedback: str | None = None) -> str:
        return "please" if feedback else "now"

    assert writer() == "please"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: guardrail("be polite"), "needs a model to judge by it; give llm="),
        (lambda: guardrail(3), "neither a function nor a text"),
        (lambda: guardrail(polite, llm=model_of({})), "a function judges without llm="),
    ],
)
def test_bad_input(make: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        make()


def test_a_guardrail_that_raises_is_no_retry_of_ours() -> None:
    """It leaves the task as the error that it is; an unreadable output is one rejection."""

    def reads(output):  # type: ignore[no-untyped-def]
        import json

        json.loads(output.raw)
        return True, output.raw

    host, model = crew_of({"writer": ["no json", "{}"]}, tasks={"writer": {"guardrail": reads}})
    edge = ValidationEdge("writer", check(no_bad, name="fine"))
    attach(host, edge, pipeline="p", retry=Retry(), store="off")
    assert run_crew(host, "kickoff").raw == "{}"
    assert counts(host.coord.last)["writer"] == (2, 1)
    assert "Expecting value" in model.prompts["writer"][1]
