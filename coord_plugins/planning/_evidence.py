"""What is known of a pipeline: rates and costs, each with how well it is known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

from ..errors import PolicyError
from ._rates import EdgeRates, StepRates

_PRIOR = 0.5
"""Jeffreys' prior: half a success and half a failure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A rate: known exactly, or from counts, with a Beta(yes + 1/2, no + 1/2) posterior."""

    value: float | None = None
    """The rate, where it is taken as exact."""
    yes: float = 0.0
    """How often it was so."""
    no: float = 0.0
    """How often it was not."""

    @property
    def mean(self) -> float:
        """The exact value, or the posterior's mean."""
        if self.value is not None:
            return self.value
        return (self.yes + _PRIOR) / (self.yes + self.no + 2 * _PRIOR)

    @property
    def deviation(self) -> float:
        """Standard deviation of the posterior."""
        if self.value is not None:
            return 0.0
        return sqrt(self.mean * (1.0 - self.mean) / (self.yes + self.no + 2 * _PRIOR + 1))

    def draw(self, source: random.Random) -> float:
        """One draw from the posterior."""
        if self.value is not None:
            return self.value
        return source.betavariate(self.yes + _PRIOR, self.no + _PRIOR)

    def shifted(self, deviations: float) -> float:
        """The mean moved by so many standard deviations, within [0, 1]."""
        return min(1.0, max(0.0, self.mean + deviations * self.deviation))

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.value:.4g}"
        return f"{self.yes:g}/{self.yes + self.no:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A mean cost, with a normal posterior."""

    mean: float
    """Per execution, or per judgement."""
    error: float = 0.0
    """Standard error of the mean."""
    deviation: float = 0.0
    """Standard deviation of a single one."""

    def draw(self, source: random.Random) -> float:
        """One draw of the mean; never negative."""
        return max(0.0, source.gauss(self.mean, self.error)) if self.error else self.mean


