"""What a report estimates beyond counting: trials, the true rate, the gap, and what runs earn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .._store_lines import Audit, TaskLine
from .._value import Value
from ..stats import normal_quantile, outcome_mean, pass_at_k, pass_hat_k, stratified_rate, wilson
from ._measures import Gap, Interval, Rate, Stratum, Trials, TrueRate, Worth
from ._moments import LABELLED, Moments, Weights

if TYPE_CHECKING:
    from ._types import Group

_ALL_K = 20
"""Up to here every k is shown; beyond it round numbers."""


def trials_of(lines: Sequence[TaskLine], moments: Moments) -> Trials | None:
    """What several runs of the same tasks say; None: no task has several labelled runs."""
    known = Counter({(t.success, t.labelled): 0 for t in lines if t.labelled})
    for line in lines:
        if line.labelled:
            known[line.success, line.labelled] += line.tasks
    counts = [n for _, n in known]
    if not counts or max(counts) < 2:
        return None
    tasks, fewest = sum(known.values()), min(counts)
    ks = [k for k in range(1, fewest + 1) if k <= _ALL_K or k == fewest or k in (25, 50, 100, 200)]
    at = {k: _mean(known, [pass_at_k([key], k) for key in known]) for k in ks}
    hat = {k: _mean(known, [pass_hat_k([key], k) for key in known]) for k in ks}
    solved = sum(n for (c, _), n in known.items() if c)
    cost = moments.total({"cost": 1.0})
    return Trials(
        tasks=tasks,
        runs=sum(n * m for (_, m), n in known.items()),
        fewest=fewest,
        most=max(counts),
        standard_error=_standard_error(moments),
        solved=Rate.of(solved, tasks),
        always=Rate.of(sum(n for (c, m), n in known.items() if c == m), tasks),
        pass_at_k={k: value for k, (value, _) in at.items()},
        pass_hat_k={k: value for k, (value, _) in hat.items()},
        pass_at_k_interval={k: interval for k, (_, interval) in at.items()},
        pass_hat_k_interval={k: interval for k, (_, interval) in hat.items()},
        cost_per_solved_task=cost / solved if solved else None,
    )


def _mean(tasks: Mapping[tuple[int, int], int], values: Sequence[float]) -> tuple[float, Interval]:
    """The mean of tasks' values in [0, 1], with an interval over tasks."""
    n = sum(tasks.values())
    pairs = list(zip(tasks.values(), values, strict=True))
    mean = math.fsum(count * value for count, value in pairs) / n
    squares = math.fsum(count * (value - mean) ** 2 for count, value in pairs)
    mean = min(1.0, max(0.0, mean))
    # a task's value is a share: it varies less than a coin, so tasks count for at least one each
    variance = squares / (n - 1) / n if n > 1 else 0.0
    alike = mean * (1 - mean) / variance if variance else float(n)
    effective = max(float(n), alike) if 0 < mean < 1 else float(n)
    return mean, wilson(mean * effective, effective)


def _standard_error(moments: Moments) -> float:
    n = moments.total(LABELLED)
    share = moments.total({"success": 1.0}) / n
    deviation = {"success": 1.0, "labelled": -share}
    clusters = moments.labelled_clusters
    return math.sqrt(moments.variance(deviation, clusters)) / n


def true_rate(
    family: Mapping[str, int],
    own_word: Mapping[str, int],
    late: Mapping[str, int],
    audits: Iterable[Audit],
    design_effect: float = 1.0,
) -> TrueRate | None:
    """The success rate of all finished runs from those that were labelled later.

    Args:
        family: Runs by outcome without sub-class.
        own_word: Runs whose label is the goal's own, by family.
        late: Runs with a label that came later, by family.
        audits: Of them those that the goal had judged before.
        design_effect: By how much the runs of a task resemble each other: the interval's
            distances grow by its root.
    """
    sampled: Counter[bool | None] = Counter({None: late["success"] + late["silent_failure"]})
    right: Counter[bool | None] = Counter({None: late["success"]})
    for audit in audits:
        for said, sign in ((audit.said, 1), (None, -1)):
            sampled[said] += sign * audit.runs
            right[said] += sign * audit.runs * audit.passed
    if not sum(sampled.values()):
        return None
    failed = family["escalated"] + family["error"]
    delivered = family["success"] + family["silent_failure"] + family["unlabelled"]
    passed = own_word["success"] + sampled[True]
    missed = own_word["silent_failure"] + sampled[False]
    # the rest has no word of a goal's; an agent's own is none
    runs = {True: passed, False: missed, None: delivered - passed - missed}
    if runs[None] and not sampled[None]:
        return None  # of these nothing is known
    if sum(sampled.values()) == sum(runs.values()) and not (sampled[True] or sampled[False]):
        return None  # every delivered run has such a label: the success rate says the same
    strata: list[Stratum] = []
    counts: list[tuple[int, int, int | None]] = []
    for said, name in {True: "goal_passed", False: "goal_failed", None: "no_goal"}.items():
        strata.append(
            Stratum(name=name, runs=runs[said], labelled=sampled[said], passed=right[said])
        )
        if sampled[said]:
            counts.append((runs[said], right[said], sampled[said]))
        elif runs[said]:
            counts.append((runs[said], runs[said] if said else 0, None))
    strata.append(Stratum(name="not_delivered", runs=failed, labelled=0, passed=0))
    if failed:
        counts.append((failed, 0, None))
    value, (low, high) = stratified_rate(counts)
    wider = math.sqrt(design_effect)
    low, high = max(0.0, value - wider * (value - low)), min(1.0, value + wider * (high - value))
    return TrueRate(value=value, interval=(low, high), strata=tuple(s for s in strata if s.runs))


