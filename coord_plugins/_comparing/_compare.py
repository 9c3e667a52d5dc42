"""`compare`: is B better than A, by how much, and at what price?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._store_query import make_query
from .._value import Value
from ..errors import PolicyError
from ._moments import COST, OUTCOMES, Moments
from ._numbers import (
    Gap,
    cautious,
    difference_of,
    left_out_of,
    ratio_of,
    share_of,
    t_interval,
    unit,
    worth,
)
from ._pairs import Layout, lay_out
from ._runs import Kind, Runs, Tally
from ._select import Selector, choose, load, same_place
from ._types import Amount, Comparison, Side
from ._verdict import concluded, cost_concluded, more_runs, net_benefit
from ._words import answer, warnings_of

if TYPE_CHECKING:
    from .._reporting._report import Moment
    from .._reporting._report import Runs as Place

__all__ = ["Comparison", "compare"]

MARGIN = 0.02
"""Differences in success that count as none, where nobody says otherwise: 2 points."""


def compare(
    a: Selector,
    b: Selector,
    *,
    store: Place = None,
    pipeline: str | Iterable[str] | None = None,
    since: Moment = None,
    until: Moment = None,
    where: Mapping[str, Any] | None = None,
    settle: str | float | None = None,
    paired: bool | None = None,
    margin: float = MARGIN,
    value: Value | None = None,
    self_reported: bool = False,
    confidence: float = 0.95,
    names: tuple[str, str] = ("A", "B"),
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare two sets of runs: B minus A.

    Where most tasks are on both sides, runs are paired by task, and by the metadata key `trial`
    within a task where that tells its runs apart. A pair of single runs is compared by exact
    McNemar and Newcombe's paired interval, several runs of a task by task means with Student's
    t over tasks. Else the sides count as independent.

    Args:
        a: One side: `KEY=VALUE[,KEY=VALUE ...]` over columns and metadata keys of the store's
            runs ("release=1.4", "pipeline=support,tenant=north"), a file of runs (.csv, .jsonl,
            .parquet), a store, its path or URL, `PLACE#KEY=VALUE`, or records.
        b: The other side, of which the differences tell.
        store: Where selectors without a place look: a store, its URL or path, or records.
            Default: the configured store.
        pipeline: Shared filter, as in `report`; it applies to both sides.
        since: Likewise.
        until: Likewise.
        where: Likewise.
        settle: Likewise.
        paired: True: pair by task, whatever share of tasks is on both sides. False: do not.
            None: pair where at least half of the tasks of the side with fewer are on both.
        margin: Differences in success up to this size count as no effect.
        value: Prices of outcomes, for the net benefit.
        self_reported: Whether labels that an agent gave itself count as labels.
        confidence: Two-sided level of every interval.
        names: What to call records.
        progress: Called with the number of runs read so far.

    Raises:
        PolicyError: A selector or filter that cannot be read or that matches nothing, runs that
            are on both sides, two goals or versions of a goal, or nothing labelled.
        StoreError: A store or file that cannot be read.
    """
    _check(margin, confidence)
    query = make_query(pipeline=pipeline, since=since, until=until, where=where, settle=settle)
    if store is not None and not isinstance(store, str) and isinstance(store, Iterable):
        store = list(store)  # two selectors read it
    chosen = choose(a, names[0], store), choose(b, names[1], store)
    seen = progress or (lambda _: None)
    ones = load(chosen[0], query, self_reported=self_reported, progress=seen)
    others = load(
        chosen[1],
        query,
        self_reported=self_reported,
        progress=lambda n: seen(ones.started + n),
    )
    shared = len(ones.ids & others.ids) if same_place(*chosen) else 0
    if shared:
        raise PolicyError(
            f"{shared:,} runs are in both {ones.name} and {others.name}; "
            "choose two sides without a run in common"
        )
    _check_goals(ones, others)
    for side in (ones, others):
        _check_labels(side)
    given = {"pipeline": list(query.pipelines), "since": query.since, "until": query.until}
    filters = {**given, "where": dict(query.where), "settle": query.settle}
    return _compared(
        ones,
        others,
        paired=paired,
        margin=margin,
        prices=value,
        confidence=confidence,
        filters={name: said for name, said in filters.items() if said},
    )


def _check(margin: float, confidence: float) -> None:
    if not 0 <= margin < 1:
        raise PolicyError(f"margin={margin!r}; give a share from 0 to 1, for example 0.02")
    if not 0 < confidence < 1:
        raise PolicyError(f"confidence={confidence!r}; it lies between 0 and 1, both excluded")


