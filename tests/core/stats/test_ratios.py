"""Intervals for ratios."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coord_plugins.stats import fieller, normal_quantile, rate_ratio, t_quantile

VALUES = st.floats(-50, 50).filter(lambda v: abs(v) > 1e-3)
COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(
    VALUES,
    VALUES,
    st.floats(1e-4, 10),
    st.floats(1e-4, 10),
    st.floats(-0.99, 0.99),
    st.floats(0.5, 0.99),
)
def test_the_ends_solve_the_quadratic(
    y: float, x: float, var_y: float, var_x: float, rho: float, level: float
) -> None:
    cov = rho * math.sqrt(var_y * var_x)
    ratio, interval = fieller(y, x, var_y, var_x, cov, level)
    assert ratio == y / x
    q = normal_quantile((1 + level) / 2)
    assert (interval is None) == (x * x <= q * q * var_x)
    if interval is None:
        return
    assume(x * x > 1.01 * q * q * var_x)
    assert interval[0] <= ratio <= interval[1]
    for end in interval:
        away = (y - end * x) ** 2
        assert away == pytest.approx(
            q * q * (var_y - 2 * end * cov + end * end * var_x), rel=1e-5, abs=1e-9
        )
    _, wider = fieller(y, x, var_y, var_x, cov, level + (1 - level) / 2)
    assert wider is None or (wider[0] <= interval[0] and wider[1] >= interval[1])


def test_the_t_quantile_with_degrees_of_freedom() -> None:
    _, (low, high) = fieller(10.0, 5.0, 1.0, 0.0, 0.0, df=7)
    half = t_quantile(0.975, 7) / 5
    assert (low, high) == pytest.approx((2 - half, 2 + half))


def test_a_known_denominator_is_an_ordinary_interval() -> None:
    ratio, interval = fieller(3.0, 2.0, 0.25, 0.0, 0.0)
    half = 1.959963984540054 * 0.5 / 2
    assert ratio == 1.5
    assert interval == pytest.approx((1.5 - half, 1.5 + half))


def test_without_variance_it_is_the_ratio() -> None:
    assert fieller(3.0, 2.0, 0.0, 0.0, 0.0) == (1.5, (1.5, 1.5))
    assert fieller(0.0, 2.0, 0.0, 0.0, 0.0) == (0.0, (0.0, 0.0))


def test_no_denominator_no_ratio() -> None:
    ratio, interval = fieller(3.0, 0.0, 1.0, 1.0, 0.0)
    assert math.isnan(ratio)
    assert interval is None


@pytest.mark.parametrize("numbers", [(-1.0, 1.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, 1.1)])
def test_variances_that_cannot_be(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="fieller"):
        fieller(1.0, 1.0, *numbers)
    with pytest.raises(ValueError, match="confidence"):
        fieller(1.0, 1.0, 1.0, 1.0, 0.0, confidence=1.0)


@given(COUNTS, COUNTS, st.floats(0.5, 0.99))
def test_the_inverse_ratio_has_the_inverse_interval(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    ratio, (low, high) = rate_ratio(*first, *second, level)
    inverse, (inverse_low, inverse_high) = rate_ratio(*second, *first, level)
    assert 0 <= low <= high
    assert inverse_low == (0.0 if math.isinf(high) else pytest.approx(1 / high))
    assert inverse_high == (math.inf if low == 0 else pytest.approx(1 / low))
    if not math.isnan(ratio):
        assert low <= ratio * (1 + 1e-12)
        assert ratio <= high * (1 + 1e-12)
        assert inverse == (math.inf if ratio == 0 else pytest.approx(1 / ratio))
    wider = rate_ratio(*first, *second, level + (1 - level) / 2)[1]
    assert wider[0] <= low * (1 + 1e-9)
    assert wider[1] >= high * (1 - 1e-9)


@given(COUNTS, COUNTS)
def test_it_agrees_with_the_textbook_form(first: tuple[int, int], second: tuple[int, int]) -> None:
    """(A - sqrt(A^2 - l1 u2 (2 p1 - l1)(2 p2 - u2))) / (u2 (2 p2 - u2)), where it can be read."""
    from coord_plugins.stats import wilson

    (x1, n1), (x2, n2) = first, second
    p1, p2 = x1 / n1, x2 / n2
    l1, u2 = wilson(x1, n1)[0], wilson(x2, n2)[1]
    assume(abs(2 * p2 - u2) > 0.05)
    root = math.sqrt(max(0.0, (p1 * p2) ** 2 - l1 * u2 * (2 * p1 - l1) * (2 * p2 - u2)))
    low = (p1 * p2 - root) / (u2 * (2 * p2 - u2))
    assert rate_ratio(x1, n1, x2, n2)[1][0] == pytest.approx(low, abs=1e-7)


def test_it_is_near_the_score_interval() -> None:
    """statsmodels' score interval (Koopman) for the ratio: another method, about as wide."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for x1, n1, x2, n2 in ((90, 100, 80, 100), (9, 20, 6, 20), (300, 400, 380, 400)):
        want = proportion.confint_proportions_2indep(
            x1, n1, x2, n2, method="score", compare="ratio"
        )
        assert rate_ratio(x1, n1, x2, n2)[1] == pytest.approx(want, rel=0.06)


def test_without_successes() -> None:
    assert rate_ratio(0, 10, 5, 10)[0] == 0.0
    ratio, (low, high) = rate_ratio(5, 10, 0, 10)
    assert (ratio, high) == (math.inf, math.inf)
    assert low > 0
    ratio, interval = rate_ratio(0, 10, 0, 10)
    assert math.isnan(ratio)
    assert interval == (0.0, math.inf)


@pytest.mark.parametrize("numbers", [(0, 0, 1, 2), (1, 2, 0, 0), (3, 2, 1, 2)])
def test_counts_that_cannot_be(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="rate_ratio|wilson"):
        rate_ratio(*numbers)