def gap_of(
    product: float | None, real: Rate, first_tries: Mapping[bool, int], won_anyway: int
) -> Gap | None:
    """From the naive step product to the success rate, term by term."""
    if product is None or real.value is None:
        return None
    right = Rate.of(first_tries[True] + first_tries[False], real.n)
    assert right.value is not None
    return Gap(
        naive=product,
        first_tries=right,
        dependence=right.value - product,
        lost_anyway=first_tries[False],
        won_anyway=won_anyway,
        real=real.value,
    )


def worth_of(value: Value, moments: Moments, volume: float | None) -> Worth | None:
    """What the runs earn or lose; None: no labelled run."""
    n = moments.total(LABELLED)
    if not n:
        return None
    prices = {name: value.worth(name) for name in ("success", *_FAILURES)}
    by_class = {name: price * moments.total({name: 1.0}) / n for name, price in prices.items()}
    # of the model calls, the labelled runs' share: only they have an outcome to set it against
    calls = moments.total({"cost": 1.0}) / moments.total({"finished": 1.0})
    per_run = sum(by_class.values()) - calls
    interval = _worth_interval(prices, moments, per_run)
    dearest = min(_FAILURES, key=lambda name: by_class[name])
    return Worth(
        per_run=per_run,
        interval=interval,
        by_class={**by_class, "calls": -calls},
        dearest_failure=dearest if by_class[dearest] < 0 else None,
        runs_per_month=volume,
        per_month=None if volume is None else volume * per_run,
        per_month_interval=(
            None if volume is None else (volume * interval[0], volume * interval[1])
        ),
    )


_FAILURES = ("silent_failure", "escalated", "error")


def _worth_interval(prices: Mapping[str, float], moments: Moments, per_run: float) -> Interval:
    """An interval of what a run is worth, which keeps a width where no run ever failed.

    The prices' part is the profile likelihood of the classes' shares, of as many runs as the runs
    (or tasks) are worth; the spread of the model calls' cost comes on top.
    """
    n, finished = moments.total(LABELLED), moments.total({"finished": 1.0})
    counts = [moments.total({name: 1.0}) for name in prices]
    mean = sum(c * v for c, v in zip(counts, prices.values(), strict=True)) / n
    alone = sum(c * (v - mean) ** 2 for c, v in zip(counts, prices.values(), strict=True))
    gain: Weights = {**prices, "labelled": -mean}
    clusters = min(moments.labelled_clusters, round(n))
    clustered = moments.variance(gain, moments.labelled_clusters)
    effective = min(n, max(float(clusters), n * alone / clustered)) if clustered else n
    if moments.trials and not alone:  # all ended alike: nothing says how alike tasks' runs are
        effective = float(clusters)
    centre, (low, high) = outcome_mean(
        [c * effective / n for c in counts],
        list(prices.values()),
        df=clusters - 1 if clusters > 1 else None,
    )
    cost: Weights = {"cost": 1.0, "finished": -moments.total({"cost": 1.0}) / finished}
    rest = moments.variance(cost) / finished**2
    rest -= 2 * moments.covariance(gain, cost) / finished / n
    calls = normal_quantile(0.975) ** 2 * rest
    return (
        per_run - math.sqrt(max(0.0, (centre - low) ** 2 + calls)),
        per_run + math.sqrt(max(0.0, (high - centre) ** 2 + calls)),
    )


def to_label(group: Group) -> Iterator[str]:
    """What must be labelled to know what this group does not say."""
    if not group.finished:
        return
    if group.coverage.successes < group.finished:
        yield (
            "the success rate of all runs: label a random sample of the delivered runs "
            "(`coord outcome`), some with each word of the goal where there is one"
        )
    for v in group.validators:
        missing = [n for n, rate in _quality(v).items() if not rate.n]
        if missing:
            what = "wrong" if missing == ["sensitivity"] else "right"
            what = "right and wrong" if len(missing) == 2 else what
            yield (
                f"{' and '.join(missing)} of {v.name!r} at {v.step!r}: label {what} candidates, "
                "accepted and rejected ones (attach(label=...), best in mode observe)"
            )
    if group.edges and group.repeats is None and any(e.loops for e in group.edges):
        yield "whether repeats do as well as first tries: label candidates (attach(label=...))"
    if group.lost_at.get("goal") and len(group.steps) > 1:
        yield (
            f"which step lost {group.lost_at['goal']:,} runs that only the goal saw: for a sample "
            "of them, the first wrong step (attach(label=...))"
        )


def _quality(validator: object) -> dict[str, Rate]:
    return {name: getattr(validator, name) for name in ("sensitivity", "specificity")}


__all__ = ["gap_of", "to_label", "trials_of", "true_rate", "worth_of"]
