"""How often intervals cover and gates accept, computed and not simulated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats as oracle

from coord_plugins.stats import (
    effective_n,
    log_evidence,
    log_evidence_above,
    stratified_rate,
    wilson,
)

Interval = tuple[float, float]
TINY = 1e-9
"""Outcomes with less mass are left out."""


@dataclass(frozen=True)
class Exact:
    """What an interval does on average over all outcomes."""

    coverage: float
    width: float


def averaged(outcomes: Iterator[tuple[float, Interval]], truth: float) -> Exact:
    """Average over (mass, interval); what is left out counts in proportion."""
    mass = covered = width = 0.0
    for share, (low, high) in outcomes:
        mass += share
        covered += share if low <= truth <= high else 0.0
        width += share * (high - low)
    return Exact(covered / mass, width / mass)


def of_share(interval: Callable[[int, int], Interval], n: int, p: float) -> Exact:
    """An interval for the share of n independent trials."""
    masses = oracle.binom.pmf(np.arange(n + 1), n, p)
    found = ((float(m), interval(s, n)) for s, m in enumerate(masses) if m > TINY)
    return averaged(found, p)


def task_chances(runs: int, p: float, icc: float) -> list[float]:
    """Of 0..runs successes of one task, whose chance follows a beta distribution."""
    if icc == 0:
        return [float(m) for m in oracle.binom.pmf(np.arange(runs + 1), runs, p)]
    a, b = p * (1 - icc) / icc, (1 - p) * (1 - icc) / icc
    return [float(m) for m in oracle.betabinom.pmf(np.arange(runs + 1), runs, a, b)]


def sums(tasks: int, chances: list[float]) -> Iterator[tuple[float, int, int]]:
    """(mass, sum of c, sum of c^2) over all tasks: all that the clustered interval reads."""
    most = len(chances) - 1
    table = np.zeros((tasks * most + 1, tasks * most**2 + 1))
    table[0, 0] = 1.0
    for _ in range(tasks):
        following = np.zeros_like(table)
        for c, chance in enumerate(chances):
            rows, columns = table.shape[0] - c, table.shape[1] - c * c
            following[c:, c * c :] += chance * table[:rows, :columns]
        table = following
    for total, squares in np.argwhere(table > TINY):
        yield float(table[total, squares]), int(total), int(squares)


def of_tasks(
    interval: Callable[[int, int, int, float], Interval],
    tasks: int,
    runs: int,
    p: float,
    icc: float,
) -> Exact:
    """An interval from (successes, n, tasks, clustered variance)."""
    n = tasks * runs

    def outcomes() -> Iterator[tuple[float, Interval]]:
        for mass, total, squares in sums(tasks, task_chances(runs, p, icc)):
            spread = squares - total * total / tasks
            variance = max(0.0, tasks / (tasks - 1) * spread / n**2)
            yield mass, interval(total, n, tasks, variance)

    return averaged(outcomes(), p)


def clustered(total: int, n: int, tasks: int, variance: float) -> Interval:
    """`clustered_wilson` from sums."""
    effective = effective_n(total / n, n, tasks, variance)
    return wilson(total / n * effective, effective)


def plain_effective(total: int, n: int, tasks: int, variance: float) -> Interval:
    """The same without the t quantiles: what they are for."""
    share = total / n
    alike = share * (1 - share) / variance if variance else (n if 0 < share < 1 else tasks)
    effective = min(n, max(tasks, alike))
    return wilson(share * effective, effective)


def robust(total: int, n: int, tasks: int, variance: float) -> Interval:
    """The cluster-robust interval of regression packages: t quantile, tasks - 1 degrees."""
    half = float(oracle.t.ppf(0.975, tasks - 1)) * math.sqrt(variance)
    return total / n - half, total / n + half


@dataclass(frozen=True)
class Judged:
    """Runs that a judge accepts or rejects, and labels drawn 65/35 from both."""

    truth: float
    sensitivity: float
    specificity: float
    runs: int = 2_000
    labels: int = 200

    @property
    def accepted(self) -> float:
        """The chance that a run is accepted."""
        return self.truth * self.sensitivity + (1 - self.truth) * (1 - self.specificity)

    @property
    def right(self) -> tuple[float, float]:
        """The chance to be right, of accepted and of rejected runs."""
        good = self.truth * self.sensitivity
        return good / self.accepted, (self.truth - good) / (1 - self.accepted)

    def drawn(self, accepted: int) -> tuple[int, int]:
        """How many of either are labelled."""
        rejects = min(self.runs - accepted, round(0.35 * self.labels))
        return self.labels - rejects, rejects

    def exact(self) -> Exact:
        """Over the number of accepted runs and both numbers of right labels."""
        return averaged(self._outcomes(), self.truth)

    def _outcomes(self) -> Iterator[tuple[float, Interval]]:
        p1, p0 = self.right
        masses = oracle.binom.pmf(np.arange(self.runs + 1), self.runs, self.accepted)
        for accepted in np.flatnonzero(masses > 1e-5):
            m1, m0 = self.drawn(int(accepted))
            first = oracle.binom.pmf(np.arange(m1 + 1), m1, p1)
            second = oracle.binom.pmf(np.arange(m0 + 1), m0, p0)
            for x1 in np.flatnonzero(first > 1e-5):
                for x0 in np.flatnonzero(second > 1e-5):
                    strata = [
                        (int(accepted), int(x1), m1),
                        (self.runs - int(accepted), int(x0), m0),
                    ]
                    mass = float(masses[accepted] * first[x1] * second[x0])
                    yield mass, stratified_rate(strata)[1]


def ever_misses(p: float, most: int, first: int = 1, alpha: float = 0.05) -> float:
    """The chance that a confidence sequence misses p at any look from `first` to `most`."""
    limit, missed = -math.log(alpha), 0.0
    at = np.zeros(most + 1)
    at[0] = 1.0
    for n in range(1, most + 1):
        at[1:] = (1 - p) * at[1:] + p * at[:-1]
        at[0] *= 1 - p
        if n < first:
            continue
        for step in (range(n, -1, -1), range(n + 1)):  # from either side up to the interval
            for s in step:
                if log_evidence(s, n, p) < limit:
                    break
                missed += float(at[s])
                at[s] = 0.0
    return missed


def suite_misses(total: int, right: int, interval: Callable[[int, int, int], Interval]) -> float:
    """The chance that a suite's bounds ever miss, over all orders of its tasks."""
    at, missed = {0: 1.0}, 0.0
    for done in range(total):
        following: dict[int, float] = {}
        for s, mass in at.items():
            chance = (right - s) / (total - done)
            for to, share in ((s + 1, chance), (s, 1 - chance)):
                if share <= 0:
                    continue
                low, high = interval(total, to, done + 1 - to)
                if low <= right <= high:
                    following[to] = following.get(to, 0.0) + mass * share
                else:
                    missed += mass * share
        at = following
    return missed


