"""`Accumulator`: a report's numbers as a fold over runs, one pass, flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ._outcome import OUTCOMES
from ._report_checks import check_identities, families, warnings_of
from ._report_types import Cost, EdgeReport, Group, Rate, StepReport, ValidatorReport
from ._store_lines import Line
from ._store_rows import COUNTS, StepShape
from .errors import CoordError


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


class Accumulator:
    """The numbers of one group of runs."""

    def __init__(self) -> None:
        self.nested = 0
        self.outcomes: Counter[str] = Counter()
        self.self_reported: Counter[str] = Counter()
        self.policy_ids: Counter[str] = Counter()
        self.modes: Counter[str] = Counter()
        self.lost_at: Counter[str] = Counter()
        self.seconds = 0.0
        self.amounts = [0.0] * 8
        self.in_flight_cost = 0.0
        self.steps: dict[str, StepSum] = {}

    def add(self, line: Line) -> None:
        """Add a run, or runs that agree in all but amounts."""
        n, outcome = line.n, line.outcome
        if line.nested:  # its cost is in its parent's record already
            self.nested += n
            return
        if outcome not in _KNOWN:
            raise CoordError(f"a run has the outcome {outcome!r}, which is none of OUTCOMES")
        self.outcomes[outcome] += n
        self.policy_ids[line.policy_id] += n
        self.modes[line.mode] += n
        family = outcome.partition(".")[0]
        if family == "in_flight":
            self.in_flight_cost += sum(line.amounts[:4])
            return
        if line.source == "self_reported":
            self.self_reported[outcome] += n
        if family not in ("success", "unlabelled"):
            blamed = line.lost_at or ("goal" if family == "silent_failure" else "(unknown)")
            self.lost_at[blamed] += n
        self.seconds += line.elapsed
        self.amounts = [a + b for a, b in zip(self.amounts, line.amounts, strict=True)]
        for step in line.shape:
            known = self.steps.get(step.step)
            if known is None:
                known = self.steps[step.step] = StepSum()
            known.add(step, n)

    def merge(self, other: Accumulator) -> None:
        """Add another group's numbers."""
        self.nested += other.nested
        for name in ("outcomes", "self_reported", "policy_ids", "modes", "lost_at"):
            getattr(self, name).update(getattr(other, name))
        self.seconds += other.seconds
        self.in_flight_cost += other.in_flight_cost
        self.amounts = [a + b for a, b in zip(self.amounts, other.amounts, strict=True)]
        for name, step in other.steps.items():
            self.steps.setdefault(name, StepSum()).merge(step)

    def group(self, pipeline: str, value: str | None, parts: tuple[Group, ...] = ()) -> Group:
        """The numbers as they are reported.

        Raises:
            CoordError: They do not add up; the message names the identity.
        """
        family = families(self.outcomes)
        in_flight, success = family["in_flight"], family["success"]
        finished = sum(self.outcomes.values()) - in_flight
        steps = tuple(_step(name, step) for name, step in self.steps.items())
        rates = self._rates(family, finished)
        group = Group(
            pipeline=pipeline,
            value=value,
            policy_ids=dict(sorted(self.policy_ids.items())),
            modes=dict(sorted(self.modes.items())),
            started=finished + in_flight,
            finished=finished,
            in_flight=in_flight,
            nested=self.nested,
            outcomes={name: self.outcomes[name] for name in OUTCOMES},
            success=success,
            **rates,
            recovered={n.partition(".")[2]: self.outcomes[n] for n in _RESCUES},
            self_reported=dict(sorted(self.self_reported.items())),
            naive_step_product=_product(steps),
            lost_at=dict(sorted(self.lost_at.items(), key=lambda item: (-item[1], item[0]))),
            cost=self._cost(success),
            tokens=int(self.amounts[4] + self.amounts[5]),
            unknown_tokens=int(self.amounts[6]),
            seconds=self.seconds,
            seconds_per_success=self.seconds / success if success else None,
            steps=steps,
            edges=tuple(_edge(n, s) for n, s in self.steps.items() if s.count("calls")),
            validators=tuple(
                _validator(step, name, counts)
                for step, known in self.steps.items()
                for name, counts in known.validators.items()
            ),
            parts=parts,
        )
        check_identities(group)
        return replace(group, warnings=tuple(warnings_of(group)))

    def _rates(self, family: Mapping[str, int], finished: int) -> dict[str, Any]:
        success, labelled = family["success"], finished - family["unlabelled"]
        cancelled = self.outcomes["error.cancelled"]
        own = families(self.self_reported)
        own_labelled = sum(own.values()) - own["unlabelled"]
        return {
            "success_rate": Rate.of(success, labelled),
            "coverage": Rate.of(labelled, finished),
            "completed_only": Rate.of(success, success + family["silent_failure"]),
            "silent_rate": Rate.of(family["silent_failure"], labelled),
            "escalated_rate": Rate.of(family["escalated"], labelled),
            "error_rate": Rate.of(family["error"], labelled),
            "error_rate_without_cancelled": Rate.of(
                family["error"] - cancelled, labelled - cancelled
            ),
            "success_rate_without_self_reported": Rate.of(
                success - own["success"], labelled - own_labelled
            ),
        }

    def _cost(self, success: int) -> Cost:
        first, retry, validation, fallback = self.amounts[:4]
        total = first + retry + validation + fallback
        unknown = int(self.amounts[7])
        return Cost(
            total=total,
            first=first,
            retry=retry,
            validation=validation,
            fallback=fallback,
            per_success=total / success if success else None,
            lower_bound=unknown > 0,
            unknown_calls=unknown,
            in_flight=self.in_flight_cost,
        )


_KNOWN = frozenset(OUTCOMES)
_RESCUES = [n for n in OUTCOMES if n.startswith("success.") and n != "success.first_pass"]


def _product(steps: tuple[StepReport, ...]) -> float | None:
    # "(child)" and its like stand for the cost of runs inside a run, not for a step.
    known = [s.first_try for s in steps if s.first_try.n and not s.step.startswith("(")]
    product = 1.0
    for rate in known:
        product *= rate.successes / rate.n
    return product if known else None


def _step(name: str, step: StepSum) -> StepReport:
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
    )


def _edge(name: str, step: StepSum) -> EdgeReport:
    names = "calls passes rejects loops exhausted validator_errors would_reject".split()
    return EdgeReport(step=name, **{n: step.count(n) for n in names})


def _validator(step: str, name: str, counts: list[int]) -> ValidatorReport:
    calls, passes, rejects, errors, right_pass, right_reject, wrong_pass, wrong_reject = counts
    return ValidatorReport(
        step=step,
        name=name,
        calls=calls,
        passes=passes,
        rejects=rejects,
        errors=errors,
        sensitivity=Rate.of(wrong_reject, wrong_pass + wrong_reject),
        specificity=Rate.of(right_pass, right_pass + right_reject),
    )
