"""Voting on one step: answers are drawn until one is ahead of the other by k."""

from __future__ import annotations

import math

from ..errors import PolicyError

__all__ = ["first_to_ahead", "votes_needed"]


def first_to_ahead(p: float, k: int) -> tuple[float, float]:
    """How voting to a lead of k ends, and how many votes it takes.

    The right answer wins with P = 1/(1 + ((1-p)/p)^k) after k (2P-1)/(2p-1) votes on average
    (k^2 at p = 1/2). It supposes independent votes and the worst case, that all wrong votes
    agree: where repeats fail together, no k helps.

    Args:
        p: Chance that one vote is right, in [0, 1].
        k: The lead that ends the vote, from 1.

    Returns:
        The chance that the right answer wins, and the expected number of votes.

    Raises:
        ValueError: Numbers that cannot be.

    Source: the gambler's ruin (W. Feller, An Introduction to Probability Theory and Its
    Applications I, chapter XIV); for language models E. Meyerson et al., arXiv:2511.09030 (2025).
    """
    if not 0 <= p <= 1 or k < 1:
        raise ValueError(f"first_to_ahead: p={p}, k={k}; it needs p in [0, 1] and k from 1")
    if p in (0, 1):
        return float(p), float(k)
    lead = math.log(p) - math.log1p(-p)
    if lead == 0:
        return 0.5, float(k * k)
    # (2P-1)/(2p-1) = tanh(k lead/2)/tanh(lead/2), which does not cancel near 1/2
    return _wins(k * lead), k * math.tanh(k * lead / 2) / math.tanh(lead / 2)


def votes_needed(p: float, target: float, steps: int) -> int:
    """The smallest lead k with which all steps are right with the wanted chance.

    ceil(ln(target^(-1/steps) - 1) / ln((1-p)/p)), at least 1.

    Args:
        p: Chance that one vote is right, in (1/2, 1].
        target: Wanted chance that every step is right, in (0, 1).
        steps: How many steps are voted on, each for itself, from 1.

    Raises:
        PolicyError: p is 1/2 or less: no lead is enough.
        ValueError: Numbers that cannot be.

    Source: E. Meyerson et al., arXiv:2511.09030 (2025).
    """
    if not 0 <= p <= 1 or not 0 < target < 1 or steps < 1:
        raise ValueError(
            f"votes_needed: p={p}, target={target}, steps={steps}; it needs p in [0, 1], a target"
            " between 0 and 1 and steps from 1"
        )
    if p <= 0.5:
        raise PolicyError(
            f"votes_needed: a vote is right with chance {p}; voting helps only above 1/2"
        )
    if p == 1:
        return 1
    lead = math.log(p) - math.log1p(-p)
    leads = -math.log(math.expm1(-math.log(target) / steps)) / lead
    return max(1, math.ceil(leads - 1e-12 * abs(leads)))  # a hair of room for rounding


def _wins(lead: float) -> float:
    return 1 / (1 + math.exp(-lead)) if lead > -700 else 0.0
