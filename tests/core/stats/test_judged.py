"""True rates behind an imperfect judge."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import PolicyError
from coord_plugins.stats import rogan_gladen, stratified_rate, wilson

LABELLED = st.integers(1, 60).flatmap(
    lambda m: st.tuples(st.integers(m, 3_000), st.integers(0, m), st.just(m))
)
KNOWN = st.integers(0, 500).flatmap(
    lambda n: st.sampled_from([(n, 0, None), (n, n, None)])  # all failed, all succeeded
)
STRATA = st.lists(LABELLED, min_size=1, max_size=3).flatmap(
    lambda some: st.lists(KNOWN, max_size=2).map(lambda known: [*some, *known])
)


def test_published_values() -> None:
    """Two golden values: accepted and rejected runs with labels in both."""
    value, interval = stratified_rate([(1_900, 98, 100), (100, 52, 100)])
    assert value == pytest.approx(0.957)
    assert interval == pytest.approx((0.909041, 0.972223), abs=1e-6)
    value, interval = stratified_rate([(900, 95, 100), (100, 20, 50)])
    assert value == pytest.approx(0.895)
    assert interval == pytest.approx((0.837149, 0.925845), abs=1e-6)


@given(LABELLED, st.floats(0.5, 0.999))
def test_one_labelled_stratum_is_wilson(stratum: tuple[int, int, int], level: float) -> None:
    _, passed, labelled = stratum
    value, interval = stratified_rate([stratum], level)
    assert value == passed / labelled
    assert interval == pytest.approx(wilson(passed, labelled, level), abs=1e-12)


@given(STRATA, st.floats(0.5, 0.99))
def test_what_holds_of_every_interval(strata: list, level: float) -> None:
    value, (low, high) = stratified_rate(strata, level)
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0
    _, (lower, higher) = stratified_rate(strata, level + (1 - level) / 2)
    assert lower <= low + 1e-12
    assert higher >= high - 1e-12
    other = [(n, (m if m is not None else n) - passed, m) for n, passed, m in strata]
    flipped, (flipped_low, flipped_high) = stratified_rate(other, level)
    assert flipped == pytest.approx(1 - value, abs=1e-12)
    assert (flipped_low, flipped_high) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    turned = stratified_rate(strata[::-1], level)
    assert turned[0] == pytest.approx(value)
    assert turned[1] == pytest.approx((low, high))


def test_a_stratum_known_without_labels() -> None:
    """Runs that raised have failed: only the shares of the strata are uncertain for them."""
    value, (low, high) = stratified_rate([(900, 90, 100), (100, 0, None)])
    assert value == pytest.approx(0.81)
    down, up = wilson(90, 100)
    between = 1.959963984540054**2 / 1_000 * (0.9 * 0.81 - 0.81**2)
    assert low == pytest.approx(0.81 - math.sqrt((0.9 * (0.9 - down)) ** 2 + between))
    assert high == pytest.approx(0.81 + math.sqrt((0.9 * (up - 0.9)) ** 2 + between))
    assert stratified_rate([(5, 5, None)]) == (1.0, (1.0, 1.0))


def test_an_empty_stratum_does_not_count() -> None:
    assert stratified_rate([(50, 8, 10), (0, 0, 0)]) == stratified_rate([(50, 8, 10)])


@pytest.mark.parametrize("strata", [[], [(0, 0, 0)], [(10, 0, 0)], [(5, 3, 4), (10, 0, 0)]])
def test_what_the_data_do_not_allow(strata: list[tuple[int, int, int]]) -> None:
    with pytest.raises(PolicyError, match="stratified_rate"):
        stratified_rate(strata)


@pytest.mark.parametrize(
    "stratum", [(5, 3, None), (5, 4, 3), (5, 5, 6), (-1, 0, 0), (5, -1, 2), (-1, 0, None)]
)
def test_strata_that_cannot_be(stratum: tuple[int, int, int | None]) -> None:
    with pytest.raises(ValueError, match="stratified_rate"):
        stratified_rate([stratum, (10, 5, 10)])


# --------------------------------------------------------------------------- Rogan and Gladen


@given(st.floats(0, 1), st.floats(0.6, 1), st.floats(0.6, 1))
def test_it_undoes_the_judge(truth: float, sensitivity: float, specificity: float) -> None:
    apparent = min(1.0, truth * sensitivity + (1 - truth) * (1 - specificity))
    value, error = rogan_gladen(apparent, sensitivity, specificity, 1_000, 100, 100)
    assert value == pytest.approx(truth, abs=1e-9)
    assert error >= 0


def test_a_perfect_judge_leaves_the_binomial_error() -> None:
    value, error = rogan_gladen(0.8, 1.0, 1.0, 100, 50, 50)
    assert (value, error) == pytest.approx((0.8, math.sqrt(0.8 * 0.2 / 100)))


def test_rates_that_do_not_fit_show() -> None:
    assert rogan_gladen(0.99, 0.9, 0.9, 100, 50, 50)[0] > 1


def test_a_judge_no_better_than_chance_is_refused() -> None:
    with pytest.raises(PolicyError, match="no better than chance"):
        rogan_gladen(0.8, 0.5, 0.5, 100, 50, 50)


@pytest.mark.parametrize(
    "numbers", [(1.1, 0.9, 0.9, 10, 10, 10), (0.5, 0.9, -1, 10, 10, 10), (0.5, 0.9, 0.9, 10, 0, 10)]
)
def test_rates_that_cannot_be(numbers: tuple[float, float, float, int, int, int]) -> None:
    with pytest.raises(ValueError, match="rogan_gladen"):
        rogan_gladen(*numbers)
