"""The heart: what follows an execution. Pure: no clock, no sleep, no I/O, no framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._classify import classify, http_status, retry_after
from ._edge import ValidationEdge
from ._retry import Retry
from ._verdict import Verdict
from .errors import AttemptsExhaustedError, CircuitOpenError, ValidatorError

FEEDBACK_CAP = 2_000
"""Longest feedback, in characters: it enters a prompt."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The candidate goes on."""

    value: Any = None
    """The step's output, host-neutral; a repaired or parsed one where a verdict brought it."""
    replaced: bool = False
    """Whether `value` differs from what the step returned."""


@dataclass(frozen=True, slots=True)
class Again:
    """Run `target` again: the same step (in place) or an earlier one."""

    target: str
    feedback: str | None = None
    """The validators' words; None after an error."""
    delay: float = 0.0
    """Seconds to wait first."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """The tries are spent: let the n-th fallback stand in for this execution."""

    number: int
    """From 1, in the order of `Retry.fallbacks`."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """The edge (or the budget) is spent."""

    otherwise: str | None
    """A step, HUMAN, STOP, or None: raise `error`."""
    error: Exception
    """What is raised when there is no `otherwise`."""
    value: Any = None
    """The last candidate, for a person to judge."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Raise the step's own error."""

    error: BaseException


Decision = Accept | Again | Fallback | Escalate | Fail


class Counters(NamedTuple):
    """All that `decide` remembers of one edge and one execution."""

    rejects: int = 0
    """Rejected candidates since the edge last passed; survives a checkpoint."""
    tries: int = 0
    """Failed calls of the present target for the present candidate."""
    fallback: int = 0
    """0: the step itself; n: its n-th fallback."""


def decide(
    edge: ValidationEdge | None,
    retry: Retry | None,
    counters: Counters,
    step: str,
    *,
    error: BaseException | None = None,
    verdicts: Sequence[Verdict] = (),
    failed: ValidatorError | None = None,
    elapsed: float = 0.0,
    allowed: Callable[[], bool] = lambda: True,
    reachable: Callable[[str], bool] = lambda _: True,
    rand: Callable[[], float] = lambda: 1.0,
) -> tuple[Decision, Counters]:
    """Decide what follows one execution of a step.

    Args:
        edge: The step's validation edge, if it has one.
        retry: The step's retry, if it has one.
        counters: The state before this execution.
        step: The step's name.
        error: What the execution raised; None: it gave a candidate.
        verdicts: The edge's verdicts on the candidate, in order.
        failed: A validator that failed for good under `on_error="escalate"`.
        elapsed: Seconds since the first try of this execution.
        allowed: Whether the throttle and the deadline of the run allow one more retry;
            asked only when a retry would follow.
        reachable: Whether the host has steps left to loop back to a target.
        rand: Uniform in [0, 1), for the jitter.

    Returns:
        The decision and the counters after it.
    """
    if error is not None:
        kind = retry.kind_of(error) if retry is not None else None
        if edge is not None and (kind or classify(error)) == "invalid":
            said = Verdict(passed=False, name="output", explanation=_fenced(str(error)))
            return _rejected(edge, counters, step, (said,), reachable)
        if retry is None or kind is None:
            return Fail(error), counters
        return _errored(retry, counters, step, error, kind, elapsed, allowed, rand)
    if edge is None:
        return Accept(), Counters()
    if failed is not None:
        return Escalate(edge.otherwise, failed), Counters()
    bad = tuple(v for v in verdicts if not v.passed)
    if not bad:
        return Accept(), Counters()
    return _rejected(edge, counters, step, bad, reachable)


def _rejected(
    edge: ValidationEdge,
    counters: Counters,
    step: str,
    bad: tuple[Verdict, ...],
    reachable: Callable[[str], bool],
) -> tuple[Decision, Counters]:
    rejects = counters.rejects + 1
    target = edge.target(rejects)
    if rejects >= edge.max_attempts or not (target == step or reachable(target)):
        return Escalate(edge.otherwise, AttemptsExhaustedError(step, rejects, bad)), Counters()
    return Again(target, feedback_of(bad)), Counters(rejects=rejects)


def _errored(
    retry: Retry,
    counters: Counters,
    step: str,
    error: BaseException,
    kind: str,
    elapsed: float,
    allowed: Callable[[], bool],
    rand: Callable[[], float],
) -> tuple[Decision, Counters]:
    tries = counters.tries + 1
    if kind == "transient" and tries < retry.max_attempts:
        delay = retry.delay(tries, rand, retry_after(error))
        in_time = retry.max_elapsed is None or elapsed + delay <= retry.max_elapsed
        if in_time and allowed():
            return Again(step, None, delay), counters._replace(tries=tries)
    # A refused call (401, 404, quota) is fatal here and may well succeed at another vendor;
    # a programming error is not made right by a fallback.
    refused = http_status(error) is not None or isinstance(error, CircuitOpenError)
    may_fall_back = kind == "transient" or refused
    late = retry.max_elapsed is not None and elapsed >= retry.max_elapsed
    if may_fall_back and not late and counters.fallback < len(retry.fallbacks):
        number = counters.fallback + 1
        return Fallback(number), counters._replace(tries=0, fallback=number)
    return Fail(error), counters._replace(tries=0, fallback=0)


def feedback_of(bad: Sequence[Verdict]) -> str:
    """The failing verdicts' words, joined and capped; a model's words are fenced by its judge."""
    words = []
    for verdict in bad:
        said = verdict.explanation or f"rejected by {verdict.name}"
        words.append(said if len(bad) == 1 else f"- {said}")
    text = "\n".join(words)
    return text if len(text) <= FEEDBACK_CAP else text[: FEEDBACK_CAP - 1] + "…"


def _fenced(text: str) -> str:
    """Mark text that may quote model output, so that a prompt does not take it as orders."""
    return f"the reply could not be read:\n```\n{text.replace('```', chr(39) * 3)}\n```"
