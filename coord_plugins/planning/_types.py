"""What a plan says, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .._edge import ValidationEdge
from .._value import Value
from ..errors import PolicyError
from ._evidence import Assumption, PipelineRates, PlannedEdge


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """An expected figure with its 95 % bands."""

    mean: float
    """Mean of the posterior."""
    low: float
    """Band of the true figure, from here ..."""
    high: float
    """... to here."""
    runs_low: float
    """Band of what the next `Plan.for_runs` runs will measure, from here ..."""
    runs_high: float
    """... to here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """How the runs of a plan end, per run."""

    success: Figure
    """Delivered and right."""
    silent: Figure
    """Delivered and wrong."""
    escalated: Figure
    """The attempts of an edge were spent."""
    error: Figure
    """A step raised."""
    cost: Figure
    """In the unit of the rates."""
    worth: Figure | None = None
    """Worth of the outcome less the cost; None: no prices were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """A plan that was weighed."""

    name: str
    """"no edges", "present" or "plan"."""
    edges: tuple[PlannedEdge, ...]
    """Its edges."""
    expected: Expected
    """What to expect of it."""
    credibility: float | None
    """Probability that its success reaches the target, given the data; None: no target."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What keeps the plan from succeeding more often; each at the mean of the rates."""

    now: float
    """Success of the plan."""
    attempts: float
    """Success with the same edges and ladders and no limit of attempts."""
    validators: float
    """Success with the same edges and validators that never err."""
    both: float
    """Success with both."""
    says: str
    """In one sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Improvement:
    """What one change would bring, the plan as it is."""

    what: str
    """The change: half of one thing's failures."""
    success: float
    """Change of the success rate."""
    cost: float
    """Change of the cost per run."""
    burden: float
    """Change of cost less worth; as `cost` without prices."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where to put which edge, and what to expect of it; made by `plan`."""

    pipeline: str
    """The pipeline's name."""
    target: float | None
    """Least success that was asked for."""
    confidence: float
    """How credible the target has to be."""
    value: Value | None
    """What outcomes are worth."""
    reached: bool
    """Whether the target is reached, with that credibility. True without a target."""
    why_not: str | None
    """Where it is not: why, and what it would take."""
    placements: tuple[PlannedEdge, ...]
    """The edges, in the order of their steps; where the target is not reached, those of the
    plan that succeeds most often."""
    expected: Expected
    """What to expect."""
    credibility: float | None
    """Probability that the success reaches the target, given the data."""
    alternatives: tuple[Alternative, ...]
    """No edges, the present ones where they are known, and the plan."""
    bound: Bound
    """What bounds it."""
    improvements: tuple[Improvement, ...]
    """What single changes would bring, the best first."""
    assumptions: tuple[Assumption, ...]
    """What the model takes for granted, and whether the data agree."""
    warnings: tuple[str, ...]
    """What a reader should know of the data."""
    for_runs: int
    """How many runs the bands of measurements are for."""
    unit: str
    """What costs are in."""
    seed: int
    """Of the draws."""
    rates: PipelineRates = field(repr=False)
    """What it was made from."""

    def edges(
        self, validators: Iterable[ValidationEdge] | Mapping[str, ValidationEdge]
    ) -> list[ValidationEdge]:
        """The planned edges, ready to attach, with validators that exist.

        Args:
            validators: An edge per judged step, as an iterable or by step: each planned edge
                takes its validators, `of`, `otherwise`, `feedback_to` and `stream` from the one
                of its step.

        Raises:
            PolicyError: A planned step has no edge there.
        """
        given = validators.values() if isinstance(validators, Mapping) else validators
        at = {edge.step: edge for edge in given}
        made = []
        for place in self.placements:
            if place.step not in at:
                raise PolicyError(
                    f"Plan.edges: the plan judges {place.step!r}; give a ValidationEdge for it"
                )
            old = at[place.step]
            made.append(
                ValidationEdge(
                    place.step,
                    *old.validators,
                    of=old.of,
                    back_to=place.back_to,
                    max_attempts=place.max_attempts,
                    otherwise=old.otherwise,
                    feedback_to=old.feedback_to,
                    stream=old.stream,
                )
            )
        return made

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: what `coord plan --json` prints."""
        value = self.value
        return {
            "pipeline": self.pipeline,
            "target": self.target,
            "confidence": self.confidence,
            "value": None if value is None else asdict(value),
            "reached": self.reached,
            "why_not": self.why_not,
            "edges": [_plain(edge) for edge in self.placements],
            "expected": asdict(self.expected),
            "credibility": self.credibility,
            "alternatives": [
                {
                    "name": one.name,
                    "edges": [_plain(edge) for edge in one.edges],
                    "expected": asdict(one.expected),
                    "credibility": one.credibility,
                }
                for one in self.alternatives
            ],
            "bound": asdict(self.bound),
            "improvements": [asdict(one) for one in self.improvements],
            "assumptions": [asdict(one) for one in self.assumptions],
            "warnings": list(self.warnings),
            "for_runs": self.for_runs,
            "recorded_runs": self.rates.runs,
            "unit": self.unit,
            "seed": self.seed,
        }


def _plain(edge: PlannedEdge) -> dict[str, Any]:
    return {
        "step": edge.step,
        "validators": list(edge.validators),
        "back_to": list(edge.back_to or (edge.step,)),
        "max_attempts": edge.max_attempts,
    }
