"""Which runs are compared with which: by task, by trial within a task, or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import sub
from typing import Any

from ..errors import PolicyError
from ._moments import COST, OUTCOMES, Moments
from ._runs import Runs, Tally
from ._types import Pairing

MOST = 0.5
"""Share of the tasks of the side with fewer of them that must be on both sides to be paired; a run
without a task counts as one of its own."""
_UNIT = tuple(tuple(float(i == j) for j in range(COST)) for i in range(COST))
Tasks = dict[str, list[int]]
"""The places of each task's runs in a side's columns."""
Unit = tuple[tuple[float, ...], float]
"""Totals, or means, of the outcomes, and the cost."""
Pairs = list[tuple[int, int]]
"""Places of an A and a B run."""
NONE = Tally(0, (0,) * COST, 0.0, 0)


@dataclass(kw_only=True)
class Layout:
    """The runs as they are compared."""

    pairing: Pairing
    paired_by: str | None = None
    """"task", or "task and trial"."""
    tasks: int | None = None
    """Tasks on both sides."""
    a: Moments = field(default_factory=Moments)
    b: Moments = field(default_factory=Moments)
    between: Moments = field(default_factory=Moments)
    """B minus A, unit by unit; without units where unpaired."""
    kept: tuple[Tally, Tally]
    """The runs of A and of B that are compared."""
    left: tuple[Tally, Tally] = (NONE, NONE)
    """Labelled runs without a partner."""
    crossed: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Pairs by the outcomes of A and of B; empty where runs are not matched one to one."""
    common: int | None = None
    """Of an unpaired layout that was to be paired: the tasks on both sides, too few."""
    clustered: bool = False
    """Whether some task has several runs on a side."""

    @property
    def pairs(self) -> int | None:
        """Pairs of runs."""
        return sum(self.crossed.values()) if self.crossed else None


def lay_out(a: Runs, b: Runs, paired: bool | None) -> Layout:
    """Match the runs of two sides.

    Args:
        a: One side.
        b: The other.
        paired: True: by task, False: not at all, None: by task where most tasks are on both.

    Raises:
        PolicyError: They are to be paired, and no task is on both sides.
    """
    if paired is False:
        return _unpaired(a, b)
    ours, theirs = _last_of(a), _last_of(b)
    common = ours.keys() & theirs.keys()
    if paired and not common:
        raise PolicyError(f"no task is in both {a.name} and {b.name}; they cannot be paired")
    units = (len(tasks) + side.tasks.count(None) for tasks, side in ((ours, a), (theirs, b)))
    if not common or (paired is None and len(common) < MOST * min(units)):
        found = _unpaired(a, b)
        found.common = len(common) if ours and theirs else None
        return found
    # the order of a set of texts differs from process to process; sums of floats would, too
    shared = [task for task in ours if task in common]
    counts = [_with(side, common) for side in (a, b)]
    if counts == [len(shared), len(shared)]:
        return _single_pairs(a, b, [(ours[task], theirs[task]) for task in shared], "task")
    mine, yours = _by_task(a), _by_task(b)
    return _by_trial(a, b, mine, yours, shared) or _by_means(a, b, mine, yours, shared)


def _last_of(side: Runs) -> dict[str, int]:
    """The place of each task's last run."""
    places: dict[Any, int] = dict(zip(side.tasks, range(len(side.tasks)), strict=True))
    places.pop(None, None)
    return places


def _with(side: Runs, tasks: Set[str]) -> int:
    return sum(map(tasks.__contains__, side.tasks))


def _by_task(side: Runs) -> Tasks:
    tasks: Tasks = {}
    for place, task in enumerate(side.tasks):
        if task is not None:
            known = tasks.get(task)
            if known is None:
                tasks[task] = [place]
            else:
                known.append(place)
    return tasks


def _by_trial(a: Runs, b: Runs, mine: Tasks, yours: Tasks, shared: Sequence[str]) -> Layout | None:
    """Pairs of the same trial; None: trials do not tell runs apart, or few are on both sides."""
    both: list[Pairs] = []
    pairs = fewer = 0
    for task in shared:
        ones, others = _trials(a, mine[task]), _trials(b, yours[task])
        if ones is None or others is None:
            return None
        found = [(place, others[trial]) for trial, place in ones.items() if trial in others]
        pairs, fewer = pairs + len(found), fewer + min(len(ones), len(others))
        if found:
            both.append(found)
    if pairs < MOST * fewer:
        return None
    if pairs == len(both):
        return _single_pairs(a, b, [pair for [pair] in both], "task and trial")
    return _clusters(a, b, both)


