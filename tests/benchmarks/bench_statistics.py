"""Do the intervals cover, and do the gates err, as often as they say?

Each row is computed exactly, simulated with the public functions, and set beside a reference
implementation (statsmodels, scipy) or an earlier simulation. It ends with exit code 1 when a row
misses its target. The seed is fixed: a row that is met stays met.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import lru_cache

import exact_coverage as exact
import numpy as np
from bench_gates import gates
from findings import ERRORS, Findings
from measure import Size, table
from scipy import optimize, special
from statsmodels.stats.proportion import proportion_confint

from coord_plugins.stats import (
    clopper_pearson,
    clustered_wilson,
    confidence_sequence,
    finite_sequence,
    jeffreys,
    stratified_rate,
    wilson,
)

SEED = 20_261
HEAD = ("claim", "nominal", "exact", "measured", "MC error", "width/ref", "target")


def share_of(hits: np.ndarray | list[bool]) -> float:
    """The share of what is true."""
    return float(np.mean(hits))


# ----------------------------------------------------------------------- independent runs


def independent(size: Size, rng: np.random.Generator, found: Findings) -> None:
    """Wilson, Clopper-Pearson and Jeffreys."""
    reps, rows = size.count(200_000), []
    kinds: list[tuple[str, Callable[[int, int], tuple[float, float]], str]] = [
        ("Wilson", wilson, "wilson"),
        ("Clopper-Pearson", clopper_pearson, "beta"),
        ("Jeffreys", jeffreys, "jeffreys"),
    ]
    for name, interval, method in kinds:
        known = lru_cache(maxsize=None)(interval)
        for n, p in ((20, 0.5), (100, 0.97), (50, 0.9), (1_000, 0.833)):
            ours = exact.of_share(known, n, p)
            theirs = exact.of_share(lambda s, n, m=method: proportion_confint(s, n, method=m), n, p)
            drawn = rng.binomial(n, p, reps)
            hits = {s: known(s, n)[0] <= p <= known(s, n)[1] for s in map(int, np.unique(drawn))}
            measured = share_of([hits[int(s)] for s in drawn])
            ratio = ours.width / theirs.width
            guaranteed = name != "Clopper-Pearson" or ours.coverage >= 0.95
            nominal = ">= .95" if name == "Clopper-Pearson" else ".95"
            claim = f"{name}, n={n}, p={p}"
            rows.append(
                found.covers(claim, nominal, ours.coverage, measured, reps, ratio, guaranteed)
            )
    table("Independent runs, 95 %; reference: statsmodels", HEAD, rows)


# -------------------------------------------------------------------------- runs in tasks

FEW = [  # tasks, runs of each, share, ICC, whether there are tasks enough for a target
    (50, 4, 0.42, 0.5, True),
    (50, 4, 0.42, 0.0, True),
    (30, 3, 0.95, 0.5, True),
    (30, 3, 0.95, 0.2, True),
    (20, 5, 0.8, 0.3, True),
    (10, 8, 0.7, 0.5, False),
    (10, 8, 0.9, 0.5, False),
]


def known_design(runs: int, icc: float) -> Callable[[int, int, int, float], tuple[float, float]]:
    """statsmodels' Wilson interval for somebody who knows how alike runs of one task are."""
    worth = 1 / (1 + (runs - 1) * icc)
    return lambda s, n, tasks, variance: proportion_confint(s * worth, n * worth, method="wilson")


def clustered(size: Size, rng: np.random.Generator, found: Findings) -> None:
    """The clustered interval, and what other ways to count would do."""
    reps, rows, study = size.count(20_000), [], []
    for tasks, runs, p, icc, enough in FEW:
        setting = (tasks, runs, p, icc)
        ours = exact.of_tasks(exact.clustered, *setting)
        plain = exact.of_tasks(exact.plain_effective, *setting)
        robust = exact.of_tasks(exact.robust, *setting)
        design = exact.of_tasks(known_design(runs, icc), *setting)
        each = exact.of_tasks(lambda s, n, tasks, variance: wilson(s, n), *setting)
        drawn = rng.choice(runs + 1, (reps, tasks), p=exact.task_chances(runs, p, icc))
        hits = []
        for one in drawn:
            low, high = clustered_wilson([(int(c), runs) for c in one])
            hits.append(low <= p <= high)
        claim = f"{tasks} tasks x {runs}, p={p}, ICC {icc}"
        # with fewer than 20 tasks neither nominal coverage nor the reference's width is claimed
        ratio, near = (ours.width / design.width, ours.coverage >= 0.93) if enough else (None, True)
        nominal = ".95" if enough else "none"
        rows.append(found.covers(claim, nominal, ours.coverage, share_of(hits), reps, ratio, near))
        study.append(
            (
                claim,
                *(
                    f"{one.coverage:.3f} {one.width:.3f}"
                    for one in (ours, plain, robust, design, each)
                ),
            )
        )
    table(
        "Runs in tasks, 95 %; reference: Wilson (statsmodels) at the true effective n", HEAD, rows
    )
    head = ("exact coverage, mean width", "ours", "without t", "robust t", "true n", "all runs")
    table("The same settings, other ways to count", head, study)


