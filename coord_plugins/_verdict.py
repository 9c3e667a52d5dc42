"""What a validator says (`Verdict`) and what it may look at (`Handover`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["code", "llm", "human"]
"""Who judges: a deterministic check, a model, or a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One validator's judgement of one candidate.

    The field names are those of OpenTelemetry's `gen_ai.evaluation.*` attributes.
    """

    passed: bool
    """Whether the candidate may go on."""
    name: str = ""
    """The validator's name; empty: filled in by the validator that returned it."""
    score: float | None = None
    """A number, by convention in 0..1; None: not scored (which is not 0)."""
    label: str | None = None
    """A short class, such as "repaired"."""
    explanation: str | None = None
    """Why; on a rejection these words are the feedback."""
    value: Any = None
    """When not None it replaces the step's output (a parsed or repaired one)."""


@dataclass(slots=True)
class Parsed:
    """What `schema` says of a candidate that fits: a passing verdict with nothing but a value.

    A `Verdict` costs eight times as much to make, and most calls need none.
    """

    value: Any
    """As in the verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """Where a candidate stands: what a validator with a parameter `ctx` receives."""

    run_id: str
    """The run's id, an opaque string."""
    step: str
    """The step that produced the candidate; "" for a goal."""
    attempt: int
    """Which judged candidate of this edge this is, from 1; 0 for a goal."""
    inputs: Any
    """The run's input, as given to the host."""
    input: Any
    """The step's own input."""
    outputs: Mapping[str, Any]
    """The latest accepted output of each step that has one."""
    metadata: Mapping[str, Any]
    """The run's metadata."""
