"""What a report estimates: trials, clusters, the labelled sample, the gap, repeats, and worth."""

import io
import itertools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import PolicyError, Value
from coord_plugins._events import OutcomeRecorded, RunFinished
from coord_plugins._record import RunRecord
from coord_plugins._reporting._report import report
from coord_plugins._store import Store
from coord_plugins._tally import StepTally
from coord_plugins._value import runs_per_month
from coord_plugins.stats import (
    cluster_standard_error,
    clustered_wilson,
    pass_at_k,
    pass_hat_k,
    rate_ratio,
    stratified_rate,
    t_quantile,
    wilson,
)

_numbers = itertools.count()


def run(*, passed=True, end="delivered", detail="first_pass", cost=0.0, steps=None, **changed):
    number = next(_numbers)
    lost = None if end == "delivered" and passed in (True, None) else "goal"
    tallies = {"draft": StepTally(executions=1, completed=1, first_ok=True, cost_first=cost)}
    values = {
        "run_id": f"r{number}",
        "pipeline": "support",
        "status": "finished",
        "started_at": float(number),
        "elapsed": 1.0,
        "end": end,
        "detail": detail,
        "passed": passed,
        "lost_at": lost,
        "steps": tallies if steps is None else steps,
    }
    return RunRecord(**(values | changed))


def stored(records):
    store = Store("sqlite://")
    store.on_events([RunFinished(r) for r in records])
    return store


def trial_runs(counts, **changed):
    """Runs of tasks; per task how many succeed, and how many there are."""
    return [
        run(passed=i < c, task=f"t{task}", **changed)
        for task, (c, n) in enumerate(counts)
        for i in range(n)
    ]


COUNTS = [(4, 4), (3, 4), (2, 4), (0, 4), (1, 4), (4, 4), (2, 4), (0, 4), (4, 4), (1, 4)]


