"""Which step loses how much, of steps that must all be right: R = p_1 p_2 .. p_n."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["first_failing", "fix_one", "log_shares", "shapley_shares"]


def first_failing(rates: Sequence[float]) -> list[float]:
    """The share of runs whose first failing step is this one.

    p_1 .. p_{i-1} (1 - p_i). It adds up to the loss 1 - R and can be counted in recorded runs;
    early steps have the first chance to fail, so it depends on the order.

    Args:
        rates: Each step's share of right outputs given right input, in order.

    Raises:
        ValueError: A rate outside [0, 1].

    Source: the chain rule of probability.
    """
    _check("first_failing", rates)
    found, reached = [], 1.0
    for p in rates:
        found.append(reached * (1 - p))
        reached *= p
    return found


def log_shares(rates: Sequence[float]) -> list[float]:
    """The loss split in proportion to ln p_i: does not depend on the order, adds up to 1 - R.

    (1 - R) ln p_i / ln R. Close to `shapley_shares` and one line. Steps that never succeed share
    the loss among themselves.

    Args:
        rates: Each step's share of right outputs given right input.

    Raises:
        ValueError: A rate outside [0, 1].

    Source: R is the product of the rates, so its logarithm adds up.
    """
    _check("log_shares", rates)
    dead = sum(1 for p in rates if p == 0)
    if dead:
        return [1 / dead if p == 0 else 0.0 for p in rates]
    logs = [math.log(p) for p in rates]
    whole = math.fsum(logs)
    if whole == 0:
        return [0.0] * len(logs)
    return [-math.expm1(whole) * one / whole for one in logs]


def shapley_shares(rates: Sequence[float]) -> list[float]:
    """The loss split by what a step costs on average over all orders of repairing the steps.

    (1 - p_i) sum_k k! (n-1-k)!/n! e_k(others), with e_k the sum of the products of k other rates.
    It adds up to 1 - R. Time grows as the cube of the number of steps.

    Args:
        rates: Each step's share of right outputs given right input.

    Raises:
        ValueError: A rate outside [0, 1].

    Source: L. S. Shapley, A Value for n-Person Games (1953).
    """
    _check("shapley_shares", rates)
    n = len(rates)
    found = []
    for i, p in enumerate(rates):
        means = [1.0]  # of the products of k of the other rates, over all choices of k
        for m, other in enumerate([*rates[:i], *rates[i + 1 :]], 1):
            longer = [*means, 0.0]
            shorter = [0.0, *means]
            means = [
                (m - k) / m * a + k / m * other * b
                for k, (a, b) in enumerate(zip(longer, shorter, strict=True))
            ]
        found.append((1 - p) * math.fsum(means) / n)
    return found


def fix_one(rates: Sequence[float]) -> list[float]:
    """What the success rate gains when this step alone is made perfect: R/p_i - R.

    It answers where repair pays, and does not add up to the loss.

    Args:
        rates: Each step's share of right outputs given right input.

    Raises:
        ValueError: A rate outside [0, 1].

    Source: the product of the other rates, less the product of all.
    """
    _check("fix_one", rates)
    return [(1 - p) * math.prod([*rates[:i], *rates[i + 1 :]]) for i, p in enumerate(rates)]


def _check(name: str, rates: Sequence[float]) -> None:
    for p in rates:
        if not 0 <= p <= 1:
            raise ValueError(f"{name}: a rate of {p}; rates lie between 0 and 1")
