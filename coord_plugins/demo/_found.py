"""What a demo found: two reports, the one call beside them, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .. import Comparison, RunRecord, compare, report
from .._reporting._types import Report
from ._prediction import predicted_at_once
from ._single import SINGLE

BARE, ATTACHED = "billing-desk-bare", "billing-desk"
"""The pipelines' names in the store."""
SCHEMA_VERSION = 1
"""Of the demo's `--json`."""


@dataclass(frozen=True, kw_only=True)
class SingleCall:
    """What one model call does with the same tickets, and whether six are better."""

    report: Report
    predicted: Mapping[str, float]
    bare: Comparison
    """The bare pipeline (B) against the one call (A)."""
    attached: Comparison
    """The attached pipeline (B) against the one call (A)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the keys are those of the pipelines, and the comparisons."""
        compared = {"bare": self.bare.to_dict(), "attached": self.attached.to_dict()}
        return {**_side(self.report, self.predicted), "comparison": compared}


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What a demo run found."""

    framework: str
    model: str
    simulated: bool
    seed: int
    bare: Report
    attached: Report
    bare_predicted: Mapping[str, float] | None
    attached_predicted: Mapping[str, float] | None
    comparison: Mapping[str, Any]
    host_retries: tuple[int, int]
    """Failed model calls that the bare framework repeated by itself, and the runs with any."""
    single: SingleCall | None
    """The same tickets in one model call each; None: a real model is asked in six alone."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the keys of `bare` and `attached` are those of a report."""
        return {
            "schema_version": SCHEMA_VERSION,
            "framework": self.framework,
            "model": self.model,
            "simulated": self.simulated,
            "seed": self.seed,
            "bare": {
                **_side(self.bare, self.bare_predicted),
                "host_retries": dict(zip(("calls", "runs"), self.host_retries, strict=True)),
            },
            "attached": _side(self.attached, self.attached_predicted),
            "comparison": dict(self.comparison),
            "single_call": None if self.single is None else self.single.to_dict(),
        }


def _side(found: Report, expected: Mapping[str, float] | None) -> dict[str, Any]:
    group = found.groups[0]
    data = asdict(group)
    return {
        "runs": group.started,
        "success_rate": group.success_rate.value,
        "interval": list(group.success_rate.interval),
        "outcomes": dict(group.outcomes),
        "naive_step_product": group.naive_step_product,
        "cost_per_success": group.cost.per_success,
        "lost_at": dict(group.lost_at),
        "predicted": None if expected is None else dict(expected),
        "report": data,
    }


def against_one_call(
    alone: list[RunRecord], before: list[RunRecord], after: list[RunRecord]
) -> SingleCall:
    """The one call's report, and both pipelines compared with it."""
    return SingleCall(
        report=report(alone),
        predicted=predicted_at_once(),
        bare=compare(alone, before, names=(SINGLE, BARE)),
        attached=compare(alone, after, names=(SINGLE, ATTACHED)),
    )


def compared(before: list[RunRecord], after: list[RunRecord]) -> dict[str, Any]:
    """The paired difference, attached minus bare: the same ticket and trial in both."""
    pairs = [(a.succeeded, b.succeeded) for a, b in zip(before, after, strict=True)]
    found = compare(before, after, names=(BARE, ATTACHED))
    return {
        "runs": len(pairs),
        "both_succeeded": pairs.count((True, True)),
        "gained": pairs.count((False, True)),
        "harmed": pairs.count((True, False)),
        "neither": pairs.count((False, False)),
        "difference": found.success.value,
        "interval": list(found.success.interval),
        "p_value": found.success.p_value,
        "cost_per_run": found.cost_per_run.value,
    }
