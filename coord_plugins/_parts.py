"""One call inside an execution, repeated alone: a model call of an agent's turn.

As the loop around a step, it is a generator that a driver carries out.
"""

from __future__ import annotations

from typing import Any

from ._classify import is_control_flow
from ._decide import Again, Decision, Fallback
from ._judge import EXECUTE, Judging, Wait
from ._loop import settling
from ._step import Step
from .errors import BudgetError


def parts(step: Step, model: type) -> Judging[Any]:
    """Make one call of an execution, again while the step's retry allows it."""
    run = step.run
    control_flow = run.coord.host.control_flow
    while True:
        try:
            return (yield EXECUTE)
        except control_flow:
            raise
        except Exception as error:
            forbidden = step.retry is None or run.mode != "enforce"
            if forbidden or isinstance(error, BudgetError) or is_control_flow(error):
                raise
            decision = yield from settling(step, error=error)
            step.settled, step.failed = decision, error
            if not _is_repeated(decision, step, model):
                raise
        if type(decision) is Again and decision.delay > 0:
            yield Wait(decision.delay)
        spent = run.check_budget()
        step.begin()
        if spent is not None:
            raise spent
        step.check_circuit()


def _is_repeated(decision: Decision, step: Step, model: type) -> bool:
    """Whether the call itself is made again, by the same target or by a fallback like it."""
    if type(decision) is Again:
        return decision.feedback is None
    return type(decision) is Fallback and isinstance(step.substitute, model)
