"""Intervals for ratios: cost per success, cost per extra success, one rate over another."""

from __future__ import annotations

import math

from ._shares import wilson
from ._special import checked_level, t_quantile, two_sided_z

__all__ = ["fieller", "rate_ratio"]

_ROUNDING = 1 + 1e-9


def fieller(
    y: float,
    x: float,
    var_y: float,
    var_x: float,
    cov: float,
    confidence: float = 0.95,
    df: float | None = None,
) -> tuple[float, tuple[float, float] | None]:
    """Fieller's interval for y/x, two means or sums that are about normal.

    All R with (y - R x)^2 <= q^2 (var_y - 2 R cov + R^2 var_x), with q the normal or the t
    quantile.

    Args:
        y: Numerator.
        x: Denominator.
        var_y: Variance of y itself (of the mean, not of one observation).
        var_x: Variance of x.
        cov: Their covariance.
        confidence: Two-sided level, in (0, 1).
        df: Degrees of freedom of the variances; None: they count as known.

    Returns:
        The ratio and its interval. None in place of the interval: it is unbounded, because x may
        as well be 0. The ratio is nan where x is 0.

    Raises:
        ValueError: Variances and a covariance that cannot be.

    Source: E. C. Fieller, Journal of the Royal Statistical Society B 16 (1954) 175.
    """
    if var_y < 0 or var_x < 0 or cov * cov > var_y * var_x * _ROUNDING:
        raise ValueError(
            f"fieller: var_y={var_y}, var_x={var_x}, cov={cov}; it needs variances from 0 and"
            " cov^2 <= var_y var_x"
        )
    if df is None:
        q = two_sided_z(confidence)
    else:
        q = t_quantile((1 + checked_level(confidence)) / 2, df)
    ratio = y / x if x else math.nan
    a, b, c = x * x - q * q * var_x, x * y - q * q * cov, y * y - q * q * var_y
    if a <= 0:
        return ratio, None
    # (b +- root) / a; the one without cancellation first, the other through their product c / a
    root = math.sqrt(max(0.0, b * b - a * c))
    far = b + math.copysign(root, b)
    ends = (far / a, c / far) if far else (0.0, 0.0)
    return ratio, (min(ends[0], ends[1], ratio), max(ends[0], ends[1], ratio))


def rate_ratio(
    x1: float, n1: float, x2: float, n2: float, confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """The ratio of two independent shares p1/p2, with an interval from both Wilson intervals.

    With [l1,u1] and [l2,u2] the Wilson intervals, A = p1 p2:
    low = l1 (2 p1 - l1) / (A + sqrt(A^2 - l1 u2 (2 p1 - l1)(2 p2 - u2))),
    high = (A + sqrt(A^2 - u1 l2 (2 p1 - u1)(2 p2 - l2))) / (l2 (2 p2 - l2)).

    Args:
        x1: Successes of the first; need not be whole.
        n1: Its trials, above 0, or an effective number of them.
        x2: Successes of the second.
        n2: Its trials.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The ratio and its interval; without successes of the second the upper end is infinite,
        and the ratio infinite too, or nan where the first has none either.

    Raises:
        ValueError: Numbers that cannot be, or no trial.

    Source: A. Donner and G. Y. Zou, Statistical Methods in Medical Research 21 (2012) 347
    (recovered variances for a ratio; here on Wilson limits, in a form without cancellation).
    """
    if not n1 > 0 or not n2 > 0:
        raise ValueError(f"rate_ratio: n1={n1}, n2={n2}; both need trials")
    l1, u1 = wilson(x1, n1, confidence)
    l2, u2 = wilson(x2, n2, confidence)
    p1, p2 = x1 / n1, x2 / n2
    high = _far(p2, l2, p1, u1)
    low = _far(p1, l1, p2, u2)
    if p2 == 0:
        ratio = math.inf if p1 else math.nan
    else:
        ratio = p1 / p2
    return ratio, (0.0 if math.isinf(low) else 1 / low, high)


def _far(p2: float, l2: float, p1: float, u1: float) -> float:
    """The upper end for p1/p2; the lower end is 1 over the upper end for p2/p1."""
    bottom = l2 * (2 * p2 - l2)
    if bottom == 0:
        return math.inf
    product = p1 * p2
    root = math.sqrt(max(0.0, product * product - bottom * u1 * (2 * p1 - u1)))
    return (product + root) / bottom
