"""Intervals and tests for shares of runs, in standard-library arithmetic.

Every interval here keeps a width when all runs succeed or all fail: none is ever "+-0".
"""

from __future__ import annotations

import math
from functools import lru_cache

__all__ = ["mcnemar_exact", "newcombe_paired", "wilson"]


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    With p = successes / n and z the normal quantile of (1 + confidence) / 2:
    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Args:
        successes: Between 0 and n.
        n: Trials; 0 gives (0, 1): nothing is known.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The lower and the upper end, in [0, 1].

    Raises:
        ValueError: Numbers that cannot be.

    Source: E. B. Wilson, JASA 22 (1927) 209; Brown, Cai and DasGupta, Stat. Sci. 16 (2001) 101.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"wilson: successes={successes}, n={n}; it needs 0 <= successes <= n")
    z = _z(confidence)
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, z * z
    scale = 1 + z2 / n
    middle = (share + z2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / scale
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high


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
    down, up = (p1 - l1, u2 - p2), (u1 - p1, p2 - l2)
    below = math.sqrt(max(0.0, down[0] ** 2 - 2 * phi * down[0] * down[1] + down[1] ** 2))
    above = math.sqrt(max(0.0, up[0] ** 2 - 2 * phi * up[0] * up[1] + up[1] ** 2))
    return p1 - p2, max(-1.0, p1 - p2 - below), min(1.0, p1 - p2 + above)


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
    term = total = 1
    for i in range(k):
        term = term * (n - i) // (i + 1)
        total += term
    return min(1.0, 2 * total / (1 << n))


@lru_cache
def _z(confidence: float) -> float:
    from statistics import NormalDist  # pulls in decimal and fractions: not at import

    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; it lies between 0 and 1, both excluded")
    z: float = NormalDist().inv_cdf((1 + confidence) / 2)
    return z