def _trials(side: Runs, places: Sequence[int]) -> Mapping[str, int] | None:
    """The runs of one task by trial; None: some run has none, or two have the same."""
    found = {}
    for place in places:
        trial = side.trials[place]
        if trial is None:
            return None
        found[trial] = place
    return found if len(found) == len(places) else None


def _single_pairs(a: Runs, b: Runs, pairs: Pairs, by: str) -> Layout:
    """One pair a task. They fall into few kinds, and within a kind only costs differ."""
    costs: dict[tuple[int, int], tuple[list[float], list[float]]] = {}
    ours, theirs, spent, other = a.outcomes, b.outcomes, a.costs, b.costs
    for i, j in pairs:
        kind = ours[i], theirs[j]
        known = costs.get(kind)
        if known is None:
            known = costs[kind] = ([], [])
        known[0].append(spent[i])
        known[1].append(other[j])
    found = Layout(
        pairing="pairs",
        paired_by=by,
        tasks=len(pairs),
        **_parts(a, b, [i for i, _ in pairs], [j for _, j in pairs]),
    )
    for (one, two), (ones, twos) in costs.items():
        found.crossed[one, two] = len(ones)
        found.a.add_many(1.0, _UNIT[one], ones)
        found.b.add_many(1.0, _UNIT[two], twos)
        gap = tuple(y - x for x, y in zip(_UNIT[one], _UNIT[two], strict=True))
        found.between.add_many(1.0, gap, list(map(sub, twos, ones)))
    return found


def _clusters(a: Runs, b: Runs, both: Sequence[Pairs]) -> Layout:
    """Several pairs a task."""
    flat = [pair for pairs in both for pair in pairs]
    found = Layout(
        pairing="tasks",
        paired_by="task and trial",
        tasks=len(both),
        clustered=True,
        **_parts(a, b, [i for i, _ in flat], [j for _, j in flat]),
    )
    ours, theirs = a.outcomes, b.outcomes
    found.crossed.update((ours[i], theirs[j]) for i, j in flat)
    for pairs in both:
        ones, spent = _totals(a, [i for i, _ in pairs])
        others, other = _totals(b, [j for _, j in pairs])
        _add(found, float(len(pairs)), (ones, spent), (others, other))
    return found


def _by_means(a: Runs, b: Runs, mine: Tasks, yours: Tasks, shared: Sequence[str]) -> Layout:
    """Tasks by the means of their runs; every task weighs the same."""
    found = Layout(
        pairing="tasks",
        paired_by="task",
        tasks=len(shared),
        clustered=True,
        **_parts(
            a,
            b,
            [place for task in shared for place in mine[task]],
            [place for task in shared for place in yours[task]],
        ),
    )
    for task in shared:
        _add(found, 1.0, _means(a, mine[task]), _means(b, yours[task]))
    return found


def _add(found: Layout, size: float, one: Unit, other: Unit) -> None:
    (ones, spent), (others, more) = one, other
    found.a.add(size, ones, spent)
    found.b.add(size, others, more)
    gap = tuple(y - x for x, y in zip(ones, others, strict=True))
    found.between.add(size, gap, more - spent)


def _parts(a: Runs, b: Runs, ours: list[int], theirs: list[int]) -> dict[str, Any]:
    """The runs that are compared, and the others."""
    left = []
    for side, places in ((a, ours), (b, theirs)):
        if len(places) == len(side.outcomes):
            left.append(NONE)
        else:
            left.append(side.tally(set(range(len(side.outcomes))).difference(places)))
    return {"kept": (a.tally(ours), b.tally(theirs)), "left": tuple(left)}


def _unpaired(a: Runs, b: Runs) -> Layout:
    """Both sides on their own; runs of one task stay together."""
    found = Layout(pairing="unpaired", kept=(a.tally(), b.tally()))
    for side, into in ((a, found.a), (b, found.b)):
        alone: tuple[list[float], ...] = tuple([] for _ in OUTCOMES)
        for place, task in enumerate(side.tasks):
            if task is None:
                alone[side.outcomes[place]].append(side.costs[place])
        for places in _by_task(side).values():
            if len(places) == 1:
                alone[side.outcomes[places[0]]].append(side.costs[places[0]])
            else:
                found.clustered = True
                into.add(float(len(places)), *_totals(side, places))
        for outcome, costs in enumerate(alone):
            into.add_many(1.0, _UNIT[outcome], costs)
    return found


def _totals(side: Runs, places: Sequence[int]) -> Unit:
    counts = [0.0] * len(OUTCOMES)
    spent = 0.0
    for place in places:
        counts[side.outcomes[place]] += 1
        spent += side.costs[place]
    return tuple(counts), spent


def _means(side: Runs, places: Sequence[int]) -> Unit:
    (totals, spent), n = _totals(side, places), len(places)
    return tuple(total / n for total in totals), spent / n
