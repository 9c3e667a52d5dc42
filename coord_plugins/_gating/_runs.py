"""`gate`: the gate on recorded runs, oldest first."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from .._comparing._select import Chosen, choose
from .._record import RunRecord
from .._store_query import make_query
from ..errors import PolicyError
from ._gate import Gate, GateVerdict
from ._read import read
from ._trials import FAILED, MISSING, PASSED, UNKNOWN, Trials
from ._types import GateResult, Missing
from ._words import reason_of, warnings_of

if TYPE_CHECKING:
    from .._store import Store

__all__ = ["Gate", "GateResult", "gate"]

Runs: TypeAlias = "str | os.PathLike[str] | Store | Iterable[RunRecord] | None"
Moment: TypeAlias = "str | float | dt.datetime | None"


def gate(
    runs: Runs = None,
    *,
    min_success: float = 0.95,
    expected: float | None = None,
    alpha: float = 0.05,
    beta: float = 0.05,
    suite: int | None = None,
    max_trials: int | None = None,
    pipeline: str | None = None,
    since: Moment = None,
    until: Moment = None,
    where: Mapping[str, Any] | None = None,
    settle: str | float | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    unit: Literal["run", "task"] = "run",
    missing: Missing = "either",
    without_cancelled: bool = False,
    allow_self_reported: bool = False,
    progress: Callable[[int], None] | None = None,
) -> GateResult:
    """Do the recorded runs show a success rate above `min_success`?

    The runs are looked at in the order in which they started, and the first crossing of `Gate`
    decides: so the answer keeps its error rates although nobody fixed the number of runs before.
    Two things make it more careful than `Gate` alone. A run without a result that counts may turn
    out either way, and the verdict must hold for both. And runs that would have been accepted
    early on are not accepted if all of them together succeed in a smaller share than
    `min_success`: their rate has fallen.

    Escalated, erroneous and cancelled runs are failures. Runs inside runs do not count.

    Args:
        runs: A selector like "release=1.4", a file of outcomes (.csv, .jsonl, .parquet), a store,
            its URL or path, or records. Default: all runs of `store`.
        min_success: As in `Gate`.
        expected: As in `Gate`.
        alpha: As in `Gate`.
        beta: As in `Gate`.
        suite: As in `Gate`; each task counts once, by its latest run.
        max_trials: As in `Gate`: later runs cannot decide.
        pipeline: Only this pipeline. Needed where the runs are of several.
        since: As in `report`.
        until: As in `report`.
        where: As in `report`.
        settle: As in `report`: leaves out what is too young to have its label.
        store: Where a selector without a place looks. Default: the configured store.
        unit: "task" counts each task once, by its latest run; trials of one task are not
            independent.
        missing: What a run that has no label, or has not finished, or has only its agent's own
            word is: "either" (the verdict must hold whichever way it turns out), "failure", or
            "ignore" (left out, with a warning).
        without_cancelled: Leave cancelled runs out.
        allow_self_reported: Whether an agent's own word counts as a label.
        progress: Called with the number of runs read so far.

    Raises:
        PolicyError: A question that cannot be decided, runs of several pipelines or goals, or no
            label but the agents' own.
        StoreError: The store or file cannot be read.
    """
    if unit not in ("run", "task"):
        raise PolicyError(f"unit={unit!r}; a gate counts by 'run' or by 'task'")
    if missing not in ("either", "failure", "ignore"):
        raise PolicyError(f"missing={missing!r}; it is 'either', 'failure' or 'ignore'")
    question = (min_success, expected, alpha, beta, max_trials)
    low, high = Gate(*question, suite=suite), Gate(*question, suite=suite)
    query = make_query(pipeline=pipeline, since=since, until=until, where=where, settle=settle)
    chosen = _chosen(runs, store)
    by_task = unit == "task" or suite is not None
    trials = Trials(by_task=by_task, allow_self_reported=allow_self_reported)
    for ran in read(chosen, query, progress or (lambda _: None)):
        trials.add(ran)
    trials.check(suite)
    crossed = first_crossing(low, high, trials.in_order(missing, without_cancelled))
    given = {"runs": chosen.name, "pipeline": pipeline, "where": dict(query.where)}
    times = {"since": query.since, "until": query.until, "settle": query.settle}
    filters = {name: value for name, value in {**given, **times}.items() if value}
    return _result(trials, low, high, crossed, {"missing": missing, "filters": filters})


def _chosen(runs: Runs, store: Any) -> Chosen:
    if runs is not None:
        chosen = choose(runs, "", store)
        if store is not None and chosen.place is not store:
            raise PolicyError(f"{chosen.name or 'runs'} names a place of its own; drop the store")
        return chosen
    if store is not None:
        return choose(store, "", None)
    return Chosen(name="", place=None, where={})


class Crossing(NamedTuple):
    """Where a gate decided."""

    verdict: GateVerdict
    at: int | None


def first_crossing(low: Gate, high: Gate, results: Iterable[int]) -> Crossing:
    """The first crossing that holds for both: the missing as failures, and as successes.

    The evidence grows with every success, so that whatever the missing turn out to be, the
    true sequence has crossed by then.
    """
    found = Crossing("inconclusive", None)
    left = iter(results)
    for at, result in enumerate(left, 1):
        low.add(result == PASSED)
        high.add(result != FAILED)
        if low.verdict == "accept":
            found = Crossing("accept", at)
            break
        if high.verdict == "reject":
            found = Crossing("reject", at)
            break
    rest = Counter(left)  # nothing is left to decide
    low.add_counts(rest[PASSED], rest[FAILED] + rest[MISSING])
    high.add_counts(rest[PASSED] + rest[MISSING], rest[FAILED])
    return found


def _result(
    trials: Trials, low: Gate, high: Gate, crossed: Crossing, given: Mapping[str, Any]
) -> GateResult:
    known = low.successes + high.failures
    kinds = list(trials.kinds)
    counts = trials.counts()
    facts: dict[str, Any] = {
        "pipeline": kinds[0].pipeline if kinds else None,
        "min_success": low.min_success,
        "alpha": low.alpha,
        "suite": low.suite,
        "max_trials": low.max_trials,
        "unit": "task" if trials.by_task else "run",
        "trials": low.trials,
        "successes": low.successes,
        "failures": high.failures,
        **{name: counts[name] for name in (*UNKNOWN, "cancelled")},
        "left_out": len(trials) - low.trials,
        "success_rate": low.successes / known if known else None,
        "lower_bound": low.lower_bound,
        "interval": (low.interval[0], high.interval[1]),
        "policy_ids": tuple(sorted({kind.policy_id for kind in kinds if kind.policy_id})),
        "goal_id": next((kind.goal_id for kind in kinds if kind.goal_id is not None), None),
        **_evidence(low, high),
        **given,
    }
    fell = low.suite is None and low.successes < low.min_success * low.trials
    verdict = "inconclusive" if crossed.verdict == "accept" and fell else crossed.verdict
    return GateResult(
        verdict=verdict,
        reason=reason_of(verdict, crossed.at, facts),
        decided_at=None if verdict == "inconclusive" else crossed.at,
        warnings=warnings_of(verdict, facts, trials),
        **_still_needed(verdict, low),
        **facts,
    )


def _evidence(low: Gate, high: Gate) -> dict[str, float | None]:
    """How near the trials are to either side; a suite is decided by counting."""
    names = "expected beta evidence evidence_to_accept odds_against odds_to_reject".split()
    if low.suite is not None:
        return dict.fromkeys(names)
    odds = math.exp(max(-690.0, min(690.0, -high.log_likelihood_ratio)))
    values = (low.expected, low.beta, low.evidence, 1 / low.alpha, odds, 1 / low.beta)
    return dict(zip(names, values, strict=True))


def _still_needed(verdict: GateVerdict, low: Gate) -> dict[str, Any]:
    if verdict != "inconclusive":
        clean = 0 if verdict == "accept" else None
        return {"clean_trials_needed": clean, "trials_needed": 0}
    if low.decided:  # its rate fell, too many are missing, or no more trials count
        return {"clean_trials_needed": None, "trials_needed": None}
    return {"clean_trials_needed": low.clean_trials_needed, "trials_needed": low.trials_needed}
