"""A step's loop as tracers follow it: the visit, its repeats, and what is under each."""

from __future__ import annotations

from typing import Any

from ._classify import is_control_flow
from ._edge import START
from ._judge import EXECUTE, Judging
from ._loop import attempts
from ._step import Step
from ._tracing import Span, close


def visiting(step: Step) -> Judging[Any]:
    """`attempts`, followed by the run's tracers where it has any."""
    loop = attempts(step)
    return loop if step.run.traces is None else followed(step, loop)


def followed(step: Step, loop: Judging[Any], *, whole: bool = True) -> Judging[Any]:
    """Carry a loop on, and tell the run's tracers what begins and ends.

    The first execution stands directly under the step; every later one is a repeat, which lasts
    until the next begins, so that the verdicts on it stand under it.

    Args:
        step: Whose loop it is.
        loop: `attempts` or `parts`.
        whole: Whether the loop is the whole visit; else a part of one of its executions.
    """
    traces = step.run.traces
    assert traces is not None
    before = _rejections(step)
    first = 0 if whole else len(step.events)
    visit = traces.step(step, before + 1) if whole else []
    repeat: list[Span] = []
    failed: BaseException | None = None
    value: Any = None
    try:
        op = next(loop)
        while True:
            executes = op is EXECUTE
            if executes:
                close(repeat, value, failed)
                number = before + len(step.events) + 1
                if failed is not None and not repeat:
                    traces.failed(step, number - 1)
                value, failed = None, None
                repeat = traces.repeat(step, number) if len(step.events) > first else []
            try:
                answer = yield op
            except BaseException as error:  # the loop's own affair
                failed = error if executes and isinstance(error, Exception) else failed
                op = loop.throw(error)
            else:
                value = answer if executes else value
                op = loop.send(answer)
    except StopIteration as end:
        close(repeat, value, failed)
        close(visit, end.value)
        return end.value
    except BaseException as error:
        # an interrupt or a handoff is no failure of the step that it passes through
        passing = is_control_flow(error) or isinstance(error, step.run.coord.host.control_flow)
        close(repeat, None, None if passing else error)
        close(visit, None, None if passing else error)
        raise


def _rejections(step: Step) -> int:
    """How often what waits for this step was rejected: then this visit is a repeat itself."""
    run = step.run
    mine = {step.name, START} if step.name in run.entries else {step.name}
    states = [s for s in run.edges.values() if not mine.isdisjoint(s.targets)]
    return max((s.rejects for s in states), default=0)
