"""`gate` on recorded runs: what counts, what is refused, and what is said."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import Gate, PolicyError, RunRecord, Store, gate
from coord_plugins._events import RunFinished, RunStarted
from coord_plugins._gating._runs import Crossing, first_crossing
from coord_plugins.stats import confidence_sequence


def run(i, result=True, **given):
    """A run; `result` is True, False, None (no label), or an end like "escalated"."""
    values = {"passed": result} if result in (True, False, None) else {"passed": None}
    end = "delivered" if result in (True, False, None) else result
    details = {"delivered": "first_pass", "escalated": "unjudged", "error": "crash"}
    values |= {"end": end, "detail": details[end], "status": "finished"}
    return RunRecord(
        **{
            "run_id": f"r{i:05}",
            "pipeline": "support",
            "policy_id": "p1",
            "started_at": 1_000.0 + i,
            "finished_at": 1_001.0 + i,
            **values,
            **given,
        }
    )


def running(i):
    return RunRecord(run_id=f"r{i:05}", pipeline="support", policy_id="p1", started_at=1_000.0 + i)


def clean(n, start=0):
    return [run(i) for i in range(start, start + n)]


def test_enough_clean_runs_are_accepted():
    found = gate(clean(88))
    assert (found.verdict, found.exit_code, found.decided_at) == ("accept", 0, 88)
    assert (found.trials, found.successes, found.failures, found.success_rate) == (88, 88, 0, 1.0)
    assert found.interval == confidence_sequence(88, 88)
    assert found.evidence >= found.evidence_to_accept == 20
    assert (found.clean_trials_needed, found.trials_needed) == (0, 0)
    assert found.reason == "88 of 88 runs did their job: run 88 showed more than 95 %"
    assert found.warnings == ()


def test_too_few_are_inconclusive_and_say_how_many_more():
    found = gate(clean(87))
    assert (found.verdict, found.exit_code, found.decided_at) == ("inconclusive", 3, None)
    assert (found.clean_trials_needed, found.trials_needed) == (1, 1)
    nothing = gate([])
    assert (nothing.verdict, nothing.pipeline, nothing.success_rate) == ("inconclusive", None, None)
    assert nothing.reason.startswith("no runs match")
    assert nothing.interval == (0.0, 1.0)


@pytest.mark.parametrize("result", [False, "escalated", "error"])
def test_every_way_to_fail_is_a_failure(result):
    found = gate([run(i, result) for i in range(4)])
    assert (found.verdict, found.exit_code, found.decided_at) == ("reject", 1, 4)
    assert (found.failures, found.successes) == (4, 0)
    assert found.reason.endswith("after run 4 the expected 98 % is implausible")
    assert found.odds_against == pytest.approx((0.05 / 0.02) ** 4)


def test_the_order_is_that_of_the_starts(tmp_path):
    """Four failures first are rejected, whatever order the records have."""
    runs = [run(i, False) for i in range(4)] + clean(200, 4)
    random.Random(1).shuffle(runs)
    assert gate(runs).decided_at == 4
    store = Store(f"sqlite:///{tmp_path / 'runs.db'}")
    store.on_events([RunFinished(r) for r in runs])
    found = gate(store)
    assert (found.verdict, found.decided_at, found.trials) == ("reject", 4, 204)
    assert replace(found, filters={}) == gate(runs)


def test_a_rate_that_fell_is_not_accepted():
    fell = clean(100) + [run(i, i % 5 != 0) for i in range(100, 400)]
    found = gate(fell)
    assert found.verdict == "inconclusive"
    assert "run 88 had shown more than 95 %, but the rate has fallen below it since" in found.reason
    assert (found.clean_trials_needed, found.trials_needed) == (None, None)
    assert gate(fell, until=1_100.0).verdict == "accept"


def test_a_rate_that_rose_stays_rejected_and_says_so():
    found = gate([run(i, False) for i in range(4)] + clean(400, 4))
    assert found.verdict == "reject"
    assert any("the rate has risen" in w for w in found.warnings)


def test_a_rejected_rate_above_what_was_asked_says_what_to_do():
    found = gate([run(i, i % 25 != 0) for i in range(120)], min_success=0.94, expected=0.99)
    assert found.verdict == "reject"
    assert found.success_rate > 0.94
    assert "with a lower --expected the gate waits longer" in found.warnings[-1]


def test_runs_without_a_result_must_not_matter():
    """A verdict has to hold whichever way they turn out."""
    few = [*clean(200), run(200, None), running(201)]
    found = gate(few)
    assert (found.verdict, found.decided_at) == ("accept", 88)
    assert (found.trials, found.successes, found.failures) == (202, 200, 0)
    assert (found.unlabelled, found.in_flight, found.success_rate) == (1, 1, 1.0)
    assert found.interval == (confidence_sequence(200, 202)[0], confidence_sequence(202, 202)[1])
    assert (
        "1 have no label, 1 have not finished: a verdict must hold whichever" in found.warnings[0]
    )

    many = [*clean(200), *(run(i, None) for i in range(200, 220))]
    random.Random(2).shuffle(many)
    many = [run(i, r.passed) for i, r in enumerate(many)]
    found = gate(many)
    assert found.verdict == "inconclusive"
    assert "200 of 200 runs did their job, 20 more may go either way" in found.reason
    ignored = gate(many, missing="ignore")
    assert (ignored.verdict, ignored.trials, ignored.left_out) == ("accept", 200, 20)
    assert "left out, which flatters" in ignored.warnings[0]
    failed = gate(many, missing="failure")
    assert failed.verdict == "reject"
    assert (failed.failures, failed.success_rate) == (20, 200 / 220)
    assert "counted as failures" in failed.warnings[0]


def test_runs_without_a_result_after_the_crossing():
    found = gate([*clean(200), *(run(i, None) for i in range(200, 220))])
    assert found.verdict == "inconclusive"
    assert found.reason.endswith(
        "run 88 had shown more than 95 %, but 20 without a result may take it below"
    )
    assert gate([*clean(200), *(run(i, None) for i in range(200, 210))]).verdict == "accept"


def test_failures_are_rejected_whatever_the_missing_are():
    runs = [run(i, (False, None, False)[i % 3]) for i in range(12)]
    found = gate(runs)
    assert (found.verdict, found.failures, found.unlabelled) == ("reject", 8, 4)
    assert found.decided_at == 6  # four failures, and two between that may be successes


@given(st.lists(st.integers(0, 2), max_size=300), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_whatever_the_missing_turn_out_to_be_it_would_have_decided_alike(results, rand):
    low, high, truth = Gate(0.6), Gate(0.6), Gate(0.6)
    found = first_crossing(low, high, results)
    for result in results:
        truth.add(rand.random() < 0.5 if result == 2 else result == 1)
    if found != Crossing("inconclusive", None):
        assert truth.decided_at <= found.at
    if found.verdict == "accept":
        # ... unless the truth was rejected before: the evidence is there all the same
        assert truth.verdict == "accept" or truth.decided_at < found.at


def test_cancelled_runs_are_failures_unless_left_out():
    runs = clean(100) + [run(i, "error", detail="cancelled") for i in range(100, 110)]
    found = gate(runs)
    assert (found.failures, found.cancelled) == (10, 10)
    assert found.verdict == "inconclusive"  # 100 of 110 is less than what is asked
    assert any("--without-cancelled" in w for w in found.warnings)
    found = gate(runs, without_cancelled=True)
    assert (found.verdict, found.trials, found.left_out, found.cancelled) == ("accept", 100, 10, 10)
    assert found.warnings == ("10 were cancelled and were left out",)


def test_an_agents_own_word_is_refused_alone():
    own = [run(i, source="self_reported") for i in range(100)]
    with pytest.raises(PolicyError, match=r"all labels \(100\) are the agents' own word"):
        gate(own)
    assert gate(own, allow_self_reported=True).verdict == "accept"
    with pytest.raises(PolicyError, match="own word"):  # an error is no label
        gate([*own, run(100, "error")])


def test_an_agents_own_word_beside_labels_is_no_result():
    runs = [run(i, source="self_reported" if i % 2 else "late") for i in range(200)]
    found = gate(runs)
    assert (found.verdict, found.successes, found.self_reported) == ("inconclusive", 100, 100)
    found = gate(runs, missing="ignore")
    assert (found.verdict, found.trials) == ("accept", 100)
    assert "100 have only their agent's own word" in found.warnings[0]


def test_what_must_not_be_pooled():
    with pytest.raises(PolicyError, match=r"of 2 pipelines \(billing, support\); .* --pipeline"):
        gate([run(0), run(1, pipeline="billing")])
    assert gate([run(0), run(1, pipeline="billing")], pipeline="billing").trials == 1
    with pytest.raises(PolicyError, match=r"2 goals \(solved:1, solved:2\)"):
        gate([run(0, goal_id="solved:1"), run(1, goal_id="solved:2")])
    found = gate([run(0, goal_id="solved:1"), run(1)])
    assert found.goal_id == "solved:1"
    assert found.warnings == ("1 runs do not say which goal judged them",)
    found = gate([run(0), run(1, policy_id="p2", mode="observe")])
    assert found.policy_ids == ("p1", "p2")
    assert "2 policies, pooled" in found.warnings[0]
    assert "modes enforce, observe are pooled" in found.warnings[1]


def test_trials_of_one_task():
    runs = [run(i, task=f"t{i % 30}") for i in range(90)]
    found = gate(runs)
    assert found.verdict == "accept"
    assert "60 runs repeat a task" in found.warnings[0]
    found = gate(runs, unit="task")
    assert (found.verdict, found.trials, found.unit, found.warnings) == (
        "inconclusive",
        30,
        "task",
        (),
    )
    # the latest run of a task counts, and its time is the task's
    runs = [run(i, i > 40, task=f"t{i % 40}") for i in range(81)]
    found = gate(runs, unit="task")
    assert (found.verdict, found.successes, found.failures) == ("inconclusive", 40, 0)
    assert gate(list(reversed(runs)), unit="task") == found
    assert gate([run(i) for i in range(5)], unit="task").trials == 5  # no task: its own


def test_a_suite_counts_each_task_once():
    runs = [run(i, i % 20 != 0, task=f"t{i}") for i in range(100)]
    found = gate(runs, suite=100)
    assert (found.verdict, found.unit, found.interval) == ("accept", "task", (0.95, 0.95))
    assert found.reason == (
        "95 of 100 tasks did their job: that is all of the suite, 95 % was asked for"
    )
    assert (found.evidence, found.expected, found.beta) == (None, None, None)
    part = gate(runs[:60], suite=100, min_success=0.9)
    assert part.verdict == "inconclusive"
    assert "of the suite's 100 between " in part.reason
    assert part.trials_needed == 40
    early = gate(clean(80), suite=100)
    assert early.verdict == "accept"
    assert early.warnings == ("before a suite's end the verdict takes its order as random",)
    with pytest.raises(PolicyError, match="the suite has 50 tasks and the runs are of 100"):
        gate(runs, suite=50)


def test_only_the_first_trials_decide():
    runs = [run(0, False), *clean(300, 1)]
    found = gate(runs, max_trials=100)
    assert found.verdict == "inconclusive"
    assert found.reason.endswith("undecided after the 100 that count")
    assert found.trials_needed is None
    assert gate(runs, max_trials=200).verdict == "accept"


def test_selectors_stores_and_filters(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'runs.db'}")
    runs = [run(i, i % 2 == 0, release="1.3" if i < 200 else "1.4") for i in range(200)]
    runs += [run(i, release="1.4", metadata={"tenant": "acme"}) for i in range(200, 300)]
    nested = [run(900 + i, False, parent_id="r00000") for i in range(5)]
    store.on_events([RunStarted(running(500)), *(RunFinished(r) for r in [*runs, *nested])])
    assert gate("release=1.4", store=store).verdict == "accept"
    assert gate("release=1.3", store=store).verdict == "reject"
    found = gate(str(tmp_path / "runs.db"), where={"tenant": "acme"})
    assert (found.verdict, found.trials) == ("accept", 100)
    assert gate(store).trials == 301
    assert gate(store, since=1_200.0).in_flight == 1
    with pytest.raises(PolicyError, match="want two values of 'release'"):
        gate("release=1.4", store=store, where={"release": "1.3"})
    with pytest.raises(PolicyError, match="names a place of its own"):
        gate(str(tmp_path / "runs.db"), store=store)


def test_what_cannot_be_asked():
    with pytest.raises(PolicyError, match="unit='thread'; a gate counts by 'run' or by 'task'"):
        gate([], unit="thread")
    with pytest.raises(PolicyError, match="missing='drop'"):
        gate([], missing="drop")
    with pytest.raises(PolicyError, match="expected is the rate that you hope for"):
        gate([], expected=0.5)


def test_a_result_is_plain_values():
    found = gate([*clean(3), run(3, None)])
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["schema_version"] == 1
    assert (data["verdict"], data["exit_code"], data["interval"][1]) == ("inconclusive", 3, 1.0)
    assert data["warnings"] == list(found.warnings)


def test_many_runs_keep_finite_numbers():
    found = gate([run(i, i % 50 != 0) for i in range(60_000)], min_success=0.5)
    assert found.verdict == "accept"
    assert found.evidence == pytest.approx(1e300)
    assert found.odds_against >= 0


def test_a_file_of_outcomes(tmp_path):
    path = tmp_path / "outcomes.csv"
    rows = [f"t{i},{'' if i in (3, 4) else 'true'}" for i in range(100)]
    path.write_text("\n".join(["task,passed", *rows]) + "\n")
    found = gate(path)
    # what has no result is the gate's own question, not the import's
    assert (found.verdict, found.successes, found.unlabelled) == ("inconclusive", 98, 2)
    assert gate(str(path), missing="ignore").verdict == "accept"
    assert gate(path, missing="failure").failures == 2