# ---------------------------------------------------------------------- labelled samples

STRATIFIED = [  # truth, sensitivity, specificity; coverage and mean width of an earlier simulation
    (0.9, 0.95, 0.8, 0.959, 0.0615),
    (0.833, 0.9, 0.7, 0.950, 0.0845),
    (0.97, 0.97, 0.9, 0.956, 0.0392),
    (0.98, 0.97, 0.9, 0.953, 0.0364),
]
EARLIER_REPS = 4_000


def stratified(size: Size, rng: np.random.Generator, found: Findings) -> None:
    """Labels of accepted and of rejected runs, 65/35."""
    reps, rows = size.count(20_000), []
    for truth, sensitivity, specificity, earlier, width in STRATIFIED:
        case = exact.Judged(truth, sensitivity, specificity)
        ours = case.exact()
        hits = []
        for accepted in rng.binomial(case.runs, case.accepted, reps):
            labels = case.drawn(int(accepted))
            right = [int(rng.binomial(m, p)) for m, p in zip(labels, case.right, strict=True)]
            strata = (int(accepted), case.runs - int(accepted))
            _, (low, high) = stratified_rate(list(zip(strata, right, labels, strict=True)))
            hits.append(low <= truth <= high)
        error = math.sqrt(earlier * (1 - earlier) / EARLIER_REPS)
        agrees = abs(ours.coverage - earlier) <= ERRORS * error
        claim = f"truth {truth}, judge ({sensitivity}, {specificity})"
        rows.append(
            found.covers(
                claim,
                f"{earlier:.3f}",
                ours.coverage,
                share_of(hits),
                reps,
                ours.width / width,
                agrees,
            )
        )
    table(
        "2,000 judged runs, 200 labelled; nominal and reference: an earlier simulation", HEAD, rows
    )


# ---------------------------------------------------------------------- looking every time


def inverted(s: int, n: int) -> tuple[float, float]:
    """A confidence sequence by scipy: the roots of its evidence less ln 20."""
    mixture = float(special.betaln(1 + s, 1 + n - s))

    def above(p: float) -> float:
        return float(mixture - special.xlogy(s, p) - special.xlog1py(n - s, -p)) - math.log(20)

    low = optimize.brentq(above, 1e-300, s / n) if s else 0.0
    high = optimize.brentq(above, s / n, 1 - 1e-16) if s < n else 1.0
    return float(low), float(high)


PEEKING = {0.833: (1_000, 0.014), 0.95: (1_000, 0.008), 0.97: (1_000, 0.007)}
"""Earlier simulations: the last look, and the share that ever missed."""


def sequential(size: Size, rng: np.random.Generator, found: Findings) -> None:
    """Confidence sequences looked at after every run, and suites of a fixed size."""
    reps, rows, looks = size.count(8_000), [], 200
    known = lru_cache(maxsize=None)(confidence_sequence)
    for p in (0.833, 0.95, 0.97):
        computed = exact.ever_misses(p, looks)
        missed = 0
        for path in np.cumsum(rng.random((reps, looks)) < p, axis=1):
            ends = (known(int(s), n) for n, s in enumerate(path, 1))
            missed += any(not low <= p <= high for low, high in ends)
        ours, theirs = (exact.of_share(one, looks, p) for one in (known, inverted))
        ratio = ours.width / theirs.width
        claim = f"ever misses p={p}, {looks} looks"
        rows.append(
            found.covers(claim, "<= .05", computed, missed / reps, reps, ratio, computed <= 0.05)
        )
        looks_on, earlier = PEEKING[p]
        horizon = max(looks, round(looks_on * min(1.0, 100 * size.scale)))
        long = exact.ever_misses(p, horizon, first=20)
        agrees = abs(long - earlier) <= ERRORS * math.sqrt(long * (1 - long) / 2_000)
        claim = f"  the same, looks 20 to {horizon:,}; earlier {earlier}"
        rows.append((claim, "<= .05", f"{long:.4f}", "-", "-", "-", found.target(claim, agrees)))
    for total, right in ((200, 190), (100, 97)):
        missed = 0
        for _ in range(reps):
            path = np.cumsum(rng.permutation(total) < right)
            ends = (suite(total, int(s), n - int(s)) for n, s in enumerate(path, 1))
            missed += any(not low <= right <= high for low, high in ends)
        computed = exact.suite_misses(total, right, suite)
        claim = f"ever misses {right} of a suite of {total}"
        rows.append(
            found.covers(claim, "<= .05", computed, missed / reps, reps, None, computed <= 0.05)
        )
    table("Looking after every run; reference: numeric inversion (scipy)", HEAD, rows)


suite = lru_cache(maxsize=None)(finite_sequence)


def statistics(size: Size) -> None:
    """Run all, and end with exit code 1 where a target is missed."""
    found = Findings()
    rng = np.random.default_rng(SEED)
    for part in (independent, clustered, stratified, sequential, gates):
        part(size, rng, found)
    if size.scale < 0.1:
        print("\n  too few repetitions to say whether a target is met")
    elif found.missed:
        print("\n  MISSED: " + "; ".join(found.missed))
        sys.exit(1)
    else:
        print("\n  every target met")
