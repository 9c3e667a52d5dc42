"""What is sent and what is not: sampling, tracing off, payloads, redaction; tracers that fail."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from coord_langsmith import LangSmith

from coord_plugins import (
    AttemptsExhaustedError,
    check,
    configure,
    flush,
    retrying,
    track,
    validated,
)
from coord_plugins.testing import LangSmithServer

from .conftest import forget_caches
from .test_traces_shared import (
    BAD,
    GOOD,
    NO_WAIT,
    delivered,
    fine,
    langgraph_app,
    named,
    ours,
    told,
    untraced,
)

__all__ = ["untraced"]
SECRET = "hunter2"


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


def plain(tracer: Any) -> None:
    """A run with all that can be said: an error that is retried, a rejection, a wrong end."""
    said, errors = [BAD, GOOD], [TimeoutError(f"slow {SECRET}")]
    secret = check(
        lambda text: ("bad" not in text, f"it tells {SECRET}"), name="secret", feedback="no"
    )

    @validated(secret)
    @retrying(NO_WAIT)
    def write(topic: str, feedback: str | None = None) -> str:
        if errors:
            raise errors.pop()
        return said.pop(0)

    goal = check(lambda output: (False, f"not without {SECRET}"), name="goal")
    with track("plain", inputs="the input", goal=goal, listeners=[tracer]) as run:
        run.output = write("the topic")


def graph(tracer: Any) -> None:
    langgraph_app(tracer).invoke({"bad": 1, "right": True})


# ---------------------------------------------------------------------- whether anything is sent


def test_tracing_off_asks_nothing_of_the_server(
    server: LangSmithServer, tracer: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, "false" if name == "LANGSMITH_TRACING" else value)
    configure(listeners=[tracer])
    graph(tracer)
    plain(tracer)
    assert flush()
    assert tracer.flush()
    assert server.requests == []
    assert (tracer.stats()["traced"], tracer.stats()["sent"]) == (0, 0)


@pytest.mark.parametrize("make", [graph, plain], ids=["langgraph", "plain"])
def test_feedback_is_on_the_sampled_traces_alone(
    traced: LangSmithServer, tracer: LangSmith, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING_SAMPLING_RATE", "0.3")
    forget_caches()
    for _ in range(60):
        make(tracer)
    delivered(tracer)
    roots, stats = traced.roots(), tracer.stats()
    assert 5 <= len(roots) <= 35
    assert (stats["traced"], stats["sampled_out"], stats["sent"]) == (
        60,
        60 - len(roots),
        len(roots),
    )
    assert {f["run_id"] for f in traced.feedback} == {r["id"] for r in roots}
    assert len(traced.feedback) == 4 * len(roots)
    assert all(ours(root) for root in roots)


def test_a_project_and_a_client_of_its_own(server: LangSmithServer, tmp_path: Path) -> None:
    """Inside `tracing(True)`, whatever the environment says; nothing needs to be set there."""
    client = server.client()
    tracer = LangSmith("mine", client, spool=tmp_path)
    with tracer.tracing(True):
        graph(tracer)
        plain(tracer)
    assert flush(30)
    assert tracer.flush(30)
    client.flush()
    assert [p["name"] for p in server.projects] == ["mine"]
    assert [told(server, root)["outcome"] for root in server.roots("mine")] == [
        (1, "success.unjudged"),
        (0, "silent_failure.after_retry"),
    ]


# ---------------------------------------------------------------------- what is sent


def test_without_payloads(traced: LangSmithServer, tmp_path: Path) -> None:
    """Neither inputs nor outputs of runs of ours; verdicts and decisions stay."""
    tracer = LangSmith(payloads=False, spool=tmp_path)
    plain(tracer)
    delivered(tracer)
    assert [r["name"] for r in traced.roots()] == ["plain"]
    assert all(not r.get("inputs") for r in traced.runs)
    told_outputs = {k for r in traced.runs for k in r.get("outputs") or {}}
    assert told_outputs == {"passed", "explanation"}
    text = repr(traced.runs)
    for payload in ("the input", "the topic", BAD, GOOD):
        assert payload not in text


@pytest.mark.parametrize("redacts", [True, False], ids=["redacted", "plain"])
def test_texts_are_redacted_wherever_they_are_ours(
    traced: LangSmithServer, tracer: LangSmith, redacts: bool
) -> None:
    if redacts:
        configure(redact=lambda text: text.replace(SECRET, "[gone]"))
    plain(tracer)
    exhausted = track("exhausted", goal=lambda out: True, listeners=[tracer])
    with suppress(AttemptsExhaustedError), exhausted:
        validated(check(lambda text: (False, SECRET), name="never"))(lambda topic: GOOD)("x")
    delivered(tracer)
    word = "[gone]" if redacts else SECRET
    assert (SECRET in repr(traced.runs) + repr(traced.feedback)) is not redacts
    first, again = named(traced, "attempt 1")[0], named(traced, "attempt 2")[0]
    assert first["error"] == f"TimeoutError: slow {word}"
    assert again["inputs"] == {"after": f"TimeoutError: slow {word}"}
    third = named(traced, "attempt 3")[0]
    assert third["inputs"] == {"after": "loop", "feedback": f"it tells {word}"}
    assert named(traced, "validate:secret")[0]["outputs"]["explanation"] == f"it tells {word}"
    wrong, lost = traced.roots()
    comments = [traced.feedback_on(root["id"], "outcome")[0]["comment"] for root in (wrong, lost)]
    assert comments[0] == f"lost at goal: not without {word}"
    assert f"(never: {word})" in lost["error"]
    assert comments[1] == f"lost at <lambda>: {lost['error']}"


# ---------------------------------------------------------------------- order


@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "queued"])
def test_the_last_word_on_langgraphs_root_is_ours(
    traced: LangSmithServer,
    tracer: LangSmith,
    monkeypatch: pytest.MonkeyPatch,
    compressed: bool,
) -> None:
    """LangSmith's queue keeps no order among the parts of one run."""
    monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "false" if compressed else "true")
    forget_caches()
    for _ in range(30):
        graph(tracer)
    delivered(tracer)
    assert [ours(root).get("outcome") for root in traced.roots()] == ["success.unjudged"] * 30


