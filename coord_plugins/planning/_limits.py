"""What bounds a plan, what would help it most, and why a target is out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from ._chain import predict
from ._choose import Layout, Question, filled
from ._evidence import PipelineRates
from ._flat import burden
from ._rates import EdgeRates, StepRates
from ._types import Bound, Improvement

_FOR_EVER = 100
"""Attempts that stand for no limit: a loop that rejects half of the time is over long before."""
_SHOWN = 8


def bound_of(rates: PipelineRates, places: Layout) -> Bound:
    """Success with more attempts, with perfect validators, and with both."""
    steps, judges = rates.mean()
    endless = tuple(
        (step, targets, max(_FOR_EVER, m) if m > 1 else m) for step, targets, m in places
    )
    sure = [perfect(judge) for judge in judges]
    present, *better = (
        predict(steps, filled(where, who))
        for where, who in ((places, judges), (endless, judges), (places, sure), (endless, sure))
    )
    now, attempts, validators, both = (one.success for one in (present, *better))
    return Bound(
        now=now,
        attempts=attempts,
        validators=validators,
        both=both,
        says=_bound_says((now, attempts, validators, both), present.error, steps, places),
    )


def perfect(judge: EdgeRates) -> EdgeRates:
    """The same judge, never wrong."""
    return replace(judge, sensitivity=1.0, specificity=1.0, sensitivity_upstream=1.0)


def _bound_says(
    successes: tuple[float, float, float, float],
    error: float,
    steps: Sequence[StepRates],
    places: Layout,
) -> str:
    now, attempts, validators, both = successes
    if not places:
        return "No edge is planned: the steps alone bound the success."
    more, better = attempts - now, validators - now
    end = f"with no limit of attempts {_points(attempts)} %, with perfect validators "
    end += f"{_points(validators)} %"
    if both - now < 0.5 * (1.0 - now):
        covered = {step for step, _, _ in places}
        bare = [step.name for step in steps if step.name not in covered]
        if error > 0.5 * (1.0 - now):
            left = "steps that raise"
        elif any(step.sticky for step in steps):
            left = "errors that recur on every repeat"
        else:
            left = f"{', '.join(bare)} without an edge" if bare else "the steps"
        return f"Neither attempts nor validators bound it most, but {left}: {end}."
    what = "The validators bound it, not the attempts" if better > more else "The attempts bound it"
    return f"{what}: {end}."


def improvements(rates: PipelineRates, places: Layout, asked: Question) -> tuple[Improvement, ...]:
    """What halving one cause of failure would bring, with the plan as it is; the best first."""
    steps, judges = rates.mean()
    base = predict(steps, filled(places, judges))
    used = {step for step, _, _ in places}
    found = []
    for what, new_steps, new_judges in _changes(steps, judges, used):
        other = predict(new_steps, filled(places, new_judges))
        found.append(
            Improvement(
                what=what,
                success=other.success - base.success,
                cost=other.cost - base.cost,
                burden=burden(other, asked.prices) - burden(base, asked.prices),
            )
        )
    if asked.value is not None and asked.target is None:
        found.sort(key=lambda one: one.burden)
    else:
        found.sort(key=lambda one: -one.success)
    return tuple(found[:_SHOWN])


def _changes(
    steps: list[StepRates], judges: list[EdgeRates], used: set[str]
) -> Iterator[tuple[str, list[StepRates], list[EdgeRates]]]:
    for i, step in enumerate(steps):
        right = 0.5 + 0.5 * step.right
        said = f"{step.name}: right {_points(step.right)} -> {_points(right)} %"
        yield said, [*steps[:i], replace(step, right=right), *steps[i + 1 :]], judges
        if step.fatal:
            fewer = [*steps[:i], replace(step, fatal=step.fatal / 2), *steps[i + 1 :]]
            said = f"{step.name}: errors {_points(step.fatal)} -> {_points(step.fatal / 2)} %"
            yield said, fewer, judges
    for i, judge in enumerate(judges):
        if judge.step not in used:
            continue
        s, t = judge.sensitivity, judge.specificity
        said = f"validators of {judge.step}: sensitivity {_points(s)} -> {_points(0.5 + s / 2)} %"
        yield said, steps, [*judges[:i], sharper(judge, 0.5), *judges[i + 1 :]]
        said = f"validators of {judge.step}: specificity {_points(t)} -> {_points(0.5 + t / 2)} %"
        yield said, steps, [*judges[:i], replace(judge, specificity=0.5 + t / 2), *judges[i + 1 :]]
    if used and any(step.sticky for step in steps):
        said = "repeats: half as many errors recur"
        yield said, [replace(step, sticky=step.sticky / 2) for step in steps], judges


def sharper(judge: EdgeRates, misses: float) -> EdgeRates:
    """A judge that misses only this share of what it misses now."""
    up = judge.sensitivity_upstream
    assert up is None or isinstance(up, float)
    return replace(
        judge,
        sensitivity=1.0 - misses * (1.0 - judge.sensitivity),
        sensitivity_upstream=None if up is None else 1.0 - misses * (1.0 - up),
    )


def why_not(
    rates: PipelineRates,
    places: Layout,
    asked: Question,
    bound: Bound,
    expected: tuple[float, float, float],
) -> str:
    """Why a target is not reached, and what it would take.

    Args:
        rates: What is known.
        places: The plan that succeeds most often.
        asked: The question.
        bound: Its bounds.
        expected: Its success: mean, standard deviation, and probability that it is enough.
    """
    target = asked.target or 0.0
    mean, deviation, credibility = expected
    best = f"The best plan succeeds in {_points(mean)} %"
    steps, judges = rates.mean()
    if not judges:
        return f"{best}: no step has a recorded validator, so no edge can be planned."
    if mean >= target:
        said = f"{best}, but the data are too few to believe {_points(target)} %: it is "
        said += f"{100 * credibility:.0f} % credible."
        further = _runs_needed(rates, asked, mean, deviation)
        return said + (f" About {further:,} more labelled runs would do." if further else "")
    least_misses, besides = None, ""
    for attempts in (0, asked.max_attempts, _FOR_EVER):
        if least_misses is None:
            wider = tuple((s, t, max(m, attempts)) for s, t, m in places)
            least_misses = _misses_allowed(steps, judges, wider, target)
            besides = f", and more than {asked.max_attempts} attempts" * (attempts == _FOR_EVER)
    if least_misses is None:
        said = f"{best}, and {_points(bound.both)} % with validators that never err"
        bare = [step.name for step in steps if step.name not in {j.step for j in judges}]
        if bare:
            said += f"; no validator was recorded at {', '.join(bare)}"
        error = predict(steps, filled(places, judges)).error
        if error > 0.1 * (1.0 - mean):
            said += f"; {_points(error)} % end in errors, which a Retry may mend and no edge does"
        if rates.sticky:
            said += "; errors recur when a step is repeated, so repeats alone do not mend them"
        return said + "."
    used = [judge for judge in judges if judge.step in {step for step, _, _ in places}]
    least = min(used, key=lambda judge: judge.sensitivity)
    return (
        f"{best}: the validators let too much pass. Sensitivity is {_points(least.sensitivity)} % "
        f"at {least.step}; {_points(target)} % would need at least "
        f"{_points(sharper(least, least_misses).sensitivity, up=True)} % there, and as much "
        f"better at the other validators{besides}."
    )


def _misses_allowed(
    steps: list[StepRates], judges: list[EdgeRates], places: Layout, target: float
) -> float | None:
    """The largest share of the present misses with which the plan reaches the target."""

    def success(misses: float) -> float:
        return predict(steps, filled(places, [sharper(j, misses) for j in judges])).success

    if success(0.0) < target:
        return None
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if success(middle) >= target else (low, middle)
    return low


def _runs_needed(
    rates: PipelineRates, asked: Question, mean: float, deviation: float
) -> int | None:
    """Further runs until the target is credible, if the rates stay what they seem to be.

    The deviation shrinks with the root of the runs.
    """
    from ..stats import normal_quantile

    z = normal_quantile(max(asked.confidence, 0.5))
    room = mean - (asked.target or 0.0)
    if not rates.runs or room <= 0.0 or z <= 0.0:
        return None
    total = rates.runs * (z * deviation / room) ** 2
    return max(1, ceil(total - rates.runs))


def _points(share: float, up: bool = False) -> str:
    """A share in per cent, with more digits near 100."""
    digits = 1 if share < 0.985 else 2
    if up:
        factor = 10.0**digits
        return f"{ceil(100 * share * factor - 1e-9) / factor:.{digits}f}"
    return f"{100 * share:.{digits}f}"
