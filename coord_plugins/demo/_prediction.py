"""What the exact model expects of the demo, from known fault rates and measured validators."""

from __future__ import annotations

from collections.abc import Iterable

from .._chain import EdgeRates, Prediction, StepRates, predict
from .._edge import START
from .._record import RunRecord
from .._tally import StepTally
from ._desk import LADDERS, TRIES, Desk
from ._faults import FAULT_RATE, FAULT_SHARES, STICKY_SHARE
from ._job import STEPS


def predicted(
    observed: Iterable[RunRecord], desk: Desk | None, *, feedback: bool = True
) -> dict[str, float]:
    """Predict success, silent failure, escalation and error of the demo's pipeline.

    The faults' rates are those that the simulated model is built with; the validators'
    sensitivity (to a step's own errors and to errors from upstream) and specificity are those
    measured on the observed pipeline, where every candidate is judged and none is held.

    Args:
        observed: Records of the observed, bare pipeline.
        desk: None: predict the bare pipeline; else the attached one.
        feedback: Whether the validators' words reach the steps.
    """
    steps = [_step(name, 1 if desk is None else TRIES) for name in STEPS]
    edges = [] if desk is None else _edges(observed, feedback)
    found: Prediction = predict(steps, edges)
    return {
        "success": found.success,
        "silent_failure": found.silent,
        "escalated": found.escalated,
        "error": found.error,
    }


def _step(name: str, tries: int) -> StepRates:
    transient = FAULT_RATE * (FAULT_SHARES["rate_limit"] + FAULT_SHARES["timeout"])
    invalid = FAULT_RATE * FAULT_SHARES["malformed"]
    wrong = FAULT_RATE * FAULT_SHARES["content"]
    return StepRates(
        name=name,
        right=1 - wrong / (1 - transient - invalid),
        transient=transient,
        invalid=invalid,
        sticky=STICKY_SHARE,
        tries=tries,
    )


def _edges(observed: Iterable[RunRecord], feedback: bool) -> list[EdgeRates]:
    tallies = {name: StepTally() for name in STEPS}
    for record in observed:
        for name, tally in record.steps.items():
            if name in tallies:
                tallies[name].merge(tally)
    return [_edge(name, tallies[name], feedback) for name in STEPS]


def _edge(name: str, seen: StepTally, feedback: bool) -> EdgeRates:
    ladder = tuple(STEPS[0] if t == START else t for t in LADDERS[name])
    own = _share(seen.reject_own, seen.pass_own, 1.0)
    return EdgeRates(
        step=name,
        sensitivity=own,
        specificity=_share(seen.pass_right, seen.reject_right, 1.0),
        sensitivity_upstream=_share(seen.reject_upstream, seen.pass_upstream, own),
        targets=ladder,
        max_attempts=len(ladder) + 1,
        feedback=feedback,
    )


def _share(of: int, rest: int, unseen: float) -> float:
    return of / (of + rest) if of + rest else unseen
