"""A plan from observed runs, attached to the graph and run: it keeps what it promised.

The benchmark `planning` does the same with 5,000 runs and 20 repetitions.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_success_and_cost_lie_in_the_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """6 x 97 % with validators of 0.9 and 0.97, three times 1,000 runs observed and 1,000 run."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    bench = importlib.import_module("bench_plan")
    came = [bench.repetition(seed, 1_000, target=0.98) for seed in (1, 2, 3)]
    for one in came:
        assert one.plan.reached
        assert one.plan.warnings == ()
        assert one.width <= 0.02
        assert one.success > 0.97
        assert all(a.holds is not False for a in one.plan.assumptions)
        # far outside of 95 % would be a fault, just outside may happen
        figure, cost = one.plan.expected.success, one.plan.expected.cost
        room = figure.runs_high - figure.runs_low
        assert figure.runs_low - room / 4 <= one.success <= figure.runs_high + room / 4
        room = cost.runs_high - cost.runs_low
        assert cost.runs_low - room / 4 <= one.cost <= cost.runs_high + room / 4
    assert sum(one.success_in and one.cost_in for one in came) >= 2