def close(one, other):
    assert one == pytest.approx(other, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", ["records", "store"])
def test_trials_are_clusters_and_give_pass_k(kind):
    records = trial_runs(COUNTS)
    group = report(records if kind == "records" else stored(records)).only
    rate, trials = group.success_rate, group.trials
    assert (rate.successes, rate.n, rate.clusters) == (21, 40, 10)
    close(rate.interval, clustered_wilson(COUNTS))
    low, high = wilson(21, 40)
    assert rate.interval[1] - rate.interval[0] > 1.2 * (high - low)
    assert (trials.tasks, trials.runs, trials.fewest, trials.most) == (10, 40, 4, 4)
    close(trials.standard_error, cluster_standard_error(COUNTS))
    assert list(trials.pass_hat_k) == [1, 2, 3, 4]  # k > n is refused: it is not there
    for k in trials.pass_hat_k:
        close(trials.pass_hat_k[k], pass_hat_k(COUNTS, k))
        close(trials.pass_at_k[k], pass_at_k(COUNTS, k))
        low, high = trials.pass_hat_k_interval[k]
        assert low < trials.pass_hat_k[k] < high
    assert (trials.solved.successes, trials.always.successes) == (8, 3)


def test_tasks_that_are_all_alike_are_no_certainty():
    text = pytest.importorskip("coord_plugins._reporting._text", reason="rich is not installed")
    from rich.console import Console

    found = report(trial_runs([(2, 2)] * 5))
    assert found.only.trials.standard_error == 0.0
    assert found.only.success_rate.interval == pytest.approx(wilson(5, 5))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(text.render(found))
    assert "standard error" not in console.export_text()


def test_runs_without_a_task_and_unlabelled_ones_are_their_own_business():
    records = [*trial_runs([(1, 2), (2, 2)]), run(), run(passed=None, task="t0")]
    trials = report(records).only.trials
    assert (trials.tasks, trials.runs, trials.fewest) == (3, 5, 1)
    assert list(trials.pass_at_k) == [1]
    assert report([run(task="a"), run(task="b")]).only.trials is None
    assert report([run(task="a"), run(task="a", passed=None)]).only.trials is None


def test_one_run_a_task_is_wilsons_own_interval():
    group = report([run(passed=i < 7, task=f"t{i}") for i in range(9)]).only
    assert group.success_rate.clusters is None
    assert group.success_rate.interval == wilson(7, 9)


def test_the_unit_task_makes_three_runs_of_one_ticket_one_cluster():
    records = trial_runs([(3, 3), (0, 3)])
    group = report(records, unit="task").only
    assert (group.success_rate.successes, group.success_rate.n) == (1, 2)
    assert group.trials is None
    assert group.success_rate.interval == wilson(1, 2)


def test_tasks_that_cross_the_parts_of_a_split_are_one_cluster_of_the_whole():
    records = [
        run(passed=p, task=t, metadata={"half": h})
        for t, p, h in [("a", True, "1"), ("a", True, "2"), ("b", False, "1"), ("b", False, "2")]
    ]
    for source in (records, stored(records)):
        group = report(source, by="half").only
        assert group.success_rate.clusters == 2
        assert group.trials.tasks == 2
        assert [part.success_rate.clusters for part in group.parts] == [None, None]


def test_cost_per_success_is_a_ratio_of_sums_with_an_interval():
    costs = [0.1, 0.2, 0.4, 0.1, 0.3, 0.2, 0.6, 0.2] * 5
    records = [run(cost=c, passed=i % 4 != 0) for i, c in enumerate(costs)]
    for source in (records, stored(records)):
        cost = report(source).only.cost
        close(cost.per_success, math.fsum(costs) / 30)
        low, high = cost.per_success_interval
        assert low < cost.per_success < high
        # the delta method's half width, which Fieller's comes close to
        ratio = cost.per_success
        rest = [c - ratio * (i % 4 != 0) for i, c in enumerate(costs)]
        half = 1.96 * math.sqrt(math.fsum(x * x for x in rest) * 40 / 39) / 30
        assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    lone = report([run(cost=1.0), run(cost=1.0, passed=False)]).only
    assert lone.cost.per_success == 2.0
    assert lone.cost.per_success_interval is None  # one success of two may as well be none


def test_the_labelled_sample_estimates_all_runs():
    """1,000 delivered without a word, 100 of them labelled; 200 escalated, known to have failed."""
    records = [run(passed=None) for _ in range(900)]
    records += [run(passed=i < 90, source="late") for i in range(100)]
    records += [run(end="escalated", detail="unjudged", passed=None) for _ in range(200)]
    group = report(records).only
    assert group.success_rate.value == pytest.approx(90 / 300)  # what counting labels says
    true = group.true_rate
    close(true.value, 0.9 * 1000 / 1200)
    close(true.interval, stratified_rate([(1000, 90, 100), (200, 0, None)])[1])
    assert [(s.name, s.runs, s.labelled, s.passed) for s in true.strata] == [
        ("no_goal", 1000, 100, 90),
        ("not_delivered", 200, 0, 0),
    ]


def test_the_headline_is_about_all_runs_where_a_sample_allows():
    text = pytest.importorskip("coord_plugins._reporting._text", reason="rich is not installed")
    records = [run(passed=None) for _ in range(900)]
    records += [run(passed=i < 90, source="late") for i in range(100)]
    said = text.headline(report(records).only)
    assert said == (
        "90.0 % [82.6, 94.5] of 1,000 runs did their job, by a sample of 100; of the labelled ones "
        "alone 90.0 % [82.6, 94.5]."
    )
    judged = report([run(), run(passed=False)]).only
    assert text.headline(judged).startswith("1 of 2 runs did their job: 50.0 %")


def test_late_labels_audit_the_goals_own_word():
    store = Store("sqlite://")
    said = [True] * 80 + [False] * 20
    records = [run(passed=word, run_id=f"a{i}") for i, word in enumerate(said)]
    store.on_events([RunFinished(r) for r in records])
    # of 40 that the goal passed 36 were right, of 10 that it failed 4
    audited = [(i, i < 36) for i in range(40)] + [(80 + i, i < 4) for i in range(10)]
    for i, passed in audited:
        store.on_event(OutcomeRecorded(f"a{i}", passed, 1e9, "late"))
    true = report(store).only.true_rate
    close(true.value, 0.8 * 0.9 + 0.2 * 0.4)
    close(true.interval, stratified_rate([(80, 36, 40), (20, 4, 10)])[1])
    assert [(s.name, s.runs, s.labelled, s.passed) for s in true.strata] == [
        ("goal_passed", 80, 40, 36),
        ("goal_failed", 20, 10, 4),
    ]
    split = report(store, by="task").only
    assert split.true_rate == true
    assert report(store, unit="task").only.true_rate is None


def test_a_sample_of_trials_knows_that_they_are_trials():
    """One run without a label must not turn a clustered interval into a narrower one."""
    records = trial_runs(COUNTS, source="late")
    clustered = report(records).only
    assert clustered.true_rate is None
    more = report([*records, run(passed=None, task="t0")]).only
    true = more.true_rate
    assert true.value == pytest.approx(21 / 40)
    plain = stratified_rate([(41, 21, 40)])[1]
    wider = (true.interval[1] - true.interval[0]) / (plain[1] - plain[0])
    low, high = more.success_rate.interval
    straight = wilson(21, 40)
    assert wider == pytest.approx((high - low) / (straight[1] - straight[0]), rel=0.1)
    assert wider > 1.2


def test_an_agents_own_word_is_no_sample():
    records = [run(source="self_reported") for _ in range(60)]
    records += [run(passed=i < 8, source="late") for i in range(10)]
    true = report(records).only.true_rate
    assert [(s.name, s.runs, s.labelled, s.passed) for s in true.strata] == [("no_goal", 70, 10, 8)]
    close(true.value, 0.8)


def test_without_a_sample_of_the_unknown_nothing_is_estimated():
    audited = [run(passed=True), run(passed=True, source="late"), run(passed=None)]
    assert report([run(), run(passed=False)]).only.true_rate is None  # the goal judged them all
    assert report([run(source="late"), run(source="late")]).only.true_rate is None  # all labelled
    assert report(audited[1:]).only.true_rate is not None


def tally(**changed):
    return StepTally(**{"executions": 1, "completed": 1, "first_ok": True, **changed})


def test_the_gap_from_the_step_product_adds_up_by_hand():
    right = {"a": tally(), "b": tally()}
    wrong = {"a": tally(first_ok=False), "b": tally(first_given_right=False)}
    records = [run(steps=right) for _ in range(5)]
    records += [run(steps=right, passed=False) for _ in range(2)]
    records += [run(steps=wrong, detail="rescued"), run(steps=wrong, passed=False)]
    records += [run(steps=wrong, end="error", detail="crash", passed=None)]
    group = report(records).only
    gap = group.gap
    close(gap.naive, 0.7 * 1.0)
    assert (gap.first_tries.successes, gap.first_tries.n) == (7, 10)
    assert (gap.lost_anyway, gap.won_anyway) == (2, 1)
    close(gap.naive + gap.dependence - gap.lost_anyway / 10 + gap.won_anyway / 10, gap.real)
    close([x.first_failing for x in group.attribution], [0.3, 0.0])
    close(sum(x.log_share for x in group.attribution), 1 - group.naive_step_product)


def test_repeats_are_compared_with_first_tries():
    steps = [{"a": tally(first_ok=i >= 20)} for i in range(100)]
    for i in range(20):
        steps[i]["a"].repeat_right, steps[i]["a"].repeat_wrong = (1, 0) if i < 8 else (0, 1)
    group = report([run(steps=s) for s in steps]).only
    assert (group.repeats.repeat.successes, group.repeats.repeat.n) == (8, 20)
    assert group.steps[0].repeat == group.repeats.repeat
    close(group.repeats.first, 0.8)
    close(group.repeats.ratio, 0.5)
    close(group.repeats.interval, rate_ratio(8, 20, 80, 100)[1])
    assert group.repeats.interval[1] < 1  # these repeats are worse than first tries
    assert report([run()]).only.repeats is None


VALUE = Value(success=8.0, escalation_cost=4.0, silent_cost=25.0)


@pytest.mark.parametrize("kind", ["records", "store"])
def test_worth_by_hand(kind):
    records = [run(cost=0.5) for _ in range(80)]
    records += [run(cost=0.5, passed=False) for _ in range(6)]
    records += [run(cost=1.5, end="escalated", detail="unjudged") for _ in range(10)]
    records += [run(cost=0.5, end="error", detail="crash") for _ in range(4)]
    source = records if kind == "records" else stored(records)
    worth = report(source, value=VALUE, volume="100/day").only.worth
    each = [7.5] * 80 + [-25.5] * 6 + [-5.5] * 10 + [-4.5] * 4
    mean = math.fsum(each) / 100
    close(worth.per_run, mean)
    half = 1.959963984540054 * math.sqrt(math.fsum((x - mean) ** 2 for x in each) / 99 / 100)
    low, high = worth.interval
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)  # as wide as the normal one ...
    assert mean - low > half > high - mean  # ... and skewed, as failures are rare
    close(sum(worth.by_class.values()), mean)
    expected = {"success": 6.4, "silent_failure": -1.5, "escalated": -0.4, "error": -0.16}
    close(worth.by_class, expected | {"calls": -0.6})
    assert worth.dearest_failure == "silent_failure"
    close(worth.runs_per_month, 100 * 365.25 / 12)
    close(worth.per_month, worth.per_run * worth.runs_per_month)


