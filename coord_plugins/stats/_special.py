"""The beta, normal and t distributions in double precision.

Everything that is a small difference of large logarithms is written so that it does not cancel:
tails keep their relative precision up to ten million trials and down to 1e-300.
"""

from __future__ import annotations

import math
from functools import lru_cache

__all__ = ["normal_quantile", "t_quantile"]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_MOST_TERMS = 1_000_000
"""Of the continued fraction; about the square root of the trials are used."""


@lru_cache
def normal_quantile(p: float) -> float:
    """The standard normal distribution's quantile.

    Args:
        p: A probability, in (0, 1).

    Raises:
        ValueError: p is not in (0, 1).

    Source: M. J. Wichura, Applied Statistics 37 (1988) 477, as in the standard library.
    """
    from statistics import NormalDist  # pulls in decimal and fractions: not at import

    if not 0 < p < 1:
        raise ValueError(f"normal_quantile: p={p}; a probability lies between 0 and 1")
    found: float = NormalDist().inv_cdf(p)
    return found


@lru_cache
def t_quantile(p: float, df: float) -> float:
    """The quantile of Student's t distribution.

    With x the beta(df/2, 1/2) quantile at the two-sided tail, t = sqrt(df (1 - x) / x).

    Args:
        p: A probability, in (0, 1).
        df: Degrees of freedom, above 0, not necessarily whole; infinity gives the normal quantile.

    Raises:
        ValueError: p is not in (0, 1), or df is not above 0.

    Source: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions (1964), 26.5.27.
    """
    if not 0 < p < 1:
        raise ValueError(f"t_quantile: p={p}; a probability lies between 0 and 1")
    if not df > 0:
        raise ValueError(f"t_quantile: df={df}; degrees of freedom are above 0")
    if math.isinf(df):
        return normal_quantile(p)
    if p == 0.5:
        return 0.0
    tail, sign = (p, -1.0) if p < 0.5 else (1 - p, 1.0)
    if tail <= 0.25:  # of both tails the small one is solved for
        log_odds = beta_log_odds(2 * tail, df / 2, 0.5)
    else:
        log_odds = -beta_log_odds(1 - 2 * tail, 0.5, df / 2)
    return sign * math.sqrt(df) * math.exp(-log_odds / 2)


def two_sided_z(confidence: float) -> float:
    """The normal quantile of a two-sided level."""
    return normal_quantile((1 + checked_level(confidence)) / 2)


def checked_level(confidence: float) -> float:
    """Return the level; ValueError where it is none."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}; it lies between 0 and 1, both excluded")
    return confidence


def log_beta(a: float, b: float) -> float:
    """Logarithm of the beta function, for a and b above 0."""
    n = a + b
    logs = -a * math.log1p(b / a) - b * math.log1p(a / b)
    return logs - 0.5 * math.log(a / n * b) + _HALF_LOG_2PI + _rest(a) + _rest(b) - _rest(n)


def _rest(z: float) -> float:
    """What Stirling's formula leaves of ln gamma(z): (z - 1/2) ln z - z + ln(2 pi)/2 + this."""
    if z < 10:
        return math.lgamma(z) - (z - 0.5) * math.log(z) + z - _HALF_LOG_2PI
    w = 1 / (z * z)
    series = 1 / 1188 - w * 691 / 360360
    series = 1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * series)))
    return series / z


def _deviance(k: float, m: float, difference: float) -> float:
    """Compute k ln(k/m) + m - k, difference being k - m; no cancellation where both are close."""
    if abs(difference) >= 0.1 * (k + m):
        return k * math.log(k / m) - difference
    v = difference / (k + m)
    total, term, j = difference * v, 2 * k * v, 1
    while True:
        term *= v * v
        following = total + term / (2 * j + 1)
        if following == total:
            return total
        total, j = following, j + 1


