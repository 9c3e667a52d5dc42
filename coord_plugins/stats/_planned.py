"""Numbers of trials: streaks, tests of a fixed size, and suites of a fixed number of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from ..errors import PolicyError
from ._sequential import log_evidence_above
from ._special import binomial_at_most, log_beta

__all__ = [
    "finite_sequence",
    "fixed_streak_needed",
    "fixed_test",
    "fixed_test_power",
    "streak_needed",
]


def streak_needed(tau: float, alpha: float = 0.05) -> int:
    """How many successes in a row show a share above tau, when one looks after each.

    The smallest n with `log_evidence_above(n, n, tau)` >= ln(1/alpha).

    Args:
        tau: The limit, in (0, 1).
        alpha: Chance to be wrong, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.

    Source: as `log_evidence_above`.
    """
    _check("streak_needed", tau, alpha)
    wanted = -math.log(alpha)
    return _smallest(lambda n: log_evidence_above(n, n, tau) >= wanted, 1)


def fixed_streak_needed(tau: float, alpha: float = 0.05) -> int:
    """How many successes in a row show a share above tau, when their number is fixed beforehand.

    The smallest n with tau^n <= alpha.

    Args:
        tau: The limit, in (0, 1).
        alpha: Chance to be wrong, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.

    Source: the binomial test's p-value without a failure.
    """
    _check("fixed_streak_needed", tau, alpha)
    # a hair of room: 0.5^2 is 0.25 although the logarithms round
    return max(1, math.ceil(math.log(alpha) / math.log(tau) - 1e-9))


def fixed_test(
    tau: float, expected: float, alpha: float = 0.05, beta: float = 0.05
) -> tuple[int, int]:
    """The smallest one-look test that shows a share above tau.

    Run n trials and accept when at most so many fail: a share of tau is accepted with chance at
    most alpha, a share of `expected` with chance at least 1 - beta.

    Args:
        tau: The limit, in (0, 1).
        expected: The share that should be accepted, above tau, at most 1.
        alpha: Chance to accept wrongly, in (0, 1).
        beta: Chance to refuse wrongly, in (0, 1).

    Returns:
        n and the most failures.

    Raises:
        ValueError: Numbers that cannot be.
        PolicyError: expected is not above tau: no test tells them apart.

    Source: the exact binomial test, with both error rates computed.
    """
    _check("fixed_test", tau, alpha)
    if not 0 < beta < 1 or not 0 <= expected <= 1:
        raise ValueError(f"fixed_test: expected={expected}, beta={beta}; both lie between 0 and 1")
    if expected <= tau:
        raise PolicyError(
            f"fixed_test: expected={expected} is not above {tau}; no number of trials tells them"
            " apart"
        )
    return _fixed_test(tau, expected, alpha, beta)


@lru_cache
def _fixed_test(tau: float, expected: float, alpha: float, beta: float) -> tuple[int, int]:
    def trials(most: int) -> int:
        """The fewest with which tau is accepted rarely enough."""
        return _smallest(
            lambda n: binomial_at_most(most, n, 1 - tau) <= alpha, most + 1, (most + 1) / (1 - tau)
        )

    def enough(most: int) -> bool:
        return binomial_at_most(most, trials(most), 1 - expected) >= 1 - beta

    most = _smallest(enough, 0)
    # the chance rises with `most` but for steps of the binomial, which are shorter than this
    for fewer in range(max(0, most - 4 * math.isqrt(most) - 4), most):
        if enough(fewer):
            most = fewer
            break
    return trials(most), most


def fixed_test_power(p: float, n: int, most_failures: int) -> float:
    """The chance that a share of p passes a test of n trials with at most so many failures.

    Args:
        p: The true share, in [0, 1].
        n: Trials, from 1.
        most_failures: As from `fixed_test`, from 0.

    Raises:
        ValueError: Numbers that cannot be.

    Source: the binomial distribution.
    """
    if not 0 <= p <= 1 or n < 1 or most_failures < 0:
        raise ValueError(
            f"fixed_test_power: p={p}, n={n}, most_failures={most_failures}; it needs a share,"
            " trials and failures from 0"
        )
    return binomial_at_most(most_failures, n, 1 - p)


def finite_sequence(
    total: int, successes: int, failures: int, alpha: float = 0.05
) -> tuple[int, int]:
    """How many tasks of a fixed suite succeed, after some of them ran in random order.

    All K with C(K, S) C(N-K, F) (N+1) / C(N+1, S+F+1) > alpha: the posterior's ratio to the prior,
    uniform over K = 0..N. The chance that it ever misses the true K is at most alpha; after all
    tasks it is exact.

    Args:
        total: Tasks of the suite, N; each runs at most once and always ends the same way.
        successes: Tasks so far that succeeded, S.
        failures: Tasks so far that failed, F.
        alpha: Chance to be wrong ever, in (0, 1).

    Returns:
        The fewest and the most successes that the suite may have.

    Raises:
        ValueError: Numbers that cannot be.

    Source: I. Waudby-Smith and A. Ramdas, Confidence sequences for sampling without replacement,
    NeurIPS (2020), arXiv:2006.04347.
    """
    if min(total, successes, failures) < 0 or successes + failures > total:
        raise ValueError(
            f"finite_sequence: {successes} + {failures} of {total}; it needs counts from 0 that"
            " fit into the suite"
        )
    if not 0 < alpha < 1:
        raise ValueError(f"finite_sequence: alpha={alpha}; it lies between 0 and 1")
    done = successes + failures
    limit = math.log(alpha) - math.log(total + 1) + _log_choose(total + 1, done + 1)
    limit += 1e-9 + 1e-14 * abs(limit)  # a tie does not fit, also where the logarithms round

    def fits(k: int) -> bool:
        there = _log_choose(k, successes) + _log_choose(total - k, failures)
        return there > limit

    fewest, most = successes, total - failures
    # the likelihood has one top, which always fits
    top = min(most, max(fewest, successes * (total + 1) // done)) if done else fewest
    low = _first(lambda i: fits(fewest + i), top - fewest)
    high = _first(lambda i: fits(most - i), most - top)
    return fewest + low, most - high


def _first(fits: Callable[[int], bool], known: int) -> int:
    """The smallest i from 0 that fits, where all from some i up to `known` do."""
    below, found = -1, known
    while found - below > 1:
        middle = (below + found) // 2
        if fits(middle):
            found = middle
        else:
            below = middle
    return found


def _smallest(holds: Callable[[int], bool], start: int, guess: float = 0.0) -> int:
    """The smallest n from `start` that holds, of a condition that stays true once it is."""
    if holds(start):
        return start
    below, step = start, 1
    if guess > start + 1 and not holds(int(guess)):
        below = int(guess)
    while not holds(below + step):
        below, step = below + step, 2 * step
    return below + 1 + _first(lambda i: holds(below + 1 + i), step - 1)


def _log_choose(n: int, k: int) -> float:
    if k in (0, n):
        return 0.0
    return -math.log(n + 1) - log_beta(n - k + 1, k + 1)


def _check(name: str, tau: float, alpha: float) -> None:
    if not 0 < tau < 1 or not 0 < alpha < 1:
        raise ValueError(f"{name}: tau={tau}, alpha={alpha}; both lie between 0 and 1")
