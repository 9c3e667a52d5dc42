"""Comparisons: which runs are matched with which, and what the numbers are."""

from __future__ import annotations

import json
import math
import random
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import PolicyError, RunRecord, StepTally, Value, compare
from coord_plugins._comparing._moments import Moments

ENDS = {
    "s": ("delivered", "first_pass", True),
    "w": ("delivered", "first_pass", False),
    "e": ("escalated", "unjudged", None),
    "x": ("error", "crash", None),
    "u": ("delivered", "first_pass", None),
}
_ids = count()


def run(kind="s", *, task=None, trial=None, cost=0.0, pipeline="p", **more):
    """A finished run with an outcome by letter."""
    end, detail, passed = ENDS[kind]
    values = {
        "run_id": f"r{next(_ids)}",
        "policy_id": "p1",
        "status": "finished",
        "finished_at": 1.0,
        "goal_id": "done:1",
        "metadata": {} if trial is None else {"trial": trial},
        "steps": {"a": StepTally(executions=1, completed=1, cost_first=cost)},
    }
    return RunRecord(
        pipeline=pipeline, task=task, end=end, detail=detail, passed=passed, **(values | more)
    )


def side(kinds, *, tasks=True, costs=None):
    """Runs by letter, one a task."""
    return [
        run(kind, task=f"t{i}" if tasks else None, cost=costs[i] if costs else 0.0)
        for i, kind in enumerate(kinds)
    ]


def crossed(both, gained, harmed, neither):
    """Two sides with so many pairs of each kind."""
    a = "s" * both + "w" * gained + "s" * harmed + "w" * neither
    b = "s" * both + "s" * gained + "w" * harmed + "w" * neither
    return side(a), side(b)


# --- one run a task --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "p", "mid_p", "log_e", "interval"),
    [
        # McNemar and the e-process know discordant pairs alone; Newcombe with 50 and 20 others
        ((50, 10, 2, 20), 0.03857421875, 0.0224609375, 1.5631620672313815,
         (0.09756097560975607, 0.013745335900992278, 0.18034568381955135)),
        ((50, 40, 12, 20), 0.0001275387838557407, 8.171334999262925e-05, 6.020379382905517,
         (0.2295081967213115, 0.11701261132830165, 0.3336558534487726)),
        ((50, 3, 3, 20), 1.0, 0.6875, -0.7827593392496324,
         (0.0, -0.06922584958409006, 0.06922584958409006)),
    ],
)  # fmt: skip
def test_pairs_are_compared_by_mcnemar_and_newcombe(cells, p, mid_p, log_e, interval):
    found = compare(*crossed(*cells))
    assert (found.pairing, found.paired_by, found.pairs) == ("pairs", "task", sum(cells))
    success = found.success
    assert (success.only_b, success.only_a) == (cells[1], cells[2])
    assert success.p_value == pytest.approx(p, rel=1e-9)
    assert success.mid_p == pytest.approx(mid_p, rel=1e-9)
    assert success.log_evidence == pytest.approx(log_e, rel=1e-9)
    assert (success.value, *success.interval) == pytest.approx(interval, abs=1e-9)


def test_the_other_outcomes_get_the_same_methods():
    a, b = side("ssswwwex" * 5), side("sssswses" * 5)
    found = compare(a, b)
    silent = found.silent_failure
    assert (silent.only_b, silent.only_a) == (0, 10)
    assert silent.value == pytest.approx(-10 / 40)
    assert (found.escalated.only_b, found.escalated.only_a) == (0, 0)
    assert found.error.value == pytest.approx(-5 / 40)
    total = sum(d.value for d in (found.success, silent, found.escalated, found.error))
    assert total == pytest.approx(0.0, abs=1e-12)
    assert found.a.escalated.runs == 5
    assert found.a.error.runs == 5


def test_costs_are_a_paired_t_interval():
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(1)
    spent = [rng.uniform(0.5, 2.0) for _ in range(30)]
    more = [x + rng.uniform(0.0, 1.0) for x in spent]
    kinds = "swsswsssss" * 3
    found = compare(side(kinds, costs=spent), side("s" * 30, costs=more))
    expected = stats.ttest_rel(more, spent).confidence_interval(0.95)
    assert found.cost_per_run.interval == pytest.approx(tuple(expected), rel=1e-9)
    assert found.cost_per_run.value == pytest.approx(sum(more) / 30 - sum(spent) / 30)
    assert found.cost_conclusion == "dearer"
    assert found.a.cost == pytest.approx(sum(spent))


