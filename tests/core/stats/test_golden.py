"""Golden values of the estimates, intervals, tests, evidence and voting, to 1e-9."""

from __future__ import annotations

import json
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from coord_plugins import PolicyError, stats

GOLDEN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "golden.json").read_text(encoding="utf-8")
)
SECTIONS = ("ab", "estimate", "intervals", "online", "vote", "kmin")
REPRODUCED = {(section, key) for section in SECTIONS for key in GOLDEN[section]}
"""The entries that this module reproduces."""
_GATE = (
    "means of 1,000 to 2,000 simulated gates by two rules that are not `Gate`'s; that one's error"
    " rates and mean sizes are in `tests/benchmarks/run.py statistics`"
)
_AB = "means of simulated comparisons whose correlation within pairs is not recorded"
_GRID = "a power on a coarse grid of numbers of pairs (1600, 2400); bounded below"
SIMULATED: dict[tuple[str, str], dict[str, str]] = {
    **{("online", key): {"mix": _GATE, "sprt": _GATE} for key in GOLDEN["online"] if "gate" in key},
    **{
        ("ab", key): {"declare": _AB, "En": _AB, "n80": _GRID, "n95": _GRID}
        for key in GOLDEN["ab"]
        if key.startswith("ab ")
    },
}
"""The fields of these entries that are not deterministic, and why."""


def flat(value: Any) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [one for part in value for one in flat(part)]
    return [value]


def same(found: Any, golden: Any) -> None:
    assert flat(found) == pytest.approx(flat(golden), abs=1e-9, rel=0)


def keys(section: str, kind: str = "") -> list[str]:
    return [key for key in GOLDEN[section] if key.startswith(kind)]


def counts(key: str) -> list[int]:
    """Of a key such as "mcnemar 10,2" or "cs 19/20"."""
    return [int(part) for part in key.split()[1].replace("/", ",").split(",")]


@pytest.mark.parametrize("key", keys("ab", "mcnemar"))
def test_paired_counts(key: str) -> None:
    golden = GOLDEN["ab"][key]
    b, c = counts(key)
    same(stats.mcnemar_exact(b, c), golden["p"])
    same(stats.mcnemar_midp(b, c), golden["midp"])
    same(stats.log_sign_evidence(b, c), golden["logE"])
    same(stats.newcombe_paired(50, b, c, 20), golden["newcombe"])


@pytest.mark.parametrize("key", keys("ab", "ab "))
def test_runs_per_arm(key: str) -> None:
    golden = GOLDEN["ab"][key]
    _, p1, p2 = key.split()
    if golden["unpaired"] is None:
        with pytest.raises(PolicyError):
            stats.runs_needed(float(p1), float(p2))
    else:
        assert stats.runs_needed(float(p1), float(p2)) == golden["unpaired"]


@pytest.mark.parametrize(("key", "phi"), [("ab 0.833 0.9", 0.15), ("ab 0.95 0.97", 0.1)])
def test_pairs_lie_below_the_grid_point_that_was_the_first_to_reach_the_power(
    key: str, phi: float
) -> None:
    """The grid's steps are up to half of a value, and the exact test needs a few pairs more."""
    golden = GOLDEN["ab"][key]
    p1, p2 = (float(part) for part in key.split()[1:])
    both = p1 * p2 + phi * (p1 * (1 - p1) * p2 * (1 - p2)) ** 0.5
    discordant = p1 + p2 - 2 * both
    for power, name in ((0.8, "n80"), (0.95, "n95")):
        assert 0.75 * golden[name] < stats.pairs_needed(p2 - p1, discordant, power) <= golden[name]


@pytest.mark.parametrize("key", keys("ab", "wor"))
def test_finite_suites(key: str) -> None:
    total, successes, failures = counts(key)
    assert list(stats.finite_sequence(total, successes, failures)) == GOLDEN["ab"][key]


@pytest.mark.parametrize("p", GOLDEN["estimate"]["n_wilson"])
def test_runs_for_a_half_width(p: str) -> None:
    found = [stats.runs_for_half_width(float(p), half) for half in (0.05, 0.02, 0.01, 0.005)]
    assert found == GOLDEN["estimate"]["n_wilson"][p]


@pytest.mark.parametrize("key", keys("estimate", "attrib_"))
def test_attribution(key: str) -> None:
    golden, rates = GOLDEN["estimate"][key], literal_eval(key.removeprefix("attrib_"))
    same(stats.first_failing(rates), golden["first"])
    same(stats.fix_one(rates), golden["fix"])
    same(stats.shapley_shares(rates), golden["shapley"])
    same(stats.log_shares(rates), golden["log"])
    same(sum(stats.first_failing(rates)), golden["loss"])
    same(1 - sum(stats.first_failing(rates)), golden["R"])


@pytest.mark.parametrize("key", keys("estimate", "rg_"))
def test_rogan_gladen(key: str) -> None:
    same(stats.rogan_gladen(*literal_eval(key.removeprefix("rg_"))), GOLDEN["estimate"][key])


@pytest.mark.parametrize("key", keys("intervals"))
def test_intervals(key: str) -> None:
    golden = GOLDEN["intervals"][key]
    successes, n = map(int, key.split("/"))
    same(stats.wilson(successes, n), golden["wilson"])
    same(stats.clopper_pearson(successes, n), golden["cp"])
    same(stats.jeffreys(successes, n), golden["jeffreys"])


@pytest.mark.parametrize("key", keys("online", "cs "))
def test_confidence_sequences(key: str) -> None:
    successes, n = counts(key)
    same(stats.confidence_sequence(successes, n), GOLDEN["online"][key])


@pytest.mark.parametrize("key", keys("online", "loge "))
def test_evidence(key: str) -> None:
    golden = GOLDEN["online"][key]
    successes, n = counts(key)
    same(stats.log_evidence(successes, n, 0.9), golden["pt9"])
    same(stats.log_evidence_above(successes, n, 0.9), golden["ab9"])
    same(stats.log_evidence_above(successes, n, 0.95), golden["ab95"])
    same(stats.log_evidence_below(successes, n, 0.95), golden["be95"])


@pytest.mark.parametrize("key", keys("online", "streak "))
def test_streaks(key: str) -> None:
    tau = float(key.split()[1])
    found = [stats.streak_needed(tau), stats.fixed_streak_needed(tau)]
    assert found == GOLDEN["online"][key]


@pytest.mark.parametrize("key", [*keys("online", "fixed "), *keys("online", "gate ")])
def test_tests_with_one_look(key: str) -> None:
    golden = GOLDEN["online"][key]
    kind, tau, expected, *rate = key.split()
    n, most = stats.fixed_test(float(tau), float(expected))
    if kind == "fixed":
        assert [n, n - most] == golden
    else:
        same([n, stats.fixed_test_power(float(rate[0]), n, most)], golden["fixed"])


@pytest.mark.parametrize("key", keys("vote"))
def test_voting(key: str) -> None:
    p, k = key.split(",")
    same(stats.first_to_ahead(float(p), int(k)), GOLDEN["vote"][key])


@pytest.mark.parametrize("key", keys("kmin"))
def test_votes_needed(key: str) -> None:
    p, target, steps = key.split(",")
    assert stats.votes_needed(float(p), float(target), int(steps)) == GOLDEN["kmin"][key]
