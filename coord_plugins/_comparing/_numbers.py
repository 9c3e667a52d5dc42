"""A comparison's figures: shares, differences, costs, ratios and net benefit."""

from __future__ import annotations

import math

from .._value import Value
from ..stats import (
    effective_n,
    fieller,
    log_sign_evidence,
    mcnemar_exact,
    mcnemar_midp,
    newcombe_paired,
    newcombe_unpaired,
    t_quantile,
    wilson,
)
from ._moments import COST, OUTCOMES, Moments
from ._pairs import Layout
from ._runs import Tally
from ._types import Amount, Difference, Interval, LeftOut, Share

FEW = 10
"""Tasks that differ, below which a t interval of their means is widened."""
Weights = tuple[float, ...]


def unit(index: int) -> Weights:
    """Weights that pick one entry: an outcome of `OUTCOMES`, or `COST`."""
    return tuple(float(i == index) for i in range(COST + 1))


def worth(prices: Value) -> Weights:
    """Weights that make net benefit of shares and cost."""
    return (*(prices.worth(name) for name in OUTCOMES), -1.0)


class Gap:
    """B minus A in every entry, with variances, paired or not.

    Where an outcome is too rare for its variance to be known, a unit that has it and one that
    lacks it are added for the variance: no failure in a hundred runs is not "never". Of several
    the dearest counts.
    """

    def __init__(self, layout: Layout) -> None:
        self._paired = layout.pairing != "unpaired"
        self._sides = (layout.a, layout.b)
        self._parts = [layout.between] if self._paired else [layout.a, layout.b]

    def value(self, weights: Weights) -> float:
        """A weighted sum of the differences."""
        a, b = self._sides
        return b.combined(weights)[0] - a.combined(weights)[0]

    def variance(self, weights: Weights) -> float:
        """Of that sum."""
        return sum(m.combined(weights)[1] for m in self._known(weights))

    def covariance(self, one: Weights, other: Weights) -> float:
        """Of two such sums."""
        return sum(m.covary(one, other) for m in self._parts)

    def _known(self, weights: Weights) -> list[Moments]:
        return [cautious(m, weights, signed=self._paired) for m in self._parts]

    def degrees(self, weights: Weights) -> float:
        """Degrees of freedom: units - 1, or Welch's where unpaired.

        Source: B. L. Welch, Biometrika 34 (1947) 28.
        """
        least = min(part.degrees() for part in self._parts)
        variances = [m.combined(weights)[1] for m in self._known(weights)]
        if self._paired or least < 1 or not any(variances):
            return least
        below = sum(v * v / m.degrees() for v, m in zip(variances, self._parts, strict=True))
        return max(least, sum(variances) ** 2 / below)  # not below it, but for rounding

    def amount(self, weights: Weights, confidence: float) -> Amount:
        """A weighted sum with Student's t interval."""
        value, variance = self.value(weights), self.variance(weights)
        return Amount(
            value=value, interval=t_interval(value, variance, self.degrees(weights), confidence)
        )

    def ratio(self, over: Weights, under: Weights, confidence: float) -> Amount:
        """One weighted sum over another, with Fieller's interval."""
        return ratio_of(
            (self.value(over), self.variance(over)),
            (self.value(under), self.variance(under)),
            self.covariance(over, under),
            min(self.degrees(over), self.degrees(under)),
            confidence,
        )


def cautious(moments: Moments, weights: Weights, *, signed: bool) -> Moments:
    """Moments whose variance knows of rare outcomes, as far as the weights tell outcomes apart.

    Args:
        moments: Of one side, or of differences.
        weights: What is computed of them.
        signed: Whether they are differences, so that each way is added.
    """
    if len(set(weights[:COST])) == 1 or not moments.units:
        return moments
    reach = [abs(weight - weights[0]) for weight in weights[:COST]]
    seen = [reach[k] for k in range(1, COST) if moments.differing(k) >= FEW]
    # what costs no more than something that is seen often adds little that is not known
    rare = [
        k
        for k in range(1, COST)
        if moments.differing(k) < FEW and all(reach[k] > often for often in seen)
    ]
    if weights == unit(0):  # which kind of failure it is makes no difference
        failing = moments.differing(0) if signed else moments.units - _all_won(moments)
        rare = [] if min(failing, moments.differing(0)) >= FEW else [1]
    if not rare:
        return moments
    worst = max(rare, key=lambda k: reach[k])
    if not signed:
        whole = moments.size / moments.units
        return moments.plus(_total(0, whole), _total(worst, whole))
    by = moments.likely(worst)
    gained = tuple(by * (float(k == 0) - float(k == worst)) for k in range(COST))
    return moments.plus(gained, tuple(-x for x in gained))


def _total(index: int, amount: float) -> tuple[float, ...]:
    return tuple(amount if k == index else 0.0 for k in range(COST))


def _all_won(moments: Moments) -> int:
    return int(sum(n for key, (n, _, _) in moments.groups.items() if key[1] == key[0]))


def t_interval(value: float, variance: float, degrees: float, confidence: float) -> Interval | None:
    """Student's interval; None: one unit says nothing of how units differ."""
    if degrees < 1:
        return None
    half = t_quantile((1 + confidence) / 2, degrees) * math.sqrt(variance)
    return value - half, value + half


