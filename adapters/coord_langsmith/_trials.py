"""What several runs of the same examples say: pass^k, and an interval that knows of clusters."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from statistics import NormalDist

from coord_plugins import PolicyError, Rate, wilson

__all__ = ["clustered_rate", "pass_hat_k"]

Trials = Sequence[tuple[int, int]]
"""For each example how many of its runs passed, and how many there were."""


def trials(passed: Iterable[tuple[Hashable, bool]]) -> list[tuple[int, int]]:
    """Group runs by their example, in order of first arrival.

    Args:
        passed: For each run its example and whether it passed.
    """
    counts: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for example, did in passed:
        counts[example][0] += did
        counts[example][1] += 1
    return [(c, n) for c, n in counts.values()]


def fewest(counts: Trials) -> int:
    """The repetitions that every example has; 0 without examples."""
    return min((n for _, n in counts), default=0)


def pass_hat_k(counts: Trials, k: int) -> float:
    """The chance that k fresh runs of one example all pass, unbiased, over all examples.

    The mean over examples of C(c, k) / C(n, k), where c of an example's n runs passed. An
    example may have more runs than another. pass^1 is the mean of the examples' shares.

    Args:
        counts: For each example (c, n).
        k: How many runs must all pass, from 1.

    Raises:
        PolicyError: k is below 1, there is no example, or an example has fewer than k runs:
            nothing is extrapolated.

    Source: S. Yao, N. Shinn, P. Razavi and K. Narasimhan, tau-bench, arXiv:2406.12045 (2024),
    section 2; the estimator is that of pass@k, M. Chen et al., arXiv:2107.03374 (2021).
    """
    if k < 1:
        raise PolicyError(f"pass^k: k={k!r}; it counts runs, from 1")
    if fewest(counts) < k:
        raise PolicyError(
            f"pass^{k} needs {k} repetitions of every example; there are {fewest(counts)}"
        )
    return math.fsum(math.comb(c, k) / math.comb(n, k) for c, n in counts) / len(counts)


def clustered_rate(counts: Trials, confidence: float = 0.95) -> Rate:
    """The share of runs that passed, with a Wilson interval that counts examples, not runs.

    Runs of one example resemble each other, so n of them are worth fewer. With share p, C
    examples and c of an example's n_i runs passed, V = C/(C-1) sum (c_i - p n_i)^2 / n^2 is the
    clustered variance and n p(1-p)/(n V) the effective number of runs; it is kept between C and
    n, and is C where all runs passed or failed, since nothing then says how alike they are.
    With one run per example it is Wilson's interval.

    Args:
        counts: For each example (c, n).
        confidence: Two-sided level, in (0, 1).

    Source: E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193, for the effective
    sample size; C. Franco et al., J. Survey Stat. Methodol. 7 (2019) 334, for Wilson with it.
    """
    passed, n = sum(c for c, _ in counts), sum(m for _, m in counts)
    clusters = len(counts)
    if n == clusters:  # no repetitions
        value = passed / n if n else None
        return Rate(successes=passed, n=n, value=value, interval=wilson(passed, n, confidence))
    share = passed / n
    effective = float(clusters)
    if clusters > 1 and 0 < passed < n:
        squares = math.fsum((c - share * m) ** 2 for c, m in counts)
        variance = clusters / (clusters - 1) * squares / n**2
        alike = n if variance == 0 else share * (1 - share) / variance
        effective = min(float(n), max(float(clusters), alike))
    interval = _wilson(share, effective, confidence)
    return Rate(successes=passed, n=n, value=share, interval=interval)


def _wilson(share: float, n: float, confidence: float) -> tuple[float, float]:
    """`wilson` for an effective n, which is no whole number."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return low, high


def percent(rate: Rate) -> str:
    """A share with its interval, for example "62.5 % [30.6, 86.3]"."""
    if rate.value is None:
        return "unknown (n=0)"
    low, high = rate.interval
    return f"{100 * rate.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
