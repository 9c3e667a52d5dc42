"""The loop around one step: execute, judge, decide, note down; again in place while asked.

It is a generator: it yields what must be done, and a thin driver does it, synchronously or
not. It neither sleeps nor calls anything of the user's by itself but `label`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ._classify import is_control_flow
from ._decide import Accept, Again, Decision, Escalate, Fail, Fallback, decide
from ._edge import ValidationEdge
from ._judge import EXECUTE, Chain, Judging, Wait, judge_chain
from ._mode import Mode, weakest
from ._outcome import describe
from ._step import EdgeState, Step
from ._tally import DecisionKind, StepSettled, forget_labels
from ._verdict import Verdict
from .errors import BudgetError, BudgetExceededError, CircuitOpenError, ValidatorError

log = logging.getLogger("coord_plugins.step")
Loop = Judging[Decision]


def attempts(step: Step) -> Loop:
    """Execute a step until something other than "the same step again" follows."""
    run = step.run
    control_flow = run.coord.host.control_flow
    while True:
        decision = admit(step)
        if decision is None:
            step.begin()
            try:
                step.check_circuit()
                value = yield EXECUTE
            except control_flow:
                step.abandon()
                raise
            except Exception as error:
                if is_control_flow(error):
                    step.abandon()
                    raise
                decision = yield from _raised(step, error)
            except BaseException:
                step.abandon()
                raise
            else:
                settled = step.settled if step.failed is None else None  # the host survived it
                decision = settled or (yield from settling(step, value=value))
        if type(decision) is Again and decision.target == step.name:
            if decision.delay > 0:
                yield Wait(decision.delay)
        elif type(decision) is not Fallback:
            return decision


def _raised(step: Step, error: Exception) -> Loop:
    """What follows an execution that raised."""
    if step.settled is None:
        return (yield from settling(step, error=error))
    if step.failed is error:  # a part of the execution settled it
        return step.settled
    step.run.blamed = step.name  # it was settled, and what the host did next failed:
    return Fail(error)  # no repeat mends that


def admit(step: Step) -> Decision | None:
    """What to do instead of executing: None, unless the run's budget is spent."""
    if step.run.policy.budget is None:
        return None
    error = step.run.check_budget()
    if error is None:
        return None
    decision = _over_budget(step, error)
    if type(decision) is Escalate:
        step.run.diverted_by_budget(step.name, error)
    return decision


def _over_budget(step: Step, error: BudgetError) -> Decision:
    budget = step.run.policy.budget
    otherwise = budget.otherwise if budget is not None else None
    if otherwise is None or not isinstance(error, BudgetExceededError):
        return Fail(error)
    step.run.over_budget = True  # what takes over, and what follows it, must be able to run
    return Escalate(otherwise, error)


def settling(step: Step, *, value: Any = None, error: Exception | None = None) -> Loop:
    """Judge one execution, decide what follows, and note it down."""
    run, edge = step.run, step.edge
    served_by = step.served_by  # deciding may already choose the next fallback
    duration = run.clock.monotonic() - step.began
    enforced = run.mode == "enforce"
    edge_mode = run.mode if edge is None or edge.mode is None else weakest(run.mode, edge.mode)
    chain: Chain | None = None
    if edge is not None and error is None and edge_mode != "off":
        step.judging = True
        try:
            chain = yield from judge_chain(step, edge, value, edge_mode)
        finally:
            step.judging = False
    if error is not None and isinstance(error, BudgetError):
        decision: Decision = _over_budget(step, error)
    else:
        decision = _decide(step, chain, error, enforced, edge_mode)
    if step.circuit is not None and (error is None or not isinstance(error, CircuitOpenError)):
        _report_circuit(step, error)
    if type(decision) is Accept:
        replaced = chain is not None and chain.replaced and edge_mode == "enforce"
        decision = Accept(chain.value if replaced and chain is not None else value, replaced)
    elif type(decision) is Escalate and error is None:
        decision = Escalate(decision.otherwise, decision.error, value)
    _note_down(step, decision, chain, value, error, duration, edge_mode, served_by)
    return decision


def _report_circuit(step: Step, error: Exception | None) -> None:
    """Tell the breaker: only transient failures open it, and a bad answer is an answer."""
    assert step.circuit is not None
    assert step.retry is not None
    if error is None or step.retry.kind_of(error) == "invalid":
        step.circuit.report(False, step.run.clock.monotonic())
    elif step.retry.kind_of(error) == "transient":
        step.circuit.report(True, step.run.clock.monotonic())
    else:
        step.circuit.abandon()


def _decide(
    step: Step, chain: Chain | None, error: Exception | None, enforced: bool, edge_mode: Mode
) -> Decision:
    """Ask the pure core, weakened by the modes, and keep its counters."""
    run, edge = step.run, step.edge
    verdicts: Sequence[Verdict] = ()
    failed = None
    if chain is not None and edge_mode == "enforce":
        if chain.failed is not None and chain.fatal:
            return Fail(chain.failed)
        verdicts, failed = chain.verdicts, chain.failed
    decision, step.counters = decide(
        edge if edge_mode == "enforce" else None,
        step.retry if enforced else None,
        step.counters,
        step.name,
        error=error,
        verdicts=verdicts,
        failed=failed,
        elapsed=run.clock.monotonic() - step.entered,
        allowed=step.may_retry,
        reachable=step.steps_left,
        rand=run.clock.random,
    )
    if type(decision) is Fallback:
        step.stand_in(decision.number)
    return decision


