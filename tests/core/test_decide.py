"""The pure heart: bounded attempts, counters, ladders, reachability, purity."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import (
    START,
    STOP,
    AttemptsExhaustedError,
    Retry,
    ValidationEdge,
    ValidatorError,
    Verdict,
    check,
)
from coord_plugins._decide import FEEDBACK_CAP, Counters, decide, feedback_of
from coord_plugins.host import Accept, Again, Escalate, Fail, Fallback

yes = Verdict(passed=True, name="v")
no = Verdict(passed=False, name="v", explanation="why")
v = check(lambda o: True, name="v")

retries = st.one_of(
    st.none(),
    st.builds(
        Retry,
        max_attempts=st.integers(1, 5),
        jitter=st.booleans(),
        max_elapsed=st.one_of(st.none(), st.floats(0.1, 60)),
        fallbacks=st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
    ),
)
targets = st.lists(st.sampled_from(["writer", "reader", START]), min_size=1, max_size=3)


@st.composite
def edges(draw: Any) -> ValidationEdge:
    ladder = draw(targets)
    attempts = draw(st.integers(len(ladder) + 1, 8))
    return ValidationEdge("writer", v, back_to=ladder, max_attempts=attempts, otherwise=STOP)


happenings = st.sampled_from(["pass", "reject", "timeout", "bug", "unreadable", "broken validator"])


def step(edge: Any, retry: Any, counters: Counters, what: str, **more: Any) -> Any:
    if what == "pass":
        return decide(edge, retry, counters, "writer", verdicts=(yes,), **more)
    if what == "reject":
        return decide(edge, retry, counters, "writer", verdicts=(yes, no), **more)
    if what == "broken validator":
        failed = ValidatorError("v", "down")
        return decide(edge, retry, counters, "writer", failed=failed, **more)
    error: Exception = TimeoutError("slow")
    if what == "bug":
        error = KeyError("x")
    elif what == "unreadable":
        error = json.JSONDecodeError("no", "x", 0)
    return decide(edge, retry, counters, "writer", error=error, **more)


@given(edges(), retries, st.lists(happenings, min_size=200, max_size=200))
def test_every_round_ends(edge: ValidationEdge, retry: Retry | None, script: list[str]) -> None:
    """Whatever happens, a round has at most so many candidates and so many calls."""
    counters, calls, rejects = Counters(), 0, 0
    tries = 1 if retry is None else retry.max_attempts * (1 + len(retry.fallbacks))
    for what in script:
        calls += 1
        before = counters
        decision, counters = step(edge, retry, counters, what, rand=lambda: 1.0)
        if isinstance(decision, Again) and decision.feedback is not None:
            rejects += 1
            assert counters == Counters(rejects=before.rejects + 1)
            assert decision.target == edge.back_to[min(rejects, len(edge.back_to)) - 1]
            assert rejects < edge.max_attempts
        elif isinstance(decision, (Again, Fallback)):
            assert counters.rejects == before.rejects
            assert retry is not None
            assert counters.tries < retry.max_attempts
        else:
            assert calls <= edge.max_attempts * tries
            assert counters.tries == 0
            assert counters.fallback == 0
            if not isinstance(decision, Fail):
                assert counters == Counters()
            break
    else:
        raise AssertionError("200 executions without an end")


@given(edges(), retries, st.integers(0, 7), st.integers(0, 4), happenings)
def test_it_is_pure(
    edge: ValidationEdge, retry: Retry | None, rejects: int, tries: int, what: str
) -> None:
    """The same arguments give the same answer, and nothing given is changed."""
    counters = Counters(rejects, tries)
    first = step(edge, retry, counters, what)
    second = step(edge, retry, counters, what)
    assert type(first[0]) is type(second[0])
    assert first[1] == second[1]
    assert counters == Counters(rejects, tries)
    assert getattr(first[0], "delay", 0) == getattr(second[0], "delay", 0)


@given(edges(), st.integers(0, 6))
def test_a_pass_forgets_and_a_reject_counts_one(edge: ValidationEdge, rejects: int) -> None:
    assert step(edge, None, Counters(rejects), "pass") == (Accept(), Counters())
    decision, counters = step(edge, None, Counters(rejects), "reject")
    if rejects + 1 >= edge.max_attempts:
        assert isinstance(decision, Escalate)
        assert counters == Counters()
    else:
        assert counters == Counters(rejects + 1)


def test_a_ladder_has_one_target_per_rejection_and_the_last_repeats() -> None:
    edge = ValidationEdge("writer", v, back_to=("writer", "reader", START), max_attempts=6)
    found, counters = [], Counters()
    for _ in range(5):
        decision, counters = step(edge, None, counters, "reject")
        found.append(decision.target)
    assert found == ["writer", "reader", START, START, START]
    last, counters = step(edge, None, counters, "reject")
    assert isinstance(last, Escalate)
    assert isinstance(last.error, AttemptsExhaustedError)
    assert (last.error.step, last.error.attempts) == ("writer", 6)
    assert last.error.verdicts == (no,)


def test_an_unreachable_target_exhausts_the_edge() -> None:
    """In place always fits; an earlier target needs host steps."""
    edge = ValidationEdge("writer", v, back_to=("writer", "reader"), max_attempts=9)
    none_left = {"reachable": lambda target: False}
    first, counters = step(edge, None, Counters(), "reject", **none_left)
    assert first == Again("writer", "why")
    second, counters = step(edge, None, counters, "reject", **none_left)
    assert isinstance(second, Escalate)
    assert second.error.attempts == 2  # type: ignore[attr-defined]


def test_without_an_edge_everything_is_accepted() -> None:
    assert step(None, None, Counters(), "reject") == (Accept(), Counters())


def test_a_validator_that_failed_escalates_without_a_reject() -> None:
    edge = ValidationEdge("writer", v, otherwise="desk")
    decision, counters = step(edge, None, Counters(1), "broken validator")
    assert isinstance(decision, Escalate)
    assert (decision.otherwise, counters) == ("desk", Counters())
    assert isinstance(decision.error, ValidatorError)


def test_an_error_costs_no_attempt() -> None:
    edge = ValidationEdge("writer", v, max_attempts=2)
    retry = Retry(max_attempts=3, jitter=False)
    decision, counters = step(edge, retry, Counters(1), "timeout")
    assert decision == Again("writer", None, 0.5)
    assert counters == Counters(rejects=1, tries=1)


def test_unreadable_output_is_a_reject_with_fenced_words() -> None:
    edge = ValidationEdge("writer", v)
    for retry in (None, Retry(max_attempts=5)):
        decision, counters = step(edge, retry, Counters(), "unreadable")
        assert isinstance(decision, Again)
        assert counters == Counters(rejects=1)
        assert str(decision.feedback).startswith("the reply could not be read:\n```\n")


def test_unreadable_output_without_an_edge_fails() -> None:
    decision, _ = step(None, Retry(max_attempts=5), Counters(), "unreadable")
    assert isinstance(decision, Fail)


def test_fallbacks_come_in_order_each_with_its_own_tries() -> None:
    retry = Retry(max_attempts=2, jitter=False, fallbacks=["a", "b"])
    found, counters = [], Counters()
    for _ in range(6):
        decision, counters = step(None, retry, counters, "timeout")
        found.append(type(decision).__name__ + str(getattr(decision, "number", "")))
    assert found == ["Again", "Fallback1", "Again", "Fallback2", "Again", "Fail"]
    assert counters == Counters()


def test_the_throttle_is_asked_only_when_a_retry_would_follow() -> None:
    asked = []

    def allowed() -> bool:
        asked.append(1)
        return False

    retry = Retry(max_attempts=3)
    assert isinstance(step(None, retry, Counters(), "bug", allowed=allowed)[0], Fail)
    assert isinstance(step(None, retry, Counters(0, 2), "timeout", allowed=allowed)[0], Fail)
    assert asked == []
    assert isinstance(step(None, retry, Counters(), "timeout", allowed=allowed)[0], Fail)
    assert asked == [1]


def test_after_the_deadline_nothing_stands_in() -> None:
    retry = Retry(max_attempts=9, max_elapsed=5.0, fallbacks=["a"], jitter=False)
    early, _ = step(None, retry, Counters(8), "timeout", elapsed=4.9)
    assert isinstance(early, Fallback)
    late, _ = step(None, retry, Counters(8), "timeout", elapsed=5.0)
    assert isinstance(late, Fail)


@given(st.lists(st.text(max_size=4_000), min_size=1, max_size=4))
def test_feedback_is_joined_and_capped(words: list[str]) -> None:
    said = feedback_of([Verdict(passed=False, name="n", explanation=w) for w in words])
    assert 0 < len(said) <= FEEDBACK_CAP


def test_feedback_without_an_explanation_names_the_validator() -> None:
    assert feedback_of([Verdict(passed=False, name="cites")]) == "rejected by cites"
    both = [Verdict(passed=False, name="a", explanation="x"), Verdict(passed=False, name="b")]
    assert feedback_of(both) == "- x\n- rejected by b"
