"""`RunRecord`: all that is kept of one run, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ._outcome import outcome_of
from ._tally import StepTally

Source = Literal["measured", "late", "self_reported"]
"""Who said whether the goal was met: a goal here, a later label, or the agent itself."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something in a run that a reader of the report wants explained."""

    step: str
    """Where."""
    execution: int
    """Which execution of the step, from 1."""
    kind: str
    """What followed: loop, retry, fallback, exhausted, escalate, fail, would_reject."""
    text: str
    """The error or the failing verdicts; truncated and redacted."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run, from its start to its outcome."""

    run_id: str
    """Opaque and unique."""
    pipeline: str
    """The name given to `attach` or `track`."""
    policy_id: str = ""
    """Hash of edges, validators with versions, retry and goal."""
    goal_id: str | None = None
    """Name and version of the goal; None: there was none, or it is not known."""
    status: Literal["running", "paused", "finished"] = "running"
    """Whether the run has an outcome yet."""
    mode: str = "enforce"
    """The run's mode."""
    task: str | None = None
    """What the run was to get done; runs of one task are trials."""
    thread: str | None = None
    """The host's thread or session id."""
    parent_id: str | None = None
    """The run inside which this one ran; such a run is in no denominator."""
    tags: tuple[str, ...] = ()
    """Free labels."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Free keys and values."""
    environment: str | None = None
    """For example "production"."""
    release: str | None = None
    """The version of the user's own code."""
    started_at: float = 0.0
    """Unix seconds."""
    finished_at: float | None = None
    """Unix seconds; None: in flight."""
    elapsed: float = 0.0
    """Seconds of running time, pauses excluded."""
    end: str | None = None
    """delivered, escalated or error; None: in flight."""
    detail: str | None = None
    """The sub-class: a delivered run's recovery, an escalation's or an error's class."""
    passed: bool | None = None
    """The goal's word; None: no label."""
    source: Source = "measured"
    """Who gave that word."""
    explanation: str | None = None
    """Why the goal was missed, or why there is no label."""
    goal_error: str | None = None
    """What the goal raised, if it did."""
    error: str | None = None
    """"Type: message" of what ended the run."""
    lost_at: str | None = None
    """Which step lost the run; None when it succeeded or is unlabelled or in flight."""
    would_stop: str | None = None
    """What enforcing would have done to an observed run."""
    steps: Mapping[str, StepTally] = field(default_factory=dict)
    """Per step, in order of first execution."""
    notes: tuple[Note, ...] = ()
    """What went wrong on the way."""
    payload: Mapping[str, Any] | None = None
    """Input and output, only with `capture="payloads"`."""

    @property
    def outcome(self) -> str:
        """The outcome, one of `OUTCOMES`."""
        if self.end is None:
            return f"in_flight.{self.status}"
        return outcome_of(self.end, self.detail or "", self.passed)  # type: ignore[arg-type]  # stored as text

    @property
    def succeeded(self) -> bool:
        """Whether the outcome is a success of any sub-class."""
        return self.outcome.startswith("success")

    @property
    def cost(self) -> float:
        """US dollars known to be spent; a lower bound when `cost_unknown` is not 0."""
        return sum(t.cost for t in self.steps.values())

    @property
    def cost_unknown(self) -> int:
        """Model calls without a price."""
        return sum(t.unknown_cost for t in self.steps.values())

    @property
    def tokens(self) -> int:
        """Input plus output tokens."""
        return sum(t.input_tokens + t.output_tokens for t in self.steps.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, `outcome` included."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["tags"] = list(self.tags)
        data["metadata"] = dict(self.metadata)
        data["steps"] = {name: t.to_dict() for name, t in self.steps.items()}
        data["notes"] = [{f.name: getattr(n, f.name) for f in fields(Note)} for n in self.notes]
        data["outcome"] = self.outcome
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRecord:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        known = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        values["tags"] = tuple(values.get("tags", ()))
        values["steps"] = {n: StepTally.from_dict(t) for n, t in values.get("steps", {}).items()}
        values["notes"] = tuple(Note(**n) for n in values.get("notes", ()))
        return cls(**values)
