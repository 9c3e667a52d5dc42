"""`GateResult`: what `gate` found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ._gate import GateVerdict

Missing = Literal["either", "failure", "ignore"]
"""What a run without a label that counts is to a gate."""

EXIT_CODES: Mapping[GateVerdict, int] = {"accept": 0, "reject": 1, "inconclusive": 3}


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """Whether recorded runs show that a pipeline is reliable enough, and how well they show it."""

    verdict: GateVerdict
    """accept, reject or inconclusive; only the first is a pass."""
    reason: str
    """The verdict in one sentence."""
    pipeline: str | None
    """The runs' pipeline; None: no run matched."""
    min_success: float
    """The rate that had to be exceeded."""
    expected: float | None
    """The rate that was hoped for; None with a suite."""
    alpha: float
    """The largest chance of accepting wrongly."""
    beta: float | None
    """About the largest chance of rejecting `expected`; None with a suite."""
    suite: int | None
    """The number of tasks in the fixed suite."""
    max_trials: int | None
    """How many trials counted for the verdict at most."""
    unit: str
    """What one trial is: a run or a task."""
    missing: Missing
    """What a run without a label that counts was taken for."""
    trials: int
    """Trials, the missing ones included unless they were ignored."""
    successes: int
    """Trials that are known to have succeeded."""
    failures: int
    """Trials that failed: silently, escalated, or in an error; those taken for failures too."""
    unlabelled: int
    """Finished runs without a label."""
    in_flight: int
    """Runs that have not finished."""
    self_reported: int
    """Runs whose only label is the agent's own word."""
    cancelled: int
    """Cancelled runs; failures, unless they were left out."""
    left_out: int
    """Runs that are no trial: cancelled or missing ones that were to be ignored."""
    success_rate: float | None
    """Successes over trials with a known result; None: there is none."""
    lower_bound: float
    """What the rate lies above at 1 - alpha, whichever way the missing turn out."""
    interval: tuple[float, float]
    """A confidence sequence at 1 - alpha; it holds whichever way the missing turn out."""
    evidence: float | None
    """E against "at most min_success", all trials together; None with a suite."""
    evidence_to_accept: float | None
    """1/alpha; None with a suite."""
    odds_against: float | None
    """How much better min_success explains the trials than expected does; None with a suite."""
    odds_to_reject: float | None
    """1/beta; None with a suite."""
    decided_at: int | None
    """The trial whose result decided; None: inconclusive."""
    clean_trials_needed: int | None
    """More trials without a failure that would be accepted; 0: none; None: no number of them."""
    trials_needed: int | None
    """About how many more trials would decide it at the present rate; None: cannot be said."""
    policy_ids: tuple[str, ...] = ()
    """The runs' policies."""
    goal_id: str | None = None
    """Name and version of the goal that judged them, where it is known."""
    warnings: tuple[str, ...] = ()
    """What a reader should know before believing it."""
    filters: Mapping[str, Any] = field(default_factory=dict)
    """The filters that were given."""

    @property
    def exit_code(self) -> int:
        """The command's exit code: accept 0, reject 1, inconclusive 3."""
        return EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what `--json` prints."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("interval", "policy_ids", "warnings"):
            data[name] = list(data[name])
        data["filters"] = dict(self.filters)
        return {"schema_version": 1, **data, "exit_code": self.exit_code}
