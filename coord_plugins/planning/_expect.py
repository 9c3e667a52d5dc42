"""What to expect of a plan: means, bands of the truth, bands of what runs will measure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import log, log1p, sqrt
from statistics import fmean

from .._value import Value
from ._chain import cost_variance, predict
from ._choose import Layout, Question, filled
from ._evidence import PipelineRates
from ._flat import burden
from ._rates import Prediction
from ._types import Expected, Figure

_PROBABILITIES = ("success", "silent", "escalated", "error")
_MEASURED = 1_000
"""Draws of measurements, where the rates are exact."""


def expect(
    rates: PipelineRates,
    places: Layout,
    found: Sequence[Prediction],
    asked: Question,
    runs: int,
    source: random.Random,
) -> Expected:
    """The figures of a plan from how its runs end at each draw, with both bands.

    Args:
        rates: What is known.
        places: The plan.
        found: How runs end, per draw from the posterior.
        asked: The question; its value prices the outcomes.
        runs: How many runs a measurement has.
        source: Of the draws of measurements.
    """
    # One draw is enough for rates that are exact, not for what runs will measure of them.
    repeated = list(found) if len(found) > 1 else list(found) * _MEASURED
    figures: dict[str, Figure] = {}
    for name in _PROBABILITIES:
        true = [getattr(one, name) for one in found]
        seen = [binomial(source, runs, getattr(one, name)) / runs for one in repeated]
        figures[name] = _figure(true, seen)
    spread = sqrt(run_variance(rates, places) / runs)
    seen = [max(0.0, source.gauss(one.cost, spread)) for one in repeated]
    figures["cost"] = _figure([one.cost for one in found], seen)
    worth = None
    if asked.value is not None:
        true = [-burden(one, asked.value) for one in found]
        spread = sqrt(_worth_variance(found[0], asked.value) / runs + spread**2)
        seen = [source.gauss(-burden(one, asked.value), spread) for one in repeated]
        worth = _figure(true, seen)
    return Expected(**figures, worth=worth)


def _worth_variance(found: Prediction, value: Value) -> float:
    """Variance of the worth of one run's outcome."""
    shares = zip(
        ("success", "silent_failure", "escalated", "error"),
        (found.success, found.silent, found.escalated, found.error),
        strict=True,
    )
    pairs = [(value.worth(name), share) for name, share in shares]
    mean = sum(worth * share for worth, share in pairs)
    return sum((worth - mean) ** 2 * share for worth, share in pairs)


def run_variance(rates: PipelineRates, places: Layout) -> float:
    """Variance of what one run costs: how often it executes, and how much an execution differs."""
    steps, judges = rates.mean()
    edges = filled(places, judges)
    total = cost_variance(steps, edges)
    free_steps = [replace(step, cost=0.0) for step in steps]
    free_edges = [replace(edge, cost=0.0) for edge in edges]
    for i, step in enumerate(rates.steps):
        if step.cost.deviation:
            counted = [*free_steps[:i], replace(free_steps[i], cost=1.0), *free_steps[i + 1 :]]
            total += predict(counted, free_edges).cost * step.cost.deviation**2
    spreads = {s.name: s.validator.cost.deviation if s.validator else 0.0 for s in rates.steps}
    for i, edge in enumerate(free_edges):
        if spreads[edge.step]:
            judged = [*free_edges[:i], replace(edge, cost=1.0), *free_edges[i + 1 :]]
            total += predict(free_steps, judged).cost * spreads[edge.step] ** 2
    return total


def _figure(true: Sequence[float], seen: Sequence[float]) -> Figure:
    low, high = band(true)
    runs_low, runs_high = band(seen)
    return Figure(mean=fmean(true), low=low, high=high, runs_low=runs_low, runs_high=runs_high)


def band(values: Sequence[float], share: float = 0.95) -> tuple[float, float]:
    """The middle `share` of the values, between order statistics where needed."""
    ordered = sorted(values)
    ends = []
    for quantile in ((1.0 - share) / 2, (1.0 + share) / 2):
        place = quantile * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        ends.append(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
    return ends[0], ends[1]


def binomial(source: random.Random, n: int, p: float) -> int:
    """One draw: exact where it is cheap, else the rounded normal approximation."""
    if p > 0.5:
        return n - binomial(source, n, 1.0 - p)
    if p <= 0.0:
        return 0
    if n * p > 100.0:
        return min(n, max(0, round(source.gauss(n * p, sqrt(n * p * (1.0 - p))))))
    hits, at = 0, 0
    while True:  # geometric gaps between hits
        at += 1 + int(_gap(source, p))
        if at > n:
            return hits
        hits += 1


def _gap(source: random.Random, p: float) -> float:
    return log(1.0 - source.random()) / log1p(-p)
