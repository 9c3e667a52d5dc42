"""pass@k, pass^k and the clustered interval against brute force, known values and bounds."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import PolicyError
from coord_plugins.stats import (
    Trials,
    cluster_standard_error,
    cluster_variance,
    clustered_wilson,
    effective_n,
    pass_at_k,
    pass_hat_k,
    t_quantile,
    wilson,
)

TASKS = st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=6)
# 50 tasks of a published benchmark with 4 runs each: tasks by number of successes
PUBLISHED: Trials = [(c, 4) for c, m in enumerate((14, 12, 10, 4, 10)) for _ in range(m)]


def counted(runs: list[list[bool]]) -> list[tuple[int, int]]:
    return [(sum(one), len(one)) for one in runs]


@given(TASKS, st.integers(1, 6))
def test_both_count_all_draws_of_k_runs(runs: list[list[bool]], k: int) -> None:
    trials = counted(runs)
    if k > min(map(len, runs)):
        with pytest.raises(PolicyError, match=rf"pass\^{k} needs {k} repetitions of every task"):
            pass_hat_k(trials, k)
        with pytest.raises(PolicyError, match=rf"pass@{k} needs {k} repetitions of every task"):
            pass_at_k(trials, k)
        return
    draws = [list(itertools.combinations(one, k)) for one in runs]
    hat = sum(Fraction(sum(map(all, d)), len(d)) for d in draws) / len(draws)
    at = sum(Fraction(sum(map(any, d)), len(d)) for d in draws) / len(draws)
    assert pass_hat_k(trials, k) == pytest.approx(float(hat))
    assert pass_at_k(trials, k) == pytest.approx(float(at))


@given(TASKS)
def test_they_part_as_k_grows(runs: list[list[bool]]) -> None:
    trials, most = counted(runs), min(map(len, runs))
    hat = [pass_hat_k(trials, k) for k in range(1, most + 1)]
    at = [pass_at_k(trials, k) for k in range(1, most + 1)]
    assert hat == sorted(hat, reverse=True)
    assert at == sorted(at)
    assert hat[0] == pytest.approx(at[0])


def test_published_values() -> None:
    """The code generation paper's estimator, and a public benchmark's table."""
    found = [pass_at_k([one], k) for one, k in (((3, 10), 1), ((3, 10), 2), ((3, 10), 5))]
    assert found == pytest.approx([0.3, 0.533333, 0.916667], abs=1e-6)
    assert pass_at_k([(13, 200)], 10) == pytest.approx(0.497551, abs=1e-6)
    hat = [round(pass_hat_k(PUBLISHED, k), 3) for k in (1, 2, 3, 4)]
    assert hat == [0.42, 0.273, 0.22, 0.2]
    assert pass_at_k(PUBLISHED, 4) == pytest.approx(0.72)
    assert cluster_standard_error(PUBLISHED) == pytest.approx(0.0522, abs=5e-5)


@pytest.mark.parametrize(("trials", "k"), [([], 1), ([(1, 1)], 0), ([(1, 1)], -1), ([(0, 0)], 1)])
def test_what_they_refuse(trials: Trials, k: int) -> None:
    with pytest.raises(PolicyError):
        pass_hat_k(trials, k)
    with pytest.raises(PolicyError):
        pass_at_k(trials, k)


@pytest.mark.parametrize("trials", [[(2, 1)], [(-1, 1)], [(0, -1)]])
def test_counts_that_cannot_be(trials: Trials) -> None:
    for refuses in (cluster_variance, clustered_wilson, lambda t: pass_at_k(t, 1)):
        with pytest.raises(ValueError, match="0 <= successes <= runs"):
            refuses(trials)


# ------------------------------------------------------------------------------ clustered


def test_the_variance_is_that_of_a_regression_with_clusters() -> None:
    """statsmodels' sandwich for the mean, with its small-sample factor (n-1)/(n-1) C/(C-1)."""
    linear = pytest.importorskip("statsmodels.api")
    numpy = pytest.importorskip("numpy")
    trials = [(3, 4), (0, 2), (5, 5), (1, 3), (2, 7), (4, 4)]
    outcomes = [float(i < c) for c, n in trials for i in range(n)]
    groups = [task for task, (_, n) in enumerate(trials) for _ in range(n)]
    fit = linear.OLS(outcomes, numpy.ones(len(outcomes))).fit(
        cov_type="cluster", cov_kwds={"groups": numpy.array(groups)}
    )
    assert cluster_standard_error(trials) == pytest.approx(float(fit.bse[0]), rel=1e-12)


