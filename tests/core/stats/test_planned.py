"""Streaks, tests of a fixed size and finite suites, against brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import PolicyError
from coord_plugins.stats import (
    finite_sequence,
    fixed_streak_needed,
    fixed_test,
    fixed_test_power,
    log_evidence_above,
    streak_needed,
)

PUBLISHED = [(0.8, 20, 14), (0.9, 43, 29), (0.95, 88, 59), (0.98, 224, 149), (0.99, 449, 299)]


@pytest.mark.parametrize(("tau", "watched", "fixed"), [*PUBLISHED, (0.995, 901, 598)])
def test_published_streaks(tau: float, watched: int, fixed: int) -> None:
    assert (streak_needed(tau), fixed_streak_needed(tau)) == (watched, fixed)


@given(st.floats(0.01, 0.9999), st.floats(0.001, 0.5))
def test_streaks_are_the_shortest(tau: float, alpha: float) -> None:
    n, fixed = streak_needed(tau, alpha), fixed_streak_needed(tau, alpha)
    limit = -math.log(alpha)
    assert log_evidence_above(n, n, tau) >= limit
    assert n == 1 or log_evidence_above(n - 1, n - 1, tau) < limit
    assert tau**fixed <= alpha * (1 + 1e-6)
    assert fixed == 1 or tau ** (fixed - 1) > alpha * (1 - 1e-6)
    assert fixed <= n


def test_a_streak_that_is_just_enough() -> None:
    assert fixed_streak_needed(0.5, 0.25) == 2
    assert fixed_streak_needed(0.001, 0.5) == 1


@pytest.mark.parametrize(
    ("tau", "expected", "test"),
    [(0.9, 0.95, (298, 21)), (0.95, 0.98, (386, 12)), (0.99, 0.997, (1312, 7)), (0.5, 1.0, (5, 0))],
)
def test_published_tests(tau: float, expected: float, test: tuple[int, int]) -> None:
    assert fixed_test(tau, expected) == test


@pytest.mark.parametrize(
    ("tau", "expected", "alpha", "beta"),
    [(0.5, 0.8, 0.05, 0.05), (0.7, 0.9, 0.1, 0.2), (0.3, 0.45, 0.05, 0.1), (0.9, 0.99, 0.01, 0.01)],
)
def test_tests_are_the_smallest(tau: float, expected: float, alpha: float, beta: float) -> None:
    """By trying every number of trials and every number of failures."""
    oracle = pytest.importorskip("scipy.stats")
    n, most = fixed_test(tau, expected, alpha, beta)

    def works(n: int, most: int) -> bool:
        return (
            oracle.binom.cdf(most, n, 1 - tau) <= alpha
            and oracle.binom.cdf(most, n, 1 - expected) >= 1 - beta
        )

    assert works(n, most)
    assert not any(works(fewer, k) for fewer in range(1, n) for k in range(most + 2))


def test_a_test_of_many_trials() -> None:
    n, most = fixed_test(0.95, 0.953)
    assert fixed_test_power(0.95, n, most) <= 0.05
    assert fixed_test_power(0.953, n, most) >= 0.95
    assert fixed_test_power(0.95, n - 1, most) > 0.05


def test_the_chance_to_pass() -> None:
    assert fixed_test_power(1.0, 10, 0) == 1.0
    assert fixed_test_power(0.0, 10, 9) == 0.0
    assert fixed_test_power(0.5, 3, 1) == pytest.approx(0.5)
    assert fixed_test_power(0.5, 3, 5) == 1.0


# ------------------------------------------------------------------------------ finite suites


def exact(total: int, successes: int, failures: int, alpha: Fraction) -> tuple[int, int]:
    """All K with C(K,S) C(N-K,F) (N+1) > alpha C(N+1, S+F+1), in integers."""
    need = alpha * math.comb(total + 1, successes + failures + 1)
    fitting = [
        k
        for k in range(successes, total - failures + 1)
        if math.comb(k, successes) * math.comb(total - k, failures) * (total + 1) > need
    ]
    assert fitting == list(range(fitting[0], fitting[-1] + 1))
    return fitting[0], fitting[-1]


SUITES = st.integers(0, 80).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda s: st.tuples(st.just(n), st.just(s), st.integers(0, n - s))
    )
)


@given(SUITES, st.sampled_from([Fraction(1, 20), Fraction(1, 3), Fraction(1, 1000)]))
def test_finite_suites_in_integers(suite: tuple[int, int, int], alpha: Fraction) -> None:
    low, high = finite_sequence(*suite, float(alpha))
    assert (low, high) == exact(*suite, alpha)
    total, successes, failures = suite
    mirrored = finite_sequence(total, failures, successes, float(alpha))
    assert mirrored == (total - high, total - low)
    if successes + failures == total:
        assert low == high == successes


@pytest.mark.parametrize(("total", "right"), [(30, 27), (40, 20), (25, 25), (60, 3)])
def test_it_rarely_ever_misses(total: int, right: int) -> None:
    """Exactly, over all orders of the suite."""
    at, missed = {0: 1.0}, 0.0
    for done in range(total):
        following: dict[int, float] = {}
        for s, mass in at.items():
            rest = (right - s) / (total - done)
            for to, share in ((s + 1, rest), (s, 1 - rest)):
                if share <= 0:
                    continue
                low, high = finite_sequence(total, to, done + 1 - to)
                if low <= right <= high:
                    following[to] = following.get(to, 0.0) + mass * share
                else:
                    missed += mass * share
        at = following
    assert missed <= 0.05
    assert math.fsum(at.values()) == pytest.approx(1 - missed)


def test_large_suites() -> None:
    low, high = finite_sequence(10**7, 500_000, 100)
    assert 9_996_000 < low < 9_998_000 < high < 9_999_000
    assert finite_sequence(10**7, 10**7 - 3, 3) == (10**7 - 3, 10**7 - 3)


@settings(max_examples=30)
@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_large_suites_hold_the_share(total: int, done: float, share: float) -> None:
    n = int(total * done)
    s = int(n * share)
    low, high = finite_sequence(total, s, n - s)
    assert s <= low <= high <= total - (n - s)
    assert low - 1 <= (s / n * total if n else 0) <= high + 1


@pytest.mark.parametrize(
    ("refused", "word"),
    [
        (lambda: streak_needed(1.0), "tau"),
        (lambda: streak_needed(0.9, alpha=0.0), "alpha"),
        (lambda: fixed_streak_needed(0.0), "tau"),
        (lambda: fixed_test(0.9, 1.1), "expected"),
        (lambda: fixed_test(0.9, 0.95, beta=1.0), "beta"),
        (lambda: fixed_test(0.0, 0.95), "tau"),
        (lambda: fixed_test_power(1.1, 10, 0), "share"),
        (lambda: fixed_test_power(0.9, 0, 0), "trials"),
        (lambda: finite_sequence(5, 4, 2), "suite"),
        (lambda: finite_sequence(5, -1, 2), "suite"),
        (lambda: finite_sequence(5, 1, 2, alpha=0.0), "alpha"),
    ],
)
def test_numbers_that_cannot_be(refused: Callable[[], object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        refused()


def test_nothing_tells_equals_apart() -> None:
    with pytest.raises(PolicyError, match="not above"):
        fixed_test(0.9, 0.9)
