"""`StepSettled`, one per execution, and `StepTally`: what a run remembers of one step.

A tally is a fold over `StepSettled` events, so every identity of a report holds by
construction: calls = passes + rejects + validator_errors, rejects = loops + exhausted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from ._budget import Usage
from ._classify import ErrorKind
from ._verdict import Kind

DecisionKind = Literal["accept", "loop", "retry", "fallback", "exhausted", "escalate", "fail"]
Bucket = Literal["first", "retry", "fallback"]


class Judgement(NamedTuple):
    """What one validator said of one candidate, without the candidate."""

    name: str
    """The validator's name."""
    kind: Kind
    """Who judged."""
    passed: bool | None
    """None: the validator failed; that is not a rejection."""
    score: float | None = None
    """As in the verdict."""
    label: str | None = None
    """As in the verdict, or the failure's error type."""
    explanation: str | None = None
    """As in the verdict; truncated and redacted before it is stored."""
    duration: float = 0.0
    """Seconds."""


class StepSettled(NamedTuple):
    """One execution of one step: how it ended, what was said of it, and what follows."""

    run_id: str
    """The run's id."""
    pipeline: str
    """The run's pipeline."""
    step: str
    """The step's name."""
    execution: int
    """Which execution of this step in this run, failed ones included, from 1."""
    attempt: int
    """Which judged candidate of the edge's present round, from 1."""
    started_at: float
    """Unix seconds."""
    duration: float
    """Seconds of the execution itself, judging excluded."""
    decision: DecisionKind
    """What follows."""
    target: str | None = None
    """Where a loop, a fallback or an escalation goes."""
    delay: float = 0.0
    """Seconds of waiting that follow."""
    error: str | None = None
    """"Type: message" of what the step raised."""
    error_kind: ErrorKind | None = None
    """The error's class."""
    judgements: tuple[Judgement, ...] = ()
    """One per validator that was asked."""
    judged: Literal["pass", "reject", "error"] | None = None
    """The edge's word on the candidate; None: no edge, or no candidate."""
    would_reject: bool = False
    """Whether observing hid a rejection."""
    feedback: str | None = None
    """The feedback that goes out, on a loop."""
    delivered: bool | None = None
    """Whether feedback that waited for this execution reached the step; None: none waited."""
    label: bool | None = None
    """Whether the candidate was right, by the policy's `label`; recorded, never steering."""
    given_right: bool = True
    """Whether no accepted output of another step was labelled wrong when this one started."""
    bucket: Bucket = "first"
    """Where the execution's cost belongs."""
    served_by: str | None = None
    """The fallback that stood in."""
    repeats: bool = False
    """Whether the candidate takes the place of one that was rejected and labelled wrong, given
    right input."""
    usage: Usage | None = None
    """What the execution spent."""
    validation: Usage | None = None
    """What the judging spent."""


_COUNTS = (
    "executions errors retries fallbacks human calls passes rejects loops exhausted "
    "validator_errors would_reject rejects_right rejects_wrong exhausted_right exhausted_wrong "
    "escalations delivered undelivered pass_right pass_own pass_upstream reject_right reject_own "
    "reject_upstream repeat_right repeat_wrong input_tokens output_tokens unknown_tokens "
    "unknown_cost completed"
).split()
_AMOUNTS = "duration cost_first cost_retry cost_validation cost_fallback".split()


