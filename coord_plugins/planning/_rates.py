"""What the prediction of a pipeline is made from, and what it says: see `_chain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRates:
    """How one step behaves, per call and per execution.

    A call ends in exactly one of five ways, and their probabilities add up to 1:

        ok    = (1 - transient - fatal - invalid) * right
        wrong = (1 - transient - fatal - invalid) * (1 - right)
        transient, fatal, invalid

    An execution is up to `tries` calls: a transient error is followed by the next call, anything
    else ends the execution. Calls are independent of each other and of the input; `right` alone
    depends on the input: given wrong input the content is always wrong.

    Raises:
        ValueError: A rate is no probability, the error rates exceed 1, a cost is negative or
            `tries` is below 1.
    """

    name: str
    """The step's name, unique in its pipeline."""
    right: float
    """Probability that an execution that ended in parsable content is right, given right input."""
    transient: float = 0.0
    """Probability that one call raises an error that is retried."""
    fatal: float = 0.0
    """Probability that one call raises an error that is not retried: the run ends as error."""
    invalid: float = 0.0
    """Probability that the reply of one call can not be parsed.

    With an edge at the step that is one rejected candidate, always detected, and no validator is
    paid for it; without an edge the run ends as error.
    """
    sticky: float = 0.0
    """Share of the wrong contents that recur on every repeat of the step until feedback arrives.

    0 makes all executions independent. With no feedback in between, the first repeat after a
    wrong content is right with probability (1 - sticky) * right.
    """
    tries: int = 1
    """Calls per execution, the first included; fresh for each candidate."""
    cost: float = 1.0
    """Expected cost of one call, failed calls included, in any unit."""

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        where = f"step {self.name!r}"
        for name in ("right", "transient", "fatal", "invalid", "sticky"):
            check_probability(f"{where}: {name}", getattr(self, name))
        errors = self.transient + self.fatal + self.invalid
        # Three decimal fractions that add up to 1 may exceed it in binary.
        if errors > 1.0 + 1e-12:
            raise ValueError(f"{where}: transient + fatal + invalid = {errors:.6g} exceeds 1")
        check_count(f"{where}: tries", self.tries)
        check_cost(f"{where}: cost", self.cost)


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeRates:
    """How the validation edge of one step judges, and where it sends what it rejects.

    Raises:
        ValueError: A rate is no probability, a cost is negative, or `max_attempts` is too small
            for the last of the targets to be reached.
    """

    step: str
    """The step whose candidates are judged; one edge per step."""
    sensitivity: float
    """Probability that a candidate is rejected, given that this step made the first error."""
    specificity: float
    """Probability that a candidate is passed, given that it is right."""
    targets: tuple[str, ...] = ()
    """Step to re-run from after the 1st, 2nd, ... rejection; the last repeats; empty: in place."""
    max_attempts: int
    """Candidates, the first included, before the run escalates; 1 detects only."""
    sensitivity_upstream: float | Mapping[str, float] | None = field(default=None, hash=False)
    """Probability that a candidate is rejected, given that an earlier step made the first error.

    One rate for all earlier steps, or a rate per step at which the error was born (a decay d per
    step of distance g is `sensitivity * d**g`). None, and a step that the mapping leaves out,
    stand for `sensitivity`.
    """
    cost: float = 0.0
    """Expected cost of judging one candidate, in the unit of the steps' costs."""
    feedback: bool = True
    """Whether the reasons of a rejection are delivered; only that cures a sticky error."""

    def __post_init__(self) -> None:
        """Refuse what is no rate, and a ladder with a rung that is never reached."""
        where = f"edge at {self.step!r}"
        check_probability(f"{where}: sensitivity", self.sensitivity)
        check_probability(f"{where}: specificity", self.specificity)
        upstream = self.sensitivity_upstream
        if isinstance(upstream, Mapping):
            for name, rate in upstream.items():
                check_probability(f"{where}: sensitivity_upstream[{name!r}]", rate)
        elif upstream is not None:
            check_probability(f"{where}: sensitivity_upstream", upstream)
        check_cost(f"{where}: cost", self.cost)
        check_count(f"{where}: max_attempts", self.max_attempts)
        if self.targets and self.max_attempts <= len(self.targets):
            raise ValueError(
                f"{where}: max_attempts={self.max_attempts} never reaches target "
                f"{self.targets[-1]!r}; {len(self.targets)} target(s) need "
                f"max_attempts >= {len(self.targets) + 1}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """How runs end, as probabilities that add up to 1, and what a run costs."""

    success: float
    """Delivered and right."""
    silent: float
    """Delivered and wrong."""
    escalated_good: float
    """An edge's attempts were spent; its last candidate was right (a needless escalation)."""
    escalated_bad: float
    """An edge's attempts were spent; its last candidate was wrong or could not be parsed."""
    error: float
    """A step raised: a fatal error, every try transient, or an unparsable reply and no edge."""
    cost: float
    """Expected cost of a run, runs that escalate or fail included."""

    @property
    def escalated(self) -> float:
        """Probability that the attempts of an edge are spent."""
        return self.escalated_good + self.escalated_bad


def check_probability(name: str, value: float) -> None:
    """Raise a ValueError that names `name` unless `value` lies in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be a probability in [0, 1], not {value}")


def check_count(name: str, value: int) -> None:
    """Raise a ValueError that names `name` unless `value` is at least 1."""
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


def check_cost(name: str, value: float) -> None:
    """Raise a ValueError that names `name` unless `value` is finite and not negative."""
    if value < 0.0 or not isfinite(value):
        raise ValueError(f"{name} must be finite and not negative, not {value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedEdge:
    """An edge with its steps as indices."""

    rates: EdgeRates
    """What the caller gave."""
    targets: tuple[int, ...]
    """Index of the step to re-run from, per rejection; never empty; the last repeats."""
    reject: Mapping[int, float]
    """Probability of a rejection, by the index of the first wrong step; the number of steps
    stands for 'none is wrong'."""


def resolve(steps: Sequence[StepRates], edges: Sequence[EdgeRates]) -> dict[int, ResolvedEdge]:
    """Check that steps and edges fit together and return the edges by the index of their step.

    Raises:
        ValueError: No steps, a name that is unknown or used twice, or a target after its step.
    """
    if not steps:
        raise ValueError("steps must name at least one step")
    index: dict[str, int] = {}
    for i, step in enumerate(steps):
        if index.setdefault(step.name, i) != i:
            raise ValueError(f"step {step.name!r} is given twice")
    resolved: dict[int, ResolvedEdge] = {}
    for edge in edges:
        if edge.step not in index:
            raise ValueError(f"edge at {edge.step!r}: there is no such step")
        if index[edge.step] in resolved:
            raise ValueError(f"edge at {edge.step!r} is given twice")
        resolved[index[edge.step]] = ResolvedEdge(
            rates=edge, targets=_targets(edge, index), reject=_reject_rates(edge, index)
        )
    return resolved


def _targets(edge: EdgeRates, index: Mapping[str, int]) -> tuple[int, ...]:
    for target in edge.targets:
        if target not in index:
            raise ValueError(f"edge at {edge.step!r}: there is no step {target!r} to go back to")
        if index[target] > index[edge.step]:
            raise ValueError(f"edge at {edge.step!r}: target {target!r} comes after it")
    return tuple(index[target] for target in edge.targets or (edge.step,))


def _reject_rates(edge: EdgeRates, index: Mapping[str, int]) -> dict[int, float]:
    upstream = edge.sensitivity_upstream
    step = index[edge.step]
    rates = dict.fromkeys(range(step + 1), edge.sensitivity)
    rates[len(index)] = 1.0 - edge.specificity
    if isinstance(upstream, Mapping):
        for name, rate in upstream.items():
            if index.get(name, step) >= step:
                raise ValueError(
                    f"edge at {edge.step!r}: sensitivity_upstream names {name!r}, "
                    "which is not an earlier step"
                )
            rates[index[name]] = rate
    elif upstream is not None:
        rates.update(dict.fromkeys(range(step), upstream))
    return rates
