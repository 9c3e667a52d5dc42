"""The gate: its boundary, its error rates by simulation, and the suite of fixed size."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import Gate, PolicyError
from coord_plugins._gating._boundary import successes_needed
from coord_plugins.stats import confidence_sequence, log_evidence_above, streak_needed


def filled(gate, successes, failures=0):
    for _ in range(failures):
        gate.add(False)
    for _ in range(successes):
        gate.add(True)
    return gate


@pytest.mark.parametrize(
    ("tau", "clean"), [(0.8, 20), (0.9, 43), (0.95, 88), (0.98, 224), (0.99, 449), (0.995, 901)]
)
def test_a_clean_streak_is_accepted_at_its_last_trial(tau, clean):
    gate = Gate(tau)
    assert gate.clean_trials_needed == clean == streak_needed(tau)
    filled(gate, clean - 1)
    assert (gate.verdict, gate.decided, gate.clean_trials_needed) == ("inconclusive", False, 1)
    assert gate.add(True) == "accept"
    assert (gate.decided, gate.decided_at, gate.clean_trials_needed) == (True, clean, 0)
    assert gate.evidence >= 20
    assert tau <= gate.lower_bound < tau + 0.01
    assert gate.interval[0] < gate.lower_bound
    assert gate.interval == confidence_sequence(clean, clean)


def test_four_failures_in_a_row_are_rejected():
    """Four times ln(0.02 / 0.05) = -3.67 lies below ln(0.05) = -3.00, three times do not."""
    gate = Gate()
    said = [gate.add(False) for _ in range(4)]
    assert said == ["inconclusive"] * 3 + ["reject"]
    assert gate.log_likelihood_ratio == pytest.approx(4 * math.log(0.4))
    assert gate.clean_trials_needed is None


def test_the_first_crossing_decides_and_later_trials_are_counted():
    gate = filled(Gate(), 88)
    for _ in range(50):
        gate.add(False)
    assert (gate.verdict, gate.decided_at, gate.trials, gate.failures) == ("accept", 88, 138, 50)
    assert gate.interval[1] < 0.95


def test_expected_lies_by_default_where_the_research_put_it():
    assert [Gate(tau).expected for tau in (0.95, 0.9, 0.99)] == [0.98, 0.96, 0.996]


def test_at_the_last_trial_it_is_inconclusive():
    gate = Gate(max_trials=100)
    gate.add(False)
    filled(gate, 98)
    assert not gate.decided
    assert gate.clean_trials_needed is None  # 128 would be needed, 1 is left
    gate.add(True)
    assert (gate.decided, gate.verdict, gate.decided_at) == (True, "inconclusive", None)
    filled(gate, 400)
    assert gate.verdict == "inconclusive"


def test_a_batch_is_looked_at_once():
    one = Gate()
    assert one.add_counts(3, 4) == "reject"
    assert Gate().add_counts(88, 0) == "accept"
    assert Gate().add_counts(100, 3) == Gate().add_counts(0, 0) == "inconclusive"
    # in order this was accepted at trial 88; the batch looks after its end, and it may miss that
    late = Gate()
    assert late.add_counts(88, 2) == "inconclusive"


@given(st.integers(0, 40), st.sampled_from([0.5, 0.8, 0.95, 0.99]), st.sampled_from([0.01, 0.05]))
def test_the_boundary_is_the_smallest_that_the_evidence_reaches(failures, tau, alpha):
    needed = successes_needed(failures, tau, alpha)
    assert log_evidence_above(needed, needed + failures, tau) >= -math.log(alpha)
    assert log_evidence_above(needed - 1, needed - 1 + failures, tau) < -math.log(alpha)


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_lower_bound_is_what_the_evidence_refutes(successes, failures, alpha):
    gate = Gate(0.5, alpha=alpha)
    gate.add_counts(successes, failures)
    bound = gate.lower_bound
    if not successes:
        assert bound == 0
        return
    above, below = (
        log_evidence_above(successes, successes + failures, bound * f) for f in (1.0001, 0.9999)
    )
    assert above < -math.log(alpha) < below
    if gate.decided_at == gate.trials:
        assert (gate.verdict == "accept") == (bound >= 0.5)


@given(st.lists(st.booleans(), max_size=300), st.sampled_from([0.5, 0.8, 0.9]))
@settings(max_examples=60)
def test_it_decides_as_the_definition_says(trials, tau):
    gate, verdict = Gate(tau), "inconclusive"
    for n, passed in enumerate(trials, 1):
        gate.add(passed)
        s = sum(trials[:n])
        ratio = s * math.log(gate.expected / tau)
        ratio += (n - s) * math.log((1 - gate.expected) / (1 - tau))
        if verdict == "inconclusive" and log_evidence_above(s, n, tau) >= math.log(20):
            verdict = "accept"
        if verdict == "inconclusive" and ratio <= math.log(0.05):
            verdict = "reject"
        assert gate.verdict == verdict


def test_how_many_more_trials_would_decide_it():
    assert Gate().trials_needed is None
    gate = filled(Gate(), 99, 1)
    more = gate.trials_needed
    assert 0 < more < 100
    assert filled(gate, more).verdict == "accept"  # at 99 %, and these were all clean
    low = filled(Gate(), 27, 3)
    more = low.trials_needed  # 0.9: the ratio falls by 0.064 a trial and has 1.09 to go
    assert more == math.ceil((math.log(0.05) - low.log_likelihood_ratio) / -0.0637) or more > 0
    for i in range(more + 1):
        low.add(i % 10 != 0)
    assert low.verdict == "reject"
    assert low.trials_needed == 0


@pytest.mark.parametrize(
    ("tau", "expected", "p", "accepts", "trials"),
    [
        (0.95, 0.98, 0.85, 0.000, 30),
        (0.95, 0.98, 0.93, 0.002, 97),
        (0.95, 0.98, 0.95, 0.042, 192),
        (0.95, 0.98, 0.98, 0.964, 263),
        (0.95, 0.98, 0.99, 0.999, 148),
        (0.90, 0.95, 0.90, 0.026, 150),
        (0.90, 0.95, 0.95, 0.953, 195),
        (0.99, 0.997, 0.98, 0.001, 202),
    ],
)
def test_error_rates_and_sample_sizes_by_simulation(tau, expected, p, accepts, trials):
    """Acceptance within Monte Carlo error of the published share, and the same mean length."""
    rand = random.Random(f"{tau} {p}")
    runs = 400
    accepted, lengths = 0, []
    for _ in range(runs):
        gate = Gate(tau, expected, max_trials=6_000)
        while not gate.decided:
            gate.add(rand.random() < p)
        accepted += gate.verdict == "accept"
        lengths.append(gate.trials)
    # both are simulated: 4 standard errors of ours, and the half unit of their last digit
    assert accepted / runs == pytest.approx(
        accepts, abs=4 * math.sqrt(accepts * (1 - accepts) / runs) + 0.006
    )
    mean = sum(lengths) / runs
    spread = math.sqrt(sum((n - mean) ** 2 for n in lengths) / runs / runs)
    assert mean == pytest.approx(trials, abs=4 * spread + 0.5)


def test_a_suite_is_exact_when_all_of_it_ran():
    for successes, verdict in ((95, "accept"), (94, "reject"), (100, "accept"), (0, "reject")):
        gate = Gate(0.95, suite=100)
        assert gate.required == 95
        gate.add_counts(successes, 100 - successes)
        assert (gate.verdict, gate.decided) == (verdict, True)
        assert gate.interval == (successes / 100, successes / 100)


def test_a_suite_can_be_decided_before_its_end():
    gate = Gate(0.95, suite=100)
    filled(gate, 50)
    assert gate.interval == (0.91, 1.0)
    more = gate.clean_trials_needed
    assert filled(gate, more - 1).verdict == "inconclusive"
    assert gate.add(True) == "accept"
    assert gate.decided_at == 50 + more < 100
    assert filled(Gate(0.95, suite=100), 30, 6).verdict == "reject"  # 95 are out of reach


def test_a_suite_of_which_every_task_must_succeed():
    gate = filled(Gate(1.0, suite=20), 19)
    assert gate.verdict == "inconclusive"
    assert gate.add(True) == "accept"
    assert filled(Gate(1.0, suite=20), 3, 1).verdict == "reject"


def test_a_suite_in_random_order_rarely_errs():
    rand = random.Random(5)
    wrong, suites = 0, 400
    for _ in range(suites):
        tasks = [True] * 93 + [False] * 7  # 93 of 100 succeed, 95 are asked for
        rand.shuffle(tasks)
        gate = Gate(0.95, suite=100)
        for passed in tasks:
            gate.add(passed)
        wrong += gate.verdict == "accept"
    assert wrong / suites <= 0.05


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"min_success": 0.98, "expected": 0.95},
            "above min_success and below 1, for example",
        ),
        ({"expected": 1.0}, "expected=1 with"),
        ({"min_success": 1.0}, "a share above 0 and below 1"),
        ({"min_success": 95}, "min_success=95"),
        ({"min_success": 1.1, "suite": 10}, "above 0 and at most 1"),
        ({"alpha": 0}, "alpha=0; it is a probability"),
        ({"beta": 1.5}, "beta=1.5"),
        ({"max_trials": 0}, "max_trials=0; it is at least 1"),
        ({"suite": -1}, "suite=-1; it is at least 1"),
        ({"max_trials": 87}, "takes 88 trials without a failure; raise max_trials"),
    ],
)
def test_questions_that_cannot_be_decided(given, said):
    with pytest.raises(PolicyError, match=said):
        Gate(**given)


def test_counts_that_cannot_be():
    with pytest.raises(PolicyError, match="cannot be negative"):
        Gate().add_counts(-1, 2)
    with pytest.raises(PolicyError, match="the suite has 3 tasks and this is trial 4"):
        filled(Gate(suite=3), 4)
    with pytest.raises(PolicyError, match="no likelihood ratio"):
        _ = Gate(suite=3).log_likelihood_ratio
    with pytest.raises(PolicyError, match="without a suite"):
        _ = Gate().required
    assert repr(filled(Gate(), 2)) == "Gate(2/2, inconclusive)"
    assert Gate().evidence == 1.0
