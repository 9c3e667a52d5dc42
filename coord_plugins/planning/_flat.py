"""The best flat plan, exactly: loops that do not cross, by dynamic programming from the end.

What comes after a boundary is known by its success from a right entry and by its burden from a
right and from a wrong entry. All that can come before acts on these with weights that are not
negative, so a suffix that is worse in each can be dropped. The other way round would not be
exact: more runs that survive a prefix cost more later. With prices alone the burdens decide, and
only the lower left convex hull of them can win: the truth is hidden, as in a decision process
that is observed in part.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from .._value import Value
from ._algebra import Transfer, expected_calls, loop, series, step_transfer
from ._rates import EdgeRates, Prediction, StepRates, check_count, resolve

FREE = Value(success=0.0)
"""Only the cost of the work counts."""
_EXACT_STEPS = 10
"""Beyond so many steps, suffixes that differ by less than `_GRID` of their burden are one."""
_EXACT, _GRID = 1e-13, 1e-4


class _Block(NamedTuple):
    """Steps `first` to `last`, judged after the last one."""

    first: int
    last: int
    attempts: int


class _Suffix(NamedTuple):
    """A plan for the steps from a boundary to the end."""

    success: float
    good: float
    """Burden from a right entry."""
    bad: float
    """Burden from a wrong entry."""
    plan: tuple[_Block, _Suffix] | None
    """The first loop and what follows it."""


def burden(found: Prediction, value: Value = FREE) -> float:
    """Expected cost of a run, plus what its failures cost, less what its success brings.

    Args:
        found: How runs end.
        value: What outcomes are worth, in the unit of the cost.
    """
    return (
        found.cost
        - found.success * value.worth("success")
        - found.silent * value.worth("silent_failure")
        - found.escalated * value.worth("escalated")
        - found.error * value.worth("error")
    )


def cheapest_flat(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    *,
    success: float,
    max_attempts: int = 5,
    value: Value = FREE,
    in_place: bool = False,
) -> tuple[EdgeRates, ...] | None:
    """Find the flat plan with the least burden among those that succeed often enough.

    Exact up to 10 steps; beyond, suffixes are merged on a grid of 1e-4 of their burden.

    Args:
        steps: The pipeline; without sticky errors.
        judges: Where an edge may be, and how it would judge; their targets and attempts are
            ignored. `sensitivity_upstream` must be one rate or None.
        success: Least probability of success.
        max_attempts: Most candidates of one edge.
        value: What outcomes are worth. Default: only the cost counts.
        in_place: Only edges that go back to their own step.

    Returns:
        The edges, or None where no flat plan succeeds so often.

    Raises:
        ValueError: A step has sticky errors, or a judge has a sensitivity per step.
    """
    for found in _front(steps, judges, max_attempts, value, in_place):
        if found.success >= success - 1e-12:
            return _edges(found, steps, judges)
    return None


def best_flat(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    *,
    value: Value,
    max_attempts: int = 5,
    in_place: bool = False,
) -> tuple[EdgeRates, ...]:
    """Find the flat plan with the least burden; exact for any number of steps.

    Args:
        steps: As for `cheapest_flat`.
        judges: As for `cheapest_flat`.
        value: What outcomes are worth.
        max_attempts: As for `cheapest_flat`.
        in_place: As for `cheapest_flat`.

    Raises:
        ValueError: As for `cheapest_flat`.
    """
    suffixes = _suffixes(steps, judges, max_attempts, value, in_place, _hull)
    return _edges(min(suffixes, key=lambda s: s.good), steps, judges)


def flat_front(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    *,
    max_attempts: int = 5,
    value: Value = FREE,
    in_place: bool = False,
) -> list[tuple[EdgeRates, ...]]:
    """Find every flat plan that no other beats in both success and burden, cheapest first.

    Args:
        steps: As for `cheapest_flat`.
        judges: As for `cheapest_flat`.
        max_attempts: As for `cheapest_flat`.
        value: As for `cheapest_flat`.
        in_place: As for `cheapest_flat`.

    Raises:
        ValueError: As for `cheapest_flat`.
    """
    front = _front(steps, judges, max_attempts, value, in_place)
    return [_edges(found, steps, judges) for found in front]


def _front(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    max_attempts: int,
    value: Value,
    in_place: bool,
) -> list[_Suffix]:
    prune = _pareto(_EXACT if len(steps) <= _EXACT_STEPS else _GRID)
    suffixes = _suffixes(steps, judges, max_attempts, value, in_place, prune)
    front: list[_Suffix] = []
    for found in sorted(suffixes, key=lambda s: (s.good, -s.success)):
        if not front or found.success > front[-1].success + _EXACT:
            front.append(found)
    return front


def _suffixes(
    steps: Sequence[StepRates],
    judges: Sequence[EdgeRates],
    max_attempts: int,
    value: Value,
    in_place: bool,
    prune: Callable[[Iterable[_Suffix]], list[_Suffix]],
) -> list[_Suffix]:
    check_count("max_attempts", max_attempts)
    resolve(steps, [replace(j, targets=(), max_attempts=1) for j in judges])
    at = {judge.step: judge for judge in judges}
    n = len(steps)
    end = _Suffix(1.0, -value.worth("success"), -value.worth("silent_failure"), None)
    known: dict[int, list[_Suffix]] = {n: [end]}
    for first in range(n - 1, -1, -1):
        bare = step_transfer(steps[first])
        found = [_before(bare, None, after, value) for after in known[first + 1]]
        for last in range(first, first + 1 if in_place else n):
            judge = at.get(steps[last].name)
            if judge is None:
                continue
            for attempts in range(1, max_attempts + 1):
                part = block_transfer(steps[first : last + 1], judge, attempts)
                block = _Block(first, last, attempts)
                found += [_before(part, block, after, value) for after in known[last + 1]]
        known[first] = prune(found)
    return known[0]


def block_transfer(steps: Sequence[StepRates], judge: EdgeRates, max_attempts: int) -> Transfer:
    """Steps in a row, judged after the last one, with a loop back to the first of them.

    Raises:
        ValueError: A step has sticky errors, or the judge has a sensitivity per step.
    """
    upstream = judge.sensitivity_upstream
    if upstream is not None and not isinstance(upstream, float | int):
        raise ValueError(
            f"edge at {judge.step!r}: a flat plan needs one sensitivity to all earlier steps"
        )
    up = judge.sensitivity if upstream is None else float(upstream)
    before = series(*(step_transfer(step) for step in steps[:-1]))
    last = step_transfer(steps[-1])
    body = series(before, last)
    own = before.gg * last.gb
    mixed = (own * judge.sensitivity + (body.gb - own) * up) / body.gb if body.gb else up
    unread_share = expected_calls(steps[-1]) * steps[-1].invalid
    unread = ((before.gg + before.gb) * unread_share, before.bb * unread_share)
    # With an edge, a reply that can not be read is a rejection and no longer an error.
    body = replace(body, xg=body.xg - unread[0], xb=body.xb - unread[1])
    return loop(
        body,
        sensitivity=min(1.0, mixed),
        specificity=judge.specificity,
        upstream=up,
        max_attempts=max_attempts,
        cost=judge.cost,
        unread=unread,
    )


def _before(part: Transfer, block: _Block | None, after: _Suffix, value: Value) -> _Suffix:
    """What `part` makes of the suffix after it."""
    escalation, error = -value.worth("escalated"), -value.worth("error")
    lost_good = max(0.0, 1.0 - part.gg - part.gb - part.xg)
    lost_bad = max(0.0, 1.0 - part.bb - part.xb)
    ended_good = part.cg + lost_good * escalation + part.xg * error
    ended_bad = part.cb + lost_bad * escalation + part.xb * error
    return _Suffix(
        part.gg * after.success,
        ended_good + part.gg * after.good + part.gb * after.bad,
        ended_bad + part.bb * after.bad,
        after.plan if block is None else (block, after),
    )


def _pareto(tolerance: float) -> Callable[[Iterable[_Suffix]], list[_Suffix]]:
    """A pruning that keeps what no other suffix beats in all three figures."""

    def prune(suffixes: Iterable[_Suffix]) -> list[_Suffix]:
        kept: list[_Suffix] = []
        goods: list[float] = []  # of the staircase, rising, where `bads` falls
        bads: list[float] = []
        for found in sorted(suffixes, key=lambda s: (-s.success, s.good, s.bad)):
            slack = tolerance * (1.0 + abs(found.good) + abs(found.bad))
            at = bisect_right(goods, found.good + slack)
            if at and bads[at - 1] <= found.bad + slack:
                continue
            kept.append(found)
            at = bisect_left(goods, found.good)
            stop = at
            while stop < len(bads) and bads[stop] >= found.bad:
                stop += 1
            goods[at:stop], bads[at:stop] = [found.good], [found.bad]
        return kept

    return prune


def _hull(suffixes: Iterable[_Suffix]) -> list[_Suffix]:
    """The lower left convex hull of the burdens."""
    hull: list[_Suffix] = []
    least = inf
    for found in sorted(suffixes, key=lambda s: (s.good, s.bad)):
        if found.bad >= least - _EXACT:
            continue
        least = found.bad
        while len(hull) > 1 and _above(hull[-2], hull[-1], found):
            hull.pop()
        hull.append(found)
    return hull


def _above(left: _Suffix, middle: _Suffix, right: _Suffix) -> bool:
    """Whether the middle one lies on or above the line between the others."""
    return (middle.good - left.good) * (right.bad - left.bad) <= (right.good - left.good) * (
        middle.bad - left.bad
    )


def _edges(
    found: _Suffix, steps: Sequence[StepRates], judges: Sequence[EdgeRates]
) -> tuple[EdgeRates, ...]:
    at = {judge.step: judge for judge in judges}
    edges = []
    rest = found.plan
    while rest is not None:
        block, after = rest
        names = (steps[block.first].name,) if block.attempts > 1 else ()
        edges.append(
            replace(at[steps[block.last].name], targets=names, max_attempts=block.attempts)
        )
        rest = after.plan
    return tuple(edges)
