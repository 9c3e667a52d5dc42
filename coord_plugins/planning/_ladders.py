"""The best plan with ladders: an enumerated family by the exact chain, then one edge at a time.

Ladders cross, so there is no product form and no exact search. The optimum is one over the
family, not proven over all plans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal, NamedTuple

from .._value import Value
from ._chain import predict
from ._flat import FREE, best_flat, burden, cheapest_flat
from ._rates import EdgeRates, Prediction, StepRates

Rung = Literal["step", "block", "previous", "start"]
"""Where a rejection goes, wherever the edge is: the judged step; the first step after the judged
one before it; that judged step before; the first step of the pipeline."""
Ladder = tuple[Rung, ...]

LADDERS: tuple[Ladder, ...] = (
    ("block",),
    ("block", "block"),
    ("block", "block", "block"),
    ("block", "previous"),
    ("block", "previous", "previous"),
    ("block", "previous", "start"),
    ("block", "start"),
    ("start",),
    ("start", "start"),
)
"""The family that `search_ladders` goes through; each has one attempt more than rungs."""
ENUMERATED_STEPS = 8
"""Up to so many judged steps all sets of positions are tried."""

Edges = tuple[EdgeRates, ...]


class Tried(NamedTuple):
    """A plan and what the chain says of it."""

    edges: Edges
    found: Prediction
    burden: float


def search_ladders(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    *,
    success: float | None = None,
    value: Value = FREE,
    max_attempts: int = 5,
    ladders: Sequence[Ladder] = LADDERS,
) -> Edges | None:
    """Find the best plan whose edges may climb ladders.

    With up to 8 judges: the best of all sets of positions times `ladders` (each set with one
    ladder for all its edges). With more: from the best flat plan, edge by edge, until no change
    of one edge is better.

    Args:
        steps: The pipeline.
        judges: Where an edge may be, and how it would judge; their targets and attempts are
            ignored.
        success: Least probability of success; None: whatever has the least burden.
        value: What outcomes are worth. Default: only the cost counts.
        max_attempts: Most candidates of one edge.
        ladders: The family.

    Returns:
        The edges, or None where no plan of the family succeeds so often.

    Raises:
        ValueError: Steps and judges do not fit together.
    """
    if len(judges) <= ENUMERATED_STEPS:
        tried = list(every_plan(steps, judges, value, max_attempts, ladders))
    else:
        start = _flat_start(steps, judges, success, value, max_attempts)
        tried = [descend(steps, judges, start, success, value, max_attempts, ladders)]
    enough = [t for t in tried if success is None or t.found.success >= success - 1e-12]
    return min(enough, key=lambda t: t.burden).edges if enough else None


def every_plan(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    value: Value,
    max_attempts: int,
    ladders: Sequence[Ladder],
) -> Iterator[Tried]:
    """All sets of positions times all ladders, the empty plan first; equal plans once."""
    yield tried(steps, (), value)
    place = {step.name: i for i, step in enumerate(steps)}
    order = sorted(judges, key=lambda judge: place[judge.step])
    seen = set()
    for size in range(1, len(order) + 1):
        for chosen in combinations(order, size):
            for ladder in ladders:
                if len(ladder) < max_attempts:
                    edges = placed(steps, chosen, [ladder] * size)
                    key = plan_key(edges)
                    if key not in seen:
                        seen.add(key)
                        yield tried(steps, edges, value)


def tried(steps: Sequence[StepRates], edges: Edges, value: Value) -> Tried:
    """One plan with its prediction and its burden."""
    found = predict(steps, edges)
    return Tried(edges, found, burden(found, value))


def plan_key(edges: Sequence[EdgeRates]) -> tuple[tuple[str, tuple[str, ...], int], ...]:
    """What tells plans apart, whatever the rates."""
    return tuple((e.step, e.targets, e.max_attempts) for e in edges)


def placed(
    steps: Sequence[StepRates], judges: Sequence[EdgeRates], ladders: Sequence[Ladder]
) -> Edges:
    """Judges in order of their steps, each with its ladder, as edges with named targets."""
    place = {step.name: i for i, step in enumerate(steps)}
    edges, last = [], -1
    for judge, ladder in zip(judges, ladders, strict=True):
        here = place[judge.step]
        where = {"step": here, "block": last + 1, "previous": max(0, last), "start": 0}
        targets = tuple(steps[where[rung]].name for rung in ladder)
        edges.append(replace(judge, targets=targets, max_attempts=len(targets) + 1))
        last = here
    return tuple(edges)


def descend(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    start: Edges,
    success: float | None,
    value: Value,
    max_attempts: int,
    ladders: Sequence[Ladder],
    seen: Callable[[Tried], None] = lambda _: None,
) -> Tried:
    """Change one edge at a time as long as that is better: remove it, move it on, climb otherwise.

    Args:
        steps: The pipeline.
        judges: Where an edge may be.
        start: Where to begin.
        success: As for `search_ladders`; a plan that falls short is better the less it does.
        value: As for `search_ladders`.
        max_attempts: As for `search_ladders`.
        ladders: What an edge may climb.
        seen: Called with every plan that is tried.
    """
    at = {judge.step: judge for judge in judges}
    best = tried(steps, start, value)
    while True:
        better = best
        for edges in _neighbours(steps, at, best.edges, max_attempts, ladders):
            other = tried(steps, edges, value)
            seen(other)
            if _rank(other, success) < _rank(better, success):
                better = other
        if better is best:
            return best
        best = better


def _rank(plan: Tried, success: float | None) -> tuple[float, float]:
    missing = 0.0 if success is None else max(0.0, success - plan.found.success)
    return (missing if missing > 1e-12 else 0.0, plan.burden + 1e-12 * len(plan.edges))


def _neighbours(
    steps: Sequence[StepRates],
    at: dict[str, EdgeRates],
    edges: Edges,
    max_attempts: int,
    ladders: Sequence[Ladder],
) -> Iterator[Edges]:
    """Plans that differ in one edge."""
    order = [step.name for step in steps]
    has = {edge.step: edge for edge in edges}
    for name in order:
        if name not in at:
            continue
        others = {step: edge for step, edge in has.items() if step != name}
        if name in has:
            yield tuple(others[step] for step in order if step in others)
        here = order.index(name)
        before = max((order.index(step) for step in others if order.index(step) < here), default=-1)
        where = {"step": here, "block": before + 1, "previous": max(0, before), "start": 0}
        choices = {tuple(order[where[rung]] for rung in ladder) for ladder in ladders}
        choices |= {(*c, c[-1]) for c in choices}
        for targets in sorted(c for c in choices if len(c) < max_attempts):
            edge = replace(at[name], targets=targets, max_attempts=len(targets) + 1)
            if has.get(name) != edge:
                changed = {**others, name: edge}
                yield tuple(changed[step] for step in order if step in changed)


def _flat_start(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    success: float | None,
    value: Value,
    max_attempts: int,
) -> Edges:
    """The best flat plan, as if no error were sticky; where none succeeds so often: in place."""
    fresh = [replace(step, sticky=0.0) for step in steps]
    flat = [replace(j, sensitivity_upstream=one_upstream(j)) for j in judges]
    if success is None:
        found: Edges | None = best_flat(fresh, flat, value=value, max_attempts=max_attempts)
    else:
        found = cheapest_flat(fresh, flat, success=success, value=value, max_attempts=max_attempts)
    at = {judge.step: judge for judge in judges}
    if found is None:
        order = {step.name: i for i, step in enumerate(steps)}
        chosen = sorted(judges, key=lambda judge: order[judge.step])
        return tuple(replace(j, targets=(), max_attempts=max_attempts) for j in chosen)
    return tuple(replace(at[e.step], targets=e.targets, max_attempts=e.max_attempts) for e in found)


def one_upstream(judge: EdgeRates) -> float:
    """One sensitivity to all earlier steps: the mean of them where there is one per step."""
    upstream = judge.sensitivity_upstream
    if upstream is None:
        return judge.sensitivity
    if isinstance(upstream, float | int):
        return float(upstream)
    return sum(upstream.values()) / len(upstream) if upstream else judge.sensitivity
