"""Plain Python: `track` and decorated functions, synchronous, async, in threads and generators."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import langsmith
import pytest
from coord_langsmith import LangSmith

from coord_plugins import STOP, AttemptsExhaustedError, retrying, run_context, track, validated
from coord_plugins.testing import LangSmithServer

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
ONCE = "attempts=1 cost_usd=0 outcome.first_try=1 outcome=1(success.first_pass)"
SUB = "attempts.sub=1 cost_usd.sub=0 outcome.sub.first_try=1 outcome.sub=1(success.first_pass)"
MODEL, PASSED = "model [llm] success", "validate:fine [chain] success"
REJECTED = f"{PASSED} #validate:rejected"


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


@langsmith.traceable(run_type="llm")
def model(prompt: Any) -> Any:
    """The user's own model call."""
    return prompt


def writer(*script: str, **settings: Any) -> Any:
    """A judged function that says one entry after the other, the last again and again."""
    said = list(script)

    @validated(fine, name="write", **settings)
    def write(topic: Any, feedback: str | None = None) -> str:
        model(topic)
        return said.pop(0) if len(said) > 1 else said[0]

    return write


def is_good(output: Any) -> bool:
    return bool(output == GOOD)


def lines(*tree: tuple[int, str]) -> list[str]:
    return ["  " * depth + line for depth, line in tree]


# ---------------------------------------------------------------------- the forms


def test_functions_are_steps_and_their_repeats_attempts(
    traced: LangSmithServer, tracer: LangSmith
) -> None:
    failures = [TimeoutError("slow")]

    @retrying(NO_WAIT)
    def fetch() -> str:
        model("fetch")
        if failures:
            raise failures.pop()
        return "facts"

    with track("desk", inputs={"q": 1}, goal=is_good, listeners=[tracer]) as run:
        model("direct")
        fetch()
        run.output = writer(BAD, GOOD)("topic")
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("success.unjudged", 3)
    assert (root["inputs"], root["outputs"]) == ({"q": 1}, {"output": GOOD})
    assert [r["name"] for r in traced.children(root["id"])] == ["model", "fetch", "write"]
    [first], [step] = named(traced, "attempt 1"), named(traced, "fetch")
    assert first["error"] == "TimeoutError: slow"
    assert sorted(r["name"] for r in traced.children(step["id"])) == [
        "attempt 1",
        "attempt 2",
        "model",
    ]
    again, repeat = sorted(named(traced, "attempt 2"), key=lambda r: r["inputs"]["after"])
    assert again["inputs"] == {"after": "TimeoutError: slow"}
    assert repeat["inputs"] == {"after": "loop", "feedback": "do better"}
    assert [r["name"] for r in traced.children(repeat["id"])] == ["model", "validate:fine"]
    [write] = named(traced, "write")
    assert (write["inputs"], write["outputs"]) == ({"input": "topic"}, {"output": GOOD})
    tree = traced.tree().splitlines()
    assert tree[tree.index("  write [chain] success") :] == lines(
        (1, "write [chain] success"),
        (2, MODEL),
        (2, REJECTED),
        (2, "attempt 2 [chain] success #retry:attempt:2"),
        (3, MODEL),
        (3, PASSED),
    )


ONE_STEP = lines((1, "write [chain] success"), (2, MODEL), (2, PASSED))


def with_block(tracer: LangSmith) -> None:
    with track("desk", goal=is_good, listeners=[tracer]) as run:
        run.output = writer(GOOD)("topic")


def decorator(tracer: LangSmith) -> None:
    track("desk", goal=is_good, listeners=[tracer])(lambda topic: writer(GOOD)(topic))("topic")


async def async_with_block(tracer: LangSmith) -> None:
    async with track("desk", goal=is_good, listeners=[tracer]) as run:
        run.output = writer(GOOD)("topic")


async def async_decorator(tracer: LangSmith) -> None:
    @validated(fine)
    async def write(topic: str) -> str:
        model(topic)
        return GOOD

    @track("desk", goal=is_good, listeners=[tracer])
    async def work(topic: str) -> str:
        return str(await write(topic))

    await work("topic")


def copied_context(tracer: LangSmith) -> None:
    """A thread that is given the context belongs to the run."""
    with track("desk", goal=is_good, listeners=[tracer]) as run:
        thread = threading.Thread(
            target=contextvars.copy_context().run, args=(writer(GOOD), "topic")
        )
        thread.start()
        thread.join()
        run.output = GOOD


FORMS: list[Any] = [with_block, decorator, async_with_block, async_decorator, copied_context]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_is_one_trace(traced: LangSmithServer, tracer: LangSmith, form: Any) -> None:
    asyncio.run(form(tracer)) if asyncio.iscoroutinefunction(form) else form(tracer)
    delivered(tracer)
    assert traced.tree().splitlines() == [f"desk [chain] success {ONCE}", *ONE_STEP]


def test_runs_at_the_same_time(traced: LangSmithServer, tracer: LangSmith) -> None:
    """One decorated function, entered by two tasks that wait for each other in between."""

    async def main() -> None:
        barrier = [asyncio.Event(), asyncio.Event()]

        @track("desk", goal=is_good, listeners=[tracer])
        async def work(number: int) -> str:
            barrier[number].set()
            await barrier[1 - number].wait()
            model(number)
            return GOOD if number else BAD

        await asyncio.gather(work(0), work(1))

    asyncio.run(main())
    delivered(tracer)
    found = {root["inputs"]["input"]: root for root in traced.roots()}
    assert told(traced, found[0]) == feedback("silent_failure.first_pass")
    assert told(traced, found[1]) == feedback("success.first_pass")
    for number, root in found.items():
        [below] = traced.children(root["id"])
        assert below["inputs"] == {"prompt": number}


