"""One marked test: what its mark asks, and what was counted."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest

from coord_plugins import Gate, PolicyError, RunRecord

from ._trials import Kind
from ._words import counted, spent


class Question:
    """The gate of one test, with what the trials besides told."""

    def __init__(self, gate: Gate, limit: int, *, capped: bool, observed: bool) -> None:
        """Ask it.

        Args:
            gate: Decides.
            limit: The most trials.
            capped: Whether `--reliability-trials` set the limit.
            observed: Whether the verdict may not fail the test.
        """
        self.gate = gate
        self.limit = limit
        self.observed = observed
        self.counts: Counter[Kind] = Counter()
        self.stopped = ""
        """Why it ended before an answer, where that was not the limit."""
        self.note = ""
        """What a reader should know before believing it."""
        self._capped = capped

    def would_end(self, kind: Kind) -> bool:
        """Whether one more trial of this kind is the last."""
        after = copy.copy(self.gate)
        after.add(kind == "passed")
        return after.decided or after.trials >= self.limit

    @property
    def ended(self) -> bool:
        """Whether there is an answer, or no more trial."""
        return self.gate.decided or self.gate.trials >= self.limit

    def add(self, kind: Kind) -> None:
        """Count a trial. One that ended in an error has not passed, and is counted apart too."""
        self.counts[kind] += 1
        self.gate.add(kind == "passed")

    def properties(self, runs: list[RunRecord]) -> list[tuple[str, object]]:
        """What was found, as properties of the test's report: numbers and texts."""
        gate = self.gate
        low, high = gate.interval
        whole = [run for run in runs if run.parent_id is None]  # the cost of parts is in them
        found: dict[str, object] = {
            "verdict": gate.verdict,
            "mode": "observe" if self.observed else "enforce",
            "trials": gate.trials,
            "successes": gate.successes,
            "failures": self.counts["failure"],
            "errors": self.counts["error"],
            "lower_bound": gate.lower_bound,
            "low": low,
            "high": high,
            "min_success": gate.min_success,
            "expected": gate.expected,
            "alpha": gate.alpha,
            "evidence": gate.evidence,
            "runs": len(whole),
            "cost_usd": sum(run.cost for run in whole),
            "cost_unknown": sum(run.cost_unknown for run in whole),
            "tokens": sum(run.tokens for run in whole),
        }
        if self.stopped or self.note:
            found["note"] = self.stopped or self.note
        return [(f"reliability_{name}", value) for name, value in found.items()]

    def message(self, properties: list[tuple[str, object]]) -> str:
        """Why the test does not pass."""
        given = dict(properties)
        said = f"{counted(given)}{spent(given)}"
        if self.gate.verdict == "reject":
            return f"rejected: {said}"
        return f"inconclusive: {said}; {self._why()}"

    def _why(self) -> str:
        if self.stopped:
            return self.stopped
        name = "--reliability-trials" if self._capped else "max_trials"
        needed = self.gate.clean_trials_needed
        more = f"{needed:,} more without a failure would accept" if needed else ""
        rate = self.gate.trials_needed
        if rate and rate != needed:
            more += f"{', ' if more else ''}about {rate:,} more decide at this rate"
        return f"{name}={self.limit} is reached; {more}"


def ask(marker: pytest.Mark, cap: int | None, *, observed: bool) -> Question:
    """The question of a mark.

    Args:
        marker: `reliability(min_success=0.95, expected=None, max_trials=400, alpha=0.05,
            beta=0.05)`.
        cap: `--reliability-trials`.
        observed: Whether the mode is observe.

    Raises:
        PolicyError: Arguments that the mark does not have, or with which nothing can be decided.
    """
    try:
        given = _arguments(*marker.args, **marker.kwargs)
    except TypeError as error:
        said = str(error).replace("_arguments()", "it")
        raise PolicyError(
            f"the mark takes min_success, expected, max_trials, alpha and beta; {said}"
        ) from None
    most = given.pop("max_trials")
    if not isinstance(most, int):
        raise PolicyError(f"max_trials={most!r}; the mark needs a number of trials")
    Gate(**given, max_trials=most)  # says so if that can never be enough
    capped = cap is not None and cap < most
    limit = cap if cap is not None and capped else most
    return Question(Gate(**given), limit, capped=capped, observed=observed)


def _arguments(
    min_success: float = 0.95,
    expected: float | None = None,
    max_trials: int = 400,
    alpha: float = 0.05,
    beta: float = 0.05,
) -> dict[str, Any]:
    return locals()