def test_worth_is_never_certain():
    low, high = report([run() for _ in range(100)], value=VALUE).only.worth.interval
    # as far down as the worst outcome may have hidden from 100 runs
    close(low, 8.0 - 33.0 * -math.expm1(-(t_quantile(0.975, 99) ** 2) / 200))
    assert high == 8.0


@pytest.mark.slow
def test_worth_covers():
    """The interval holds the truth about as often as it says, also where failures are rare."""
    rng, held = random.Random(5), 0
    for _ in range(400):
        ends = rng.choices(range(4), weights=[0.955, 0.02, 0.02, 0.005], k=150)
        records = [replace(WORTH_RUNS[end], run_id=str(i)) for i, end in enumerate(ends)]
        low, high = report(records, value=VALUE).only.worth.interval
        held += low <= 0.955 * 8 - 0.02 * 25 - 0.02 * 4 - 0.005 * 4 <= high
    assert 0.93 <= held / 400 <= 0.99


WORTH_RUNS = [
    run(),
    run(passed=False),
    run(end="escalated", detail="unjudged"),
    run(end="error", detail="crash"),
]


def test_worth_without_labels_or_prices():
    assert report([run()]).only.worth is None
    assert report([run(passed=None)], value=VALUE).only.worth is None
    assert VALUE.worth("success.rescued") == 8.0
    assert VALUE.worth("error.crash") == -4.0
    assert replace(VALUE, error_cost=1.0).worth("error") == -1.0
    assert VALUE.worth("unlabelled") == VALUE.worth("in_flight.paused") == 0.0


