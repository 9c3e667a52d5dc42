"""`Value`: what outcomes are worth to the business that runs the pipeline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import PolicyError

__all__ = ["Value", "runs_per_month"]

_MONTH = 365.25 / 12  # days
_PERIODS = {"hour": 24 * _MONTH, "day": _MONTH, "week": _MONTH / 7, "month": 1.0, "year": 1 / 12}


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a run is worth by its outcome, in the unit of costs (US dollars).

    The cost of the model calls comes on top: it is measured, not given.

    Raises:
        PolicyError: An amount that is no finite number, or negative.
    """

    success: float
    """What a run that did its job brings."""
    escalation_cost: float = 0.0
    """What an escalated run costs: somebody has to do the job instead."""
    silent_cost: float = 0.0
    """What a delivered wrong result costs."""
    error_cost: float | None = None
    """What a run that ended in an error costs; None: as much as an escalated one."""

    def __post_init__(self) -> None:
        for name in ("success", "escalation_cost", "silent_cost", "error_cost"):
            amount = getattr(self, name)
            if amount is not None and not (math.isfinite(amount) and amount >= 0):
                raise PolicyError(f"Value: {name}={amount!r}; give a finite amount, at least 0")

    def worth(self, outcome: str) -> float:
        """What a run with this outcome is worth, its model calls not yet paid.

        Args:
            outcome: One of `OUTCOMES`, or its family. Runs without a label, or in flight, are
                worth 0: nothing is known of them.
        """
        family = outcome.partition(".")[0]
        error = self.escalation_cost if self.error_cost is None else self.error_cost
        return {
            "success": self.success,
            "silent_failure": -self.silent_cost,
            "escalated": -self.escalation_cost,
            "error": -error,
        }.get(family, 0.0)


def runs_per_month(volume: str | float | None) -> float | None:
    """Runs per month from a number (per month) or a text like "300/day".

    A month has 365.25 / 12 days.

    Raises:
        PolicyError: It cannot be read, or is not positive.
    """
    if volume is None:
        return None
    number, _, period = str(volume).partition("/")
    try:
        runs = float(number.replace(",", "").replace("_", ""))
    except ValueError:
        runs = math.nan
    per_month = _PERIODS.get(period.strip() or "month")
    if per_month is None or not (math.isfinite(runs) and runs > 0):
        raise PolicyError(
            f"volume={volume!r}; write runs per period, like 10000/month, 300/day or 50/hour"
        )
    return runs * per_month
