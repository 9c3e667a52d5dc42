"""The mean worth of an outcome that takes few values, some of them rare and dear."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ._special import checked_level, t_quantile, two_sided_z

__all__ = ["outcome_mean"]

_STEPS = 80
"""Halvings; each end is then as exact as a float allows."""


def outcome_mean(
    counts: Sequence[float],
    values: Sequence[float],
    confidence: float = 0.95,
    df: float | None = None,
) -> tuple[float, tuple[float, float]]:
    """The mean of a discrete outcome, with the interval of its profile likelihood.

    All means m for which some shares p of the outcomes with sum p_c v_c = m have a likelihood
    ratio -2 sum n_c ln(p_c / (n_c / n)) of at most the squared normal (or t) quantile. An outcome
    that never occurred may have a share too, so the interval keeps a width where all runs ended
    alike: with n successes it reaches down to a share 1 - exp(-q^2 / 2n) of the worst outcome.

    Args:
        counts: How often each outcome occurred; effective counts, where runs resemble each other.
        values: What each outcome is worth.
        confidence: Two-sided level, in (0, 1).
        df: Degrees of freedom, for few runs or clusters; None: the normal quantile.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: No outcome occurred, or counts and values do not fit together.

    Source: A. Owen, Biometrika 75 (1988) 237, empirical likelihood; here on all known outcomes.
    """
    n = math.fsum(counts)
    if len(counts) != len(values) or min(counts, default=-1.0) < 0 or n <= 0:
        raise ValueError(
            f"outcome_mean: counts={list(counts)}, values={list(values)}; it needs one value per"
            " count, no negative count, and at least one run"
        )
    mean = math.fsum(c * v for c, v in zip(counts, values, strict=True)) / n
    if df is None:
        q = two_sided_z(confidence)
    else:
        q = t_quantile((1 + checked_level(confidence)) / 2, df)
    low = _lower_end(counts, values, q * q)
    high = -_lower_end(counts, [-v for v in values], q * q)
    return mean, (min(low, mean), max(high, mean))


def _lower_end(counts: Sequence[float], values: Sequence[float], limit: float) -> float:
    """The least mean whose likelihood ratio is at most `limit`.

    The likeliest shares for a given lower mean are n_c / (s (v_c - worst + d)): as d falls from
    infinity to 0 the mean falls with it. Where the worst outcome never occurred, it then takes a
    share of its own.
    """
    n, worst, best = math.fsum(counts), min(values), max(values)
    seen = [(c, v - worst) for c, v in zip(counts, values, strict=True) if c > 0]
    span = best - worst
    if span == 0:
        return worst

    def shares(d: float) -> tuple[float, float]:
        """The likelihood ratio and the mean above the worst, at one d."""
        scale = math.fsum(c / (above + d) for c, above in seen)
        ratio = 2 * math.fsum(c * math.log(n / c * (c / (above + d)) / scale) for c, above in seen)
        return -ratio, math.fsum(c / (above + d) / scale * above for c, above in seen)

    if all(above > 0 for _, above in seen):
        full, mean = shares(0.0)
        if full <= limit:  # the rest of the way the worst outcome takes a share w
            share = -math.expm1(-(limit - full) / (2 * n))
            return worst + (1 - share) * mean
    # d on a logarithmic scale, from next to nothing to far beyond the values
    at = _bisect(lambda log_d: shares(span * math.exp(log_d))[0] <= limit)
    return worst + shares(span * math.exp(at))[1]


def _bisect(holds: Callable[[float], bool]) -> float:
    low, high = -80.0, 30.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
