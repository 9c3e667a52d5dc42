"""Which step loses how much, against brute force over subsets."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.stats import first_failing, fix_one, log_shares, shapley_shares

RATES = st.lists(st.floats(0, 1), max_size=6)
ADD_UP = (first_failing, log_shares, shapley_shares)


@given(RATES)
def test_three_of_them_add_up_to_the_loss(rates: list[float]) -> None:
    loss = 1 - math.prod(rates)
    for split in ADD_UP:
        found = split(rates)
        assert len(found) == len(rates)
        assert sum(found) == pytest.approx(loss, abs=1e-9)
        assert all(-1e-12 <= one <= 1 + 1e-12 for one in found)


@given(RATES)
def test_shapley_by_brute_force(rates: list[float]) -> None:
    n = len(rates)
    for i, found in enumerate(shapley_shares(rates)):
        others = [p for j, p in enumerate(rates) if j != i]
        want = sum(
            math.factorial(k)
            * math.factorial(n - k - 1)
            / math.factorial(n)
            * math.prod(chosen)
            * (1 - rates[i])
            for k in range(n)
            for chosen in itertools.combinations(others, k)
        )
        assert found == pytest.approx(want, abs=1e-12)


@given(RATES)
def test_fixing_one_gains_what_the_product_says(rates: list[float]) -> None:
    for i, found in enumerate(fix_one(rates)):
        fixed = [1.0 if j == i else p for j, p in enumerate(rates)]
        assert found == pytest.approx(math.prod(fixed) - math.prod(rates), abs=1e-12)


@given(st.permutations([0.99, 0.97, 0.9, 0.5, 1.0]))
def test_two_of_them_do_not_depend_on_the_order(rates: list[float]) -> None:
    for split in (log_shares, shapley_shares):
        by_rate = dict(zip(rates, split(rates), strict=True))
        assert by_rate[1.0] == pytest.approx(0.0, abs=1e-12)
        in_order = split(sorted(rates))
        assert [by_rate[p] for p in sorted(rates)] == pytest.approx(in_order)


def test_log_shares_are_near_shapleys() -> None:
    rates = [0.99, 0.97, 0.90, 0.98, 0.95, 0.99]
    assert log_shares(rates) == pytest.approx(shapley_shares(rates), abs=2e-4)


def test_steps_that_never_succeed() -> None:
    assert log_shares([0.9, 0.0, 0.0]) == [0.0, 0.5, 0.5]
    assert first_failing([0.9, 0.0, 0.5]) == pytest.approx([0.1, 0.9, 0.0])
    assert fix_one([0.0, 0.5]) == [0.5, 0.0]


def test_steps_that_never_fail() -> None:
    for split in (*ADD_UP, fix_one):
        assert split([1.0, 1.0]) == [0.0, 0.0]
        assert split([]) == []


def test_many_steps() -> None:
    assert sum(shapley_shares([0.99] * 200)) == pytest.approx(1 - 0.99**200)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_rates_that_cannot_be(rate: float) -> None:
    for split in (*ADD_UP, fix_one):
        with pytest.raises(ValueError, match="between 0 and 1"):
            split([0.9, rate])
