"""`Moments`: sums and products over clusters of runs, from which every interval of a report comes.

A cluster is a task with all its runs, or a single run where no task has several. For a linear sum
L = sum_i w.x_i over C clusters the variance is C/(C-1) (sum_i (w.x_i)^2 - L^2/C); a share or a
ratio R = Y/X has that of Y - R X, over X^2. So runs of one task count for what they tell, and no
cluster has to be kept.

Source: W. G. Cochran, Sampling Techniques (1977), sections 6.3 and 9A.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .._store_lines import COUNTED, MEASURED, PAIRS, VARIABLES, Line, TaskLine, counted
from ..stats import effective_n, fieller, wilson
from ._measures import Rate

Weights = Mapping[str, float]
"""A linear sum over `VARIABLES`."""
_AT = {name: i for i, name in enumerate(VARIABLES)}
_PAIR = {(VARIABLES[i], VARIABLES[j]): k for k, (i, j) in enumerate(PAIRS)}


class Moments:
    """Sums over clusters and sums of products of two variables."""

    def __init__(self) -> None:
        self.clusters = 0
        """Clusters with a finished run."""
        self.labelled_clusters = 0
        """Clusters with a labelled run."""
        self.trials = False
        """Whether a cluster may have several runs."""
        self.sums = [0.0] * len(VARIABLES)
        self.products = [0.0] * len(PAIRS)

    def add_runs(self, line: Line) -> None:
        """Add runs that are clusters of their own."""
        cost, tokens = sum(line.amounts[:4]), line.amounts[4] + line.amounts[5]
        amounts = (cost, tokens, line.elapsed)
        counts = [line.n * c for c in counted(line.outcome)]
        self.clusters += counts[0]
        self.labelled_clusters += counts[1]
        values = (*counts, *amounts)
        self.sums = [a + b for a, b in zip(self.sums, values, strict=True)]
        for k, (i, j) in enumerate(PAIRS):
            if i >= len(COUNTED):
                self.products[k] += line.squares[i - len(COUNTED)]
            elif counts[i]:  # an indicator: its product with x is x
                self.products[k] += values[j]

    def add_tasks(self, lines: Iterable[TaskLine]) -> None:
        """Add tasks with all their runs."""
        for line in lines:
            self.trials = True
            self.clusters += line.tasks
            self.labelled_clusters += line.tasks if line.labelled else 0
            self.sums = [a + b for a, b in zip(self.sums, line.sums, strict=True)]
            both = zip(self.products, line.products, strict=True)
            self.products = [a + b for a, b in both]

    def merge(self, other: Moments) -> None:
        """Add another group's clusters."""
        self.clusters += other.clusters
        self.labelled_clusters += other.labelled_clusters
        self.trials = self.trials or other.trials
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.products = [a + b for a, b in zip(self.products, other.products, strict=True)]

    def total(self, weights: Weights) -> float:
        """A linear sum over all clusters."""
        return sum(w * self.sums[_AT[name]] for name, w in weights.items())

    def covariance(self, one: Weights, other: Weights, clusters: int | None = None) -> float:
        """The covariance of two linear sums, as totals over all clusters.

        Products of two different amounts are not kept: no sum may ask for them.
        """
        n = self.clusters if clusters is None else clusters
        if n < 2:
            return 0.0
        raw = sum(a * b * self._product(x, y) for x, a in one.items() for y, b in other.items())
        return n / (n - 1) * (raw - self.total(one) * self.total(other) / n)

    def variance(self, weights: Weights, clusters: int | None = None) -> float:
        """The variance of a linear sum; what rounding makes of nothing is nothing."""
        found = self.covariance(weights, weights, clusters)
        scale = sum(w * w * self._product(name, name) for name, w in weights.items())
        return found if found > 1e-12 * scale else 0.0

    def _product(self, one: str, other: str) -> float:
        if _AT[one] > _AT[other]:
            one, other = other, one
        return self.products[_PAIR[one, other]]

    def rate(self, part: Weights, whole: Weights) -> Rate:
        """A share of runs; Wilson's interval, of clusters where tasks have several runs."""
        successes, n = round(self.total(part)), round(self.total(whole))
        if not self.trials or not n:
            return Rate.of(successes, n)
        known = self.clusters if whole == FINISHED else self.labelled_clusters
        share, clusters = successes / n, min(known, n)
        deviation = {name: part.get(name, 0) - share * whole.get(name, 0) for name in COUNTED}
        variance = self.variance(deviation, known) / n**2
        effective = effective_n(share, n, clusters, variance)
        interval = wilson(share * effective, effective)
        return Rate(successes=successes, n=n, value=share, interval=interval, clusters=clusters)

    def design_effect(self) -> float:
        """How much wider than of independent runs the variance of the success rate is (Kish)."""
        found = self.rate({"success": 1.0}, LABELLED)
        if found.clusters is None or not found.n:
            return 1.0
        assert found.value is not None
        deviation = {"success": 1.0, "labelled": -found.value}
        variance = self.variance(deviation, self.labelled_clusters) / found.n**2
        return found.n / effective_n(found.value, found.n, found.clusters, variance)

    def ratio(self, amount: str, per: str) -> tuple[float | None, tuple[float, float] | None]:
        """A ratio of two sums with Fieller's interval; None where it has no bounds."""
        if not self.sums[_AT[per]]:
            return None, None
        y, x = {amount: 1.0}, {per: 1.0}
        var_y, var_x = self.variance(y), self.variance(x)
        most = math.sqrt(var_y * var_x)
        cov = min(most, max(-most, self.covariance(y, x)))
        return fieller(self.total(y), self.total(x), var_y, var_x, cov)


FINISHED: Weights = {"finished": 1.0}
LABELLED: Weights = {"labelled": 1.0}
DELIVERED: Weights = {"success": 1.0, "silent_failure": 1.0}
__all__ = ["DELIVERED", "FINISHED", "LABELLED", "MEASURED", "Moments", "Weights"]
