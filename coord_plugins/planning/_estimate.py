"""The rates of a pipeline from its recorded runs, and what has to be labelled to know them.

Verdicts and the goal's word alone do not tell a bad step from a strict validator (source:
'reliability of validated pipelines' in docs/numbers.md). With a label per output each rate is a
share of counts: outputs that are right given right input; verdicts on right outputs, on outputs
that the step itself made wrong, and on outputs that were wrong already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._edge import START
from .._record import RunRecord
from .._tally import StepTally
from ..errors import PolicyError
from ._evidence import (
    NEVER,
    Amount,
    MeasuredStep,
    MeasuredValidator,
    PipelineRates,
    PlannedEdge,
    Share,
)
from ._seen import Seen, Sums, unread, visits
from ._tested import repeats, tested

_MOST = 0.9
"""Share of the delivered runs that must go the same way for a chain to describe them."""
_POOLED = 10.0
"""How many repeats of all steps together count for a single step's rate of repeats."""


def rates_from_runs(
    records: Iterable[RunRecord],
    *,
    policies: Sequence[Mapping[str, Any]] = (),
    progress: Callable[[int], None] | None = None,
) -> PipelineRates:
    """Estimate the rates and costs of one pipeline from its recorded runs.

    Args:
        records: Runs of one pipeline, recorded with `label=`, in `observe` or in `enforce`.
        policies: What was attached, as `Store.policies()` says it: from there the present edges
            are known, and where the validators can be imported from.
        progress: Called with the number of runs read.

    Raises:
        PolicyError: No runs, runs of several pipelines or of several ways through one, or labels
            are missing; the message says which.
    """
    seen = Seen()
    for count, record in enumerate(records, 1):
        seen.add(record)
        if progress is not None:
            progress(count)
    if not seen.runs:
        raise PolicyError("plan: no finished run matches; record some, or widen the filters")
    if len(seen.pipelines) > 1:
        listed = ", ".join(sorted(seen.pipelines))
        raise PolicyError(f"plan: these are runs of several pipelines ({listed}); choose one")
    order, warnings = _order(seen)
    _check_labels(seen, order)
    priced = any(seen.steps[n].work.x or seen.steps[n].judging.x for n in order)
    mine, present = _present(seen, order, policies, warnings)
    warnings += _warnings(seen, order, priced)
    (pipeline,) = seen.pipelines
    steps = tuple(_step(name, seen, order, priced) for name in order)
    return PipelineRates(
        pipeline=pipeline,
        steps=steps,
        unit="US dollars" if priced else "executions",
        runs=seen.runs,
        present=present,
        success=_share(seen.successes, seen.failures) if seen.successes + seen.failures else None,
        in_place=bool(mine) and all(p.get("host") == "python" for p in mine),
        assumptions=tested(seen, order),
        warnings=tuple(warnings),
        policies=tuple(mine),
    )


def _order(seen: Seen) -> tuple[list[str], list[str]]:
    """The steps in the order in which they run."""
    if not seen.ways:
        raise PolicyError("plan: no run was delivered, so the order of the steps is not known")
    sets: Counter[frozenset[str]] = Counter()
    for way, count in seen.ways.items():
        sets[frozenset(way)] += count
    common, count = sets.most_common(1)[0]
    total = sum(sets.values())
    warnings = []
    if count < _MOST * total:
        ways = "; ".join(" ".join(sorted(s)) or "(no step)" for s, _ in sets.most_common(3))
        raise PolicyError(
            f"plan: the runs take several ways ({ways}); the model is a row of steps that all "
            "run: filter for one way, for example with --where on metadata that says which"
        )
    if not common:
        raise PolicyError("plan: the runs name no steps; a plan needs runs recorded by attach")
    if count < total:
        warnings.append(f"{total - count:,} runs went another way through the pipeline")
    rank = dict.fromkeys(common, 0.0)
    same = {way: n for way, n in seen.ways.items() if frozenset(way) == common}
    for way, n in same.items():
        for place, name in enumerate(way):
            rank[name] += place * n
    if max(same.values()) < _MOST * count:
        warnings.append("steps run beside each other; the plan takes them as a row")
    return sorted(common, key=lambda name: rank[name]), warnings


def _check_labels(seen: Seen, order: Sequence[str]) -> None:
    missing = [n for n in order if not seen.steps[n].right + seen.steps[n].wrong]
    if not missing:
        return
    given = "None of the runs has labels" if len(missing) == len(order) else "Labels are missing"
    raise PolicyError(
        f"plan: {given} for {', '.join(missing)}. Verdicts and the goal alone do not tell a bad "
        "step from a strict validator: attach with mode='observe' and label=f(value, step) that "
        "says for every step's output whether it is right (True, False, or None for unknown; "
        "True for a step that can not be wrong), accepted and rejected ones alike, and record "
        "some hundred runs; see docs/planning.md"
    )