def _log_density(x: float, y: float, a: float, b: float) -> float:
    """ln(x^a y^b / B(a, b)) with y = 1 - x.

    Source: the saddle-point form of C. Loader, Fast and Accurate Computation of Binomial
    Probabilities (2000).
    """
    n = a + b
    if n * x == 0 or n * y == 0:
        return -math.inf
    difference = a - n * x if x <= 0.5 else n * y - b
    away = _deviance(a, n * x, difference) + _deviance(b, n * y, -difference)
    rests = _rest(a) + _rest(b) - _rest(n)
    return 0.5 * math.log(a / n * b) - _HALF_LOG_2PI - away - rests


def _fraction(x: float, y: float, a: float, b: float) -> float:
    """The continued fraction f with I_x(a, b) = x^a y^b / (B(a, b) f), by Lentz's method.

    It converges quickly for x below the mean.

    Source: A. R. DiDonato and A. H. Morris, ACM Transactions on Mathematical Software 18 (1992)
    360.
    """
    n = a + b
    away = a * y - b * x
    c = f = a * (away + 1) / (a + 1)
    d, x2 = 0.0, x * x
    for m in range(1, _MOST_TERMS):
        low = a + 2 * m - 1
        step = m * (b - m) * x / low
        top = (a + m - 1) * (n + m - 1) * step * x / low
        bottom = m + step + (a + m) * (away + 1 + m * (1 + y)) / (low + 2)
        d = 1 / (bottom + top * d)
        c = bottom + top / c
        change = c * d
        f *= change
        if abs(change - 1) < 2e-16 or x2 == 0:
            break
    return f


def log_beta_tails(x: float, y: float, a: float, b: float) -> tuple[float, float]:
    """The logarithms of I_x(a, b) and of 1 - I_x(a, b), each relatively precise.

    Args:
        x: In [0, 1].
        y: 1 - x, given apart because one of both may be tiny.
        a: Above 0.
        b: Above 0.
    """
    if x <= 0:
        return -math.inf, 0.0
    if y <= 0:
        return 0.0, -math.inf
    density = _log_density(x, y, a, b)
    if x * (a + b + 2) < a + 1:
        lower = min(0.0, density - math.log(_fraction(x, y, a, b)))
        return lower, _log_rest(lower)
    upper = min(0.0, density - math.log(_fraction(y, x, b, a)))
    return _log_rest(upper), upper


def _log_rest(log_p: float) -> float:
    """ln(1 - p)."""
    if log_p >= 0:
        return -math.inf
    return math.log1p(-math.exp(log_p)) if log_p < -0.7 else math.log(-math.expm1(log_p))


def beta_log_odds(p: float, a: float, b: float) -> float:
    """ln(x / (1 - x)) of the beta(a, b) quantile x at p, for p in (0, 1).

    Newton's method on the logarithm of the tail. In the log odds the density is log-concave for
    all a and b, so the tail is too, and the steps end at the root from every start.
    """
    if p > 0.5:
        return -beta_log_odds(1 - p, b, a)
    target, at = math.log(p), math.log(a / b)
    for _ in range(200):
        x, y = of_log_odds(at)
        lower, _ = log_beta_tails(x, y, a, b)
        if lower == -math.inf:  # far out: x underflows
            return at
        slope = math.exp(_log_density(x, y, a, b) - lower)
        step = (target - lower) / slope if slope > 0 else -8.0
        step = max(-8.0, min(8.0, step))
        at += step
        if abs(step) <= 4e-16 * max(1.0, abs(at)):
            break
    return at


def of_log_odds(log_odds: float) -> tuple[float, float]:
    """X and 1 - x."""
    if log_odds <= 0:
        e = math.exp(log_odds)
        return e / (1 + e), 1 / (1 + e)
    e = math.exp(-log_odds)
    return 1 / (1 + e), e / (1 + e)


def beta_quantile(p: float, a: float, b: float) -> float:
    """The beta(a, b) distribution's quantile at p in (0, 1)."""
    return of_log_odds(beta_log_odds(p, a, b))[0]


def binomial_at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) of a binomial(n, p)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return math.exp(log_beta_tails(p, 1 - p, k + 1, n - k)[1])
