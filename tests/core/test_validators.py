"""Validators: their calls, their answers, their mistakes."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest

from coord_plugins import (
    Handover,
    PolicyError,
    Retry,
    ValidationEdge,
    Validator,
    ValidatorError,
    Verdict,
    any_of,
    check,
    from_evaluator,
    grounded,
    judge,
    schema,
)
from coord_plugins.testing import simulate


def ctx(**more: Any) -> Handover:
    given: dict[str, Any] = {
        "run_id": "r",
        "step": "writer",
        "attempt": 1,
        "inputs": {"q": 1},
        "input": None,
        "outputs": {},
        "metadata": {},
        **more,
    }
    return Handover(**given)


def said(validator: Validator, output: Any, **more: Any) -> Verdict:
    return validator.verdict(validator.call(output, ctx(**more)))


def test_what_a_check_may_answer() -> None:
    assert said(check(lambda o: True, name="c"), 1) == Verdict(passed=True, name="c")
    no = check(lambda o: False, name="c", feedback="because")
    assert said(no, 1) == Verdict(passed=False, name="c", explanation="because")
    pair = check(lambda o: (False, "why"), name="c", feedback="because")
    assert said(pair, 1).explanation == "why"
    full = check(lambda o: Verdict(passed=False, name="own", score=0.25), name="c", feedback="f")
    assert said(full, 1) == Verdict(passed=False, name="own", score=0.25, explanation="f")


@pytest.mark.parametrize("nonsense", [None, 0, 1, "true", [], {}, (True,), ("yes", "x"), object()])
def test_nonsense_is_an_error(nonsense: Any) -> None:
    with pytest.raises(ValidatorError, match="return True, False"):
        check(lambda o: nonsense, name="c").verdict(nonsense)


def test_numpy_booleans_count() -> None:
    numpy = pytest.importorskip("numpy")
    assert check(lambda o: True, name="c").verdict(numpy.bool_(False)).passed is False


def test_parameters_are_read_once_and_by_name() -> None:
    got: list[Any] = []

    def both(output: Any, *, inputs: Any, ctx: Handover) -> bool:
        got.append((output, inputs, ctx.step))
        return True

    def one(output: Any, inputs: Any = None) -> bool:
        got.append((output, inputs))
        return True

    class Callable:
        def __call__(self, output: Any, ctx: Handover) -> bool:
            got.append(ctx.attempt)
            return True

    assert said(check(both), "o").passed
    assert said(check(one), "o").passed
    assert said(check(Callable()), "o", attempt=3).passed
    assert got == [("o", {"q": 1}, "writer"), ("o", {"q": 1}), 3]


def test_partials_and_names() -> None:
    def longer(output: str, least: int) -> bool:
        return len(output) >= least

    made = check(functools.partial(longer, least=3))
    assert (made.name, said(made, "abc").passed, said(made, "ab").passed) == ("longer", True, False)


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda: True, "takes no output"),
        (lambda output, extra: True, "requires extra"),
        ("not callable", "not callable"),
    ],
)
def test_a_wrong_signature_is_found_early(fn: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        check(fn, name="c")


def test_settings_are_checked() -> None:
    for bad in ({"on_error": "ignore"}, {"timeout": 0}, {"mode": "half"}):
        with pytest.raises(PolicyError, match=next(iter(bad))):
            check(lambda o: True, name="c", **bad)


def test_judge_scores() -> None:
    scored = judge(lambda o: 0.4, threshold=0.5, name="j")
    assert (scored.kind, said(scored, "x").passed, said(scored, "x").score) == ("llm", False, 0.4)
    assert said(judge(lambda o: 0.5, threshold=0.5, name="j"), "x").passed
    assert said(judge(lambda o: True, threshold=0.5, name="j"), "x").passed


def test_a_judge_with_a_threshold_keeps_its_parameters() -> None:
    got: list[Any] = []

    def model(output: str, inputs: Any) -> float:
        got.append(inputs)
        return 1.0

    assert said(judge(model, threshold=0.5), "x").passed
    assert got == [{"q": 1}]


def test_any_of() -> None:
    short = check(lambda o: len(o) < 3, name="short", feedback="too long")
    digits = check(str.isdigit, name="digits", feedback="no digits")
    either = any_of(short, digits)
    assert either.name == "any_of(short, digits)"
    assert [said(either, o).passed for o in ("ab", "1234", "abcd")] == [True, True, False]
    assert said(either, "abcd").explanation == "too long or no digits"
    with pytest.raises(PolicyError, match="at least one"):
        any_of()

    async def later(output: str) -> bool:
        return True

    with pytest.raises(PolicyError, match="all synchronous or all async"):
        any_of(short, later)


def test_any_of_takes_raised_rejections_and_hands_values_on() -> None:
    def raises(output: str) -> bool:
        raise ValueError("never")

    either = any_of(raises, schema(int))
    assert said(either, "7").value == 7
    assert "never" in str(said(either, "x").explanation)


def test_any_of_async() -> None:
    async def no(output: str) -> bool:
        raise ValueError("not async")

    async def yes(output: str) -> bool:
        return "good" in output

    edge = ValidationEdge("writer", any_of(no, yes))
    seen = simulate(edge, {"writer": ["bad", "good"]}, is_async=True)
    assert (seen.executions, seen.output) == ({"writer": 2}, "good")
    assert seen.feedback["writer"] == [None, "not async or yes"]


def test_grounded() -> None:
    cites = grounded(r"\bINV-\d+", {"INV-1", "INV-2"})
    assert said(cites, "see INV-1 and INV-2").passed
    assert said(cites, "see INV-1 and INV-9").explanation == (
        "these cited ids do not exist in the sources: INV-9"
    )
    assert said(cites, "no citation").explanation == "cite at least 1 of the given sources; 0 cited"
    assert said(grounded(r"INV-(\d+)", {"7"}), "INV-7").passed
    assert said(grounded(lambda o: o["ids"], [1, 2]), {"ids": [2]}).passed
    by_ctx = grounded(r"#\d", lambda c: c.metadata["known"])
    assert said(by_ctx, "#1", metadata={"known": ["#1"]}).passed
    by_step = grounded(r"#\d", "reader")
    assert said(by_step, "#1", outputs={"reader": "facts #1 #2"}).passed
    assert not said(by_step, "#3", outputs={"reader": "facts #1 #2"}).passed
    assert not said(by_step, "#1").passed
    with pytest.raises(PolicyError, match="regular expression"):
        grounded(lambda o: o, "reader")


def test_from_evaluator_shapes() -> None:
    def openevals(*, inputs: Any, outputs: Any, reference_outputs: Any) -> dict[str, Any]:
        return {"key": "k", "score": outputs == reference_outputs, "comment": "differs"}

    exact = from_evaluator(openevals, reference_outputs="ref")
    assert said(exact, "ref").passed
    assert (said(exact, "x").passed, said(exact, "x").explanation) == (False, "differs")

    def langsmith(outputs: Any, **kwargs: Any) -> Any:
        return SimpleNamespace(key="k", score=0.7, comment=None)

    assert said(from_evaluator(langsmith, 0.5), "x").score == 0.7
    assert not said(from_evaluator(langsmith, 0.8), "x").passed
    parts = from_evaluator(lambda outputs: [{"score": True}, {"score": 0.2}], 0.5, name="parts")
    assert (said(parts, "x").passed, said(parts, "x").score) == (False, 0.2)
    unscored = from_evaluator(lambda outputs: {"comment": "?"}, name="u")
    with pytest.raises(TypeError, match="no score"):
        said(unscored, "x")


def test_an_unscored_evaluator_is_a_validator_error_and_no_rejection() -> None:
    unscored = from_evaluator(lambda outputs: {"comment": "?"}, name="u")
    seen = simulate(ValidationEdge("writer", unscored), {"writer": "x"})
    assert seen.record is not None
    assert seen.record.steps["writer"].validator_errors == 1
    assert isinstance(seen.error, ValidatorError)


def test_a_validator_waits_only_on_transient_errors() -> None:
    answers: list[Any] = [TimeoutError("busy"), TimeoutError("busy"), True]

    def shaky(output: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    own = check(shaky, retry=Retry(max_attempts=3, initial_interval=1.0, jitter=False))
    seen = simulate(ValidationEdge("writer", own), {"writer": "x"})
    assert (seen.sleeps, seen.executions) == ([1.0, 2.0], {"writer": 1})
    answers[:] = [KeyError("bug"), True]
    seen = simulate(ValidationEdge("writer", own), {"writer": "x"})
    assert (seen.sleeps, seen.output) == ([], "x")


def test_a_broken_selection_is_a_validator_error() -> None:
    edge = ValidationEdge("writer", check(lambda o: True, name="c"), of=lambda o: o["missing"])
    seen = simulate(edge, {"writer": {}})
    assert isinstance(seen.error, ValidatorError)
    assert seen.executions == {"writer": 1}
    assert seen.record is not None
    assert seen.record.steps["writer"].validator_errors == 1
