"""Steps, edges and validators over many runs, and what their rates say of the loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .._store_rows import COUNTS, Shape, StepShape
from ..stats import first_failing, fix_one, log_shares, rate_ratio
from ._measures import Rate, Repeats, StepLoss
from ._types import EdgeReport, StepReport, ValidatorReport


@dataclass
class StepSum:
    """One step's counts over many runs."""

    runs: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    first_right: int = 0
    first_known: int = 0
    validators: dict[str, list[int]] = field(default_factory=dict)

    def add(self, step: StepShape, n: int) -> None:
        """Add `n` runs with this shape."""
        self.runs += n
        self.counts = [a + n * b for a, b in zip(self.counts, step.counts, strict=True)]
        first_ok, given_right = step.flags[:2]
        if given_right and first_ok is not None:
            self.first_known += n
            self.first_right += n * first_ok
        for name, *counts in step.validators:
            self._add_validator(name, [n * c for c in counts])

    def merge(self, other: StepSum) -> None:
        """Add another sum of the same step."""
        self.runs += other.runs
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.first_known += other.first_known
        self.first_right += other.first_right
        for name, counts in other.validators.items():
            self._add_validator(name, counts)

    def _add_validator(self, name: str, counts: list[int]) -> None:
        mine = self.validators.get(name)
        self.validators[name] = (
            list(counts) if mine is None else [a + b for a, b in zip(mine, counts, strict=True)]
        )

    def count(self, name: str) -> int:
        """One of the counts, by its name in `StepTally`."""
        return self.counts[COUNTS.index(name)]


def first_tries_right(shape: Shape) -> bool:
    """Whether every step's first try was right, as far as labels or errors tell."""
    return all(step.flags[0] is True for step in shape if _is_step(step.step))


def _is_step(name: str) -> bool:
    # "(child)" and its like stand for the cost of runs inside a run, not for a step.
    return not name.startswith("(")


def step_report(name: str, step: StepSum) -> StepReport:
    """One step's numbers."""
    right, wrong = step.count("repeat_right"), step.count("repeat_wrong")
    return StepReport(
        step=name,
        runs=step.runs,
        executions=step.count("executions"),
        errors=step.count("errors"),
        retries=step.count("retries"),
        fallbacks=step.count("fallbacks"),
        feedback_delivered=step.count("delivered"),
        feedback_undelivered=step.count("undelivered"),
        first_try=Rate.of(step.first_right, step.first_known),
        repeat=Rate.of(right, right + wrong),
    )


def edge_report(name: str, step: StepSum) -> EdgeReport:
    """One edge's numbers."""
    names = "calls passes rejects loops exhausted validator_errors would_reject".split()
    return EdgeReport(step=name, **{n: step.count(n) for n in names})


def validator_reports(name: str, step: StepSum) -> Iterable[ValidatorReport]:
    """What each validator of a step said, and how well."""
    for validator, counts in step.validators.items():
        calls, passes, rejects, errors, right_pass, right_reject, wrong_pass, wrong_reject = counts
        yield ValidatorReport(
            step=name,
            name=validator,
            calls=calls,
            passes=passes,
            rejects=rejects,
            errors=errors,
            sensitivity=Rate.of(wrong_reject, wrong_pass + wrong_reject),
            specificity=Rate.of(right_pass, right_pass + right_reject),
        )


def step_product(steps: Sequence[StepReport]) -> float | None:
    """The product of the steps' first-try rates: what teams report."""
    known = _known(steps)
    return math.prod(s.first_try.successes / s.first_try.n for s in known) if known else None


def _known(steps: Sequence[StepReport]) -> list[StepReport]:
    return [s for s in steps if s.first_try.n and _is_step(s.step)]


def attribution(steps: Sequence[StepReport]) -> tuple[StepLoss, ...]:
    """What the steps' first-try rates alone say of the loss, in order of execution."""
    known = _known(steps)
    rates = [s.first_try.successes / s.first_try.n for s in known]
    if not rates or min(rates) == 0.0:  # a step that never works: logarithms say nothing
        return ()
    parts = zip(known, first_failing(rates), log_shares(rates), fix_one(rates), strict=True)
    return tuple(
        StepLoss(step=step.step, first_failing=first, log_share=log, fix_one=fixed)
        for step, first, log, fixed in parts
    )


def repeats(steps: Sequence[StepReport]) -> Repeats | None:
    """Whether repeats succeed as often as first tries, over all steps with labelled repeats."""
    known = [s for s in steps if s.repeat.n and s.first_try.n]
    n = sum(s.repeat.n for s in known)
    if not n:
        return None
    again = Rate.of(sum(s.repeat.successes for s in known), n)
    # the mix of steps that the repeats have, so that unequal steps do not look like a trend
    shares = [(s.repeat.n / n, s.first_try.successes / s.first_try.n) for s in known]
    first = sum(weight * share for weight, share in shares)
    if first == 0.0:
        return None
    tries = sum(s.first_try.n for s in known)
    ratio, interval = rate_ratio(again.successes, n, first * tries, tries)
    return Repeats(first=first, repeat=again, ratio=ratio, interval=interval)
