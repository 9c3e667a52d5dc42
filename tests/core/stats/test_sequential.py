"""Evidence and confidence sequences: exact expectations, exact error rates, scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins.stats import (
    confidence_sequence,
    log_evidence,
    log_evidence_above,
    log_evidence_below,
    wilson,
)

PRIORS = ((1.0, 1.0), (0.5, 0.5), (9.5, 0.5), (2.0, 7.0))
RATES = (0.05, 0.3, 0.5, 0.9, 0.99)
COUNTS = st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
Evidence = Callable[..., float]


def expected(evidence: Evidence, n: int, p: float, p0: float, prior: tuple[float, float]) -> float:
    """Over all sequences of n trials of a share p; evidence depends on counts alone."""
    return math.fsum(
        math.comb(n, s) * p**s * (1 - p) ** (n - s) * math.exp(evidence(s, n, p0, prior))
        for s in range(n + 1)
    )


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("p0", RATES)
def test_every_evidence_expects_1_at_the_edge_of_its_null(
    p0: float, prior: tuple[float, float]
) -> None:
    for n in range(13):
        for evidence in (log_evidence, log_evidence_above, log_evidence_below):
            assert expected(evidence, n, p0, p0, prior) == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("p0", RATES)
def test_every_evidence_is_a_martingale_step_by_step(p0: float, prior: tuple[float, float]) -> None:
    """Given any past of up to 11 trials, the next one is expected to leave it as it is."""
    for evidence in (log_evidence, log_evidence_above, log_evidence_below):
        for n in range(12):
            for s in range(n + 1):
                now = math.exp(evidence(s, n, p0, prior))
                won = math.exp(evidence(s + 1, n + 1, p0, prior))
                lost = math.exp(evidence(s, n + 1, p0, prior))
                assert p0 * won + (1 - p0) * lost == pytest.approx(now, rel=1e-9)


@pytest.mark.parametrize("tau", RATES)
def test_one_sided_evidence_expects_less_inside_its_null(tau: float) -> None:
    for n in (1, 5, 12):
        below, above = tau / 2, (1 + tau) / 2
        assert expected(log_evidence_above, n, below, tau, (1.0, 1.0)) < 1
        assert expected(log_evidence_below, n, above, tau, (1.0, 1.0)) < 1


def ever(p: float, n: int, stops: Callable[[int, int], bool]) -> float:
    """The chance that it stops within n trials of a share p, by exact dynamic programming."""
    at, stopped = {0: 1.0}, 0.0
    for i in range(1, n + 1):
        following: dict[int, float] = {}
        for s, mass in at.items():
            for to, share in ((s + 1, p), (s, 1 - p)):
                if mass * share == 0:
                    continue
                if stops(to, i):
                    stopped += mass * share
                else:
                    following[to] = following.get(to, 0.0) + mass * share
        at = following
    return stopped


@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_it_rarely_ever_reaches_its_limit_under_the_null(p: float, alpha: float) -> None:
    limit = math.log(1 / alpha)
    for evidence in (log_evidence, log_evidence_above, log_evidence_below):
        chance = ever(p, 150, lambda s, n, e=evidence: e(s, n, p) >= limit)
        assert 0 < chance <= alpha


@pytest.mark.parametrize(("p", "simulated"), [(0.833, 0.015), (0.95, 0.010), (0.97, 0.003)])
def test_chances_to_miss_while_peeking_at_every_run_from_20(p: float, simulated: float) -> None:
    exact = ever(p, 200, lambda s, n: n >= 20 and log_evidence(s, n, p) >= math.log(20))
    assert exact == pytest.approx(simulated, abs=0.006)


def test_looking_at_wilson_again_and_again_is_often_wrong() -> None:
    wrong = ever(0.95, 200, lambda s, n: n >= 20 and not holds(wilson(s, n), 0.95))
    assert wrong == pytest.approx(0.249, abs=0.03)


def holds(interval: tuple[float, float], p: float) -> bool:
    return interval[0] <= p <= interval[1]


@given(COUNTS, st.floats(0.001, 0.5), st.sampled_from(PRIORS))
def test_what_holds_of_every_confidence_sequence(
    counts: tuple[int, int], alpha: float, prior: tuple[float, float]
) -> None:
    successes, n = counts
    low, high = confidence_sequence(successes, n, alpha, prior)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    mirrored = confidence_sequence(n - successes, n, alpha, prior[::-1])
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wide = confidence_sequence(successes, n, alpha / 2, prior)
    assert wide[0] <= low
    assert wide[1] >= high
    limit = -math.log(alpha)
    for end in (low, high):
        if 0 < end < 1:
            assert log_evidence(successes, n, end, prior) == pytest.approx(limit, abs=1e-6)


@given(COUNTS)
def test_it_is_wider_than_wilson(counts: tuple[int, int]) -> None:
    low, high = confidence_sequence(*counts)
    by_wilson = wilson(*counts)
    assert high - low > by_wilson[1] - by_wilson[0]


@pytest.mark.parametrize("n", [1, 20, 1_000, 10**7])
@pytest.mark.parametrize("share", [0.0, 1e-6, 0.03, 0.5, 0.97, 1.0])
def test_it_equals_a_numeric_inversion_with_scipy(n: int, share: float) -> None:
    special = pytest.importorskip("scipy.special")
    optimize = pytest.importorskip("scipy.optimize")
    s = round(share * n)
    f = n - s
    mixture = special.betaln(1 + s, 1 + f)

    def above(p: float) -> float:
        return float(mixture - special.xlogy(s, p) - special.xlog1py(f, -p) - math.log(20))

    low, high = confidence_sequence(s, n)
    middle, tiny = s / n, 1e-300
    want_low = optimize.brentq(above, tiny, middle, xtol=1e-15) if s else 0.0
    want_high = optimize.brentq(above, middle, 1 - 1e-16, xtol=1e-15) if f else 1.0
    assert (low, high) == pytest.approx((want_low, want_high), abs=1e-10, rel=0)


@pytest.mark.parametrize("tau", [0.01, 0.5, 0.95])
@pytest.mark.parametrize("n", [1, 50, 4_000, 10**7])
def test_one_sided_evidence_equals_scipys(tau: float, n: int) -> None:
    special = pytest.importorskip("scipy.special")
    for s in {0, int(n * tau), min(n, int(n * tau + 3 * math.sqrt(n))), n}:
        whole = log_evidence(s, n, tau)
        upper = float(special.betaincc(1 + s, 1 + n - s, tau))
        lower = float(special.betainc(1 + s, 1 + n - s, tau))
        if upper > 1e-290:
            want = whole + math.log(upper) - math.log1p(-tau)
            assert log_evidence_above(s, n, tau) == pytest.approx(want, abs=1e-8)
        if lower > 1e-290:
            want = whole + math.log(lower) - math.log(tau)
            assert log_evidence_below(s, n, tau) == pytest.approx(want, abs=1e-8)


@given(COUNTS, st.floats(0.01, 0.99))
def test_one_sided_evidence_is_finite_and_grows_with_success(
    counts: tuple[int, int], tau: float
) -> None:
    successes, n = counts
    found = log_evidence_above(successes, n, tau)
    assert math.isfinite(found)
    assert log_evidence_below(n - successes, n, 1 - tau) == pytest.approx(found, abs=1e-7, rel=1e-9)
    if successes < n:
        assert log_evidence_above(successes + 1, n, tau) > found


def test_without_trials_there_is_no_evidence() -> None:
    assert confidence_sequence(0, 0) == (0.0, 1.0)
    assert log_evidence(0, 0, 0.3) == 0.0
    assert log_evidence_above(0, 0, 0.3) == pytest.approx(0.0, abs=1e-15)
    assert log_evidence_below(0, 0, 0.3, (2.0, 5.0)) == pytest.approx(0.0, abs=1e-15)


def test_what_cannot_have_happened_is_infinite_evidence() -> None:
    assert log_evidence(1, 3, 0.0) == math.inf
    assert log_evidence(1, 3, 1.0) == math.inf
    assert log_evidence(0, 3, 0.0) == pytest.approx(math.log(1 / 4))
    assert log_evidence(3, 3, 1.0) == pytest.approx(math.log(1 / 4))


@pytest.mark.parametrize("evidence", [log_evidence_above, log_evidence_below])
@pytest.mark.parametrize("tau", [0.0, 1.0, math.nan])
def test_a_limit_lies_between_0_and_1(evidence: Evidence, tau: float) -> None:
    with pytest.raises(ValueError, match="tau"):
        evidence(1, 2, tau)


@pytest.mark.parametrize(
    ("refused", "word"),
    [
        (lambda: log_evidence(3, 2, 0.5), "successes"),
        (lambda: log_evidence(-1, 2, 0.5), "successes"),
        (lambda: log_evidence(1, 2, 1.5), "p0"),
        (lambda: log_evidence(1, 2, 0.5, (0.0, 1.0)), "prior"),
        (lambda: log_evidence_above(1, 2, 0.5, (1.0, -1.0)), "prior"),
        (lambda: confidence_sequence(3, 2), "successes"),
        (lambda: confidence_sequence(1, 2, alpha=0.0), "alpha"),
        (lambda: confidence_sequence(1, 2, alpha=1.0), "alpha"),
    ],
)
def test_numbers_that_cannot_be(refused: Callable[[], object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        refused()
