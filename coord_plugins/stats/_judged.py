"""The true rate where a judge, or the pipeline itself, says pass and may be wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import PolicyError
from ._shares import wilson_of
from ._special import two_sided_z

__all__ = ["rogan_gladen", "stratified_rate"]


def rogan_gladen(
    apparent: float, sensitivity: float, specificity: float, n: int, m1: int, m0: int
) -> tuple[float, float]:
    """The true rate behind an imperfect judge whose error rates come from other data.

    With q1 and q0 the judge's sensitivity and specificity: (apparent + q0 - 1) / (q1 + q0 - 1),
    and the delta method's variance [a(1-a)/n + v^2 q1(1-q1)/m1 + (1-v)^2 q0(1-q0)/m0] /
    (q1 + q0 - 1)^2 with a the apparent rate and v the value. Where the labels are a sample of the
    same runs, `stratified_rate` is narrower and covers better.

    Args:
        apparent: Share that the judge passes, in [0, 1].
        sensitivity: Share that the judge passes among the right ones.
        specificity: Share that the judge rejects among the wrong ones.
        n: Judged runs.
        m1: Right ones that `sensitivity` was measured on.
        m0: Wrong ones that `specificity` was measured on.

    Returns:
        The value, not clipped (outside [0, 1] the error rates do not fit these data), and its
        standard error.

    Raises:
        PolicyError: sensitivity + specificity is not above 1: the judge tells nothing.
        ValueError: Numbers that cannot be.

    Source: W. J. Rogan and B. Gladen, American Journal of Epidemiology 107 (1978) 71; for judges
    of language models Lee et al., arXiv:2511.21140.
    """
    rates = (apparent, sensitivity, specificity)
    if not all(0 <= rate <= 1 for rate in rates) or min(n, m1, m0) < 1:
        raise ValueError(
            f"rogan_gladen: rates {rates} of {n}, {m1} and {m0}; it needs rates in [0, 1] and"
            " counts from 1"
        )
    youden = sensitivity + specificity - 1
    if youden <= 0:
        raise PolicyError(
            f"rogan_gladen: sensitivity {sensitivity} + specificity {specificity} is not above 1:"
            " this judge does no better than chance; label runs by hand instead"
        )
    value = (apparent + specificity - 1) / youden
    variance = (
        apparent * (1 - apparent) / n
        + value**2 * sensitivity * (1 - sensitivity) / m1
        + (1 - value) ** 2 * specificity * (1 - specificity) / m0
    )
    return value, math.sqrt(variance) / youden


def stratified_rate(
    strata: Sequence[tuple[int, int, int | None]], confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """The rate over all runs from labels drawn within strata, such as accepted and rejected runs.

    With W_h a stratum's share of the N runs, p_h its labelled share and [l_h, u_h] its Wilson
    interval: the value is sum W_h p_h; the lower end lies sqrt(sum (W_h (p_h - l_h))^2 +
    z^2/N (sum W_h p_h^2 - value^2)) below it, the upper end likewise with u_h - p_h. The first
    term is the labels' uncertainty, the second that of the strata's shares.

    Args:
        strata: For each stratum its runs, how many of its labelled runs succeeded, and how many
            were labelled, at random within the stratum. (runs, 0, None) and (runs, runs, None)
            are strata whose runs all failed or all succeeded, known without labels.
        confidence: Two-sided level, in (0, 1).

    Returns:
        The value and its interval, in [0, 1].

    Raises:
        PolicyError: There is no run, or a stratum with runs has no label.
        ValueError: Counts that cannot be.

    Source: C. B. Begg and R. A. Greenes, Biometrics 39 (1983) 207, for the value; G. Y. Zou and
    A. Donner, Statistics in Medicine 27 (2008) 1693, for intervals from recovered variances.
    """
    z = two_sided_z(confidence)
    total = sum(runs for runs, _, _ in strata)
    if total < 1:
        raise PolicyError("stratified_rate: there is no run in any stratum")
    value = squares = below = above = 0.0
    for runs, passed, labelled in strata:
        share, low, high = _stratum(runs, passed, labelled, z)
        weight = runs / total
        value += weight * share
        squares += weight * share * share
        below += (weight * (share - low)) ** 2
        above += (weight * (high - share)) ** 2
    between = z * z * max(0.0, squares - value * value) / total
    low = max(0.0, value - math.sqrt(below + between))
    high = min(1.0, value + math.sqrt(above + between))
    return value, (low, high)


def _stratum(runs: int, passed: int, labelled: int | None, z: float) -> tuple[float, float, float]:
    """A stratum's share and its interval; both are exact where it is known without labels."""
    if labelled is None:
        if passed not in (0, runs) or runs < 0:
            raise ValueError(
                f"stratified_rate: ({runs}, {passed}, None); a stratum without labels is known to"
                " hold no success, (runs, 0, None), or nothing else, (runs, runs, None)"
            )
        share = 1.0 if passed else 0.0
        return share, share, share
    if not 0 <= passed <= labelled <= runs:
        raise ValueError(
            f"stratified_rate: ({runs}, {passed}, {labelled}); it needs"
            " 0 <= passed <= labelled <= runs"
        )
    if runs == 0:
        return 0.0, 0.0, 0.0
    if labelled == 0:
        raise PolicyError(
            f"stratified_rate: none of the {runs} runs of a stratum is labelled; label some of it"
        )
    share = passed / labelled
    low, high = wilson_of(share, labelled, z)
    return share, low, high