def test_generators_with_contexts_of_their_own(traced: LangSmithServer, tracer: LangSmith) -> None:
    def work(number: int) -> Iterator[str]:
        with track("desk", inputs=number, goal=is_good, listeners=[tracer]) as run:
            for _ in range(2):
                yield writer(GOOD)(number)
            run.output = GOOD

    contexts = [contextvars.copy_context() for _ in range(2)]
    started = [context.run(work, n) for n, context in enumerate(contexts)]
    for _ in range(3):
        for context, generator in zip(contexts, started, strict=True):
            context.run(next, generator, None)
    delivered(tracer)
    tree = [f"desk [chain] success {ONCE}", *ONE_STEP, *ONE_STEP]
    assert traced.tree().splitlines() == tree * 2


# ---------------------------------------------------------------------- what is around and inside


def test_a_run_inside_a_run(traced: LangSmithServer, tracer: LangSmith) -> None:
    with track("outer", goal=is_good, listeners=[tracer]) as outer:
        for _ in range(2):
            with track("inner", goal=is_good, listeners=[tracer]) as inner:
                inner.output = writer(GOOD)("topic")
        outer.output = GOOD
    delivered(tracer)
    below = [f"  inner [chain] success {SUB}", *["  " + line for line in ONE_STEP]]
    assert traced.tree().splitlines() == [f"outer [chain] success {ONCE}", *below, *below]


def test_two_runs_inside_the_users_trace(traced: LangSmithServer, tracer: LangSmith) -> None:
    with langsmith.trace("mine", inputs={}):
        for _ in range(2):
            with_block(tracer)
    delivered(tracer)
    steps = ["  " + line for line in ONE_STEP]
    assert traced.tree().splitlines() == [
        *[f"mine [chain] success {ONCE}", "  desk [chain] success", *steps],
        *[f"  desk [chain] success {SUB}", *steps],
    ]


def test_a_step_inside_another_trace(traced: LangSmithServer, tracer: LangSmith) -> None:
    """A trace that the user begins inside the run is theirs; the run's steps stay in its own."""
    with track("desk", goal=is_good, listeners=[tracer]) as run:
        with langsmith.trace("other", inputs={}, parent="ignore"):
            run.output = writer(GOOD)("topic")
    delivered(tracer)
    assert traced.tree(named(traced, "other")[0]["id"]) == "other [chain] success"
    [root] = named(traced, "desk")
    assert traced.tree(root["id"]).splitlines() == [f"desk [chain] success {ONCE}", *ONE_STEP]


def test_how_it_ends(traced: LangSmithServer, tracer: LangSmith) -> None:
    with track("stopped", goal=is_good, listeners=[tracer]):
        writer(BAD, otherwise=STOP)("topic")
    with (
        pytest.raises(AttemptsExhaustedError),
        track("exhausted", goal=is_good, listeners=[tracer]),
    ):
        writer(BAD)("topic")
    for error in (ZeroDivisionError("no"), TimeoutError("slow"), asyncio.CancelledError()):
        with (
            pytest.raises(type(error)),
            track(type(error).__name__, goal=is_good, listeners=[tracer]),
        ):
            raise error
    with track("wrong", goal=is_good, listeners=[tracer]) as run:
        run.output = BAD
    with track("unlabelled", listeners=[tracer]) as run:
        run.output = GOOD
    delivered(tracer)
    assert {root["name"]: told(traced, root) for root in traced.roots()} == {
        "stopped": feedback("escalated.unjudged", 2),
        "exhausted": feedback("escalated.unjudged", 2),
        "ZeroDivisionError": feedback("error.crash"),
        "TimeoutError": feedback("error.timeout"),
        "CancelledError": feedback("error.cancelled"),
        "wrong": feedback("silent_failure.first_pass"),
        "unlabelled": {"attempts": 1, "cost_usd": 0},
    }
    failed = [root["name"] for root in traced.roots() if root.get("error")]
    assert failed == ["exhausted", "ZeroDivisionError", "TimeoutError", "CancelledError"]


def test_only_the_root_says_what_the_outcome_is(traced: LangSmithServer, tracer: LangSmith) -> None:
    """Also metadata that is added while it runs."""
    with (
        run_context(tags=["ctx"], metadata={"tenant": "a"}),
        track("desk", goal=is_good, listeners=[tracer], tags=["t"], metadata={"k": 1}) as run,
    ):
        run.metadata["later"] = True
        run.output = writer(BAD, GOOD)("topic")
    delivered(tracer)
    [root] = traced.roots()
    assert root["tags"] == ["t", "ctx"]
    given = {k: v for k, v in labels(root).items() if not k.startswith("coord.")}
    assert given == {"tenant": "a", "k": 1, "later": True}
    assert ours(root)["outcome"] == "success.unjudged"
    below = [r for r in traced.runs if r["id"] != root["id"]]
    assert len(below) == 6
    assert all(labels(r) == {} and not {"t", "ctx"} & set(r["tags"] or ()) for r in below)
