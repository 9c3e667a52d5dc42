"""What the exact model expects of the demo, from known fault rates and measured validators."""

from __future__ import annotations

from collections.abc import Iterable

from .._edge import START
from .._record import RunRecord
from .._tally import StepTally
from ..planning import EdgeRates, Prediction, StepRates, predict
from ._desk import LADDERS, TRIES, Desk
from ._faults import FAULT_RATE, FAULT_SHARES, STICKY_SHARE
from ._job import STEPS


def predicted(
    observed: Iterable[RunRecord],
    desk: Desk | None,
    *,
    feedback: bool = True,
    rate_limit_tries: int = 1,
) -> dict[str, float]:
    """Predict success, silent failure, escalation and error of the demo's pipeline.

    The faults' rates are those that the simulated model is built with; the validators'
    sensitivity (to a step's own errors and to errors from upstream) and specificity are those
    measured on the observed pipeline, where every candidate is judged and none is held.

    Args:
        observed: Records of the observed, bare pipeline.
        desk: None: predict the bare pipeline; else the attached one.
        feedback: Whether the validators' words reach the steps.
        rate_limit_tries: Calls that the bare host itself makes of a model that is rate limited,
            the first included.
    """
    if desk is None:
        steps = [_bare(name, rate_limit_tries) for name in STEPS]
    else:
        steps = [_step(name, TRIES) for name in STEPS]
    edges = [] if desk is None else _edges(observed, feedback)
    found: Prediction = predict(steps, edges)
    return {
        "success": found.success,
        "silent_failure": found.silent,
        "escalated": found.escalated,
        "error": found.error,
    }


def predicted_at_once() -> dict[str, float]:
    """Predict the one call that does the whole job: no reply, or six parts with what they err."""
    lost = FAULT_RATE * (1 - FAULT_SHARES["content"])
    right = (1 - FAULT_RATE * FAULT_SHARES["content"]) ** len(STEPS)
    kept = 1 - lost
    return {
        "success": kept * right,
        "silent_failure": kept * (1 - right),
        "escalated": 0.0,
        "error": lost,
    }


def _step(name: str, tries: int) -> StepRates:
    transient = FAULT_RATE * (FAULT_SHARES["rate_limit"] + FAULT_SHARES["timeout"])
    return _rates(name, tries, transient, 1.0)


def _bare(name: str, rate_limit_tries: int) -> StepRates:
    """A step of the bare host, which may repeat rate-limited calls before the step fails.

    With q the rate of such calls and n tries, each other end of a call comes
    1 + q + ... + q^(n-1) times as often, and q^n of the executions fail.
    """
    q = FAULT_RATE * FAULT_SHARES["rate_limit"]
    more = sum(q**k for k in range(rate_limit_tries))
    timeout = FAULT_RATE * FAULT_SHARES["timeout"]
    return _rates(name, 1, q**rate_limit_tries + more * timeout, more)


def _rates(name: str, tries: int, transient: float, more: float) -> StepRates:
    """A step's rates; `more`: how often an execution's other ends come for one of a call's."""
    invalid = more * FAULT_RATE * FAULT_SHARES["malformed"]
    wrong = more * FAULT_RATE * FAULT_SHARES["content"]
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