@dataclass(frozen=True)
class GateRun:
    """What a gate does at one true rate."""

    accepts: float
    mean: float
    spread: float


def gate_run(
    tau: float, expected: float, p: float, alpha: float = 0.05, beta: float = 0.05
) -> GateRun:
    """By dynamic programming over (trials, failures), until hardly any mass is left."""
    wanted, floor = -math.log(alpha), math.log(beta)
    up, down = math.log(expected / tau), math.log((1 - expected) / (1 - tau))
    at, n = {0: 1.0}, 0
    accepted = mean = square = 0.0
    while sum(at.values()) > 1e-7 and n < 100_000:
        n += 1
        following: dict[int, float] = {}
        for failures, mass in at.items():
            for to, share in ((failures, mass * p), (failures + 1, mass * (1 - p))):
                if share > 1e-15:
                    following[to] = following.get(to, 0.0) + share
        at = {}
        open_below = True  # the fewest failures accept first, and rejects have the most
        for failures in sorted(following):
            mass, s = following[failures], n - failures
            if open_below and log_evidence_above(s, n, tau) >= wanted:
                accepted += mass
            elif s * up + failures * down <= floor:
                pass
            else:
                open_below = False
                at[failures] = mass
                continue
            mean += mass * n
            square += mass * n * n
    return GateRun(accepted, mean, math.sqrt(max(0.0, square - mean * mean)))
