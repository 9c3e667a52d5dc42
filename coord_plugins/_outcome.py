"""How a run ended: exactly one outcome per run, decided from its tallies and its goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from ._classify import classify, http_status
from ._tally import StepTally
from .errors import BudgetError

OUTCOMES = (
    "success.first_pass",
    "success.rescued",
    "success.false_alarm_survived",
    "success.unjudged",
    "success.human",
    "success.fallback",
    "success.crash_retried",
    "silent_failure.first_pass",
    "silent_failure.after_retry",
    "escalated.justified",
    "escalated.needless",
    "escalated.unjudged",
    "error.crash",
    "error.timeout",
    "error.budget",
    "error.recursion_limit",
    "error.cancelled",
    "unlabelled",
    "in_flight.running",
    "in_flight.paused",
)
"""Every outcome, in the order of reports."""

End = Literal["delivered", "escalated", "error"]
ErrorClass = Literal["crash", "timeout", "budget", "recursion_limit", "cancelled"]


def outcome_of(end: End, detail: str, passed: bool | None) -> str:
    """Put an outcome together.

    Args:
        end: How the run stopped.
        detail: For a delivered run its `recovery`, else the sub-class.
        passed: The goal's word; only a delivered run depends on it, so that a late label
            can correct it.
    """
    if end != "delivered":
        return f"{end}.{detail}"
    if passed is None:
        return "unlabelled"
    if passed:
        return f"success.{detail}"
    return f"silent_failure.{'first_pass' if detail == 'first_pass' else 'after_retry'}"


def recovery(tallies: Iterable[StepTally]) -> str:
    """What a run that was delivered had to survive; the sub-class of its success."""
    steps = list(tallies)
    rejects = sum(t.rejects for t in steps)
    if rejects:
        if any(t.rejects_wrong for t in steps):
            return "rescued"
        right = sum(t.rejects_right for t in steps)
        return "false_alarm_survived" if right == rejects else "unjudged"
    if any(t.human for t in steps):
        return "human"
    if any(t.fallbacks for t in steps):
        return "fallback"
    return "crash_retried" if any(t.errors for t in steps) else "first_pass"


def ending(tallies: Iterable[StepTally], error: BaseException | None) -> tuple[End, str]:
    """How a run stopped, with its sub-class.

    An exhausted edge makes a run escalated whatever comes later. Otherwise an error decides.
    """
    steps = list(tallies)
    if any(t.escalations for t in steps):
        if any(t.exhausted_wrong for t in steps):
            return "escalated", "justified"
        needless = any(t.exhausted_right for t in steps)
        return "escalated", "needless" if needless else "unjudged"
    if error is not None:
        return "error", error_class(error)
    return "delivered", recovery(steps)


def error_class(error: BaseException) -> ErrorClass:
    """The sub-class of a run that ended in `error`."""
    names = {c.__name__ for c in type(error).__mro__}
    if isinstance(error, BudgetError):
        return "budget"
    stopped = isinstance(error, (GeneratorExit, KeyboardInterrupt, SystemExit))
    if stopped or "CancelledError" in names:
        return "cancelled"
    if "GraphRecursionError" in names or isinstance(error, RecursionError):
        return "recursion_limit"
    timed_out = any("Timeout" in name or name == "DeadlineExceeded" for name in names)
    if timed_out or http_status(error) in (408, 504):
        return "timeout" if classify(error) == "transient" else "crash"
    return "crash"


def lost_at(tallies: Mapping[str, StepTally], blamed: str | None, passed: bool | None) -> str:
    """Which step lost a run that did not succeed.

    The first step, in order of execution, whose accepted output is labelled wrong though its
    input was right; else the step that raised or escalated; else "goal".
    """
    wrong = [name for name, t in tallies.items() if t.accepted is False]
    own = [name for name in wrong if tallies[name].accepted_given_right]
    if own or wrong:
        return (own or wrong)[0]
    return blamed or "goal"


def describe(error: BaseException) -> str:
    """An error as "Type: message", as it stands in records."""
    return f"{type(error).__name__}: {error}"