def test_the_variance_of_pairs_by_pairs() -> None:
    """n^-2 sum over tasks of all products of deviations, times C/(C-1)."""
    trials = [(3, 4), (0, 2), (5, 5)]
    n, p = 11, 8 / 11
    outcomes = [[float(i < c) for i in range(m)] for c, m in trials]
    products = sum((a - p) * (b - p) for one in outcomes for a in one for b in one)
    assert cluster_variance(trials) == pytest.approx(1.5 * products / n**2)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.5, 0.999))
def test_with_one_run_a_task_it_is_wilson(passed: list[bool], level: float) -> None:
    found = clustered_wilson([(int(one), 1) for one in passed], level)
    assert found == wilson(sum(passed), len(passed), level)


@given(TASKS, st.floats(0.5, 0.99))
def test_it_lies_between_counting_tasks_and_counting_runs(
    runs: list[list[bool]], level: float
) -> None:
    trials = counted(runs)
    successes, n = sum(c for c, _ in trials), sum(m for _, m in trials)
    low, high = clustered_wilson(trials, level)
    share = successes / n
    tasks = wilson(share * len(trials), len(trials), level)
    each = wilson(successes, n, level)
    assert 0 <= tasks[0] <= low + 1e-12
    assert low <= each[0] + 1e-12 <= share + 2e-12
    assert share <= each[1] + 1e-12 <= high + 2e-12
    assert high <= tasks[1] + 1e-12
    wide = clustered_wilson(trials, level + (1 - level) / 2)
    assert wide[0] <= low + 1e-12
    assert wide[1] >= high - 1e-12


@given(TASKS)
def test_success_and_failure_mirror(runs: list[list[bool]]) -> None:
    trials = counted(runs)
    low, high = clustered_wilson(trials)
    mirrored = clustered_wilson([(n - c, n) for c, n in trials])
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_tasks_that_never_differ_within_count_once() -> None:
    """10 tasks x 8 that are all or nothing are worth 10 runs, not 80."""
    assert clustered_wilson([(8, 8)] * 5 + [(0, 8)] * 5) == pytest.approx(wilson(5, 10))
    assert clustered_wilson([(4, 8)] * 10) == pytest.approx(wilson(40, 80))
    assert clustered_wilson([(8, 8)] * 10) == pytest.approx(wilson(10, 10))
    assert clustered_wilson([(5, 8)]) == pytest.approx(wilson(5 / 8, 1))
    assert clustered_wilson([(5, 8), (0, 0)]) == clustered_wilson([(5, 8)])
    assert clustered_wilson([]) == (0.0, 1.0)


def test_the_effective_number_by_hand() -> None:
    variance = cluster_variance(PUBLISHED)
    loss = t_quantile(0.975, 199) / t_quantile(0.975, 49)
    found = effective_n(0.42, 200, 50, variance)
    assert found == pytest.approx(0.42 * 0.58 / variance * loss**2)
    assert clustered_wilson(PUBLISHED) == pytest.approx(wilson(0.42 * found, found), abs=1e-12)
    assert clustered_wilson(PUBLISHED) == pytest.approx((0.3213, 0.5255), abs=5e-5)


def test_the_effective_number_is_kept_between_tasks_and_runs() -> None:
    assert effective_n(0.5, 80, 10, 1.0) == 10
    assert effective_n(0.5, 80, 10, 0.0) == 80
    assert effective_n(0.5, 80, 80, 0.01) == 80
    assert effective_n(1.0, 80, 10, 0.0) == 10
    assert effective_n(0.5, 80, 1, 0.0) == 1
    assert math.isfinite(effective_n(0.5, 80, 2, 0.01))


@pytest.mark.parametrize("numbers", [(1.2, 8, 2, 0.1), (0.5, 8, 9, 0.1), (0.5, 8, 2, -0.1)])
def test_effective_numbers_that_cannot_be(numbers: tuple[float, int, int, float]) -> None:
    with pytest.raises(ValueError, match="effective_n"):
        effective_n(*numbers)


@pytest.mark.parametrize("trials", [[], [(3, 4)], [(3, 4), (0, 0)]])
def test_one_task_says_nothing_of_how_tasks_differ(trials: Trials) -> None:
    with pytest.raises(PolicyError, match="two tasks or more"):
        cluster_variance(trials)
