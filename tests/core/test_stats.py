"""Intervals and tests against published and independently computed values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins._stats import mcnemar_exact, newcombe_paired, wilson

PAIRED = [  # only first, only second, McNemar's p, Newcombe's difference and interval
    (10, 2, 0.03857421875, 0.09756097560975607, 0.013745335900992278, 0.18034568381955135),
    (15, 5, 0.04138946533203125, 0.11111111111111105, 0.013554079228771942, 0.20578352577025733),
    (25, 10, 0.01667384780012071, 0.1428571428571429, 0.03311897896116897, 0.24752674336532085),
    (3, 3, 1.0, 0.0, -0.06922584958409006, 0.06922584958409006),
    (40, 12, 0.0001275387838557407, 0.2295081967213115, 0.11701261132830165, 0.3336558534487726),
]


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 20, 0.0, 0.161125),
        (15, 20, 0.531299, 0.888138),
        (20, 20, 0.838875, 1.0),
        (97, 100, 0.915481, 0.989745),
        (833, 1000, 0.808618, 0.854833),
        (990, 1000, 0.981691, 0.994559),
    ],
)
def test_wilson_reproduces_the_published_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_wilson_without_trials_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 10_000), st.data())
def test_wilson_holds_the_share_and_is_never_empty(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, -1)])
def test_wilson_refuses_what_cannot_be(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)


def test_confidence_lies_between_0_and_1():
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=1.0)


@pytest.mark.parametrize(("first", "second", "p", "difference", "low", "high"), PAIRED)
def test_paired_goldens(first, second, p, difference, low, high):
    assert mcnemar_exact(first, second) == pytest.approx(p, abs=1e-12)
    found = newcombe_paired(50, first, second, 20)
    assert found == pytest.approx((difference, low, high), abs=1e-9)


def test_newcombe_of_his_second_example():
    found = newcombe_paired(20, 12, 2, 16)
    assert found == pytest.approx((0.2, 0.056156, 0.329207), abs=1e-6)


def test_newcombe_without_pairs_knows_nothing():
    assert newcombe_paired(0, 0, 0, 0) == (0.0, -1.0, 1.0)


@given(*[st.integers(0, 300)] * 4)
def test_newcombe_is_symmetric_and_holds_the_difference(n11, n10, n01, n00):
    difference, low, high = newcombe_paired(n11, n10, n01, n00)
    assert -1 <= low <= difference <= high <= 1
    mirrored = newcombe_paired(n11, n01, n10, n00)
    assert mirrored == pytest.approx((-difference, -high, -low), abs=1e-12)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_tail(b, c):
    n, k = b + c, min(b, c)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    assert mcnemar_exact(b, c) == pytest.approx(min(1.0, 2 * tail), rel=1e-12)


def test_mcnemar_of_many_pairs_is_quick_and_finite():
    assert 0 < mcnemar_exact(5_000, 5_200) < 1
