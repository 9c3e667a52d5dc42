"""Several runs of the same tasks: pass@k, pass^k, and intervals that know of tasks.

Runs of one task resemble each other, so n of them say less than n runs of n tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import PolicyError
from ._shares import wilson, wilson_of
from ._special import checked_level, t_quantile, two_sided_z

__all__ = [
    "Trials",
    "cluster_standard_error",
    "cluster_variance",
    "clustered_wilson",
    "effective_n",
    "pass_at_k",
    "pass_hat_k",
]

Trials = Sequence[tuple[int, int]]
"""For each task how many of its runs succeeded, and how many there were."""


def pass_at_k(trials: Trials, k: int) -> float:
    """The chance that of k fresh runs of one task at least one succeeds, unbiased, over all tasks.

    The mean over tasks of 1 - C(n - c, k) / C(n, k), where c of a task's n runs succeeded.

    Args:
        trials: For each task (c, n); tasks may differ in n.
        k: Runs, from 1.

    Raises:
        PolicyError: k is below 1, there is no task, or a task has fewer than k runs: nothing is
            extrapolated.
        ValueError: Counts that cannot be.

    Source: M. Chen et al., Evaluating Large Language Models Trained on Code, arXiv:2107.03374
    (2021), section 2.1.
    """
    _check_k(f"pass@{k}", trials, k)
    return math.fsum(1 - _all_of(n - c, n, k) for c, n in trials) / len(trials)


def pass_hat_k(trials: Trials, k: int) -> float:
    """The chance that k fresh runs of one task all succeed, unbiased, over all tasks.

    The mean over tasks of C(c, k) / C(n, k), where c of a task's n runs succeeded. pass^1 is the
    mean of the tasks' shares.

    Args:
        trials: For each task (c, n); tasks may differ in n.
        k: How many runs must all succeed, from 1.

    Raises:
        PolicyError: k is below 1, there is no task, or a task has fewer than k runs: nothing is
            extrapolated.
        ValueError: Counts that cannot be.

    Source: S. Yao, N. Shinn, P. Razavi and K. Narasimhan, tau-bench, arXiv:2406.12045 (2024),
    section 2.
    """
    _check_k(f"pass^{k}", trials, k)
    return math.fsum(_all_of(c, n, k) for c, n in trials) / len(trials)


def cluster_variance(trials: Trials) -> float:
    """The variance of the share of all runs, which knows that runs of one task resemble each other.

    With C tasks, n runs in all and p their share: C/(C-1) sum (c_i - p n_i)^2 / n^2.

    Args:
        trials: For each task (c_i, n_i).

    Raises:
        PolicyError: There are fewer than two tasks: one says nothing of how tasks differ.
        ValueError: Counts that cannot be.

    Source: W. G. Cochran, Sampling Techniques (1977), chapter 9A, the ratio estimator of clusters
    of unequal size; E. Miller, Adding Error Bars to Evals, arXiv:2411.00640 (2024), has it
    without C/(C-1).
    """
    passed, n = _totals(trials)
    clusters = sum(1 for _, m in trials if m)
    if clusters < 2:
        raise PolicyError(f"the spread between tasks needs two tasks or more; there are {clusters}")
    share = passed / n
    squares = math.fsum((c - share * m) ** 2 for c, m in trials)
    return clusters / (clusters - 1) * squares / (n * n)


def cluster_standard_error(trials: Trials) -> float:
    """The square root of `cluster_variance`.

    It is 0 where all tasks have the same share: show `clustered_wilson`, which never is "+-0".

    Args:
        trials: For each task (c_i, n_i).

    Raises:
        PolicyError: There are fewer than two tasks.
        ValueError: Counts that cannot be.

    Source: as `cluster_variance`.
    """
    return math.sqrt(cluster_variance(trials))


def effective_n(
    share: float, n: int, clusters: int, variance: float, confidence: float = 0.95
) -> float:
    """How many independent runs would give an interval as wide as these runs should.

    share (1 - share) / variance, times (t_{n-1} / t_{C-1})^2 because C tasks estimate that
    variance only so well, with t the quantiles of the two-sided level; kept between the number of
    tasks C and the number of runs n. Where all runs succeeded or all failed nothing says how alike
    they are, and it is C. With one run per task it is n.

    Args:
        share: Of all runs, in [0, 1].
        n: Runs.
        clusters: Tasks, at most n.
        variance: Of the share, as from `cluster_variance`.
        confidence: The interval's two-sided level, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.

    Source: E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193.
    """
    if not 0 <= share <= 1 or not 0 <= clusters <= n or variance < 0:
        raise ValueError(
            f"effective_n: share={share}, n={n}, clusters={clusters}, variance={variance}; it needs"
            " a share in [0, 1], clusters of at most n and no negative variance"
        )
    p = (1 + checked_level(confidence)) / 2
    if clusters < 2 or clusters == n or not 0 < share < 1:
        return float(clusters)
    if variance == 0:
        return float(n)
    loss = t_quantile(p, n - 1) / t_quantile(p, clusters - 1)
    return min(float(n), max(float(clusters), share * (1 - share) / variance * loss * loss))


def clustered_wilson(trials: Trials, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for the share of all runs, where runs come in tasks.

    `wilson` with `effective_n` in place of the number of runs, so it is Wilson's interval where
    each task has one run. It covers about what it says from 20 tasks on, and less where hardly
    any task fails while runs of one task are much alike: there the few failures hide how alike.

    Args:
        trials: For each task (c, n): c of its n runs succeeded. Tasks without runs do not count.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The lower and the upper end, in [0, 1]; (0, 1) without runs.

    Raises:
        ValueError: Numbers that cannot be.

    Source: as `effective_n`; C. Franco, R. J. A. Little, T. A. Louis and E. V. Slud, Journal of
    Survey Statistics and Methodology 7 (2019) 334, for Wilson's interval with it.
    """
    passed, n = _totals(trials)
    clusters = sum(1 for _, m in trials if m)
    if clusters == n:
        return wilson(passed, n, confidence)
    share = passed / n
    variance = cluster_variance(trials) if clusters > 1 else 0.0
    effective = effective_n(share, n, clusters, variance, confidence)
    return wilson_of(share, effective, two_sided_z(confidence))


def _totals(trials: Trials) -> tuple[int, int]:
    for c, n in trials:
        if not 0 <= c <= n:
            raise ValueError(f"trials: {c} successes in {n} runs; it needs 0 <= successes <= runs")
    return sum(c for c, _ in trials), sum(n for _, n in trials)


def _check_k(what: str, trials: Trials, k: int) -> None:
    _totals(trials)
    if k < 1:
        raise PolicyError(f"{what}: k={k!r}; it counts runs, from 1")
    fewest = min((n for _, n in trials), default=0)
    if fewest < k:
        raise PolicyError(f"{what} needs {k} repetitions of every task; there are {fewest}")


def _all_of(c: int, n: int, k: int) -> float:
    """C(c, k) / C(n, k)."""
    return math.comb(c, k) / math.comb(n, k)