# ---------------------------------------------------------------------- tracers that fail


class LangSmithStandIn:
    """A tracer whose methods raise, all of them or one."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.asked: list[str] = []

    def on_event(self, event: Any) -> None:
        """A listener has it."""

    def trace(self, run: Any) -> Any:
        self._at("trace")
        return self

    def _at(self, name: str) -> None:
        self.asked.append(name)
        if self.where in (name, "everywhere"):
            raise RuntimeError(f"{name} fails")

    def enter(self) -> Any:
        self._at("enter")
        return lambda: self._at("leave")

    def step(self, step: Any, number: int) -> Any:
        self._at("step")
        return self

    def repeat(self, step: Any, number: int) -> Any:
        self._at("repeat")
        return self

    def failed(self, step: Any, number: int) -> None:
        self._at("failed")

    def judge(self, step: Any, validator: Any, output: Any) -> Any:
        self._at("judge")
        return self

    def close(self, result: Any, error: BaseException | None) -> None:
        self._at("close")

    def reference(self, run: Any) -> Any:
        self._at("reference")
        return {"seen": True}

    def end(self, run: Any, record: Any) -> None:
        self._at("end")


PLACES = ["trace", "enter", "leave", "step", "repeat", "failed", "judge", "close"]
PLACES += ["reference", "end", "everywhere"]


@pytest.mark.parametrize("where", PLACES)
def test_a_tracer_that_fails_costs_the_run_nothing(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    def outcomes(listener: Any) -> list[Any]:
        said, errors = [BAD, GOOD], [TimeoutError("slow")]

        @validated(fine)
        @retrying(NO_WAIT)
        def write(topic: str) -> str:
            if errors:
                raise errors.pop()
            return said.pop(0)

        tracked = track("plain", goal=lambda out: out == GOOD, listeners=[listener])
        with tracked as run:
            run.output = write("topic")
        app = langgraph_app(listener)
        app.invoke({"bad": 1, "right": True})
        ends = [tracked.coord.last, app.coord.last]
        return [(r.outcome, r.steps["write"].executions) for r in ends]

    tracer = LangSmithStandIn(where)
    with caplog.at_level(logging.WARNING, logger="coord_plugins.tracing"):
        assert outcomes(tracer) == [("success.unjudged", 3), ("success.unjudged", 2)]
    said = {r.getMessage() for r in caplog.records if r.name == "coord_plugins.tracing"}
    expected = {"trace"} if where == "everywhere" else {where}
    assert said == {f"a tracer failed: RuntimeError: {name} fails" for name in expected}
    if where == "everywhere":
        assert set(tracer.asked) == {"trace"}
    elif where not in ("trace", "enter", "step", "repeat", "judge"):
        assert set(tracer.asked) == set(PLACES) - {"everywhere"}