@pytest.mark.parametrize("bad", ["many", "10/fortnight", -3, "0/day", float("nan")])
def test_volumes_that_cannot_be_read_are_named(bad):
    with pytest.raises(PolicyError, match="10000/month"):
        runs_per_month(bad)


def test_volumes():
    assert runs_per_month(None) is None
    assert runs_per_month(500) == runs_per_month("500/month") == 500.0
    assert runs_per_month("12,000 / year") == 1000.0


@pytest.mark.parametrize("name", ["success", "silent_cost"])
def test_a_value_is_finite_and_not_negative(name):
    with pytest.raises(PolicyError, match=name):
        Value(**{"success": 1.0, name: -1.0})


def test_what_must_be_labelled_is_said():
    validators = {"v": [10, 8, 2, 0, 0, 0, 0, 0]}
    judged = tally(calls=10, passes=8, rejects=2, loops=2, validators=validators)
    steps = {"draft": judged, "send": tally()}
    group = report([run(steps=steps, passed=None), run(steps=steps, passed=False)]).only
    told = "\n".join(group.to_label)
    assert "sensitivity and specificity of 'v' at 'draft': label right and wrong" in told
    assert "the success rate of all runs" in told
    assert "whether repeats do as well" in told
    assert "which step lost 1 runs" in told
    known = tally(
        calls=2, passes=1, rejects=1, exhausted=1, validators={"v": [2, 1, 1, 0, 1, 0, 0, 1]}
    )
    assert report([run(steps={"draft": known})]).only.to_label == ()


def test_two_goals_in_one_group_are_named():
    records = [run(goal_id="a:1"), run(goal_id="a:2")]
    group = report(records).only
    assert group.goal_ids == {"a:1": 1, "a:2": 1}
    assert any("several goals are pooled (a:1: 1 runs, a:2: 1 runs)" in w for w in group.warnings)
    assert report(stored(records)).only.goal_ids == group.goal_ids


outcomes = st.sampled_from(
    [("delivered", "first_pass"), ("delivered", "rescued"), ("escalated", "needless"),
     ("error", "timeout")]
)  # fmt: skip
some = st.lists(
    st.tuples(
        outcomes,
        st.sampled_from([None, True, False]),
        st.sampled_from([None, "t1", "t2", "t3"]),
        st.sampled_from([0.0, 0.25, 1.0]),
        st.sampled_from(["measured", "late"]),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=150)
@given(some)
def test_estimates_of_a_store_are_those_of_its_records(drawn):
    records = [
        run(end=end, detail=detail, passed=passed, task=task, cost=cost, source=source)
        for (end, detail), passed, task, cost, source in drawn
    ]
    store = stored(records)
    ours, theirs = report(records, value=VALUE), report(store, value=VALUE)
    store._engine.dispose()
    for one, other in zip(ours.groups, theirs.groups, strict=True):
        close(one.success_rate.interval, other.success_rate.interval)
        assert one.trials == other.trials or one.trials.tasks == other.trials.tasks
        assert one.true_rate == other.true_rate
        assert one.gap == other.gap
        if one.worth is not None:
            close(one.worth.per_run, other.worth.per_run)
            close(one.worth.interval, other.worth.interval)
        for rate in (one.success_rate, one.silent_rate, one.coverage, one.completed_only):
            low, high = rate.interval
            assert 0 <= low < high <= 1
            assert rate.value is None or low <= rate.value + 1e-12 and rate.value <= high + 1e-12