def test_an_extra_success_has_fiellers_interval():
    """The roots of (dC - R dS)^2 = t^2 (vC - 2 R cov + R^2 vS), from the pairs themselves."""
    np = pytest.importorskip("numpy")
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(2)
    n = 200
    a = ["s" if rng.random() < 0.8 else "w" for _ in range(n)]
    b = ["s" if rng.random() < 0.95 else "w" for _ in range(n)]
    ca = [1.0 + rng.random() for _ in range(n)]
    cb = [2.0 + rng.random() for _ in range(n)]
    found = compare(side(a, costs=ca), side(b, costs=cb))
    ds = np.array([(y == "s") - (x == "s") for x, y in zip(a, b, strict=True)], float)
    dc = np.array(cb) - np.array(ca)
    (vs, cov), (_, vc) = np.cov(ds, dc) / n
    t = stats.t.ppf(0.975, n - 1)
    x, y = ds.mean(), dc.mean()
    roots = np.sort(np.roots([x * x - t * t * vs, -2 * (x * y - t * t * cov), y * y - t * t * vc]))
    assert found.cost_per_extra_success.value == pytest.approx(y / x)
    assert found.cost_per_extra_success.interval == pytest.approx(tuple(roots))
    # net benefit at 20 a success and 3 a silent failure: an ordinary paired interval
    found = compare(side(a, costs=ca), side(b, costs=cb), value=Value(success=20, silent_cost=3))
    net = 20 * ds - 3 * -ds - dc
    expected = stats.ttest_1samp(net, 0).confidence_interval(0.95)
    assert found.net_benefit.value == pytest.approx(net.mean())
    assert found.net_benefit.interval == pytest.approx(tuple(expected))
    # 0 = (V + 3) dS - dC
    assert found.net_benefit.flips_at.value == pytest.approx(y / x - 3)


def test_it_flips_at_the_cost_of_an_extra_success_where_nothing_else_has_a_price():
    a = side("sw" * 50, costs=[1.0] * 100)
    b = side("sssw" * 25, costs=[2.0 + i % 3 for i in range(100)])
    found = compare(a, b, value=Value(success=1.0))
    assert found.net_benefit.flips_at == found.cost_per_extra_success
    at = found.cost_per_extra_success.value
    assert compare(a, b, value=Value(success=at)).net_benefit.value == pytest.approx(0.0, abs=1e-9)


def test_an_extra_success_is_unbounded_where_there_may_be_none():
    kinds = ["s"] * 90 + ["w"] * 10
    found = compare(side(kinds, costs=[1.0] * 100), side(["s"] * 91 + ["w"] * 9, costs=[2.0] * 100))
    assert found.cost_per_extra_success.value == pytest.approx(100.0)
    assert found.cost_per_extra_success.interval is None
    same = compare(side(kinds, costs=[1.0] * 100), side(kinds, costs=[2.0] * 100))
    assert same.cost_per_extra_success.value is None


def test_cost_per_success_is_a_ratio_of_sums():
    costs = [1.0 + i % 4 for i in range(80)]
    found = compare(side("ssw" * 26 + "ss", costs=costs), side("s" * 80, costs=costs))
    assert found.a.cost_per_success.value == pytest.approx(sum(costs) / 54)
    low, high = found.a.cost_per_success.interval
    assert low < sum(costs) / 54 < high
    assert found.b.cost_per_success.value == pytest.approx(sum(costs) / 80)


def test_a_rare_failure_is_not_never():
    """All succeed: net benefit still knows that a failure may come, and costs 100."""
    found = compare(
        side("s" * 50, costs=[1.0] * 50),
        side("s" * 50, costs=[1.01] * 50),
        value=Value(success=5, silent_cost=100),
    )
    low, high = found.net_benefit.interval
    assert low < -1
    assert high > 1
    assert found.net_benefit.conclusion == "too_few"
    assert found.a.worth_per_run.interval[0] < 3


# --- several runs a task ---------------------------------------------------------------------


def trials(table, side_costs=1.0):
    """Runs by task: a letter a trial."""
    return [
        run(kind, task=task, trial=i, cost=side_costs)
        for task, kinds in table.items()
        for i, kind in enumerate(kinds)
    ]