def _note_down(
    step: Step,
    decision: Decision,
    chain: Chain | None,
    value: Any,
    error: Exception | None,
    duration: float,
    edge_mode: Mode,
    served_by: str | None,
) -> None:
    """Put the execution on the step's list and move the edge's state on."""
    run, edge = step.run, step.edge
    invalid = error is not None and edge is not None and not _is_failure(decision, error)
    judged = _judged(decision, chain, invalid, edge_mode)
    kind, target = _kind(step, decision, error)
    label = None
    if run.policy.label is not None:
        label = _labelled(step, value) if error is None else False
    given_right = run.policy.label is None or run.given_right(step.name)
    repeats = judged is not None and step.name in run.mistaken
    if judged is not None:
        wrong = judged == "reject" and label is False and given_right
        (run.mistaken.add if wrong else run.mistaken.discard)(step.name)
    would = chain is not None and chain.observed
    if would and run.would_stop is None:
        run.would_stop = f"{step.name}: would_reject"
    feedback = decision.feedback if type(decision) is Again else None
    step.events.append(
        StepSettled(
            run.run_id,
            run.policy.pipeline,
            step.name,
            step.execution,
            step.attempt,
            run.clock.time() - duration,
            duration,
            kind,
            target,
            decision.delay if type(decision) is Again else 0.0,
            None if error is None else describe(error),
            None if error is None or step.retry is None else step.retry.kind_of(error),
            chain.judgements if chain is not None else (),
            judged,
            would,
            feedback,
            step.delivered,
            label,
            given_right,
            _bucket(step, error, served_by),
            served_by,
            repeats,
            step.usage,
            step.validation,
        )
    )
    if kind == "loop" and target is not None and target != step.name:
        forget_labels(run.tallies, target, step.name)
    step.usage = step.validation = None  # a step that is written off must not count them twice
    if error is None or invalid:
        step.produced += 1
    if edge is not None:
        _move_edge(step, edge, decision, judged, feedback)
    if kind != "accept":
        _log(step, kind, target)


def _labelled(step: Step, value: Any) -> bool | None:
    """The policy's label; it is recorded and never steers, so its own failure must not either."""
    label = step.run.policy.label
    try:
        return label(value, step.name) if label is not None else None
    except Exception as error:
        log.warning("label of step %r failed: %s", step.name, describe(error))
        return None


def _is_failure(decision: Decision, error: Exception) -> bool:
    """Whether the error was an error, and not an unreadable candidate that the edge rejected."""
    if type(decision) is Again:
        return decision.feedback is None
    if type(decision) is Escalate:
        return isinstance(error, BudgetError)
    return True


def _judged(decision: Decision, chain: Chain | None, invalid: bool, mode: Mode) -> Any:
    if invalid:
        return "reject"
    if chain is None:
        return None
    if mode != "enforce" or type(decision) is Accept:
        return "pass"
    return "error" if chain.failed is not None else "reject"


def _kind(
    step: Step, decision: Decision, error: Exception | None
) -> tuple[DecisionKind, str | None]:
    if type(decision) is Accept:
        return "accept", None
    if type(decision) is Again:
        return ("loop" if decision.feedback is not None else "retry"), decision.target
    if type(decision) is Fallback:
        return "fallback", step.served_by
    if type(decision) is Escalate:
        if isinstance(decision.error, BudgetError):
            return "fallback", decision.otherwise
        spent = not isinstance(decision.error, ValidatorError)
        return ("exhausted" if spent else "escalate"), decision.otherwise
    return "fail", None


def _bucket(step: Step, error: Exception | None, served_by: str | None) -> Any:
    """Where the execution's cost belongs: "first" is the step's first completed one."""
    if served_by is not None:
        return "fallback"
    if error is not None:
        return "retry"
    tally = step.run.tallies.get(step.name)
    completed = tally is not None and tally.completed
    if completed or (step.events and any(e.error is None for e in step.events)):
        return "retry"
    return "first"


def _move_edge(
    step: Step, edge: ValidationEdge, decision: Decision, judged: Any, feedback: str | None
) -> None:
    """Move the edge's state on: a rejection keeps its words, anything else ends the round."""
    if judged is None:
        return
    if type(decision) is not Again or feedback is None:
        step.state, step.attempt = None, 1
        return
    targets = tuple(dict.fromkeys((decision.target, step.name)))
    step.state = EdgeState(step.counters.rejects, feedback, targets)
    step.attempt = step.counters.rejects + 1
    others = step.run.feedback_for(step.name, but=step.name)
    step.feedback = f"{others}\n{feedback}" if others else feedback
    step.substitute = step.served_by = None  # each candidate gets fresh tries
    step.entered = step.run.clock.monotonic()


def _log(step: Step, kind: DecisionKind, target: str | None) -> None:
    level = logging.INFO if kind in ("loop", "retry", "fallback") else logging.WARNING
    if log.isEnabledFor(level):
        run = step.run
        log.log(
            level,
            "%s of step %r%s (execution %d of run %s, pipeline %s)",
            kind,
            step.name,
            f" to {target!r}" if target else "",
            step.execution,
            run.run_id,
            run.policy.pipeline,
            extra={"run_id": run.run_id, "pipeline": run.policy.pipeline, "step": step.name},
        )