def _check_goals(a: Runs, b: Runs) -> None:
    """Success must mean the same on both sides.

    Raises:
        PolicyError: It does not, as far as the runs say.
    """
    goals = [sorted({k.goal_id for k in side.kinds if k.goal_id}) for side in (a, b)]
    for side, found in zip((a, b), goals, strict=True):
        if len(found) > 1:
            raise PolicyError(
                f"{side.name} pools {len(found)} goals ({', '.join(found)}): success does not "
                "mean one thing; choose runs of one of them"
            )
    if goals[0] and goals[1] and goals[0] != goals[1]:
        raise PolicyError(
            f"{a.name} was judged by the goal {goals[0][0]} and {b.name} by {goals[1][0]}: "
            "success does not mean the same; compare runs of one goal and version"
        )


def _check_labels(side: Runs) -> None:
    delivered = any(code in side.outcomes for code in (0, 1))
    if side.outcomes and (side.unlabelled == 0 or delivered):
        return
    if side.own_labels:
        raise PolicyError(
            f"the labels of {side.name} are all self-reported; label its runs, or count these "
            "with self_reported=True (--self-reported)"
        )
    raise PolicyError(
        f"no delivered run of {side.name} has a label; give a goal, or label them with "
        "`coord outcome`"
    )


def _compared(
    ones: Runs,
    others: Runs,
    *,
    paired: bool | None,
    margin: float,
    prices: Value | None,
    confidence: float,
    filters: Mapping[str, Any],
) -> Comparison:
    layout = lay_out(ones, others, paired)
    gap = Gap(layout)
    differences: dict[str, Any] = {
        name: difference_of(layout, k, confidence) for k, name in enumerate(OUTCOMES)
    }
    conclusion = concluded(differences["success"], margin)
    more = None
    if conclusion == "too_few":
        more = more_runs(layout, gap, differences["success"], margin, 1 - confidence)
    recorded = any(runs.cost for runs in layout.kept)
    found = Comparison(
        a=_side(ones, layout.a, layout, 0, prices, confidence),
        b=_side(others, layout.b, layout, 1, prices, confidence),
        pairing=layout.pairing,
        paired_by=layout.paired_by,
        pairs=layout.pairs,
        tasks=layout.tasks,
        **differences,
        cost_per_run=gap.amount(unit(COST), confidence),
        cost_per_extra_success=(
            gap.ratio(unit(COST), unit(0), confidence)
            if recorded
            else Amount(value=None, interval=None)
        ),
        net_benefit=None
        if prices is None
        else net_benefit(layout, gap, prices, margin, confidence),
        conclusion=conclusion,
        cost_conclusion=cost_concluded(gap, recorded, confidence),
        more=more,
        margin=margin,
        confidence=confidence,
        left_out=None if layout.paired_by is None else left_out_of(layout, confidence),
        answer="",
        filters=filters,
    )
    return dataclasses.replace(
        found, answer=answer(found), warnings=tuple(warnings_of(found, layout))
    )


def _side(
    side: Runs,
    moments: Moments,
    layout: Layout,
    number: int,
    prices: Value | None,
    confidence: float,
) -> Side:
    runs = layout.kept[number]
    shares: dict[str, Any] = {
        name: share_of(moments, runs, k, layout.clustered, confidence)
        for k, name in enumerate(OUTCOMES)
    }
    return Side(
        name=side.name,
        started=side.started,
        compared=runs.n,
        left_out=layout.left[number].n,
        self_reported=sum(side.own_labels.values()),
        self_reported_success=side.own_labels[0],
        unlabelled=side.unlabelled,
        in_flight=side.in_flight,
        tasks=runs.tasks,
        **shares,
        cost=runs.cost,
        cost_unknown=side.cost_unknown,
        cost_per_run=_amount(moments, unit(COST), confidence),
        cost_per_success=_per_success(moments, runs, confidence),
        worth_per_run=None if prices is None else _amount(moments, worth(prices), confidence),
        pipelines=_counted(side, "pipeline"),
        policy_ids=_counted(side, "policy_id"),
        modes=_counted(side, "mode"),
        goal_ids=_counted(side, "goal_id"),
    )


def _amount(moments: Moments, weights: tuple[float, ...], confidence: float) -> Amount:
    value, _ = moments.combined(weights)
    _, variance = cautious(moments, weights, signed=False).combined(weights)
    return Amount(value=value, interval=t_interval(value, variance, moments.degrees(), confidence))


def _per_success(moments: Moments, runs: Tally, confidence: float) -> Amount:
    if not runs.cost:
        return Amount(value=None, interval=None)
    known = cautious(moments, unit(0), signed=False)
    return ratio_of(
        moments.combined(unit(COST)),
        (moments.mean[0], known.covariance[0][0]),
        moments.covary(unit(COST), unit(0)),
        moments.degrees(),
        confidence,
    )


def _counted(side: Runs, name: str) -> dict[str, int]:
    at = Kind._fields.index(name)
    counts: Counter[str] = Counter()
    for kind, n in side.kinds.items():
        counts[kind[at]] += n
    return dict(sorted(counts.items()))
