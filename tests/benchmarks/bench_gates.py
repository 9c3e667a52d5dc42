"""Error rates and mean sample sizes of `Gate`: exact, simulated, and by an earlier simulation."""

from __future__ import annotations

import math

import exact_coverage as exact
import numpy as np
from findings import ERRORS, Findings, near
from measure import Size, table

from coord_plugins._gating._gate import Gate

GATES = {  # min_success, expected: true rate -> (P(accept), E[n]); simulations per rate
    (0.95, 0.98, 1_500): {
        0.85: (0.000, 30),
        0.90: (0.000, 52),
        0.93: (0.002, 97),
        0.95: (0.042, 192),
        0.97: (0.637, 377),
        0.98: (0.964, 263),
        0.99: (0.999, 148),
        1.00: (1.000, 88),
    },
    (0.90, 0.95, 2_000): {
        0.80: (0.000, 34),
        0.85: (0.001, 56),
        0.90: (0.026, 150),
        0.93: (0.552, 289),
        0.95: (0.953, 195),
        0.97: (1.000, 98),
        0.99: (1.000, 55),
    },
    (0.99, 0.997, 1_000): {
        0.95: (0.000, 65),
        0.97: (0.000, 115),
        0.98: (0.001, 202),
        0.99: (0.029, 642),
        0.995: (0.688, 1334),
        0.997: (0.960, 981),
        0.999: (0.999, 577),
        1.000: (1.000, 449),
    },
}
GATE_HEAD = ("true rate", "P(accept)", "measured", "earlier", "E[n]", "measured", "earlier")


def simulated(
    tau: float, expected: float, p: float, reps: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The share of gates that accept, and their mean number of trials."""
    accepted = trials = 0
    for _ in range(reps):
        gate = Gate(min_success=tau, expected=expected)
        while gate.verdict == "inconclusive":
            for passed in (rng.random(256) < p).tolist():
                gate.add(passed)
                if gate.verdict != "inconclusive":
                    break
        accepted += gate.verdict == "accept"
        trials += gate.trials
    return accepted / reps, trials / reps


def gates(size: Size, rng: np.random.Generator, found: Findings) -> None:
    """Error rates and mean numbers of trials of `Gate`."""
    reps = size.count(3_000)
    for (tau, expected, earlier_reps), rates in GATES.items():
        rows = []
        for p, (accepts, mean) in rates.items():
            run = exact.gate_run(tau, expected, p)
            measured, trials = simulated(tau, expected, p, reps, rng)
            claim = f"gate {tau} {expected}, p={p}"
            met = found.target(
                claim,
                near(measured, run.accepts, reps),
                near(accepts, run.accepts, earlier_reps, 0.0005),
                abs(trials - run.mean) <= ERRORS * run.spread / math.sqrt(reps) + 1e-6,
                abs(mean - run.mean) <= ERRORS * run.spread / math.sqrt(earlier_reps) + 0.5,
                p > tau or run.accepts <= 0.05,
                p != expected or run.accepts >= 0.95,
            )
            rows.append(
                (
                    f"{p}",
                    f"{run.accepts:.4f}",
                    f"{measured:.4f}",
                    f"{accepts:.3f}",
                    f"{run.mean:.1f}",
                    f"{trials:.1f}",
                    f"{mean}",
                    met,
                )
            )
        table(
            f"Gate min_success={tau}, expected={expected}, alpha=beta=.05",
            (*GATE_HEAD, "target"),
            rows,
        )