def test_trials_of_a_task_are_a_cluster():
    """Equal trials: Student's interval of the tasks' mean differences, df = tasks - 1."""
    np = pytest.importorskip("numpy")
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(3)
    a = {f"t{i}": [rng.choice("ssw") for _ in range(4)] for i in range(30)}
    b = {f"t{i}": [rng.choice("sssw") for _ in range(4)] for i in range(30)}
    found = compare(trials(a), trials(b))
    assert (found.pairing, found.paired_by) == ("tasks", "task and trial")
    assert (found.pairs, found.tasks) == (120, 30)
    means = np.array([(b[t].count("s") - a[t].count("s")) / 4 for t in a])
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert found.success.value == pytest.approx(means.mean())
    assert found.success.interval == pytest.approx(tuple(expected))
    assert found.success.p_value is None
    assert found.success.only_b - found.success.only_a == round(means.mean() * 120)


def test_without_trial_numbers_tasks_are_compared_by_their_means():
    np = pytest.importorskip("numpy")
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(4)
    a = {f"t{i}": [rng.choice("ssw") for _ in range(2 + i % 3)] for i in range(24)}
    b = {f"t{i}": [rng.choice("sssw") for _ in range(3 - i % 2)] for i in range(24)}
    ones = [run(k, task=t) for t, kinds in a.items() for k in kinds]
    others = [run(k, task=t) for t, kinds in b.items() for k in kinds]
    found = compare(ones, others)
    assert (found.pairing, found.paired_by, found.pairs) == ("tasks", "task", None)
    means = np.array([b[t].count("s") / len(b[t]) - a[t].count("s") / len(a[t]) for t in a])
    assert found.success.value == pytest.approx(means.mean())
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert found.success.interval == pytest.approx(tuple(expected))
    assert found.b.success.value - found.a.success.value == pytest.approx(means.mean())
    assert found.success.only_b is None


def test_an_interval_is_never_empty():
    a = {f"t{i}": "sss" for i in range(20)}
    found = compare(trials(a), trials(a))
    low, high = found.success.interval
    assert low < -0.05
    assert high > 0.05
    assert found.conclusion == "too_few"
    assert any("0 of 20 tasks" in said for said in found.warnings)


def test_trials_without_a_partner_are_left_out_and_told():
    a = trials({"t1": "ssw", "t2": "sw", "t3": "s"})
    b = trials({"t1": "ss", "t2": "ww"}) + [run("s", task="t9", trial=0)]
    found = compare(a, b, paired=True)
    assert (found.pairs, found.tasks) == (4, 2)
    out = found.left_out
    assert (out.a_runs, out.a_success, out.b_runs, out.b_success) == (2, 1, 1, 1)
    assert out.difference == pytest.approx(0.5)
    assert found.a.left_out == 2
    assert any("without a partner" in said for said in found.warnings)
    for one in (found.a, found.b):
        assert one.started == one.compared + one.left_out + one.unlabelled + one.in_flight


def test_a_task_run_once_on_each_side_is_a_pair_whatever_its_trial():
    a = [run("s", task=f"t{i}", trial=0) for i in range(5)]
    b = [run("w", task=f"t{i}", trial=1) for i in range(5)]
    assert compare(a, b).pairs == 5


# --- no pairs --------------------------------------------------------------------------------


def test_unpaired_is_newcombe_and_welch():
    """56 of 70 and 48 of 80: [.0524, .3339], Newcombe's own example (1998, table II a)."""
    stats = pytest.importorskip("scipy.stats")
    rng = random.Random(5)
    ca = [rng.uniform(1, 2) for _ in range(80)]
    cb = [rng.uniform(1, 3) for _ in range(70)]
    a = side("s" * 48 + "w" * 32, tasks=False, costs=ca)
    b = side("s" * 56 + "w" * 14, tasks=False, costs=cb)
    found = compare(a, b)
    assert (found.pairing, found.pairs, found.success.p_value) == ("unpaired", None, None)
    assert (found.success.value, *found.success.interval) == pytest.approx(
        (0.2, 0.0524, 0.3339), abs=5e-5
    )
    expected = stats.ttest_ind(cb, ca, equal_var=False).confidence_interval(0.95)
    assert found.cost_per_run.interval == pytest.approx(tuple(expected), rel=1e-9)


