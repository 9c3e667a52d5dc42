"""The beta, normal and t distributions against scipy, from tiny to ten million trials."""

from __future__ import annotations

import math
import random
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.stats import normal_quantile, t_quantile
from coord_plugins.stats._special import (
    beta_quantile,
    binomial_at_most,
    log_beta,
    log_beta_tails,
    of_log_odds,
)

SIZES = (0.1, 0.5, 1, 1.5, 2, 9.9, 10.1, 37, 500.5, 1e4, 3e5, 1e7)


def points(a: float, b: float) -> list[float]:
    """Shares around the mean, out to where the tails underflow, and near both ends."""
    mean, n = a / (a + b), a + b
    spread = math.sqrt(mean * (1 - mean) / (n + 1))
    near = [mean + z * spread for z in (-30, -6, -2, -0.3, 0, 0.01, 1, 3, 12)]
    return [x for x in [*near, 1e-12, 1e-4, 0.3, 0.999, 1 - 1e-9] if 0 < x < 1]


@pytest.mark.parametrize("a", SIZES)
def test_tails_equal_scipys(a: float) -> None:
    special = pytest.importorskip("scipy.special")
    for b in SIZES:
        for x in points(a, b):
            lower, upper = log_beta_tails(x, 1 - x, a, b)
            # within 1e-5 of the ends scipy itself is off by 2e-10: see the exact sums below
            near = 1e-10 if 1e-5 < x < 1 - 1e-5 else 5e-10
            assert math.exp(lower) == pytest.approx(special.betainc(a, b, x), abs=near)
            assert math.exp(upper) == pytest.approx(special.betaincc(a, b, x), abs=near)
            if special.betainc(a, b, x) > 1e-280:  # also the far tails, in relative terms
                assert lower == pytest.approx(math.log(special.betainc(a, b, x)), abs=1e-9)
            if special.betaincc(a, b, x) > 1e-280:
                assert upper == pytest.approx(math.log(special.betaincc(a, b, x)), abs=1e-9)


@pytest.mark.parametrize("a", SIZES)
def test_quantiles_equal_scipys(a: float) -> None:
    special = pytest.importorskip("scipy.special")
    for b in SIZES:
        for p in (1e-8, 0.005, 0.025, 0.5, 0.7, 0.975, 0.9999):
            assert beta_quantile(p, a, b) == pytest.approx(
                special.betaincinv(a, b, p), abs=1e-10, rel=0
            )


@pytest.mark.parametrize("a", [1, 2, 37])
@pytest.mark.parametrize("b", [10**4, 10**7])
def test_tails_equal_exact_sums_near_the_ends(a: int, b: int) -> None:
    """I_x(a, b) = P(X >= a) of a binomial(a + b - 1, x), in 50 digits."""
    for x in points(a, b):
        if x > 1e-3:
            continue
        with localcontext() as context:
            context.prec = 50
            n, p = a + b - 1, Decimal(x)
            term = whole = (n * (1 - p).ln()).exp()
            for i in range(1, a):
                term = term * (n - i + 1) / i * p / (1 - p)
                whole += term
            exact = float(1 - whole)
        lower, _ = log_beta_tails(x, 1 - x, a, b)
        assert math.exp(lower) == pytest.approx(exact, abs=1e-13, rel=0)


@pytest.mark.parametrize("a", SIZES)
def test_log_beta_equals_scipys(a: float) -> None:
    """Scipy's is a difference of logarithms of gamma functions, and off by 1e-7 far out."""
    special = pytest.importorskip("scipy.special")
    for b in SIZES:
        far = 1e-15 * special.gammaln(a + b) * 10
        assert log_beta(a, b) == pytest.approx(special.betaln(a, b), rel=1e-12, abs=1e-13 + far)


@pytest.mark.parametrize(("a", "b"), [(37, 10**7), (2, 10**5), (500, 3 * 10**5)])
def test_log_beta_is_exact(a: int, b: int) -> None:
    with localcontext() as context:
        context.prec = 40
        exact = -Decimal(a * math.comb(a + b - 1, a)).ln()
        assert log_beta(a, b) == pytest.approx(float(exact), rel=1e-15)


def test_binomial_sums_are_exact() -> None:
    rng = random.Random(5)
    for _ in range(50):
        n, p = rng.randint(1, 40), rng.random()
        k = rng.randint(-1, n + 1)
        whole = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n) + 1))
        assert binomial_at_most(k, n, p) == pytest.approx(whole, abs=1e-13)


@given(st.floats(0.05, 1e6), st.floats(0.05, 1e6), st.floats(1e-6, 1 - 1e-6))
def test_the_quantile_inverts_the_tail(a: float, b: float, p: float) -> None:
    x = beta_quantile(p, a, b)
    assert 0 <= x <= 1
    if 1e-300 < x < 1 - 1e-9:
        lower, upper = log_beta_tails(x, 1 - x, a, b)
        assert math.exp(lower) + math.exp(upper) == pytest.approx(1, abs=1e-12)
        assert math.exp(lower) == pytest.approx(p, abs=1e-7)


@pytest.mark.parametrize("p", [0.025, 1e-9, 0.5, 0.975])
def test_a_quantile_that_underflows_is_at_the_end(p: float) -> None:
    assert beta_quantile(p, 1e-4, 1.0) == pytest.approx(p**1e4, rel=1e-9, abs=1e-300)


def test_ends_of_the_beta_distribution() -> None:
    assert log_beta_tails(0.0, 1.0, 2, 3) == (-math.inf, 0.0)
    assert log_beta_tails(1.0, 0.0, 2, 3) == (0.0, -math.inf)
    assert of_log_odds(-800.0) == (0.0, 1.0)
    assert of_log_odds(800.0) == (1.0, 0.0)


@pytest.mark.parametrize("df", [0.5, 1, 2, 3, 4.5, 9, 49, 199, 1e4, 1e7])
def test_t_quantiles_equal_scipys(df: float) -> None:
    oracle = pytest.importorskip("scipy.stats")
    for p in (1e-10, 0.001, 0.025, 0.2, 0.3, 0.4999, 0.5001, 0.6, 0.9, 0.975, 0.999999):
        assert t_quantile(p, df) == pytest.approx(float(oracle.t.ppf(p, df)), rel=1e-9)


def test_published_quantiles() -> None:
    assert t_quantile(0.975, 9) == pytest.approx(2.262157, abs=1e-6)
    assert normal_quantile(0.975) == pytest.approx(1.959964, abs=1e-6)
    assert t_quantile(0.5, 3) == 0.0
    assert t_quantile(0.9, math.inf) == normal_quantile(0.9)
    assert t_quantile(0.1, 7) == pytest.approx(-t_quantile(0.9, 7), rel=1e-14)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_a_probability_lies_between_0_and_1(p: float) -> None:
    with pytest.raises(ValueError, match="normal_quantile"):
        normal_quantile(p)
    with pytest.raises(ValueError, match="t_quantile"):
        t_quantile(p, 3)


@pytest.mark.parametrize("df", [0.0, -1.0, math.nan])
def test_degrees_of_freedom_are_above_0(df: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom"):
        t_quantile(0.9, df)