def ratio_of(
    over: tuple[float, float],
    under: tuple[float, float],
    covariance: float,
    degrees: float,
    confidence: float,
) -> Amount:
    """A ratio with Fieller's interval, from values and variances.

    Args:
        over: Numerator and its variance.
        under: Denominator and its variance.
        covariance: Of both.
        degrees: Degrees of freedom.
        confidence: Two-sided level.
    """
    (y, var_y), (x, var_x) = over, under
    if abs(x) < 1e-12:  # nothing but rounding is left of the difference
        return Amount(value=None, interval=None)
    if degrees < 1:
        return Amount(value=y / x, interval=None)
    most = math.sqrt(var_y * var_x)
    bounded = max(-most, min(most, covariance))
    value, interval = fieller(y, x, var_y, var_x, bounded, confidence, degrees)
    return Amount(value=value, interval=interval)


def share_of(side: Moments, runs: Tally, k: int, clustered: bool, confidence: float) -> Share:
    """The share of one outcome on one side."""
    n, count = runs.n, runs.counts[k]
    value = side.mean[k]
    size = effective(side, n, k, confidence) if clustered else float(n)
    low, high = wilson(min(size, max(0.0, value * size)), size, confidence)
    return Share(runs=count, n=n, value=value, interval=(low, high))


def effective(side: Moments, n: int, k: int, confidence: float = 0.95) -> float:
    """How many independent runs would say as much of an outcome's share."""
    if side.units < 2:  # one task says nothing of how tasks differ
        return float(side.units)
    value = min(1.0, max(0.0, side.mean[k]))
    return effective_n(value, n, side.units, side.covariance[k][k], confidence)


def difference_of(layout: Layout, k: int, confidence: float) -> Difference:
    """B minus A in the share of one outcome."""
    if layout.pairing == "unpaired":
        return _unpaired(layout, k, confidence)
    crossed = layout.crossed
    only_a = only_b = None
    if crossed:
        only_a = sum(n for (a, b), n in crossed.items() if a == k != b)
        only_b = sum(n for (a, b), n in crossed.items() if b == k != a)
    if layout.pairing == "tasks" or only_a is None or only_b is None:
        value, interval = _of_tasks(layout, k, confidence)
        return Difference(value=value, interval=interval, only_a=only_a, only_b=only_b)
    both = crossed[k, k]
    neither = sum(crossed.values()) - both - only_a - only_b
    value, low, high = newcombe_paired(both, only_b, only_a, neither, confidence)
    return Difference(
        value=value,
        interval=(low, high),
        only_a=only_a,
        only_b=only_b,
        p_value=mcnemar_exact(only_b, only_a),
        mid_p=mcnemar_midp(only_b, only_a),
        log_evidence=log_sign_evidence(only_b, only_a),
    )


def _unpaired(layout: Layout, k: int, confidence: float) -> Difference:
    sizes = []
    for side, runs in zip((layout.a, layout.b), layout.kept, strict=True):
        sizes.append(effective(side, runs.n, k, confidence) if layout.clustered else float(runs.n))
    p1, p2 = layout.a.mean[k], layout.b.mean[k]
    x1, x2 = (min(n, max(0.0, p * n)) for p, n in zip((p1, p2), sizes, strict=True))
    _, low, high = newcombe_unpaired(x2, sizes[1], x1, sizes[0], confidence)
    return Difference(value=p2 - p1, interval=(low, high), only_a=None, only_b=None)


def _of_tasks(layout: Layout, k: int, confidence: float) -> tuple[float, Interval]:
    """The mean difference over tasks, with Student's interval (df = tasks - 1).

    Where fewer than `FEW` tasks differ, two tasks are added, one for and one against, as Bonett
    and Price add two pairs: the interval has a width even when no task differs. They differ by
    as much as tasks do that differ, by a whole task where none does.

    Source: D. G. Bonett and R. M. Price, Statistical Methods in Medical Research 21 (2012) 479.
    """
    between = layout.between
    value = layout.b.mean[k] - layout.a.mean[k]
    if between.units < 2:
        return value, (-1.0, 1.0)
    if between.differing(k) < FEW:
        by = between.likely(k)
        between = between.plus(_total(k, by), _total(k, -by))
    interval = t_interval(between.mean[k], between.covariance[k][k], between.degrees(), confidence)
    assert interval is not None
    low, high = interval
    return value, (max(-1.0, min(low, value)), min(1.0, max(high, value)))


def left_out_of(layout: Layout, confidence: float) -> LeftOut | None:
    """How the runs without a partner did."""
    a, b = layout.left
    if not a.n and not b.n:
        return None
    difference = interval = None
    if a.n and b.n:
        difference, low, high = newcombe_unpaired(b.counts[0], b.n, a.counts[0], a.n, confidence)
        interval = low, high
    return LeftOut(
        a_runs=a.n,
        a_success=a.counts[0],
        b_runs=b.n,
        b_success=b.counts[0],
        difference=difference,
        interval=interval,
    )