def test_unpaired_runs_of_one_task_count_less():
    alike = [run("s" if i % 5 else "w", task=f"a{i}") for i in range(40) for _ in range(5)]
    apart = side(["s"] * 180 + ["w"] * 20, tasks=False)
    loose = compare(side(["s"] * 160 + ["w"] * 40, tasks=False), apart)
    clustered = compare(alike, apart)
    assert clustered.pairing == "unpaired"
    assert clustered.success.value == pytest.approx(loose.success.value)
    assert clustered.success.interval[0] < loose.success.interval[0]
    assert clustered.a.success.interval[0] < loose.a.success.interval[0]


def test_few_tasks_in_common_are_not_paired_unless_asked():
    a = [run("s", task=f"t{i}") for i in range(10)]
    b = [run("w", task=f"t{i}") for i in range(6, 16)]
    found = compare(a, b)
    assert found.pairing == "unpaired"
    assert any("only 4 tasks are on both sides" in said for said in found.warnings)
    assert compare(a, b, paired=True).pairs == 4
    assert compare(a, a[:0] + b[:4] + side("w")[:0], paired=False).pairing == "unpaired"
    with pytest.raises(PolicyError, match="no task is in both"):
        compare(a, [run("s", task="other")], paired=True)


def test_half_of_the_smaller_sides_tasks_are_enough():
    a = [run("s", task=f"t{i}") for i in range(100)]
    b = [run("s", task=f"t{i}") for i in range(95, 105)]
    found = compare(a, b)
    assert (found.pairing, found.pairs) == ("pairs", 5)
    assert found.left_out.a_runs == 95


# --- conclusions -----------------------------------------------------------------------------


def test_better_and_worse():
    a, b = crossed(50, 40, 12, 20)
    assert compare(a, b).conclusion == "better"
    assert compare(b, a).conclusion == "worse"
    assert "it does harm" in compare(b, a).answer


def test_no_difference_is_no_effect_only_inside_the_margin():
    few = compare(*crossed(40, 3, 3, 4))
    assert few.conclusion == "too_few"
    assert few.more > 1_000
    assert "Too few runs" in few.answer
    assert "o effect" not in few.answer
    many = compare(*crossed(9_000, 40, 42, 918))
    assert many.conclusion == "no_effect"
    assert many.more is None
    assert compare(*crossed(9_000, 40, 42, 918), margin=0.0001).conclusion == "too_few"


def test_better_by_less_than_the_margin_says_so():
    found = compare(*crossed(9_800, 100, 20, 80))
    assert found.conclusion == "better"
    assert "by less than 2 points" in found.answer


@pytest.mark.parametrize("cells", [(60, 8, 2, 30), (60, 5, 3, 32), (200, 20, 12, 40)])
def test_the_proposed_runs_settle_what_was_seen(cells):
    """The same shares, on as many pairs as were proposed: decided, in one way or the other."""
    found = compare(*crossed(*cells))
    assert found.conclusion == "too_few"
    n = sum(cells)
    scale = (n + found.more) / n
    bigger = compare(*crossed(*(math.ceil(cell * scale) for cell in cells)))
    assert bigger.conclusion in ("better", "no_effect")


def test_one_run_a_side_says_nothing():
    found = compare([run("s", task="t")], [run("w", task="t")])
    assert found.conclusion == "too_few"
    found = compare(trials({"t": "ss"}), trials({"t": "sw"}))
    assert found.success.interval == (-1.0, 1.0)
    assert found.conclusion == "too_few"
    assert found.cost_per_run.interval is None


def test_at_prices_each_way():
    a, b = crossed(300, 60, 5, 35)
    for record in b:
        record.steps["a"].cost_first = 1.0
    dear = compare(a, b, value=Value(success=2.0))
    assert (dear.conclusion, dear.net_benefit.conclusion) == ("better", "worse")
    assert dear.net_benefit.value == pytest.approx(2 * 55 / 400 - 1)
    worth = compare(a, b, value=Value(success=30.0))
    assert worth.net_benefit.conclusion == "better"
    at = worth.net_benefit.flips_at.value
    assert at == pytest.approx(400 / 55)
    near = compare(a, b, value=Value(success=at * 1.02))
    assert near.net_benefit.conclusion == "too_few"
    assert near.net_benefit.more > 100
    errors = compare(a, b, value=Value(success=2, escalation_cost=3)).net_benefit.prices
    assert errors["error_cost"] == 3


