"""`Moments`: means, and the covariances of means, of runs that come in tasks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

OUTCOMES = ("success", "silent_failure", "escalated", "error")
"""The families that are compared; their shares are the first entries of every vector."""
COST = len(OUTCOMES)
"""The index of the cost in every vector."""


class Moments:
    """Sums over independent units: runs, pairs of runs, or tasks with all their runs.

    A unit has a size w (how many runs or pairs it stands for), the totals T of its outcomes and
    its cost. The mean is m = sum T / sum w. Units are independent and what is inside one is not,
    so the covariance of the mean is G/(G-1) * sum (T - m w)(T - m w)' / (sum w)^2 with G units:
    for w = 1 the sample covariance over G, else the linearised variance of a ratio of sums.

    Units with the same size and outcomes are kept as one: their number, their cost and their
    squared cost.

    Source: W. G. Cochran, Sampling Techniques (1977), section 6.3; E. Miller, arXiv 2411.00640,
    for the same thing as the clustered standard error of an evaluation.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[float, ...], list[float]] = {}
        self.units = 0
        self.size = 0.0
        self._shift: float | None = None

    def add(self, size: float, totals: tuple[float, ...], cost: float) -> None:
        """Add one unit.

        Args:
            size: Its runs or pairs; 1 where all tasks weigh alike.
            totals: Per outcome of `OUTCOMES` its total over the unit.
            cost: US dollars of the unit.
        """
        self.add_many(size, totals, (cost,))

    def add_many(self, size: float, totals: tuple[float, ...], costs: Sequence[float]) -> None:
        """Add units that differ in cost alone."""
        if not costs:
            return
        if self._shift is None:
            self._shift = costs[0] / size  # deviations: equal costs have exactly no variance
        typical = self._shift * size
        off = [cost - typical for cost in costs]
        self.units += len(off)
        self.size += size * len(off)
        known = self.groups.setdefault((size, *totals), [0, 0.0, 0.0])
        known[0] += len(off)
        known[1] += sum(off)
        known[2] += sum(x * x for x in off)

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Per size: the shares of the outcomes, then the cost."""
        if not self.size:
            return (0.0,) * (COST + 1)
        sums = [0.0] * (COST + 1)
        for key, (n, off, _) in self.groups.items():
            for i in range(COST):
                sums[i] += n * key[i + 1]
            sums[COST] += off
        means = [total / self.size for total in sums]
        means[COST] += self._shift or 0.0
        return tuple(means)

    @cached_property
    def covariance(self) -> tuple[tuple[float, ...], ...]:
        """Of the mean; all zeros for fewer than two units, of which nothing is known."""
        found = [[0.0] * (COST + 1) for _ in range(COST + 1)]
        if self.units > 1:
            scale = self.units / (self.units - 1) / self.size**2
            shares, cost = self.mean[:COST], self.mean[COST] - (self._shift or 0.0)
            for (size, *totals), (n, off, squared) in self.groups.items():
                left = [t - m * size for t, m in zip(totals, shares, strict=True)]
                off_mean = off - n * cost * size
                for i in range(COST):
                    for j in range(i + 1):
                        found[i][j] += n * left[i] * left[j]
                    found[COST][i] += left[i] * off_mean
                found[COST][COST] += squared - 2 * cost * size * off + n * (cost * size) ** 2
            for i in range(COST + 1):
                for j in range(i + 1):
                    found[i][j] *= scale
                    found[j][i] = found[i][j]
                found[i][i] = max(0.0, found[i][i])
        return tuple(tuple(row) for row in found)

    def combined(self, weights: Sequence[float]) -> tuple[float, float]:
        """A weighted sum of the mean's entries, and its variance."""
        entries = range(COST + 1)
        value = sum(weights[i] * self.mean[i] for i in entries)
        spread = sum(
            weights[i] * weights[j] * self.covariance[i][j] for i in entries for j in entries
        )
        return value, max(0.0, spread)

    def covary(self, one: Sequence[float], other: Sequence[float]) -> float:
        """The covariance of two weighted sums of the mean's entries."""
        entries = range(COST + 1)
        return sum(one[i] * other[j] * self.covariance[i][j] for i in entries for j in entries)

    def differing(self, k: int) -> int:
        """Units whose total of an outcome is not 0."""
        return int(sum(n for key, (n, _, _) in self.groups.items() if key[k + 1]))

    def likely(self, k: int) -> float:
        """How large a unit's total of an outcome is where it is not 0; at first a whole unit."""
        totals = sum(n * abs(key[k + 1]) for key, (n, _, _) in self.groups.items())
        return (totals + self.size / self.units) / (self.differing(k) + 1)

    def plus(self, *totals: tuple[float, ...]) -> Moments:
        """These units and more, of the typical size and cost."""
        more = Moments()
        more.groups = {key: list(sums) for key, sums in self.groups.items()}
        more.units, more.size, more._shift = self.units, self.size, self._shift
        typical = self.size / self.units
        for total in totals:
            more.add(typical, total, typical * self.mean[COST])
        return more

    def degrees(self) -> float:
        """Degrees of freedom of a t interval: units - 1."""
        return float(self.units - 1)
