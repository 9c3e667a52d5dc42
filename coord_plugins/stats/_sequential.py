"""Evidence that stays valid however often one looks, and when one stops.

Repeated looks at an ordinary interval or p-value find "significance" sooner or later. These do
not: under the null, the chance that the evidence E ever reaches 1/alpha is at most alpha (Ville's
inequality), so one may stop as soon as it does. All of them mix over the share with a beta prior.
"""

from __future__ import annotations

import math
from functools import lru_cache

from ._special import log_beta, log_beta_tails

__all__ = [
    "confidence_sequence",
    "log_evidence",
    "log_evidence_above",
    "log_evidence_below",
]

Prior = tuple[float, float]
_HALVINGS = 200


def log_evidence(
    successes: int, n: int, p0: float, prior: tuple[float, float] = (1.0, 1.0)
) -> float:
    """The logarithm of the evidence against "the share is p0".

    ln B(a+S, b+F) - ln B(a, b) - S ln p0 - F ln(1-p0), with S successes, F failures and the prior
    (a, b). Its expectation under the null is 1 after every number of trials.

    Args:
        successes: Between 0 and n.
        n: Trials so far.
        p0: The share under the null, in [0, 1]; infinity where it makes the outcomes impossible.
        prior: Parameters of the beta prior, above 0.

    Raises:
        ValueError: Numbers that cannot be.

    Source: H. Robbins, Annals of Mathematical Statistics 41 (1970) 1397, for mixtures; S. R.
    Howard et al., Annals of Statistics 49 (2021) 1055.
    """
    failures = _failures("log_evidence", successes, n, prior)
    if not 0 <= p0 <= 1:
        raise ValueError(f"log_evidence: p0={p0}; a share lies between 0 and 1")
    if (p0 == 0 and successes) or (p0 == 1 and failures):
        return math.inf
    found = _mixture(successes, failures, prior)
    found -= successes * math.log(p0) if successes else 0.0
    return found - (failures * math.log1p(-p0) if failures else 0.0)


def log_evidence_above(
    successes: int, n: int, tau: float, prior: tuple[float, float] = (1.0, 1.0)
) -> float:
    """The logarithm of the evidence that the share is above tau, against "it is at most tau".

    `log_evidence` at tau with the prior cut to (tau, 1]: plus ln of
    (1 - I_tau(a+S, b+F)) / (1 - I_tau(a, b)). It stays valid where the share drifts, as long as
    each trial's chance given the past is at most tau. Takes microseconds.

    Args:
        successes: Between 0 and n.
        n: Trials so far.
        tau: The limit, in (0, 1).
        prior: Parameters of the beta prior, above 0.

    Raises:
        ValueError: Numbers that cannot be.

    Source: as `log_evidence`; the prior restricted to the alternative.
    """
    return _one_sided("log_evidence_above", successes, n, tau, prior, 1)


def log_evidence_below(
    successes: int, n: int, tau: float, prior: tuple[float, float] = (1.0, 1.0)
) -> float:
    """The logarithm of the evidence that the share is below tau, against "it is at least tau".

    `log_evidence` at tau with the prior cut to [0, tau): plus ln of
    I_tau(a+S, b+F) / I_tau(a, b).

    Args:
        successes: Between 0 and n.
        n: Trials so far.
        tau: The limit, in (0, 1).
        prior: Parameters of the beta prior, above 0.

    Raises:
        ValueError: Numbers that cannot be.

    Source: as `log_evidence`; the prior restricted to the alternative.
    """
    return _one_sided("log_evidence_below", successes, n, tau, prior, 0)


def confidence_sequence(
    successes: int, n: int, alpha: float = 0.05, prior: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float]:
    """An interval for a share that may be looked at after every trial.

    All p0 whose evidence is below 1/alpha. The chance that it ever misses the share, over all
    numbers of trials together, is at most alpha. It is about 1.6 to 2.1 times as wide as
    Wilson's.

    Args:
        successes: Between 0 and n.
        n: Trials so far; 0 gives (0, 1).
        alpha: Chance to be wrong ever, in (0, 1).
        prior: Parameters of the beta prior, above 0; one with its mean near the share is narrower.

    Raises:
        ValueError: Numbers that cannot be.

    Source: S. R. Howard et al., Annals of Statistics 49 (2021) 1055.
    """
    failures = _failures("confidence_sequence", successes, n, prior)
    if not 0 < alpha < 1:
        raise ValueError(f"confidence_sequence: alpha={alpha}; it lies between 0 and 1")
    if n == 0:
        return 0.0, 1.0
    limit = -math.log(alpha) - _mixture(successes, failures, prior)
    low = _end(successes, failures, limit) if successes else 0.0
    high = 1 - _end(failures, successes, limit) if failures else 1.0
    return low, high


def _end(successes: int, failures: int, limit: float) -> float:
    """The p below the share with -S ln p - F ln(1-p) = limit, which falls in p up to the share."""
    inside, outside = successes / (successes + failures), 0.0
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            break
        if -successes * math.log(middle) - failures * math.log1p(-middle) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _one_sided(name: str, successes: int, n: int, tau: float, prior: Prior, side: int) -> float:
    if not 0 < tau < 1:
        raise ValueError(f"{name}: tau={tau}; it lies between 0 and 1, both excluded")
    failures = _failures(name, successes, n, prior)
    found = _mixture(successes, failures, prior)
    found -= successes * math.log(tau) + failures * math.log1p(-tau)
    posterior = log_beta_tails(tau, 1 - tau, prior[0] + successes, prior[1] + failures)
    return found + posterior[side] - _prior_tails(tau, prior)[side]


def _mixture(successes: int, failures: int, prior: Prior) -> float:
    a, b = prior
    return log_beta(a + successes, b + failures) - _log_beta_of(prior)


@lru_cache
def _log_beta_of(prior: Prior) -> float:
    return log_beta(*prior)


@lru_cache
def _prior_tails(tau: float, prior: Prior) -> tuple[float, float]:
    return log_beta_tails(tau, 1 - tau, *prior)


def _failures(name: str, successes: int, n: int, prior: Prior) -> int:
    if not 0 <= successes <= n:
        raise ValueError(f"{name}: successes={successes}, n={n}; it needs 0 <= successes <= n")
    if not (prior[0] > 0 and prior[1] > 0):
        raise ValueError(f"{name}: prior={prior}; both parameters are above 0")
    return n - successes