def test_the_same_value_within_the_margin():
    a, b = crossed(9_000, 40, 42, 918)
    found = compare(a, b, value=Value(success=10.0))
    assert found.net_benefit.conclusion == "no_effect"
    assert found.net_benefit.margin == pytest.approx(0.2)


def test_without_costs_nothing_is_said_of_them():
    found = compare(*crossed(50, 40, 12, 20))
    assert found.cost_conclusion == "unknown"
    assert "$" not in found.answer
    assert found.a.cost_per_success.value is None


# --- labels and goals ------------------------------------------------------------------------


def test_runs_without_a_label_are_left_out_and_counted():
    a = side("sw" * 10) + [run("u", task="t1") for _ in range(5)]
    a += [RunRecord(run_id="fly", pipeline="p", goal_id="done:1", policy_id="p1")]
    found = compare(a, side("ss" * 10))
    assert (found.a.unlabelled, found.a.in_flight, found.pairs) == (5, 1, 20)
    assert any("5 of 25 finished runs have no label" in said for said in found.warnings)
    assert any("too low" in said for said in found.warnings)


def test_self_reported_labels_stand_apart():
    own = [run("s", task=f"t{i}", source="self_reported") for i in range(20, 25)]
    a = side("sw" * 10) + own
    found = compare(a, side("ss" * 10))
    assert (found.a.self_reported, found.a.self_reported_success, found.pairs) == (5, 5, 20)
    assert any("self-reported" in said for said in found.warnings)
    with pytest.raises(PolicyError, match="all self-reported"):
        compare(own, side("ss" * 10))
    assert compare(own, side("s" * 25), self_reported=True).pairs == 5


def test_nothing_labelled_is_an_error():
    unlabelled = [run("u", task="t0"), run("e", task="t1")]
    with pytest.raises(PolicyError, match="no delivered run of A has a label"):
        compare(unlabelled, side("ss"))


def test_two_goals_are_refused():
    a, b = side("ss"), [run("s", task="t0", goal_id="done:2")]
    with pytest.raises(PolicyError, match=r"done:1.*done:2"):
        compare(a, b)
    with pytest.raises(PolicyError, match=r"B pools 2 goals \(done:1, done:2\)"):
        compare(a, [*side("s"), *b])
    vague = [run("s", task="t0", goal_id=None)]
    assert any("not recorded" in w for w in compare(a, vague).warnings)
    assert any("make sure" in w for w in compare(vague, [run("s", goal_id=None)]).warnings)


def test_pooled_policies_and_modes_are_told():
    a = [*side("ss"), run("s", task="t2", policy_id="p2", mode="observe", pipeline="q")]
    said = " ".join(compare(a, side("sss")).warnings)
    assert "A pools 2 policies (p1: 2, p2: 1)" in said
    assert "A pools 2 modes" in said
    assert "A pools 2 pipelines (p, q)" in said


def test_unknown_costs_make_lower_bounds():
    a = side("ss", costs=[1.0, 1.0])
    a[0].steps["a"].unknown_cost = 3
    found = compare(a, side("ss", costs=[1.0, 1.0]))
    assert found.a.cost_unknown == 3
    assert any("lower bounds" in said for said in found.warnings)


def test_runs_on_both_sides_are_an_error():
    a = side("ssww")
    with pytest.raises(PolicyError, match="2 runs are in both first and second"):
        compare(a, [*a[:2], *side("ss")], names=("first", "second"))


@pytest.mark.parametrize("bad", [{"margin": -0.1}, {"margin": 1.0}, {"confidence": 1.0}])
def test_bad_settings(bad):
    with pytest.raises(PolicyError):
        compare(side("s"), side("s"), **bad)


# --- identities ------------------------------------------------------------------------------

letters = st.sampled_from("sswex")
tables = st.lists(st.tuples(letters, letters, st.integers(0, 9), st.integers(0, 9)), min_size=2)