@dataclass(slots=True)
class StepTally:
    """Counts of one step in one run (or, added up, in many)."""

    executions: int = 0
    """Calls of the step, failed ones included."""
    completed: int = 0
    """Executions that returned."""
    errors: int = 0
    """Executions that raised, unreadable replies that count as rejections excluded."""
    retries: int = 0
    """Errors after which the step was tried again."""
    fallbacks: int = 0
    """Errors after which a fallback stood in."""
    human: int = 0
    """Candidates that a person judged."""
    calls: int = 0
    """Candidates that went through the whole chain: passes + rejects + validator_errors."""
    passes: int = 0
    rejects: int = 0
    """loops + exhausted."""
    loops: int = 0
    exhausted: int = 0
    validator_errors: int = 0
    """Candidates whose validator failed for good."""
    would_reject: int = 0
    """Rejections that observing did not act on; they are passes."""
    rejects_right: int = 0
    """Rejections of candidates labelled right (false alarms)."""
    rejects_wrong: int = 0
    """Rejections of candidates labelled wrong."""
    exhausted_right: int = 0
    """Escalated candidates labelled right (needless)."""
    exhausted_wrong: int = 0
    """Escalated candidates labelled wrong (justified)."""
    escalations: int = 0
    """Candidates after which the edge's `otherwise` took over, or its error was raised."""
    delivered: int = 0
    """Executions that feedback waited for and reached."""
    undelivered: int = 0
    """Executions that feedback waited for and did not reach."""
    pass_right: int = 0
    """Labelled candidates, by verdict (also under observe) and truth: right ..."""
    pass_own: int = 0
    """... wrong although given right input ..."""
    pass_upstream: int = 0
    """... or wrong on wrong input."""
    reject_right: int = 0
    reject_own: int = 0
    reject_upstream: int = 0
    repeat_right: int = 0
    """Candidates made from right input in place of one that was rejected and labelled wrong on
    right input: right ..."""
    repeat_wrong: int = 0
    """... or wrong again."""
    input_tokens: int = 0
    output_tokens: int = 0
    unknown_tokens: int = 0
    """Model calls without token counts."""
    unknown_cost: int = 0
    """Model calls without a price: the costs are lower bounds."""
    duration: float = 0.0
    """Seconds of executions."""
    cost_first: float = 0.0
    """US dollars of the first completed execution."""
    cost_retry: float = 0.0
    cost_validation: float = 0.0
    cost_fallback: float = 0.0
    first_ok: bool | None = None
    """Whether the first execution was right by label, or, without one, did not raise."""
    first_given_right: bool = True
    """Whether that first execution had right input."""
    accepted: bool | None = None
    """Label of the latest accepted output."""
    accepted_given_right: bool = True
    """Whether the latest accepted output was made from right input."""
    validators: dict[str, list[int]] = field(default_factory=dict)
    """Per validator: calls, passes, rejects, errors, then of labelled candidates: right passed,
    right rejected, wrong passed, wrong rejected."""

    @property
    def cost(self) -> float:
        """US dollars in all: first + retry + validation + fallback."""
        return self.cost_first + self.cost_retry + self.cost_validation + self.cost_fallback

    @property
    def accepts(self) -> int:
        """Executions whose output went on: completed, and neither rejected nor unjudgeable."""
        unreadable = self.executions - self.completed - self.errors  # rejects that never completed
        return self.completed - (self.rejects + self.validator_errors - unreadable)

    def add(self, event: StepSettled) -> None:
        """Fold one execution into the counts."""
        self.executions += 1
        self.duration += event.duration
        if self.executions == 1:
            self.first_given_right = event.given_right
            self.first_ok = event.error is None if event.label is None else event.label
        if event.repeats and event.label is not None and event.given_right:
            self.repeat_right += event.label
            self.repeat_wrong += not event.label
        if event.error is None:
            self.completed += 1
        elif event.judged is None:
            self.errors += 1
        if event.delivered is not None:
            self.delivered += event.delivered
            self.undelivered += not event.delivered
        decision = event.decision
        if decision == "accept":
            self.accepted = event.label
            self.accepted_given_right = event.given_right
        elif decision == "retry":
            self.retries += 1
        elif decision == "fallback":
            self.fallbacks += 1
        if event.judged is not None:
            self._add_judged(event, decision)
        if event.usage is not None:
            self._spend(f"cost_{event.bucket}", event.usage)
        if event.validation is not None:
            self._spend("cost_validation", event.validation)

    def _add_judged(self, event: StepSettled, decision: DecisionKind) -> None:
        self.calls += 1
        label = event.label
        self.would_reject += event.would_reject
        if event.judged == "pass":
            self.passes += 1
        elif event.judged == "error":
            self.validator_errors += 1
        else:
            self.rejects += 1
            self.rejects_right += label is True
            self.rejects_wrong += label is False
            self.loops += decision == "loop"
            self.exhausted += decision == "exhausted"
        if decision in ("exhausted", "escalate"):
            self.escalations += 1
            self.exhausted_right += label is True
            self.exhausted_wrong += label is False
        if label is not None and event.judged != "error":
            said = "reject" if event.judged == "reject" or event.would_reject else "pass"
            truth = "right" if label else "own" if event.given_right else "upstream"
            key = f"{said}_{truth}"
            setattr(self, key, getattr(self, key) + 1)
        for judgement in event.judgements:
            self._add_judgement(judgement, label)

    def _add_judgement(self, said: Judgement, label: bool | None) -> None:
        counts = self.validators.get(said.name)
        if counts is None:
            counts = self.validators[said.name] = [0] * 8
        counts[0] += 1
        if said.passed is None:
            counts[3] += 1
            return
        counts[1 if said.passed else 2] += 1
        self.human += said.kind == "human"
        if label is not None:
            counts[(4 if label else 6) + (not said.passed)] += 1

    def _spend(self, bucket: str, usage: Usage) -> None:
        setattr(self, bucket, getattr(self, bucket) + usage.cost_usd)
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.unknown_tokens += usage.unknown_tokens
        self.unknown_cost += usage.unknown_cost

    def merge(self, other: StepTally) -> None:
        """Add a later part of the same step's counts (after a pause, in another branch)."""
        if self.executions == 0:
            self.first_ok, self.first_given_right = other.first_ok, other.first_given_right
        for name in (*_COUNTS, *_AMOUNTS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.accepts:
            self.accepted, self.accepted_given_right = other.accepted, other.accepted_given_right
        for name, counts in other.validators.items():
            mine = self.validators.get(name, [0] * 8)
            self.validators[name] = [a + b for a, b in zip(mine, counts, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; zeros and defaults are left out."""
        return {k: v for k, v in asdict(self).items() if v != _EMPTY[k]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepTally:
        """The inverse of `to_dict`; unknown keys of a newer version are ignored."""
        return cls(**{k: v for k, v in data.items() if k in _EMPTY})


_EMPTY = asdict(StepTally())


def forget_labels(tallies: Mapping[str, StepTally], target: str, step: str) -> None:
    """Forget the labels of outputs that a loop-back undoes: from its target to the step.

    Steps count in the order of their first execution. Without this, work that is done again would
    seem to rest on the wrong outputs that it is about to replace.
    """
    names = list(tallies)
    first = names.index(target) if target in names else 0
    last = names.index(step) if step in names else len(names) - 1
    for name in names[first : last + 1]:
        tallies[name].accepted = None
