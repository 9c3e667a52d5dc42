"""What a report says, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import CoordError
from ._measures import (
    Cost,
    Gap,
    Interval,
    Rate,
    Repeats,
    StepLoss,
    Trials,
    TrueRate,
    Worth,
)

SCHEMA_VERSION = 1
"""Of `Report.to_dict` and the command line's `--json`."""


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """One step over all finished runs."""

    step: str
    """The step's name."""
    runs: int
    """Runs in which it was executed."""
    executions: int
    """Calls of the step, failed ones included."""
    errors: int
    """Executions that raised."""
    retries: int
    """Errors after which it was tried again."""
    fallbacks: int
    """Errors after which a fallback stood in."""
    feedback_delivered: int
    """Executions that feedback waited for and reached."""
    feedback_undelivered: int
    """Executions that feedback waited for and did not reach."""
    first_try: Rate
    """First executions that were right given right input (by label; else: did not raise)."""
    repeat: Rate
    """Repeats of rejected work that was labelled wrong, right by their label."""


@dataclass(frozen=True, kw_only=True)
class EdgeReport:
    """One validation edge.

    calls = passes + rejects + validator_errors, and rejects = loops + exhausted.
    """

    step: str
    """The step whose output is judged."""
    calls: int
    """Candidates that went through the chain."""
    passes: int
    rejects: int
    loops: int
    """Rejections after which work was done again."""
    exhausted: int
    """Rejections after which no attempt was left."""
    validator_errors: int
    """Candidates whose validator failed; no rejections."""
    would_reject: int
    """Rejections that observing did not act on; they are passes."""


@dataclass(frozen=True, kw_only=True)
class ValidatorReport:
    """One validator at one step."""

    step: str
    """Whose output it judges."""
    name: str
    """The validator's name."""
    calls: int
    passes: int
    rejects: int
    errors: int
    """Calls in which it failed to say anything."""
    sensitivity: Rate
    """Rejected among the candidates labelled wrong."""
    specificity: Rate
    """Passed among the candidates labelled right."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """One pipeline, or the part of it with one value of the key it is split by."""

    pipeline: str
    """The pipeline's name."""
    value: str | None = None
    """This part's value of the key; None: the whole, or runs without the key."""
    policy_ids: Mapping[str, int]
    """Runs per policy; more than one are pooled here, and `warnings` says so."""
    goal_ids: Mapping[str, int]
    """Runs per goal, as "name:version"; "": not known. Two goals measure two things."""
    modes: Mapping[str, int]
    """Runs per mode."""
    started: int
    """Runs: finished + in_flight."""
    finished: int
    """success + silent_failure + escalated + error + unlabelled."""
    in_flight: int
    nested: int
    """Runs inside a run; in no other count."""
    outcomes: Mapping[str, int]
    """Every outcome of `OUTCOMES`, zeros included."""
    success: int
    """Runs that did their job, of any sub-class."""
    success_rate: Rate
    """Of labelled finished runs; missing and aborted work counts as failed."""
    true_rate: TrueRate | None
    """Of all finished runs, from a sample that was labelled later; None: no such labels."""
    coverage: Rate
    """Labelled among finished runs."""
    completed_only: Rate
    """Success among delivered labelled runs: flattering, shown for comparison."""
    silent_rate: Rate
    escalated_rate: Rate
    error_rate: Rate
    error_rate_without_cancelled: Rate
    """Cancelled runs left out of errors and of the denominator."""
    recovered: Mapping[str, int]
    """Successes other than first_pass, by sub-class."""
    self_reported: Mapping[str, int]
    """Outcomes whose label comes from the agent itself; included above."""
    success_rate_without_self_reported: Rate
    """The success rate of the other runs."""
    naive_step_product: float | None
    """Product over steps of the first-try rates: what teams report; None: nothing known."""
    gap: Gap | None
    """From that product to the success rate; None: one of them is not known."""
    lost_at: Mapping[str, int]
    """Labelled finished runs without success, by the first step that was wrong, else the one that
    raised or escalated, else "goal"; adds up to them."""
    attribution: tuple[StepLoss, ...]
    """What the steps' first-try rates alone say of the loss, three ways."""
    repeats: Repeats | None
    """Whether a repeat succeeds as often as a first try; None: no labelled repeat."""
    trials: Trials | None
    """Where tasks have several labelled runs: pass@k, pass^k and more."""
    cost: Cost
    tokens: int
    """Input plus output tokens of finished runs."""
    tokens_per_success: float | None
    """Tokens over successes, failures included; None: no success."""
    tokens_per_success_interval: Interval | None
    """Like `cost.per_success_interval`."""
    unknown_tokens: int
    """Model calls without token counts."""
    seconds: float
    """Running time of finished runs, pauses excluded."""
    seconds_per_success: float | None
    """Seconds over successes, failures included; None: no success."""
    seconds_per_success_interval: Interval | None
    """Like `cost.per_success_interval`."""
    worth: Worth | None
    """What the runs earn or lose, where `report` was told what they are worth."""
    steps: tuple[StepReport, ...]
    edges: tuple[EdgeReport, ...]
    validators: tuple[ValidatorReport, ...]
    to_label: tuple[str, ...] = ()
    """What must be labelled to know what is not known here."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before quoting these numbers."""
    parts: tuple[Group, ...] = ()
    """With `by`: one group per value; their integers add up to this group's."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How often the pipelines did their job, what a success cost, and where the rest was lost."""

    unit: str
    """What counts as one: run, task or thread."""
    by: str | None
    """The key that each pipeline is split by."""
    groups: tuple[Group, ...]
    """One per pipeline, by name."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """The filters in force."""
    schema_version: int = SCHEMA_VERSION
    """Of `to_dict`."""

    @property
    def only(self) -> Group:
        """The report's one pipeline.

        Raises:
            CoordError: There is none, or more than one.
        """
        if len(self.groups) != 1:
            names = ", ".join(g.pipeline for g in self.groups) or "none"
            raise CoordError(f"the report has {len(self.groups)} pipelines ({names}); name one")
        return self.groups[0]

    def __str__(self) -> str:
        """One line per pipeline and its outcomes; `coord report` shows more."""
        return "\n".join(_told(group) for group in self.groups) or "no runs"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the command line's `--json`."""
        plain = _plain(asdict(self))
        return {"schema_version": plain.pop("schema_version"), **plain}


def _told(group: Group) -> str:
    rate = group.success_rate
    low, high = (f"{100 * end:.1f}" for end in rate.interval)
    share = "" if rate.value is None else f", {100 * rate.value:.1f} % [{low}, {high}]"
    outcomes = ", ".join(f"{name} {count}" for name, count in group.outcomes.items() if count)
    return f"{group.pipeline}: {group.success} of {rate.n} runs succeeded{share} ({outcomes})"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
