"""Intervals for one share of independent runs.

Each keeps a width when all runs succeed or all fail: none is ever "+-0".
"""

from __future__ import annotations

import math

from ._special import beta_quantile, checked_level, normal_quantile, two_sided_z

__all__ = ["clopper_pearson", "jeffreys", "runs_for_half_width", "wilson"]


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    With p = successes / n and z the normal quantile of (1 + confidence) / 2:
    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    Args:
        successes: Between 0 and n; need not be whole.
        n: Trials, or an effective number of trials (`effective_n`); 0 gives (0, 1): nothing is
            known.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The lower and the upper end, in [0, 1].

    Raises:
        ValueError: Numbers that cannot be.

    Source: E. B. Wilson, JASA 22 (1927) 209; Brown, Cai and DasGupta, Stat. Sci. 16 (2001) 101.
    """
    _check("wilson", successes, n)
    z = two_sided_z(confidence)
    if n == 0:
        return 0.0, 1.0
    return wilson_of(successes / n, n, z)


def wilson_of(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval from the share, trials above 0 and the normal quantile."""
    z2 = z * z
    scale = 1 + z2 / n
    middle = (share + z2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / scale
    low = 0.0 if share == 0 else min(share, max(0.0, middle - half))
    high = 1.0 if share == 1 else max(share, min(1.0, middle + half))
    return low, high


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval for a share: it covers at least as often as it says, and is wider.

    With a = 1 - confidence: the a/2 quantile of beta(successes, n - successes + 1) and the
    1 - a/2 quantile of beta(successes + 1, n - successes).

    Args:
        successes: Between 0 and n.
        n: Trials; 0 gives (0, 1).
        confidence: Two-sided level, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.

    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404.
    """
    _check("clopper_pearson", successes, n)
    tail, failures = (1 - checked_level(confidence)) / 2, n - successes
    low = beta_quantile(tail, successes, failures + 1) if successes else 0.0
    high = beta_quantile(1 - tail, successes + 1, failures) if failures else 1.0
    return low, high


def jeffreys(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the posterior beta(successes + 1/2, n - successes + 1/2), equal tails.

    Its lower end is 0 without a success and its upper end is 1 without a failure.

    Args:
        successes: Between 0 and n.
        n: Trials; 0 gives (0, 1).
        confidence: Two-sided level, in (0, 1).

    Raises:
        ValueError: Numbers that cannot be.

    Source: L. D. Brown, T. T. Cai and A. DasGupta, Stat. Sci. 16 (2001) 101.
    """
    _check("jeffreys", successes, n)
    tail, failures = (1 - checked_level(confidence)) / 2, n - successes
    a, b = successes + 0.5, failures + 0.5
    low = beta_quantile(tail, a, b) if successes else 0.0
    high = beta_quantile(1 - tail, a, b) if failures else 1.0
    return low, high


def runs_for_half_width(p: float, half_width: float, confidence: float = 0.95) -> int:
    """How many independent runs make Wilson's interval so narrow, if the share is about p.

    The smallest n with z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n) <= half_width. For k runs of a
    task whose outcomes correlate by rho, multiply by 1 + (k - 1) rho.

    Args:
        p: The expected share, in [0, 1].
        half_width: Half of the interval's width, in (0, 1); 0.02 for +-2 points.
        confidence: Two-sided level, in (0, 1).

    Returns:
        Runs, at least 1.

    Raises:
        ValueError: Numbers that cannot be.

    Source: Wilson's interval (`wilson`) solved for n.
    """
    if not 0 <= p <= 1 or not 0 < half_width < 1:
        raise ValueError(
            f"runs_for_half_width: p={p}, half_width={half_width}; shares lie between 0 and 1"
        )
    z2 = normal_quantile((1 + checked_level(confidence)) / 2) ** 2
    variance, h2 = p * (1 - p), half_width * half_width

    def narrow(n: int) -> bool:
        return z2 * (variance * n + z2 / 4) <= h2 * (n + z2) ** 2

    # h2 (n + z2)^2 = z2 (variance n + z2/4), the greater root
    middle = z2 * (variance / (2 * h2) - 1)
    root = math.sqrt(max(0.0, middle * middle - z2 * z2 * (1 - 1 / (4 * h2))))
    n = max(1, math.floor(middle + root) - 1)
    while not narrow(n):
        n += 1
    return n


def _check(name: str, successes: float, n: float) -> None:
    if not 0 <= successes <= n or math.isinf(n):
        raise ValueError(f"{name}: successes={successes}, n={n}; it needs 0 <= successes <= n")
