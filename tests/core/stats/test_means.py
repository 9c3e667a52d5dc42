"""The mean worth of an outcome: the interval of its profile likelihood."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.stats import normal_quantile, outcome_mean, t_quantile

Z2 = normal_quantile(0.975) ** 2


def ratio(counts, shares):
    """-2 ln of the likelihood ratio of some shares."""
    n = sum(counts)
    return -2 * sum(c * math.log(p / (c / n)) for c, p in zip(counts, shares, strict=True) if c)


def test_of_two_outcomes_it_is_the_likelihood_interval_of_a_share():
    mean, (low, high) = outcome_mean([30, 70], [0.0, 1.0])
    assert mean == pytest.approx(0.7, abs=1e-12)
    for end in (low, high):
        assert ratio([30, 70], [1 - end, end]) == pytest.approx(Z2, abs=1e-9)
    assert low < 0.7 < high


def test_where_all_ended_alike_it_still_has_a_width():
    mean, (low, high) = outcome_mean([100, 0, 0], [8.0, -25.0, -4.0])
    assert (mean, high) == (8.0, 8.0)
    assert low == pytest.approx(8.0 + 33.0 * math.expm1(-Z2 / 200), abs=1e-9)
    mean, (low, high) = outcome_mean([0, 100], [8.0, -25.0])
    assert (mean, low) == (-25.0, -25.0)
    assert high == pytest.approx(-25.0 - 33.0 * math.expm1(-Z2 / 200), abs=1e-9)


def test_an_outcome_that_never_occurred_may_have_a_share():
    seen = outcome_mean([90, 10], [8.0, -4.0])[1]
    with_worse = outcome_mean([90, 10, 0], [8.0, -4.0, -25.0])[1]
    assert with_worse[0] < seen[0]
    assert with_worse[1] == pytest.approx(seen[1], abs=1e-9)


def test_the_ends_are_the_extreme_means_within_the_limit():
    """Against a plain search over a grid of shares of three outcomes."""
    counts, values = [80, 15, 5], [8.0, -4.0, -25.0]
    found = []
    for i in range(1, 400):
        for j in range(1, 400 - i):
            shares = [1 - (i + j) / 1000, i / 1000, j / 1000]
            if ratio(counts, shares) <= Z2:
                found.append(sum(p * v for p, v in zip(shares, values, strict=True)))
    _, (low, high) = outcome_mean(counts, values)
    assert low == pytest.approx(min(found), abs=0.05)
    assert high == pytest.approx(max(found), abs=0.05)


def test_few_runs_take_the_t_quantile():
    _, (low, _) = outcome_mean([10, 0], [1.0, 0.0], df=9)
    assert low == pytest.approx(math.exp(-(t_quantile(0.975, 9) ** 2) / 20), abs=1e-9)


@given(
    st.lists(st.integers(0, 200), min_size=2, max_size=5).filter(any),
    st.lists(st.floats(-50, 50).map(lambda v: round(v, 2)), min_size=5, max_size=5),
    st.floats(-100, 100),
    st.floats(0.1, 10),
)
def test_it_moves_and_scales_with_its_values(counts, values, shift, scale):
    values = values[: len(counts)]
    mean, (low, high) = outcome_mean(counts, values)
    assert min(values) <= low + 1e-9
    assert low <= mean <= high <= max(values) + 1e-9
    moved, (below, above) = outcome_mean(counts, [shift + scale * v for v in values])
    assert moved == pytest.approx(shift + scale * mean, abs=1e-6)
    assert below == pytest.approx(shift + scale * low, abs=1e-5)
    assert above == pytest.approx(shift + scale * high, abs=1e-5)
    wide = outcome_mean(counts, values, 0.99)[1]
    assert wide[0] <= low + 1e-9
    assert wide[1] >= high - 1e-9


@pytest.mark.parametrize(
    ("counts", "values"), [([], []), ([0, 0], [1.0, 2.0]), ([-1, 2], [1.0, 2.0]), ([1], [1.0, 2.0])]
)
def test_numbers_that_cannot_be_are_refused(counts, values):
    with pytest.raises(ValueError, match="outcome_mean"):
        outcome_mean(counts, values)
