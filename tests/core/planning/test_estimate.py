"""Rates from recorded runs: what is counted, what is refused, what is warned of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coord_plugins import PolicyError, RunRecord, StepTally, ValidationEdge
from coord_plugins.planning import MeasuredStep, PipelineRates, rates_from_runs


def near(found: float, wanted: float, n: float) -> bool:
    """Within four standard errors."""
    return abs(found - wanted) < 4.0 * (wanted * (1.0 - wanted) / n) ** 0.5 + 1e-9


def by_name(rates: PipelineRates) -> dict[str, MeasuredStep]:
    return {step.name: step for step in rates.steps}


def test_the_rates_of_observed_runs(world: Any) -> None:
    """Each is near the truth, and its counts are those of the labels."""
    made = world(upstream=0.6)
    rates = rates_from_runs(made.runs(2_000))
    assert [step.name for step in rates.steps] == list(made.names)
    assert (rates.pipeline, rates.runs, rates.unit) == ("letters", 2_000, "US dollars")
    assert rates.present == ()
    assert rates.warnings == ()
    assert not rates.certain
    read, draft, send = rates.steps
    assert read.right.yes + read.right.no == 2_000
    assert draft.right.yes + draft.right.no == read.right.yes
    for step in rates.steps:
        n = step.right.yes + step.right.no
        assert near(step.right.mean, 0.9, n)
        assert near(step.validator.sensitivity.mean, 0.85, step.right.no)
        assert near(step.validator.specificity.mean, 0.95, step.right.yes)
        assert step.cost.mean == pytest.approx(1.0, abs=0.04)
        assert step.cost.deviation == pytest.approx(0.5, abs=0.01)
        assert step.cost.error == pytest.approx(0.5 / 2_000**0.5, rel=0.05)
        assert step.validator.cost.mean == pytest.approx(0.2)
        assert step.validator.cost.deviation == 0.0
        assert step.fatal.mean == 0.0
        assert step.repeat is None
    assert read.validator.upstream is None
    seen = send.validator.upstream
    assert seen.yes + seen.no == read.right.no + draft.right.no
    assert near(seen.mean, 0.6, seen.yes + seen.no)


def test_the_assumptions_of_observed_runs(world: Any) -> None:
    repeats, healing, goal = rates_from_runs(world().runs(300)).assumptions
    assert repeats.holds is None
    assert "no repeat" in repeats.says
    assert healing.holds
    assert healing.says.startswith("0 of ")
    assert goal.holds
    assert goal.says == "they do in 300 of 300 delivered runs"


def test_enforced_runs_say_how_repeats_do(world: Any) -> None:
    """Independent repeats are as good as first tries."""
    made = world(seed=3)
    rates = rates_from_runs(made.runs(1_500, *made.edges()))
    repeats = rates.assumptions[0]
    assert repeats.holds
    assert repeats.says.startswith("r2/r1 = ")
    for step in rates.steps:
        assert near(step.right.mean, 0.9, step.right.yes + step.right.no)
        assert step.repeat is None
    assert "taken as independent" in repeats.says
    assert rates.present is None
    assert "what is attached now is not known" in rates.warnings[0]


def test_few_repeats_leave_it_open_how_repeats_do(world: Any) -> None:
    """Then what little they show is in the plan, with its uncertainty."""
    made = world(seed=3)
    rates = rates_from_runs(made.runs(60, *made.edges()))
    repeats = rates.assumptions[0]
    assert repeats.holds
    assert repeats.says.endswith("repeats; what they show is in the plan")
    assert all(step.repeat is not None for step in rates.steps)


def test_errors_that_recur_are_seen(world: Any) -> None:
    made = world(seed=5, recurs=0.7)
    rates = rates_from_runs(made.runs(1_500, *made.edges()))
    repeats = rates.assumptions[0]
    assert repeats.holds is False
    assert rates.sticky
    assert all(near(step.repeat.mean, 0.27, 100) for step in rates.steps)
    steps, _ = rates.mean()
    assert all(0.55 < step.sticky < 0.85 for step in steps)


def test_retries_are_part_of_an_execution(world: Any) -> None:
    """A call in five times out: the retried work costs, and ends no run."""
    made = world(seed=7, fails=0.2)
    rates = rates_from_runs(made.runs(1_000, *made.edges()))
    for step in rates.steps:
        assert step.cost.mean == pytest.approx(1.25, abs=0.06)
        assert step.fatal.mean < 0.003
        assert near(step.right.mean, 0.9, step.right.yes + step.right.no)


def test_errors_end_observed_runs(world: Any) -> None:
    """Observed runs are not retried, so every failing call is the end of one."""
    made = world(seed=9, fails=0.1)
    rates = rates_from_runs(made.runs(1_000))
    assert near(rates.steps[0].fatal.mean, 0.1, 1_000)


def test_without_costs_an_execution_is_one_unit(world: Any) -> None:
    rates = rates_from_runs(world(priced=False).runs(100))
    assert rates.unit == "executions"
    assert [step.cost.mean for step in rates.steps] == [1.0] * 3
    assert [step.validator.cost.mean for step in rates.steps] == [0.0] * 3
    assert any("one unit" in warning for warning in rates.warnings)


def test_a_step_without_a_validator_gets_none(world: Any) -> None:
    rates = rates_from_runs(world(judged=("send",)).runs(200))
    assert [step.validator is not None for step in rates.steps] == [False, False, True]
    assert rates.steps[2].validator.names == ("checks send",)


def test_labels_that_are_missing_are_named(world: Any) -> None:
    made = world()
    with pytest.raises(PolicyError, match="None of the runs has labels for read, draft, send"):
        rates_from_runs(made.runs(20, label=None))
    partly = made.runs(20, label=lambda value, step: step == "read" or None)
    with pytest.raises(PolicyError, match="Labels are missing for draft, send"):
        rates_from_runs(partly)


def test_what_comes_after_an_unlabelled_output_is_not_used(world: Any) -> None:
    """Half of the drafts have no label: then nobody knows whose error a wrong letter shows."""
    made, turn = world(seed=11), {"n": 0}

    def label(value: dict[str, Any], step: str) -> bool | None:
        turn["n"] += step == "draft"
        return None if step == "draft" and turn["n"] % 2 else value["born"] is None

    rates = by_name(rates_from_runs(made.runs(1_000, label=label)))
    send, draft = rates["send"], rates["draft"]
    assert near(send.right.mean, 0.9, send.right.yes + send.right.no)
    assert near(draft.right.mean, 0.9, draft.right.yes + draft.right.no)
    verdicts = send.validator.specificity
    assert verdicts.yes + verdicts.no == send.right.yes


def test_sets_of_runs_that_are_no_pipeline(world: Any) -> None:
    runs = world().runs(20)
    with pytest.raises(PolicyError, match="no finished run matches"):
        rates_from_runs([])
    with pytest.raises(PolicyError, match="no finished run"):
        rates_from_runs([replace(run, parent_id="other") for run in runs])
    two = [*runs, replace(runs[0], pipeline="bills")]
    with pytest.raises(PolicyError, match=r"several pipelines \(bills, letters\); choose one"):
        rates_from_runs(two)
    other = [replace(run, steps={"read": run.steps["read"]}) for run in runs]
    with pytest.raises(PolicyError, match="the runs take several ways"):
        rates_from_runs([*runs, *other])
    bare = [replace(run, steps={}) for run in runs]
    with pytest.raises(PolicyError, match="name no steps"):
        rates_from_runs(bare)
    with pytest.raises(PolicyError, match="no run was delivered"):
        rates_from_runs([replace(run, end="error", detail="crash") for run in runs])


def test_pooled_runs_are_warned_of(world: Any) -> None:
    made = world()
    runs = [*made.runs(60), *made.runs(40, *made.edges())]
    warnings = rates_from_runs(runs).warnings
    assert any("modes enforce and observe are pooled" in one for one in warnings)
    changed = [replace(run, policy_id="another") for run in made.runs(10)]
    warnings = rates_from_runs([*runs, *changed]).warnings
    assert any("runs of 2 policies are pooled" in one for one in warnings)


def test_steps_beside_each_other_are_put_in_a_row(world: Any) -> None:
    runs = world().runs(100)
    turned = [
        replace(run, steps=dict(sorted(run.steps.items()))) if i % 3 == 0 else run
        for i, run in enumerate(runs)
    ]
    rates = rates_from_runs(turned)
    assert [step.name for step in rates.steps] == ["read", "draft", "send"]
    assert any("beside each other" in one for one in rates.warnings)


def description(*edges: ValidationEdge, policy: str, host: str = "x") -> dict[str, Any]:
    from coord_plugins._describe import describe
    from coord_plugins._policy import Host
    from coord_plugins.host import make_policy

    return describe(make_policy(*edges, pipeline="letters"), policy, Host(name=host))


def test_the_present_edges_come_from_the_store(world: Any) -> None:
    made = world()
    edges = [
        ValidationEdge("draft", *made.edges()[1].validators, back_to=("draft", "__start__")),
        ValidationEdge("send", *made.edges()[2].validators, max_attempts=1),
    ]
    runs = made.runs(300, *edges)
    said = description(*edges, policy=runs[0].policy_id, host="python")
    rates = rates_from_runs(runs, policies=[said])
    draft, send = rates.present
    assert (draft.step, draft.back_to, draft.max_attempts) == ("draft", ("draft", "read"), 3)
    assert draft.validators == ("checks draft",)
    assert (send.step, send.back_to, send.max_attempts) == ("send", (), 1)
    assert rates.in_place
    assert rates.policies == (said,)


def test_replies_that_can_not_be_read_are_no_wrong_content() -> None:
    """They are rejected without a validator, and labelled wrong."""
    tally = StepTally(
        executions=10,
        completed=8,
        calls=10,
        passes=8,
        rejects=2,
        loops=2,
        pass_right=8,
        reject_own=2,
        accepted=True,
        first_ok=False,
    )
    clean = StepTally(
        executions=1, completed=1, calls=1, passes=1, pass_right=1, accepted=True, first_ok=True
    )
    runs = [
        RunRecord(
            run_id=str(i),
            pipeline="p",
            status="finished",
            end="delivered",
            detail="first_pass",
            passed=True,
            steps={"a": t},
        )
        for i, t in enumerate([tally, clean])
    ]
    (step,) = rates_from_runs(runs).steps
    assert (step.invalid.yes, step.invalid.no) == (2, 9)
    assert (step.right.yes, step.right.no) == (1, 0)
    assert (step.validator.sensitivity.yes, step.validator.sensitivity.no) == (0, 0)


def test_what_a_reader_should_know_of_the_runs(world: Any) -> None:
    """Other ways, errors of no step, calls without a price, and validators hardly seen."""
    runs = world(right=0.98).runs(100)
    other = [replace(run, steps={"read": run.steps["read"]}) for run in runs[:5]]
    cut = [replace(run, end="error", detail="cancelled") for run in runs[:5]]
    unpriced = [
        replace(run, steps={n: replace(t, unknown_cost=1) for n, t in run.steps.items()})
        for run in runs[:5]
    ]
    warnings = "\n".join(rates_from_runs([*runs, *other, *cut, *unpriced]).warnings)
    assert "5 runs went another way" in warnings
    assert "5 runs ended in errors of no step" in warnings
    assert "5 runs have calls without a price: costs are lower bounds" in warnings
    assert "the validators of read were seen on" in warnings


def test_a_goal_that_is_not_known(world: Any) -> None:
    rates = rates_from_runs(world().runs(50, goal=None))
    assert rates.success is None
    goal = rates.assumptions[2]
    assert goal.holds is None
    assert goal.says.startswith("no run has both")


def test_present_edges_that_lead_elsewhere_are_not_known(world: Any) -> None:
    """A target among the steps that only some runs have: nothing to compare with."""
    made = world()
    runs = made.runs(50, *made.edges())
    edge = ValidationEdge("send", *made.edges()[2].validators, back_to="archive")
    said = description(edge, policy=runs[0].policy_id)
    assert rates_from_runs(runs, policies=[said]).present is None


def test_runs_that_name_no_step_say_so(world: Any) -> None:
    """As imported ones, whose sums stand at "(whole run)"; beside steps such a row is none."""
    runs = world().runs(40)
    whole = StepTally(cost_first=1.0)
    flat = [replace(run, steps={"(whole run)": whole}) for run in runs]
    with pytest.raises(PolicyError, match="the runs name no steps; a plan needs runs recorded by"):
        rates_from_runs(flat)
    beside = [replace(run, steps={**run.steps, "(child)": whole}) for run in runs]
    assert [step.name for step in rates_from_runs(beside).steps] == list(world().names)