@given(tables)
@settings(max_examples=150, deadline=None)
def test_swapping_the_sides_mirrors_everything(table):
    a = side([row[0] for row in table], costs=[row[2] / 4 for row in table])
    b = side([row[1] for row in table], costs=[row[3] / 4 for row in table])
    prices = Value(success=3.0, escalation_cost=1.0, silent_cost=2.0)
    one, other = compare(a, b, value=prices), compare(b, a, value=prices)
    for name in ("success", "silent_failure", "escalated", "error"):
        here, there = getattr(one, name), getattr(other, name)
        assert here.value == pytest.approx(-there.value, abs=1e-12)
        assert here.interval == pytest.approx(tuple(-x for x in reversed(there.interval)))
        assert (here.only_a, here.only_b) == (there.only_b, there.only_a)
        assert here.p_value == there.p_value
        assert here.only_b - here.only_a == round(here.value * one.pairs)
    assert one.cost_per_run.value == pytest.approx(-other.cost_per_run.value, abs=1e-12)
    assert one.net_benefit.value == pytest.approx(-other.net_benefit.value, abs=1e-12)
    assert one.net_benefit.interval == pytest.approx(
        tuple(-x for x in reversed(other.net_benefit.interval)), abs=1e-9
    )
    assert one.more == other.more
    flipped = {"better": "worse", "worse": "better"}
    assert flipped.get(one.conclusion, one.conclusion) == other.conclusion
    extra, back = one.cost_per_extra_success, other.cost_per_extra_success
    assert extra.value == pytest.approx(back.value) if extra.value else back.value == extra.value
    json.dumps(one.to_dict(), allow_nan=False)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=2, max_size=8), st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_the_layout_the_numbers_hold_together(shape, data):
    def drawn(n, task):
        return [run(data.draw(letters), task=task, cost=data.draw(st.integers(0, 4))) for _ in n]

    a = [r for i, (n, _) in enumerate(shape) for r in drawn(range(n), f"t{i}")]
    b = [r for i, (_, n) in enumerate(shape) for r in drawn(range(n), f"t{i}")]
    for paired in (True, False):
        found, mirrored = compare(a, b, paired=paired), compare(b, a, paired=paired)
        for name in ("success", "silent_failure", "escalated", "error"):
            difference = getattr(found, name)
            low, high = difference.interval
            assert -1 <= low <= difference.value + 1e-12
            assert difference.value - 1e-12 <= high <= 1
            assert high > low
            back = tuple(-x for x in reversed(getattr(mirrored, name).interval))
            assert (low, high) == pytest.approx(back, abs=1e-9)
            gap = getattr(found.b, name).value - getattr(found.a, name).value
            assert gap == pytest.approx(difference.value, abs=1e-12)
        gap = found.b.cost_per_run.value - found.a.cost_per_run.value
        assert gap == pytest.approx(found.cost_per_run.value, abs=1e-9)
        json.dumps(found.to_dict(), allow_nan=False)


def test_moments_are_the_sample_covariance_of_the_mean():
    np = pytest.importorskip("numpy")
    rng = random.Random(6)
    moments, rows = Moments(), []
    for _ in range(50):
        row = (*(rng.choice((0.0, 1.0, -1.0)) for _ in range(4)), rng.random())
        moments.add(1.0, row[:4], row[4])
        rows.append(row)
    assert moments.mean == pytest.approx(tuple(np.mean(rows, axis=0)))
    expected = np.cov(np.array(rows).T) / 50
    for mine, theirs in zip(moments.covariance, expected, strict=True):
        assert mine == pytest.approx(tuple(theirs), abs=1e-15)


def test_equal_costs_have_no_variance():
    moments = Moments()
    for _ in range(1_000):
        moments.add(1.0, (1.0, 0.0, 0.0, 0.0), 0.1)
    assert moments.covariance[4][4] == 0.0
    assert moments.mean[4] == pytest.approx(0.1)


def test_runs_without_a_task_count_where_it_is_asked_whether_to_pair():
    a = [*side("ssss"), *side("sw" * 20, tasks=False)]
    b = [*side("swss"), *side("sw" * 20, tasks=False)]
    assert compare(a, b).pairing == "unpaired"
    found = compare(a, b, paired=True)
    assert (found.pairs, found.left_out.a_runs, found.left_out.b_runs) == (4, 40, 40)


def test_one_task_with_many_runs_says_little_of_others():
    a = [run("s" if i % 4 else "w", task="t") for i in range(100)]
    found = compare(a, side("s" * 50, tasks=False), paired=False)
    low, high = found.a.success.interval
    assert high - low > 0.7
