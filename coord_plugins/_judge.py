"""Asking validators: a generator that yields what must be asked or waited for."""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any, Final, NamedTuple, TypeVar

from ._clock import current_clock
from ._edge import ValidationEdge
from ._mode import Mode, weakest
from ._outcome import describe
from ._step import Step
from ._tally import Judgement
from ._tracing import close
from ._validators import Validator, rejection, rejections
from ._verdict import Handover, Verdict
from .errors import AsyncValidatorError, BudgetError, ValidatorError

log = logging.getLogger("coord_plugins.step")


class Judge(NamedTuple):
    """Ask one validator."""

    validator: Validator
    output: Any
    ctx: Handover | None
    """None where the validator looks at its output alone."""


class Wait(NamedTuple):
    """Wait some seconds."""

    seconds: float


EXECUTE: Final = "execute"
"""Execute the step once."""
Op = str | Judge | Wait
T = TypeVar("T")
Judging = Generator[Op, Any, T]


class Chain(NamedTuple):
    """What an edge's validators said of one candidate."""

    value: Any
    """The candidate, with a verdict's value in its place where there was one."""
    replaced: bool
    """Whether there was one."""
    verdicts: tuple[Verdict, ...]
    """Of the enforced validators."""
    judgements: tuple[Judgement, ...]
    """Of all validators that were asked."""
    observed: bool
    """Whether an observed validator rejected."""
    failed: ValidatorError | None
    """The enforced validator that failed for good."""
    fatal: bool
    """Whether that one says `on_error="raise"`."""


def judge_chain(step: Step, edge: ValidationEdge, value: Any, mode: Mode) -> Judging[Chain]:
    """Ask every validator of the edge, in order.

    Args:
        step: Whose candidate it is.
        edge: The step's edge.
        value: The candidate, host-neutral.
        mode: The edge's mode; a validator's own may be weaker.
    """
    verdicts: list[Verdict] = []
    judgements: list[Judgement] = []
    failed: ValidatorError | None = None
    observed = replaced = fatal = False
    ctx: Handover | None = None
    selected, unreadable = _select(edge, value)
    for validator in edge.validators:
        own = mode if validator.mode is None else weakest(mode, validator.mode)
        if own == "off":
            continue
        said: Verdict | ValidatorError
        if unreadable is not None:
            said, judgement = _failed(validator, unreadable, 0.0)
        else:
            if ctx is None and validator.wants_ctx:
                ctx = step.handover()
            asked = ask if step.run.traces is None else _ask_followed
            said, judgement = yield from asked(step, validator, selected, ctx)
        judgements.append(judgement)
        if isinstance(said, ValidatorError):
            log.warning("%s (step %r of run %s)", said, step.name, step.run.run_id)
            said = _despite(validator, said)
        if isinstance(said, ValidatorError):
            if own == "enforce":
                failed, fatal = said, validator.on_error == "raise"
                break
            continue
        if own == "enforce":
            verdicts.append(said)
        observed = observed or not (said.passed or own == "enforce")
        if said.passed and said.value is not None:
            selected, replaced = said.value, True
        elif not said.passed and validator.ends_chain:
            break
    new = edge.put(value, selected) if replaced else value
    return Chain(new, replaced, tuple(verdicts), tuple(judgements), observed, failed, fatal)


def _select(edge: ValidationEdge, value: Any) -> tuple[Any, Exception | None]:
    try:
        return edge.select(value), None
    except Exception as error:  # the user's own `of`: a validator error like any other
        return None, error


def _despite(validator: Validator, error: ValidatorError) -> Verdict | ValidatorError:
    """A verdict in place of a failed validator's, where its `on_error` gives one."""
    if validator.on_error == "pass":
        return Verdict(passed=True, name=validator.name, label="validator_error")
    if validator.on_error == "reject":
        return Verdict(passed=False, name=validator.name, explanation=error.reason)
    return error


def ask(
    step: Step | None, validator: Validator, output: Any, ctx: Handover | None
) -> Judging[tuple[Verdict | ValidatorError, Judgement]]:
    """Ask one validator; when it fails, ask it again as often as its own retry says.

    Args:
        step: Whose candidate it is; None: a goal judges.
        validator: Who is asked.
        output: What it sees.
        ctx: For validators that declare `ctx`.
    """
    clock = step.run.clock if step is not None else current_clock()
    control_flow = step.run.coord.host.control_flow if step is not None else ()
    began = clock.monotonic()
    tries = 0
    while True:
        tries += 1
        try:
            said = validator.verdict((yield Judge(validator, output, ctx)))
        except (AsyncValidatorError, BudgetError):
            raise
        except rejections() as error:
            said = rejection(validator, error)
        except control_flow:
            raise
        except Exception as error:
            if tries >= validator.retry.max_attempts:
                return _failed(validator, error, clock.monotonic() - began)
            if validator.retry.kind_of(error) == "transient":
                yield Wait(validator.retry.delay(tries, clock.random))
            continue
        return said, Judgement(
            validator.name,
            validator.kind,
            said.passed,
            said.score,
            said.label,
            said.explanation,
            clock.monotonic() - began,
        )


def _ask_followed(
    step: Step, validator: Validator, output: Any, ctx: Handover | None
) -> Judging[tuple[Verdict | ValidatorError, Judgement]]:
    """`ask`, followed by the run's tracers."""
    assert step.run.traces is not None
    spans = step.run.traces.judge(step, validator, output)
    try:
        said, judgement = yield from ask(step, validator, output, ctx)
    except BaseException as error:
        close(spans, None, error)
        raise
    close(spans, judgement)
    return said, judgement


def _failed(
    validator: Validator, error: Exception, spent: float
) -> tuple[ValidatorError, Judgement]:
    known = isinstance(error, ValidatorError)
    reason = error.reason if isinstance(error, ValidatorError) else describe(error)
    failure = error if known else ValidatorError(validator.name, reason)
    if failure is not error:
        failure.__cause__ = error
    label = type(error).__name__
    said = Judgement(validator.name, validator.kind, None, None, label, reason, spent)
    assert isinstance(failure, ValidatorError)
    return failure, said
