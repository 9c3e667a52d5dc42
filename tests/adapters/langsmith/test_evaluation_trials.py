"""pass^k and the clustered interval, against brute force and against Wilson's."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from coord_langsmith._trials import clustered_rate, pass_hat_k, trials
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import PolicyError, wilson

EXAMPLES = st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=5)


def counted(runs: list[list[bool]]) -> list[tuple[int, int]]:
    return [(sum(one), len(one)) for one in runs]


@given(EXAMPLES, st.integers(1, 6))
def test_pass_hat_k_is_the_share_of_all_draws_of_k_runs(runs: list[list[bool]], k: int) -> None:
    if k > min(map(len, runs)):
        with pytest.raises(PolicyError, match=rf"pass\^{k} needs {k} repetitions"):
            pass_hat_k(counted(runs), k)
        return
    shares = []
    for one in runs:
        draws = list(itertools.combinations(one, k))
        shares.append(Fraction(sum(map(all, draws)), len(draws)))
    assert pass_hat_k(counted(runs), k) == pytest.approx(float(sum(shares) / len(shares)))


@given(EXAMPLES)
def test_pass_hat_k_falls_with_k(runs: list[list[bool]]) -> None:
    found = [pass_hat_k(counted(runs), k) for k in range(1, min(map(len, runs)) + 1)]
    assert found == sorted(found, reverse=True)


def test_published_numbers() -> None:
    """C(c,k)/C(n,k) by hand: 3 of 4 and 2 of 4."""
    assert pass_hat_k([(3, 4), (2, 4)], 1) == pytest.approx(5 / 8)
    assert pass_hat_k([(3, 4), (2, 4)], 2) == pytest.approx((3 / 6 + 1 / 6) / 2)
    assert pass_hat_k([(3, 4), (2, 4)], 4) == 0.0


@pytest.mark.parametrize(("counts", "k"), [([], 1), ([(1, 1)], 0), ([(1, 1)], -1)])
def test_what_pass_hat_k_refuses(counts: list[tuple[int, int]], k: int) -> None:
    with pytest.raises(PolicyError):
        pass_hat_k(counts, k)


def test_runs_are_grouped_by_example() -> None:
    runs = [("a", True), ("b", False), ("a", False), ("b", False), ("c", True)]
    assert trials(runs) == [(1, 2), (0, 2), (1, 1)]


@given(st.lists(st.booleans(), max_size=40))
def test_without_repetitions_it_is_wilson(passed: list[bool]) -> None:
    rate = clustered_rate([(int(one), 1) for one in passed])
    assert rate.interval == wilson(sum(passed), len(passed))
    assert (rate.successes, rate.n) == (sum(passed), len(passed))


@given(EXAMPLES)
def test_the_clustered_interval_lies_between_counting_examples_and_counting_runs(
    runs: list[list[bool]],
) -> None:
    rate = clustered_rate(counted(runs))
    low, high = rate.interval
    assert rate.value is not None
    assert 0 <= low <= rate.value <= high <= 1
    assert high - low > 0
    narrow = wilson(rate.successes, rate.n)
    assert high - low >= narrow[1] - narrow[0] - 1e-12


def test_examples_that_always_pass_or_always_fail_count_once() -> None:
    """10 examples x 8 that never differ are worth about 10 runs, not 80."""
    alike = clustered_rate([(8, 8)] * 5 + [(0, 8)] * 5).interval
    assert alike == pytest.approx(wilson(5, 10))
    mixed = clustered_rate([(4, 8)] * 10).interval
    assert mixed == pytest.approx(wilson(40, 80))


def test_all_passed_is_not_certain() -> None:
    assert clustered_rate([(8, 8)] * 10).interval == pytest.approx(wilson(10, 10))
    assert clustered_rate([(5, 8)]).interval == pytest.approx(clustered_rate([(5, 8)]).interval)
    low, high = clustered_rate([(8, 8)]).interval
    assert (low, high) == pytest.approx(wilson(1, 1))
