"""Plans: what is chosen, what is expected of it, and what is said where nothing suffices."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Any

import pytest

from coord_plugins import PolicyError, Value
from coord_plugins.planning import (
    Amount,
    MeasuredStep,
    MeasuredValidator,
    PipelineRates,
    PlannedEdge,
    Share,
    plan,
    predict,
    rates_from_runs,
)
from coord_plugins.planning._expect import band, binomial, run_variance

NAMES = ("a", "b", "c", "d", "e", "f")


def exactly(value: float) -> Share:
    return Share(value=value)


def counted(value: float, n: float) -> Share:
    return Share(yes=value * n, no=(1.0 - value) * n)


def six(
    n: float | None = None,
    s: float = 0.9,
    t: float = 0.97,
    cost: float = 0.2,
    names: tuple[str, ...] = NAMES,
    **others: Any,
) -> PipelineRates:
    """The 6 x 97 % pipeline, exact or from n labels a step (the validators see their share)."""

    def share(value: float, part: float) -> Share:
        return exactly(value) if n is None else counted(value, part * n)

    def step(name: str) -> MeasuredStep:
        said = MeasuredValidator(
            names=(f"checks {name}",),
            sensitivity=share(s, 0.18),
            specificity=share(t, 1.0),
            cost=Amount(mean=cost),
        )
        return MeasuredStep(
            name=name, right=share(0.97, 1.0), cost=Amount(mean=1.0), validator=said
        )

    return PipelineRates(steps=tuple(step(name) for name in names), pipeline="six", **others)


def test_a_target_with_exact_rates() -> None:
    """The enumerated optimum for 99 % costs 7.2936; the wider family may only be cheaper."""
    found = plan(six(), target=0.99)
    assert found.reached
    assert found.credibility == 1.0
    assert found.expected.success.mean >= 0.99
    assert found.expected.cost.mean <= 7.2937
    assert found.expected.success.low == found.expected.success.high
    assert found.expected.success.runs_low < 0.99 < found.expected.success.runs_high
    assert found.why_not is None
    assert found.alternatives[0].name == "no edges"
    assert found.alternatives[0].expected.success.mean == pytest.approx(0.97**6)
    assert found.alternatives[-1].expected == found.expected


def test_prices_with_exact_rates() -> None:
    """The enumerated optimum has a burden of 7.8655."""
    prices = Value(success=0.0, escalation_cost=20.0, silent_cost=100.0)
    found = plan(six(), value=prices)
    assert found.reached
    assert found.credibility is None
    worth = found.expected.worth
    assert worth is not None
    assert -worth.mean <= 7.8656
    ended = found.expected
    assert worth.mean == pytest.approx(
        -ended.cost.mean - 20.0 * ended.escalated.mean - 100.0 * ended.silent.mean
    )
    assert worth.runs_low < worth.mean < worth.runs_high


def test_a_target_and_prices() -> None:
    """The best worth among the plans that reach the target."""
    prices = Value(success=1.0, escalation_cost=0.0, silent_cost=0.0)
    free = plan(six(), value=prices)
    found = plan(six(), value=prices, target=0.98)
    assert free.expected.success.mean < 0.98 <= found.expected.success.mean
    assert found.expected.worth is not None
    assert free.expected.worth is not None
    assert found.expected.worth.mean < free.expected.worth.mean


def test_few_labels_ask_for_a_plan_with_room_to_spare() -> None:
    """With 5,000 labels the cheap plan is credible; with 300 it takes a dearer one."""
    sure, unsure = plan(six(5_000), target=0.99), plan(six(300), target=0.99)
    assert sure.reached
    assert unsure.reached
    assert unsure.expected.cost.mean > sure.expected.cost.mean + 0.05
    assert sure.credibility is not None
    assert sure.credibility >= 0.9
    width = sure.expected.success.high - sure.expected.success.low
    assert 0.001 < width < 0.01
    assert unsure.expected.success.high - unsure.expected.success.low > 2 * width


def test_too_few_labels_are_said_to_be_too_few() -> None:
    found = plan(six(60, runs=60, names=NAMES[:4]), target=0.99)
    assert not found.reached
    assert found.why_not is not None
    assert "too few to believe 99.00 %" in found.why_not
    assert "more labelled runs would do" in found.why_not
    assert found.for_runs == 60


def test_validators_that_let_too_much_pass() -> None:
    """The least sensitivity that is named is enough, and less is not."""
    found = plan(six(s=0.7), target=0.995)
    assert not found.reached
    assert found.why_not is not None
    assert "Sensitivity is 70.0 % at a" in found.why_not
    needed = float(found.why_not.partition("at least ")[2].partition(" %")[0]) / 100
    for s, enough in ((needed, True), (needed - 0.005, False)):
        steps, judges = six(s=s).mean()
        at = {judge.step: judge for judge in judges}
        edges = [
            replace(at[e.step], targets=e.back_to, max_attempts=e.max_attempts)
            for e in found.placements
        ]
        assert (predict(steps, edges).success >= 0.995) == enough
    assert "validators bound it, not the attempts" in found.bound.says


def test_perfect_validators_may_need_more_attempts_too() -> None:
    """Two attempts leave 0.03^2 a step, so 99.99 % needs more of them whatever the validators."""
    found = plan(six(), target=0.9999, max_attempts=2)
    assert found.why_not is not None
    assert found.why_not.endswith("better at the other validators, and more than 2 attempts.")


def test_no_validator_no_edge() -> None:
    rates = six(names=("a", "b"))
    rates = replace(rates, steps=tuple(replace(s, validator=None) for s in rates.steps))
    found = plan(rates, target=0.99)
    assert not found.reached
    assert found.placements == ()
    assert found.why_not is not None
    assert "no step has a recorded validator" in found.why_not
    low = plan(rates, target=0.9)
    assert low.reached
    assert "No edge is planned" in low.bound.says


def test_an_edge_needs_a_recorded_validator() -> None:
    """Only the last step has one; perfect it would not be enough, and that is said."""
    rates = six()
    bare = tuple(replace(s, validator=None) for s in rates.steps[:5])
    slow = replace(rates.steps[5], repeat=exactly(0.2))
    found = plan(replace(rates, steps=(*bare, slow)), target=0.999)
    assert not found.reached
    assert {e.step for e in found.placements} <= {"f"}
    assert found.why_not is not None
    assert "no validator was recorded at a, b, c, d, e" in found.why_not
    assert "errors recur when a step is repeated" in found.why_not


def test_what_is_good_enough_is_left_alone() -> None:
    found = plan(six(5_000), target=0.8)
    assert found.reached
    assert found.placements == ()
    assert found.bound.says == "No edge is planned: the steps alone bound the success."


def test_what_is_attached_stays_where_nothing_is_much_better() -> None:
    best = plan(six(), target=0.99)
    found = plan(six(present=best.placements), target=0.99)
    assert found.placements == best.placements
    assert [one.name for one in found.alternatives] == ["no edges", "present", "plan"]
    # a little dearer, by less than half a per cent: not worth a change
    steps, _ = six().mean()
    more = replace(best.placements[0], max_attempts=best.placements[0].max_attempts + 1)
    near = (more, *best.placements[1:])
    kept = plan(six(present=near), target=0.99)
    cost = {one.name: one.expected.cost.mean for one in kept.alternatives}
    assert cost["present"] < best.expected.cost.mean * 1.005
    assert kept.placements == near


def test_bounds() -> None:
    """Six steps in place, 3 attempts: 98.00 % now, 98.11 % for ever, 99.98 % with perfect ones."""
    each = tuple(PlannedEdge(step=name, max_attempts=3) for name in NAMES)
    from coord_plugins.planning._choose import layout
    from coord_plugins.planning._limits import bound_of

    bound = bound_of(six(), layout(each))
    assert bound.now == pytest.approx(0.9800422, abs=1e-6)
    assert bound.attempts == pytest.approx((0.97**2 / (0.97**2 + 0.03 * 0.1)) ** 6, abs=1e-9)
    assert bound.validators == pytest.approx((1 - 0.03**3) ** 6, abs=1e-9)
    assert bound.both == pytest.approx(1.0, abs=1e-9)


def test_improvements_are_finite_differences_of_the_model() -> None:
    found = plan(six(), target=0.99)
    first = found.improvements[0]
    assert [one.success for one in found.improvements] == sorted(
        (one.success for one in found.improvements), reverse=True
    )
    last = found.placements[-1].step
    changed = six()
    for step in changed.steps:
        if step.name == last:
            assert step.validator is not None
            sharper = replace(step.validator, sensitivity=exactly(0.95))
            changed = changed.changed(last, validator=sharper)
    steps, judges = changed.mean()
    at = {judge.step: judge for judge in judges}
    edges = [
        replace(at[e.step], targets=e.back_to, max_attempts=e.max_attempts)
        for e in found.placements
    ]
    gain = predict(steps, edges).success - found.expected.success.mean
    (same,) = (
        one for one in found.improvements if one.what.startswith(f"validators of {last}: sens")
    )
    assert same.success == pytest.approx(gain, abs=1e-9)
    assert first.success >= gain - 1e-12


def test_errors_that_recur_make_attempts_worthless() -> None:
    """r = 0.5: half of the errors recur for ever, so 99 % is out of reach of any repeat."""
    rates = six(names=NAMES[:3])
    rates = replace(rates, steps=tuple(replace(step, repeat=exactly(0.5)) for step in rates.steps))
    found = plan(rates, target=0.99)
    assert not found.reached
    assert found.expected.success.mean < 0.97
    assert any(one.what.startswith("repeats:") for one in found.improvements)


def test_steps_that_raise_are_a_matter_of_retries() -> None:
    rates = six(names=NAMES[:3])
    rates = replace(rates, steps=tuple(replace(s, fatal=exactly(0.03)) for s in rates.steps))
    found = plan(rates, target=0.95)
    assert not found.reached
    assert found.why_not is not None
    assert "% end in errors, which a Retry may mend and no edge does" in found.why_not
    assert "bound it most, but steps that raise" in found.bound.says
    assert found.improvements[0].what.endswith("errors 3.0 -> 1.5 %")


def test_in_place_only() -> None:
    found = plan(six(in_place=True), target=0.98)
    assert found.reached
    assert all(e.back_to == () for e in found.placements)
    assert not plan(six(in_place=True), target=0.99).reached


def test_attempts_are_bounded() -> None:
    found = plan(six(), target=0.95, max_attempts=2)
    assert found.reached
    assert all(e.max_attempts <= 2 for e in found.placements)


def test_many_steps_are_planned_too() -> None:
    """Ten steps: beyond enumeration, from the flat optimum downhill."""
    found = plan(six(names=tuple("abcdefghij")), target=0.985, max_attempts=3)
    assert found.reached
    assert found.expected.success.mean >= 0.985


def test_the_seed_decides() -> None:
    one, same, other = (
        plan(six(200, names=NAMES[:2]), target=0.98, seed=seed) for seed in (1, 1, 2)
    )
    assert one.to_dict() == same.to_dict()
    assert one.to_dict() != other.to_dict()


def test_progress_grows() -> None:
    seen: list[int] = []
    plan(six(names=NAMES[:2]), target=0.9, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] > 10


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "give a target"),
        ({"target": 1.0}, "target=1.0; it is a share between 0 and 1"),
        ({"target": 0.9, "confidence": 90}, "confidence=90; it is a share"),
        ({"target": 0.9, "max_attempts": 0}, "max_attempts=0; it counts the first"),
        ({"target": 0.9, "for_runs": 0}, "for_runs=0; it is at least 1"),
    ],
)
def test_questions_that_can_not_be(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        plan(six(), **asked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": ()}, "at least one step"),
        ({"present": (PlannedEdge(step="x", max_attempts=2),)}, "at 'x' has no validator"),
        (
            {"present": (PlannedEdge(step="a", back_to=("b",), max_attempts=2),)},
            "goes back to 'b', which is neither",
        ),
    ],
)
def test_rates_that_can_not_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        replace(six(), **change)


def test_prices_without_costs_take_the_work_as_free() -> None:
    found = plan(six(unit="executions", cost=0.0), value=Value(success=5.0, silent_cost=5.0))
    assert any("taken as free" in one for one in found.warnings)
    assert found.expected.cost.mean == 0.0


# ----------------------------------------------------------------------- from recorded runs


def test_from_runs_to_a_plan_that_comes_true(world: Any) -> None:
    """Observed, planned, attached and run: success and cost as promised."""
    made = world(seed=21)
    found = plan(made.runs(2_000), target=0.95, for_runs=2_000)
    assert found.reached
    assert found.pipeline == "letters"
    again = made.runs(2_000, *found.edges(made.edges()))
    success = sum(run.succeeded for run in again) / len(again)
    cost = sum(run.cost for run in again) / len(again)
    figures = found.expected
    assert figures.success.runs_low <= success <= figures.success.runs_high
    assert figures.cost.runs_low <= cost <= figures.cost.runs_high
    spread = pstdev(run.cost for run in again)
    from coord_plugins.planning._choose import layout

    variance = run_variance(found.rates, layout(found.placements))
    assert variance**0.5 == pytest.approx(spread, rel=0.1)


def test_enforced_runs_are_compared_with_what_is_attached(world: Any) -> None:
    made = world(seed=23)
    edges = made.edges()
    runs = made.runs(1_000, *edges)
    said = [
        {
            "pipeline": "letters",
            "policy_id": runs[0].policy_id,
            "host": "x",
            "edges": [
                {
                    "step": e.step,
                    "back_to": list(e.back_to),
                    "max_attempts": e.max_attempts,
                    "otherwise": e.otherwise,
                    "of": None,
                    "validators": [{"name": v.name} for v in e.validators],
                }
                for e in edges
            ],
        }
    ]
    found = plan(rates_from_runs(runs, policies=said), target=0.9)
    names = [one.name for one in found.alternatives]
    assert names == ["no edges", "present", "plan"]
    fits = {one.name: one for one in found.assumptions}["the model fits the recorded runs"]
    assert fits.holds
    recorded = sum(run.succeeded for run in runs) / len(runs)
    assert found.alternatives[1].expected.success.mean == pytest.approx(recorded, abs=0.03)


def test_edges_keep_all_but_the_ladder_and_the_attempts(world: Any) -> None:
    """What a plan gives can be attached, and planning it again finds it as it is."""
    from coord_plugins import STOP, ValidationEdge, check

    found = plan(six(), target=0.99)
    old = {
        name: ValidationEdge(
            name,
            check(lambda output: True, name=name),
            of="draft",
            max_attempts=7,
            otherwise=STOP,
            feedback_to="notes",
            stream="live",
            mode="observe",
        )
        for name in NAMES
    }
    for edges in (found.edges(old), found.edges(old.values())):
        assert [e.step for e in edges] == [p.step for p in found.placements]
        for edge, place in zip(edges, found.placements, strict=True):
            before = old[edge.step]
            assert edge.back_to == (place.back_to or (edge.step,))
            assert edge.max_attempts == place.max_attempts
            assert edge.validators == before.validators
            assert (edge.of, edge.otherwise, edge.feedback_to, edge.stream) == (
                "draft",
                STOP,
                "notes",
                "live",
            )
            assert edge.mode is None
    del old[found.placements[0].step]
    with pytest.raises(PolicyError, match="give a ValidationEdge for it"):
        found.edges(old)


def test_json_has_all_of_it() -> None:
    import json

    found = plan(six(100, runs=100, names=NAMES[:2]), target=0.9, value=Value(success=1.0))
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["edges"][0]["back_to"]
    assert said["expected"]["success"]["mean"] == found.expected.success.mean
    assert said["value"]["success"] == 1.0
    assert (said["recorded_runs"], said["for_runs"]) == (100, 100)
    assert {one["name"] for one in said["alternatives"]} == {"no edges", "plan"}


# ------------------------------------------------------------------------------- small parts


def test_bands_are_the_middle_of_the_values() -> None:
    assert band(range(1, 1_002)) == pytest.approx((26.0, 976.0))
    assert band([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize(("n", "p"), [(20, 0.3), (500, 0.02), (5_000, 0.99), (900, 0.4), (7, 1.0)])
def test_binomial_draws(n: int, p: float) -> None:
    source = random.Random(5)
    drawn = [binomial(source, n, p) for _ in range(4_000)]
    assert all(0 <= one <= n for one in drawn)
    deviation = (n * p * (1 - p)) ** 0.5
    assert abs(fmean(drawn) - n * p) <= 5 * deviation / 4_000**0.5
    assert pstdev(drawn) == pytest.approx(deviation, rel=0.06)


def test_the_variance_of_a_run_adds_what_an_execution_varies() -> None:
    rates = six(names=("a", "b"))
    steps = tuple(replace(s, cost=Amount(mean=1.0, deviation=0.5)) for s in rates.steps)
    assert run_variance(replace(rates, steps=steps), ()) == pytest.approx(2 * 0.25)
    assert run_variance(rates, ()) == pytest.approx(0.0, abs=1e-5)


def test_the_variance_of_a_run_adds_what_a_judgement_varies() -> None:
    rates = six(names=("a",))
    said = rates.steps[0].validator
    assert said is not None
    varied = rates.changed("a", validator=replace(said, cost=Amount(mean=0.2, deviation=0.1)))
    detect = (("a", (), 1),)
    assert run_variance(rates, detect) == pytest.approx(0.0, abs=1e-5)
    assert run_variance(varied, detect) == pytest.approx(0.01, abs=1e-5)