def _present(
    seen: Seen, order: Sequence[str], policies: Sequence[Mapping[str, Any]], warnings: list[str]
) -> tuple[list[Mapping[str, Any]], tuple[PlannedEdge, ...] | None]:
    """The descriptions of the recorded policies, the most used first, and what it enforces."""
    known = {p["policy_id"]: p for p in policies if p.get("pipeline") in seen.pipelines}
    ids = dict.fromkeys(policy for (policy, _), _ in seen.policies.most_common())
    mine = [known[policy] for policy in ids if policy in known]
    (policy, mode), _ = seen.policies.most_common(1)[0]
    judged = {n for n in order if seen.steps[n].tally.calls}
    if mode == "observe" or not judged:
        return mine, ()
    if policy not in known:
        warnings.append(
            "what is attached now is not known, so the plan is not compared with it; plan from "
            "the store that recorded the runs"
        )
        return mine, None
    edges = []
    for said in known[policy]["edges"]:
        if said["step"] in judged:
            back = tuple(order[0] if t == START else t for t in said["back_to"])
            names = tuple(v["name"] for v in said["validators"])
            limit = int(said["max_attempts"])
            back = back if limit > 1 else ()
            edges.append(
                PlannedEdge(step=said["step"], back_to=back, max_attempts=limit, validators=names)
            )
    if any(t not in order[: order.index(e.step) + 1] for e in edges for t in e.back_to):
        return mine, None  # no row of steps: branches, or steps beside each other
    return mine, tuple(sorted(edges, key=lambda e: order.index(e.step)))


def _warnings(seen: Seen, order: Sequence[str], priced: bool) -> list[str]:
    found = []
    ids = {policy for policy, _ in seen.policies}
    modes = {mode for _, mode in seen.policies}
    if len(ids) > 1:
        found.append(
            f"runs of {len(ids)} policies are pooled; choose one with --where policy_id=..."
        )
    if len(modes) > 1:
        found.append(f"runs of modes {' and '.join(sorted(modes))} are pooled")
    if not priced:
        found.append(
            "no run has a cost: an execution counts as one unit, and a judgement as nothing"
        )
    elif seen.unpriced:
        found.append(f"{seen.unpriced:,} runs have calls without a price: costs are lower bounds")
    if seen.elsewhere > 0.01 * seen.runs:
        found.append(f"{seen.elsewhere:,} runs ended in errors of no step; the plan ignores these")
    for name in order:
        sums = seen.steps[name]
        if sums.unlabelled:
            found.append(f"{sums.unlabelled:,} runs have no label for {name}")
        tally = sums.tally
        wrong = tally.pass_own + tally.reject_own + tally.pass_upstream + tally.reject_upstream
        if tally.calls and wrong < 10:
            found.append(
                f"the validators of {name} were seen on {wrong} wrong outputs: what they catch is "
                "hardly known"
            )
    return found


def _step(name: str, seen: Seen, order: Sequence[str], priced: bool) -> MeasuredStep:
    sums = seen.steps[name]
    tally = sums.tally
    entered, illegible = visits(tally), unread(tally)
    ended = max(0, tally.errors - tally.retries - tally.fallbacks)
    cost = sums.work.amount()
    if not priced:
        cost = Amount(mean=tally.executions / entered if entered else 1.0)
    return MeasuredStep(
        name=name,
        right=_share(sums.right, sums.wrong),
        cost=cost,
        # What was never seen is taken as impossible: half an error per step would be a lot.
        fatal=_share(ended, entered - ended) if ended else NEVER,
        invalid=_share(illegible, entered - illegible) if illegible else NEVER,
        repeat=_repeat(tally, seen, order),
        validator=_validator(sums, first=name == order[0]),
    )


def _repeat(tally: StepTally, seen: Seen, order: Sequence[str]) -> Share | None:
    """How often a repeat is right: the step's own repeats, and some of all steps' together.

    None: as often as a first try.
    """
    found = repeats(seen, order)
    if found is None or found.independent:
        return None
    tallies = [seen.steps[n].tally for n in order]
    right = sum(t.repeat_right for t in tallies)
    wrong = found.total - right
    weight = min(1.0, _POOLED / found.total)
    return _share(tally.repeat_right + weight * right, tally.repeat_wrong + weight * wrong)


def _validator(sums: Sums, *, first: bool) -> MeasuredValidator | None:
    tally = sums.tally
    if not tally.calls:
        return None
    passed, caught = tally.pass_own, tally.reject_own
    upstream = tally.pass_upstream + tally.reject_upstream
    if first:  # what it made wrong again, before a later output that was wrong was made anew
        passed, caught, upstream = passed + tally.pass_upstream, caught + tally.reject_upstream, 0
    return MeasuredValidator(
        names=tuple(tally.validators),
        # Replies that could not be read are labelled wrong, and no validator saw them.
        sensitivity=_share(max(0, caught - unread(tally)), passed),
        specificity=_share(tally.pass_right, tally.reject_right),
        upstream=_share(tally.reject_upstream, tally.pass_upstream) if upstream else None,
        cost=sums.judging.amount(),
    )


def _share(yes: float, no: float) -> Share:
    return Share(yes=yes, no=no)