NEVER = Share(value=0.0)
NOTHING = Amount(mean=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredValidator:
    """How the validators of one step judge, all of them together."""

    names: tuple[str, ...] = ()
    """Their names, as recorded."""
    sensitivity: Share
    """Rejected among candidates that this step made wrong."""
    specificity: Share
    """Passed among right candidates."""
    upstream: Share | None = None
    """Rejected among candidates that an earlier step made wrong; None: as `sensitivity`."""
    cost: Amount = NOTHING
    """Of judging one candidate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredStep:
    """How one step works."""

    name: str
    """Its name."""
    right: Share
    """Right among its outputs, given right input."""
    cost: Amount
    """Of one execution."""
    fatal: Share = NEVER
    """Executions that end the run as an error."""
    transient: Share = NEVER
    """Calls that raise what is retried; 0 where `cost` and `fatal` include the retries."""
    invalid: Share = NEVER
    """Calls whose reply can not be read: a rejection where the step has an edge."""
    tries: int = 1
    """Calls per execution."""
    repeat: Share | None = None
    """Right among the outputs that follow one which was wrong and rejected; None: as `right`."""
    sticky: float | None = None
    """Share of the wrong outputs that recur for ever; None: follows from `repeat`."""
    validator: MeasuredValidator | None = None
    """Who judges it; None: nobody was recorded, so no edge can be planned here."""

    def rates(self, right: float, repeat: float | None, others: Mapping[str, float]) -> StepRates:
        """The step with these values; `others` are further fields of `StepRates`."""
        sticky = self.sticky or 0.0
        if self.sticky is None and repeat is not None and right > 0.0:
            sticky = min(1.0, max(0.0, 1.0 - repeat / right))
        return StepRates(name=self.name, right=right, sticky=sticky, tries=self.tries, **others)


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumption:
    """Something that the model takes for granted."""

    name: str
    """In a few words."""
    holds: bool | None
    """Whether the data agree; None: they can not tell."""
    says: str
    """What was found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedEdge:
    """Where a validation edge is, and where it sends what it rejects."""

    step: str
    """The step that is judged."""
    back_to: tuple[str, ...] = ()
    """Target of the first rejection, of the second, ...; the last repeats; empty: in place."""
    max_attempts: int
    """Candidates, the first included; 1 detects only."""
    validators: tuple[str, ...] = ()
    """Names of the step's recorded validators."""


@dataclass(frozen=True, kw_only=True)
class PipelineRates:
    """All that a plan is made from; from `rates_from_runs`, `rates_from_file`, or by hand.

    Raises:
        PolicyError: No steps, two steps of one name, or a present edge that does not fit.
    """

    steps: tuple[MeasuredStep, ...]
    """In the order in which they run."""
    pipeline: str = ""
    """Its name."""
    unit: str = "units"
    """What costs are in."""
    runs: int = 0
    """Recorded runs behind the rates; 0: none."""
    present: tuple[PlannedEdge, ...] | None = None
    """The edges that are enforced now; None: not known."""
    success: Share | None = None
    """Recorded success under the present edges."""
    in_place: bool = False
    """Whether the host can only go back to the step that was judged."""
    assumptions: tuple[Assumption, ...] = ()
    """What the data say of the model's assumptions."""
    warnings: tuple[str, ...] = ()
    """What a reader should know of the data."""
    policies: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """What was attached when the runs were recorded, as `Store.policies()` gives it."""

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        if not names:
            raise PolicyError("plan: a pipeline needs at least one step")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PolicyError(f"plan: step {twice[0]!r} is given twice")
        judged = {step.name for step in self.steps if step.validator is not None}
        for edge in self.present or ():
            if edge.step not in judged:
                raise PolicyError(f"plan: the present edge at {edge.step!r} has no validator there")
            for target in edge.back_to:
                if target not in names[: names.index(edge.step) + 1]:
                    raise PolicyError(
                        f"plan: the present edge at {edge.step!r} goes back to {target!r}, which "
                        "is neither that step nor an earlier one"
                    )

    @property
    def certain(self) -> bool:
        """Whether every rate and cost is taken as exact."""
        point, other = (self.draw(random.Random(seed)) for seed in (1, 2))
        return point == other

    @property
    def sticky(self) -> bool:
        """Whether errors may recur when a step is repeated."""
        return any(step.sticky for step in self.mean()[0])

    def mean(self) -> tuple[list[StepRates], list[EdgeRates]]:
        """Steps and judges at the means of the rates; the judges' attempts are 1."""
        return self.shifted(0.0)

    def shifted(self, deviations: float) -> tuple[list[StepRates], list[EdgeRates]]:
        """Steps and judges with every rate better (or, below 0, worse) by so many deviations."""
        return self._with(lambda share, sign: share.shifted(sign * deviations), lambda a: a.mean)

    def draw(self, source: random.Random) -> tuple[list[StepRates], list[EdgeRates]]:
        """Steps and judges drawn from the posterior."""
        return self._with(lambda share, _: share.draw(source), lambda a: a.draw(source))

    def _with(self, rate: Any, amount: Any) -> tuple[list[StepRates], list[EdgeRates]]:
        steps, judges = [], []
        for step in self.steps:
            others = {name: rate(getattr(step, name), -1) for name in ("transient", "invalid")}
            room = 1.0 - others["transient"] - others["invalid"]
            others["fatal"] = min(max(0.0, room), rate(step.fatal, -1))
            others["cost"] = amount(step.cost)
            repeat = None if step.repeat is None else rate(step.repeat, 1)
            steps.append(step.rates(rate(step.right, 1), repeat, others))
            if step.validator is not None:
                said = step.validator
                own = rate(said.sensitivity, 1)
                up = None if said.upstream is None else rate(said.upstream, 1)
                judges.append(
                    EdgeRates(
                        step=step.name,
                        sensitivity=own,
                        specificity=rate(said.specificity, 1),
                        sensitivity_upstream=up,
                        cost=amount(said.cost),
                        max_attempts=1,
                        feedback=False,  # what feedback cures is in the measured repeats
                    )
                )
        return steps, judges

    def changed(self, name: str, **fields: Any) -> PipelineRates:
        """The same with other fields of one step."""
        steps = tuple(replace(s, **fields) if s.name == name else s for s in self.steps)
        return replace(self, steps=steps)
