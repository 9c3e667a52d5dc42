"""Two pipelines compared: on the same tasks, or on tasks of their own."""

from __future__ import annotations

import math

from ..errors import PolicyError
from ._shares import wilson
from ._special import binomial_at_most, log_beta, normal_quantile

__all__ = [
    "log_sign_evidence",
    "mcnemar_exact",
    "mcnemar_midp",
    "newcombe_paired",
    "newcombe_unpaired",
    "pairs_needed",
    "runs_needed",
]

_EXACT = 2_000
"""Discordant pairs up to which the binomial tail is summed in integers."""


def newcombe_paired(
    n11: int, n10: int, n01: int, n00: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Newcombe's interval (his method 10) for the difference of two paired shares.

    The shares p1 = (n11+n10)/n and p2 = (n11+n01)/n get Wilson intervals (l1,u1), (l2,u2);
    D = p1 - p2 and, with phi their correlation (continuity-corrected where positive),
    low = D - sqrt((p1-l1)^2 - 2 phi (p1-l1)(u2-p2) + (u2-p2)^2),
    high = D + sqrt((u1-p1)^2 - 2 phi (u1-p1)(p2-l2) + (p2-l2)^2).

    Args:
        n11: Pairs in which both succeeded.
        n10: Pairs in which only the first succeeded.
        n01: Pairs in which only the second succeeded.
        n00: Pairs in which both failed.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The difference, first minus second, and its interval; (0, -1, 1) without pairs.

    Raises:
        ValueError: A negative count.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 2635.
    """
    if min(n11, n10, n01, n00) < 0:
        raise ValueError("newcombe_paired: counts cannot be negative")
    n = n11 + n10 + n01 + n00
    if n == 0:
        return 0.0, -1.0, 1.0
    first, second = n11 + n10, n11 + n01
    p1, p2 = first / n, second / n
    l1, u1 = wilson(first, n, confidence)
    l2, u2 = wilson(second, n, confidence)
    margins = first * (n - first) * second * (n - second)
    product = n11 * n00 - n10 * n01
    corrected = max(product - n / 2, 0.0) if product > 0 else float(product)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    return _between(p1 - p2, (p1 - l1, u2 - p2), (u1 - p1, p2 - l2), phi)


def newcombe_unpaired(
    x1: float, n1: float, x2: float, n2: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Newcombe's hybrid score interval (his method 10) for the difference of two shares.

    The shares p1 = x1/n1 and p2 = x2/n2 get Wilson intervals (l1,u1), (l2,u2); D = p1 - p2,
    low = D - sqrt((p1-l1)^2 + (u2-p2)^2), high = D + sqrt((u1-p1)^2 + (p2-l2)^2).

    Args:
        x1: Successes of the first; need not be whole.
        n1: Its runs, or its effective number of runs (`effective_n`).
        x2: Successes of the second.
        n2: Its runs.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The difference, first minus second, and its interval; (0, -1, 1) where one has no run.

    Raises:
        ValueError: Numbers that cannot be.

    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873.
    """
    l1, u1 = wilson(x1, n1, confidence)
    l2, u2 = wilson(x2, n2, confidence)
    if n1 == 0 or n2 == 0:
        return 0.0, -1.0, 1.0
    p1, p2 = x1 / n1, x2 / n2
    return _between(p1 - p2, (p1 - l1, u2 - p2), (u1 - p1, p2 - l2), 0.0)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided p-value of the exact McNemar test.

    min(1, 2 sum_{i <= min(b,c)} C(b+c, i) / 2^(b+c)): under the null each discordant pair is a
    fair coin.

    Args:
        b: Pairs in which only the first succeeded.
        c: Pairs in which only the second succeeded.

    Raises:
        ValueError: A negative count.

    Source: Q. McNemar, Psychometrika 12 (1947) 153, in its exact binomial form.
    """
    if b < 0 or c < 0:
        raise ValueError("mcnemar_exact: counts cannot be negative")
    n, k = b + c, min(b, c)
    if n > _EXACT:
        return min(1.0, 2 * binomial_at_most(k, n, 0.5))
    term = total = 1
    for i in range(k):
        term = term * (n - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / (1 << n))


def mcnemar_midp(b: int, c: int) -> float:
    """Two-sided mid-p value of the McNemar test, less conservative than the exact one.

    The exact p-value less the probability C(b+c, b) / 2^(b+c) of what was seen; 1 without
    discordant pairs. Where b = c the source subtracts half of that probability; either is far
    from every level that one would test at.

    Args:
        b: Pairs in which only the first succeeded.
        c: Pairs in which only the second succeeded.

    Raises:
        ValueError: A negative count.

    Source: M. W. Fagerland, S. Lydersen and P. Laake, BMC Medical Research Methodology 13 (2013)
    91.
    """
    exact = mcnemar_exact(b, c)
    n = b + c
    if n == 0:
        return 1.0
    if n > _EXACT:
        seen = math.exp(-log_beta(b + 1, c + 1) - n * math.log(2)) / (n + 1)
    else:
        seen = math.comb(n, b) / (1 << n)
    return exact - seen


def log_sign_evidence(b: int, c: int) -> float:
    """The logarithm of the evidence, valid whenever one looks, that the two differ.

    ln B(1+b, 1+c) + (b+c) ln 2: under the null each discordant pair is a fair coin, and this
    bets on it with a uniform mixture. Pairs that agree do not count. The chance that it ever
    reaches ln(1/alpha) under the null is at most alpha.

    Args:
        b: Pairs so far in which only the first succeeded.
        c: Pairs so far in which only the second succeeded.

    Raises:
        ValueError: A negative count.

    Source: H. Robbins, Annals of Mathematical Statistics 41 (1970) 1397, for mixtures; the sign
    test as the null.
    """
    if b < 0 or c < 0:
        raise ValueError("log_sign_evidence: counts cannot be negative")
    return log_beta(1.0 + b, 1.0 + c) + (b + c) * math.log(2)


def pairs_needed(
    difference: float, discordant_share: float, power: float = 0.8, alpha: float = 0.05
) -> int:
    """How many tasks, each run by both, show such a difference with McNemar's test.

    (z_{alpha/2} sqrt(q) + z_power sqrt(q - d^2))^2 / d^2, rounded up, with d the difference and q
    the share of pairs that disagree.

    Args:
        difference: Of the two shares; its sign does not matter.
        discordant_share: Of pairs in which exactly one succeeds; at least the difference, at most
            1.
        power: The wanted chance to find it, in (0, 1).
        alpha: The test's two-sided level, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.
        PolicyError: The difference is 0: no number of pairs shows it.

    Source: R. J. Connor, Biometrics 43 (1987) 207.
    """
    d, q = abs(difference), discordant_share
    if not 0 <= d <= q <= 1:
        raise ValueError(
            f"pairs_needed: a difference of {difference} with {q} of the pairs discordant; it needs"
            " |difference| <= discordant_share <= 1"
        )
    z_alpha, z_power = _levels("pairs_needed", d, power, alpha)
    root = z_alpha * math.sqrt(q) + z_power * math.sqrt(max(0.0, q - d * d))
    return math.ceil((root / d) ** 2)


def runs_needed(p1: float, p2: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many runs of each show the difference between two shares, where tasks do not match.

    (z_{alpha/2} sqrt(2 m(1-m)) + z_power sqrt(p1(1-p1) + p2(1-p2)))^2 / (p1-p2)^2, rounded up,
    with m the mean of both.

    Args:
        p1: The first share, in [0, 1].
        p2: The second share, in [0, 1].
        power: The wanted chance to find it, in (0, 1).
        alpha: The test's two-sided level, in (0, 1).

    Returns:
        Runs per arm.

    Raises:
        ValueError: Numbers that cannot be.
        PolicyError: The shares are equal: no number of runs shows it.

    Source: J. L. Fleiss, Statistical Methods for Rates and Proportions (1981), chapter 3, without
    the continuity correction.
    """
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1):
        raise ValueError(f"runs_needed: p1={p1}, p2={p2}; shares lie between 0 and 1")
    z_alpha, z_power = _levels("runs_needed", abs(p1 - p2), power, alpha)
    mean = (p1 + p2) / 2
    root = z_alpha * math.sqrt(2 * mean * (1 - mean))
    root += z_power * math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return math.ceil((root / (p1 - p2)) ** 2)


def _levels(name: str, difference: float, power: float, alpha: float) -> tuple[float, float]:
    if not 0 < power < 1 or not 0 < alpha < 1:
        raise ValueError(f"{name}: power={power}, alpha={alpha}; both lie between 0 and 1")
    if difference == 0:
        raise PolicyError(f"{name}: a difference of 0 is shown by no number; name a difference")
    return normal_quantile(1 - alpha / 2), normal_quantile(power)


def _between(
    difference: float, down: tuple[float, float], up: tuple[float, float], phi: float
) -> tuple[float, float, float]:
    """An interval around a difference from the distances of both shares to their limits."""
    below = math.sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    above = math.sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))
    return difference, max(-1.0, difference - below), min(1.0, difference + above)
