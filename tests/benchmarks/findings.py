"""What a statistical benchmark found: rows beside what is exact, and targets that were missed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from measure import verdict

ERRORS = 4.0
"""So many Monte Carlo standard errors may lie between what is measured and what is exact."""
WIDTH = 0.05
"""So far the mean width may lie from the reference's."""


@dataclass
class Findings:
    """Whether all rows met their targets."""

    missed: list[str] = field(default_factory=list)

    def target(self, claim: str, *met: bool) -> str:
        """One row's verdict, remembered."""
        if not all(met):
            self.missed.append(claim)
        return verdict(all(met))

    def covers(
        self,
        claim: str,
        nominal: str,
        computed: float,
        measured: float,
        reps: int,
        ratio: float | None,
        *also: bool,
    ) -> tuple[str, ...]:
        """A row about a probability."""
        error = math.sqrt(max(computed * (1 - computed), 1 / reps) / reps)
        met = self.target(
            claim,
            abs(measured - computed) <= ERRORS * error,
            ratio is None or abs(ratio - 1) <= WIDTH,
            *also,
        )
        width = "-" if ratio is None else f"{ratio:.3f}"
        return claim, nominal, f"{computed:.4f}", f"{measured:.4f}", f"{error:.4f}", width, met


def near(measured: float, computed: float, reps: int, rounding: float = 0.0) -> bool:
    """Whether a simulated share is within its Monte Carlo error."""
    error = math.sqrt(max(computed * (1 - computed), 1 / reps) / reps)
    return abs(measured - computed) <= ERRORS * error + rounding
