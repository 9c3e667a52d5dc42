"""Which plan: candidates from the means and from worse rates, chosen on draws of the posterior."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from .._value import Value
from ._chain import predict
from ._evidence import PipelineRates, PlannedEdge
from ._flat import burden, flat_front
from ._ladders import (
    ENUMERATED_STEPS,
    LADDERS,
    Edges,
    Ladder,
    Tried,
    descend,
    every_plan,
    one_upstream,
    tried,
)
from ._rates import EdgeRates, Prediction, StepRates

Layout = tuple[tuple[str, tuple[str, ...], int], ...]
"""A plan without rates: steps, targets and attempts."""
Draw = tuple[list[StepRates], list[EdgeRates]]
Progress = Callable[[int], None]

_WIDE: tuple[Ladder, ...] = (
    *LADDERS,
    ("block", "start", "start"),
    ("step",),
    ("step", "previous"),
    ("step", "previous", "start"),
    ("step", "start"),
)
_ONCE: Ladder = ("step",)
_IN_PLACE: tuple[Ladder, ...] = tuple(_ONCE * rungs for rungs in range(1, 8))
_LOOKS = (20, 50, 100, 200)
"""Draws after which a candidate that is clearly too weak is left."""
_THIN = 0.02
"""Of plans whose losses differ by less than this share, the cheapest is enough."""
_KEEP = 0.005
"""What is attached stays where the best plan saves less than this share."""


@dataclass(frozen=True)
class Question:
    """What is asked of a plan."""

    target: float | None
    confidence: float
    value: Value | None
    max_attempts: int
    prices: Value
    """`value`; without one, a run that fails costs as much as a run without edges, since cost
    alone would reward giving up early."""


def layout(edges: Iterable[EdgeRates | PlannedEdge]) -> Layout:
    """A plan's places without its rates, each written in the shortest way.

    In place is no target, and a last rung that repeats is written once.
    """
    found = []
    for edge in edges:
        targets = edge.targets if isinstance(edge, EdgeRates) else edge.back_to
        while len(targets) > 1 and targets[-1] == targets[-2]:
            targets = targets[:-1]
        found.append((edge.step, () if targets == (edge.step,) else targets, edge.max_attempts))
    return tuple(found)


def filled(places: Layout, judges: Iterable[EdgeRates]) -> Edges:
    """A plan with rates."""
    at = {judge.step: judge for judge in judges}
    return tuple(
        replace(at[step], targets=targets, max_attempts=attempts)
        for step, targets, attempts in places
    )


def ends(places: Layout, draws: Sequence[Draw]) -> list[Prediction]:
    """How the runs of a plan end, for each draw."""
    return [predict(steps, filled(places, judges)) for steps, judges in draws]


def candidates(rates: PipelineRates, asked: Question, progress: Progress) -> list[Tried]:
    """Plans worth a closer look, at the mean of the rates, the cheapest first.

    Every plan that none beats in both success and burden; with a target also what is best where
    all rates are somewhat worse than their means, so that some plans have room to spare.
    """
    steps, judges = rates.mean()
    # The chain is ten times slower where errors recur: then the smaller family has to do.
    wide, shifts = (LADDERS, (0.0, -0.5)) if rates.sticky else (_WIDE, (0.0, -0.5, -1.0))
    ladders = _IN_PLACE if rates.in_place else wide
    found: dict[Layout, Tried] = {}

    def add(plan: Tried) -> None:
        found.setdefault(layout(plan.edges), plan)
        progress(1)

    _first_plans(rates, asked, ladders, add)
    for deviations in shifts if asked.target is not None else (0.0,):
        worse = rates.shifted(deviations) if deviations else (steps, judges)
        best = _best(found.values(), asked, worse)
        end = descend(
            *worse,
            filled(layout(best.edges), worse[1]),
            asked.target,
            asked.prices,
            asked.max_attempts,
            ladders,
            (add if not deviations else lambda _: progress(1)),
        )
        add(tried(steps, filled(layout(end.edges), judges), asked.prices))
        if rates.certain:
            break
    front = _front(found.values(), asked)
    present = None if rates.present is None else layout(rates.present)
    for places in ((), present):
        if places is not None and all(layout(plan.edges) != places for plan in front):
            front.append(tried(steps, filled(places, judges), asked.prices))
    return sorted(front, key=lambda plan: plan.burden)


def _first_plans(
    rates: PipelineRates, asked: Question, ladders: Sequence[Ladder], add: Callable[[Tried], None]
) -> None:
    """The enumerated family where it is small, and the best flat plans."""
    steps, judges = rates.mean()
    if len(judges) <= ENUMERATED_STEPS:
        for plan in every_plan(steps, judges, asked.prices, asked.max_attempts, ladders):
            add(plan)
    fresh = [replace(step, sticky=0.0) for step in steps]
    flat = [replace(judge, sensitivity_upstream=one_upstream(judge)) for judge in judges]
    front = flat_front(
        fresh, flat, max_attempts=asked.max_attempts, value=asked.prices, in_place=rates.in_place
    )
    for edges in front[:: max(1, len(front) // 100)] + front[-1:]:
        add(tried(steps, filled(layout(edges), judges), asked.prices))


def _best(plans: Iterable[Tried], asked: Question, rates: Draw) -> Tried:
    """The best of the plans at these rates; only a thinned front is looked at again."""
    steps, judges = rates
    again = [
        (plan, tried(steps, filled(layout(plan.edges), judges), asked.prices))
        for plan in _front(plans, asked)
    ]

    def rank(pair: tuple[Tried, Tried]) -> tuple[float, float]:
        success = pair[1].found.success
        return (0.0 if asked.target is None else max(0.0, asked.target - success), pair[1].burden)

    return min(again, key=rank)[0]


def _front(plans: Iterable[Tried], asked: Question) -> list[Tried]:
    """Plans that no other beats in both, thinned; the best at the target is always among them."""
    front: list[Tried] = []
    least_loss = 2.0
    kept_best = asked.target is None
    for plan in sorted(plans, key=lambda plan: (plan.burden, -plan.found.success)):
        loss = 1.0 - plan.found.success
        wanted = not kept_best and asked.target is not None and plan.found.success >= asked.target
        if loss < least_loss * (1.0 - _THIN) or wanted:
            front.append(plan)
            least_loss = min(least_loss, loss)
            kept_best = kept_best or wanted
    return front


def choose(
    plans: Sequence[Tried],
    rates: PipelineRates,
    asked: Question,
    draws: Sequence[Draw],
    progress: Progress,
) -> Layout:
    """Choose among candidates on draws that are used for nothing else.

    Where none reaches the target credibly: the one that succeeds most often.
    """
    present = None if rates.present is None else layout(rates.present)
    if asked.target is None:
        return _least_burden(plans, present, asked, draws, progress)
    enough: Tried | None = None
    for plan in plans:
        if plan.found.success < asked.target - 1e-12 and asked.confidence > 0.6:
            continue
        if _credible(layout(plan.edges), asked, draws, progress):
            enough = plan
            break
    if enough is not None:
        chosen = layout(enough.edges)
        for plan in plans:
            close = plan.burden <= enough.burden + _KEEP * abs(enough.burden)
            if close and layout(plan.edges) == present:
                return present if _credible(present, asked, draws, progress) else chosen
        return chosen
    most = max(plan.found.success for plan in plans)
    near = [p for p in plans if 1.0 - p.found.success <= (1.0 - most) * (1.0 + _THIN) + 1e-12]
    return layout(min(near, key=lambda plan: plan.burden).edges)


def _credible(places: Layout, asked: Question, draws: Sequence[Draw], progress: Progress) -> bool:
    """Whether enough draws reach the target, with two standard errors to spare."""
    target, enough, n = asked.target or 0.0, 0, 0
    spare = (asked.confidence * (1.0 - asked.confidence) / len(draws)) ** 0.5
    wanted = asked.confidence + (2.0 * spare if len(draws) > 1 else 0.0)
    wanted = min(wanted, 1.0 - 0.5 / len(draws))
    for steps, judges in draws:
        n += 1
        enough += predict(steps, filled(places, judges)).success >= target - 1e-12
        progress(1)
        if n in _LOOKS and enough / n < wanted - 3.0 * (wanted * (1.0 - wanted) / n) ** 0.5:
            return False
    return enough / n >= wanted


def _least_burden(
    plans: Sequence[Tried],
    present: Layout | None,
    asked: Question,
    draws: Sequence[Draw],
    progress: Progress,
) -> Layout:
    """The plan whose burden is least in the mean over the draws."""
    few = draws[:: max(1, len(draws) // 100)]
    shown = list(plans[:8])
    shown += [plan for plan in plans[8:] if layout(plan.edges) in ((), present)]
    means: dict[Layout, float] = {}
    for plan in shown:
        places = layout(plan.edges)
        means[places] = fmean(burden(found, asked.prices) for found in ends(places, few))
        progress(len(few))
    best = min(means, key=lambda places: means[places])
    if present is None or present not in means:
        return best
    return present if means[present] <= means[best] + _KEEP * abs(means[best]) else best
