"""Two pipelines compared, against statsmodels, scipy and known values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import PolicyError
from coord_plugins.stats import (
    log_sign_evidence,
    mcnemar_exact,
    mcnemar_midp,
    newcombe_paired,
    newcombe_unpaired,
    pairs_needed,
    runs_needed,
)

COUNTS = st.integers(0, 300)


def test_newcombe_of_his_second_example() -> None:
    found = newcombe_paired(20, 12, 2, 16)
    assert found == pytest.approx((0.2, 0.056156, 0.329207), abs=1e-6)


def test_newcombe_unpaired_of_his_first_example() -> None:
    """56/70 against 48/80: 0.2, from 0.0524 to 0.3339."""
    assert newcombe_unpaired(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_newcombe_without_pairs_knows_nothing() -> None:
    assert newcombe_paired(0, 0, 0, 0) == (0.0, -1.0, 1.0)
    assert newcombe_unpaired(0, 0, 5, 9) == (0.0, -1.0, 1.0)
    assert newcombe_unpaired(5, 9, 0, 0) == (0.0, -1.0, 1.0)


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0.5, 0.99))
def test_newcombe_is_symmetric_and_holds_the_difference(
    n11: int, n10: int, n01: int, n00: int, level: float
) -> None:
    difference, low, high = newcombe_paired(n11, n10, n01, n00, level)
    assert -1 <= low <= difference <= high <= 1
    swapped = newcombe_paired(n11, n01, n10, n00, level)
    assert swapped == pytest.approx((-difference, -high, -low), abs=1e-12)
    failures = newcombe_paired(n00, n10, n01, n11, level)
    assert failures == pytest.approx((difference, low, high), abs=1e-12)
    wide = newcombe_paired(n11, n10, n01, n00, level + (1 - level) / 2)
    assert wide[1] <= low + 1e-12
    assert wide[2] >= high - 1e-12


@settings(deadline=None)  # the first example imports statsmodels
@given(COUNTS, COUNTS, COUNTS, COUNTS, st.floats(0.5, 0.99))
def test_newcombe_unpaired_equals_statsmodels(
    x1: int, y1: int, x2: int, y2: int, level: float
) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    n1, n2 = x1 + y1 + 1, x2 + y2 + 1
    difference, low, high = newcombe_unpaired(x1, n1, x2, n2, level)
    assert -1 <= low < difference + 1e-15 < high + 1e-15 <= 1 + 1e-15
    want = proportion.confint_proportions_2indep(
        x1, n1, x2, n2, method="newcomb", compare="diff", alpha=1 - level
    )
    assert (low, high) == pytest.approx(want, abs=1e-10)
    swapped = newcombe_unpaired(x2, n2, x1, n1, level)
    assert swapped == pytest.approx((-difference, -high, -low), abs=1e-12)


def test_newcombe_takes_effective_numbers() -> None:
    wide = newcombe_unpaired(20.5, 30.25, 10.0, 30.25)
    narrow = newcombe_unpaired(41.0, 60.5, 20.0, 60.5)
    assert wide[0] == pytest.approx(narrow[0])
    assert wide[1] < narrow[1] < narrow[2] < wide[2]


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_tail(b: int, c: int) -> None:
    n, k = b + c, min(b, c)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    exact, mid = mcnemar_exact(b, c), mcnemar_midp(b, c)
    assert exact == pytest.approx(min(1.0, 2 * tail), rel=1e-12)
    seen = math.comb(n, k) / 2**n if n else 0.0
    assert mid == pytest.approx(exact - seen, abs=1e-12)
    assert 0 < mid <= exact <= 1
    assert (mcnemar_exact(c, b), mcnemar_midp(c, b)) == (exact, mid)


def test_pairs_that_all_agree_show_nothing() -> None:
    assert (mcnemar_exact(0, 0), mcnemar_midp(0, 0)) == (1.0, 1.0)


def test_the_mid_p_value_of_its_source() -> None:
    """Airway hyper-responsiveness of 21 children: 1 and 7 discordant pairs, mid-p 0.039."""
    assert mcnemar_midp(1, 7) == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize(("b", "c"), [(10, 2), (0, 0), (6, 0), (40, 12), (1500, 1400), (0, 30)])
def test_mcnemar_equals_statsmodels(b: int, c: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    want = tables.mcnemar([[3, b], [c, 4]], exact=True).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(float(want), rel=1e-9)


@pytest.mark.parametrize(("b", "c"), [(1_050, 951), (5_000, 5_200), (10**6, 10**6 + 2_000)])
def test_mcnemar_of_many_pairs(b: int, c: int) -> None:
    """Beyond 2,000 pairs it is the beta tail, which meets the sum in integers."""
    oracle = pytest.importorskip("scipy.stats")
    want = 2 * oracle.binom.cdf(min(b, c), b + c, 0.5)
    assert mcnemar_exact(b, c) == pytest.approx(want, rel=1e-9)
    seen = oracle.binom.pmf(b, b + c, 0.5)
    assert mcnemar_midp(b, c) == pytest.approx(want - seen, rel=1e-8)


def test_evidence_needs_8_pairs_of_one_side() -> None:
    assert log_sign_evidence(0, 0) == pytest.approx(0.0, abs=1e-15)
    assert log_sign_evidence(7, 0) < math.log(20) <= log_sign_evidence(8, 0)
    assert log_sign_evidence(0, 8) == log_sign_evidence(8, 0)


@pytest.mark.parametrize("n", range(13))
def test_evidence_expects_1_under_the_null(n: int) -> None:
    """Exactly, over all sequences of n discordant pairs."""
    mean = math.fsum(
        math.comb(n, b) / 2**n * math.exp(log_sign_evidence(b, n - b)) for b in range(n + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("negative", [(-1, 2), (2, -1)])
def test_counts_are_not_negative(negative: tuple[int, int]) -> None:
    for refuses in (
        mcnemar_exact,
        mcnemar_midp,
        log_sign_evidence,
        lambda b, c: newcombe_paired(5, b, c, 5),
        lambda b, c: newcombe_unpaired(b, 9, c, 9),
    ):
        with pytest.raises(ValueError, match="negative|successes"):
            refuses(*negative)


# --------------------------------------------------------------------------------- how many


@pytest.mark.parametrize(
    ("p1", "p2", "n"), [(0.8, 0.833, 2159), (0.8, 0.9, 199), (0.833, 0.95, 110), (0.833, 0.98, 61)]
)
def test_runs_of_each(p1: float, p2: float, n: int) -> None:
    assert runs_needed(p1, p2) == runs_needed(p2, p1) == n
    assert runs_needed(p1, p2, power=0.95) > n
    assert runs_needed(p1, p2, alpha=0.01) > n


@pytest.mark.parametrize(("d", "q"), [(0.1, 0.2), (0.067, 0.2), (0.02, 0.07), (0.15, 0.2)])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_pairs_have_about_the_power_that_they_should(d: float, q: float, power: float) -> None:
    """The power of the mid-p test, summed over all outcomes."""
    oracle = pytest.importorskip("scipy.stats")
    n = pairs_needed(d, q, power)
    assert pairs_needed(-d, q, power) == n
    found = 0.0
    chance = (1 + d / q) / 2  # that a discordant pair speaks for the better
    for m in range(n + 1):
        weight = float(oracle.binom.pmf(m, n, q))
        if weight < 1e-9:
            continue
        least = next((b for b in range(m // 2 + 1, m + 1) if mcnemar_midp(b, m - b) <= 0.05), m + 1)
        found += weight * float(oracle.binom.sf(least - 1, m, chance))
    assert found == pytest.approx(power, abs=0.05)


def test_no_difference_takes_no_number() -> None:
    with pytest.raises(PolicyError, match="difference of 0"):
        pairs_needed(0.0, 0.2)
    with pytest.raises(PolicyError, match="difference of 0"):
        runs_needed(0.8, 0.8)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: pairs_needed(0.3, 0.2),
        lambda: pairs_needed(0.3, 1.2),
        lambda: pairs_needed(0.1, 0.2, power=1.0),
        lambda: runs_needed(0.3, 1.2),
        lambda: runs_needed(0.3, 0.2, alpha=0.0),
    ],
)
def test_numbers_that_cannot_be(refused) -> None:
    with pytest.raises(ValueError, match="needed"):
        refused()
