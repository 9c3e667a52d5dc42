"""Intervals for one share against scipy, statsmodels and what must hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.stats import clopper_pearson, jeffreys, runs_for_half_width, wilson

Interval = Callable[..., tuple[float, float]]
ALL = (wilson, clopper_pearson, jeffreys)
COUNTS = st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
LEVELS = st.floats(0.5, 0.999)
GRID = [
    (successes, n)
    for n in (1, 2, 7, 20, 100, 999, 10**5, 10**7)
    for successes in sorted({0, 1, n // 100, n // 2, n - n // 50, n - 1, n})
]
PUBLISHED = [  # successes, trials, Wilson, Clopper-Pearson, Jeffreys
    (0, 20, (0.0, 0.161125), (0.0, 0.168433), (0.0, 0.116639)),
    (15, 20, (0.531299, 0.888138), (0.508954, 0.913429), (0.535805, 0.897602)),
    (20, 20, (0.838875, 1.0), (0.831567, 1.0), (0.883361, 1.0)),
    (97, 100, (0.915481, 0.989745), (0.914824, 0.993770), (0.922112, 0.991480)),
    (833, 1000, (0.808618, 0.854833), (0.808411, 0.855610), (0.808937, 0.855139)),
    (990, 1000, (0.981691, 0.994559), (0.981687, 0.995194), (0.982334, 0.994847)),
]


@pytest.mark.parametrize(("successes", "n", "by_wilson", "exact", "by_jeffreys"), PUBLISHED)
def test_published_values(
    successes: int,
    n: int,
    by_wilson: tuple[float, float],
    exact: tuple[float, float],
    by_jeffreys: tuple[float, float],
) -> None:
    assert wilson(successes, n) == pytest.approx(by_wilson, abs=1e-6)
    assert clopper_pearson(successes, n) == pytest.approx(exact, abs=1e-6)
    assert jeffreys(successes, n) == pytest.approx(by_jeffreys, abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_equal_to_statsmodels(level: float) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for successes, n in GRID:
        for ours, theirs in ((wilson, "wilson"), (clopper_pearson, "beta")):
            want = proportion.proportion_confint(successes, n, 1 - level, theirs)
            assert ours(successes, n, level) == pytest.approx(want, abs=1e-10, rel=0)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_equal_to_scipys_beta(level: float) -> None:
    special = pytest.importorskip("scipy.special")
    tail = (1 - level) / 2
    for successes, n in GRID:
        a, b = successes + 0.5, n - successes + 0.5
        low = special.betaincinv(a, b, tail) if successes else 0.0
        high = special.betaincinv(a, b, 1 - tail) if successes < n else 1.0
        assert jeffreys(successes, n, level) == pytest.approx((low, high), abs=1e-10, rel=0)


@pytest.mark.parametrize("interval", ALL)
@given(COUNTS, LEVELS)
def test_what_holds_of_every_interval(
    interval: Interval, counts: tuple[int, int], level: float
) -> None:
    successes, n = counts
    low, high = interval(successes, n, level)
    assert 0 <= low <= high <= 1
    assert high - low > 0
    mirrored = interval(n - successes, n, level)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wide_low, wide_high = interval(successes, n, level + (1 - level) / 3)
    assert wide_low <= low + 1e-12
    assert wide_high >= high - 1e-12
    if successes < n:
        above = interval(successes + 1, n, level)
        assert above[0] >= low
        assert above[1] >= high
    if interval is not jeffreys or level > 0.9:
        assert low <= successes / n <= high


@given(st.floats(0, 1), st.floats(0.5, 1e6), LEVELS)
def test_wilson_takes_an_effective_number(share: float, n: float, level: float) -> None:
    low, high = wilson(share * n, n, level)
    assert 0 <= low <= share * n / n <= high <= 1
    assert low < high
    narrow = wilson(share * 2 * n, 2 * n, level)
    assert narrow[1] - narrow[0] < high - low


@pytest.mark.parametrize("interval", ALL)
def test_without_trials_nothing_is_known(interval: Interval) -> None:
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("interval", ALL)
@pytest.mark.parametrize(
    ("successes", "n"), [(-1, 5), (6, 5), (1, -1), (math.nan, 5), (1, math.nan), (1, math.inf)]
)
def test_counts_that_cannot_be(interval: Interval, successes: float, n: float) -> None:
    with pytest.raises(ValueError, match="0 <= successes <= n"):
        interval(successes, n)


@pytest.mark.parametrize("interval", ALL)
@pytest.mark.parametrize("level", [0.0, 1.0, 95, -0.5])
def test_a_level_lies_between_0_and_1(interval: Interval, level: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        interval(1, 2, confidence=level)


@given(st.floats(0, 1), st.floats(0.002, 0.6), LEVELS)
def test_the_number_of_runs_is_the_smallest(p: float, half: float, level: float) -> None:
    n = runs_for_half_width(p, half, level)

    def width(n: int) -> float:
        z = -wilson_z(level)
        return z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)

    assert n >= 1
    assert width(n) <= half * (1 + 1e-9)
    assert n == 1 or width(n - 1) > half * (1 - 1e-9)


def wilson_z(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 - level) / 2)


@pytest.mark.parametrize(("p", "half"), [(-0.1, 0.1), (1.1, 0.1), (0.5, 0.0), (0.5, 1.0)])
def test_half_widths_that_cannot_be(p: float, half: float) -> None:
    with pytest.raises(ValueError, match="runs_for_half_width"):
        runs_for_half_width(p, half)
