"""The two thin drivers: they do what a loop asks for, synchronously or on the event loop."""

from __future__ import annotations

import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from ._clock import current_clock
from ._decide import Decision
from ._follow import followed, visiting
from ._judge import EXECUTE, Judge, Judging, Op
from ._loop import settling
from ._parts import parts
from ._retry import Retry
from ._step import Step, current
from ._verdict import Parsed, Verdict
from .errors import AsyncValidatorError

_ANSWERS = {bool, tuple, Verdict, Parsed}
"""What validators say, as a rule; telling an awaitable from anything else takes longer."""
Known = list[tuple[Any, BaseException | None]]
"""Answers that were learned before the loop began: a result or an error each."""


def drive(
    loop: Judging[Any],
    step: Step | None,
    execute: Any = None,
    known: Known | None = None,
) -> Any:
    """Run a loop synchronously; `known` answers its first requests, in their order."""
    token = current.set(step) if step is not None else None
    clock = step.run.clock if step is not None else current_clock()
    try:
        op = next(loop)
        while True:
            try:
                if known:
                    result = _sync(op, _recalled(known))
                elif op is EXECUTE:
                    result = execute(step)
                elif type(op) is Judge:
                    result = _call(op)
                else:
                    clock.sleep(op.seconds)  # type: ignore[union-attr]  # the third kind of Op
                    result = None
            except BaseException as error:
                op = loop.throw(error)
            else:
                op = loop.send(result)
    except StopIteration as end:
        return end.value
    finally:
        if token is not None:
            current.reset(token)


async def adrive(
    loop: Judging[Any], step: Step | None, execute: Any = None, known: Known | None = None
) -> Any:
    """Run a loop on the event loop; `known` as for `drive`."""
    token = current.set(step) if step is not None else None
    clock = step.run.clock if step is not None else current_clock()
    try:
        op = next(loop)
        while True:
            try:
                if known:
                    result = _recalled(known)
                    if type(op) is Judge and inspect.isawaitable(result):
                        result = await result
                elif op is EXECUTE:
                    result = await execute(step)
                elif type(op) is Judge:
                    result = await _acall(op)
                else:
                    await clock.asleep(op.seconds)  # type: ignore[union-attr]  # the third kind of Op
                    result = None
            except BaseException as error:
                op = loop.throw(error)
            else:
                op = loop.send(result)
    except StopIteration as end:
        return end.value
    finally:
        if token is not None:
            current.reset(token)


def _call(op: Judge) -> Any:
    validator = op.validator
    if validator.timeout is not None:
        return _timed(lambda: validator.call(op.output, op.ctx), validator.timeout)
    return _sync(op, validator.call(op.output, op.ctx))


def _recalled(known: Known) -> Any:
    """The next answer that is known already."""
    result, error = known.pop(0)
    if error is not None:
        raise error
    return result


def _sync(op: Op, said: Any) -> Any:
    """The answer to `op`, which must not be an awaitable one where a validator gave it."""
    if type(said) in _ANSWERS or type(op) is not Judge or not inspect.isawaitable(said):
        return said
    if inspect.iscoroutine(said):
        said.close()
    raise AsyncValidatorError(
        f"validator {op.validator.name!r} is async, and this is a synchronous call; "
        "call the pipeline's async form, or give it a synchronous validator"
    )


def _spawned(call: Callable[[], Any]) -> concurrent.futures.Future[Any]:
    """Judge in a daemon thread: a judge that hangs must hold up neither pool nor exit."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # from now on it cannot be cancelled, only abandoned
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(_in_a_thread, call))
        except BaseException as error:  # handed to the waiting caller
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="coord-validator").start()
    return future


def _in_a_thread(call: Callable[[], Any]) -> Any:
    """Call a validator where a future carries its answer: a StopIteration would never arrive."""
    try:
        return call()
    except StopIteration as error:
        raise RuntimeError("it raised StopIteration") from error


def _timed(call: Callable[[], Any], timeout: float) -> Any:
    """Wait for a synchronous judgement at most `timeout` seconds; a late one is abandoned."""
    future = _spawned(call)
    try:
        return future.result(timeout)
    except concurrent.futures.TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"no verdict within {timeout:g} s") from None


async def _acall(op: Judge) -> Any:
    validator = op.validator
    inline = validator.kind == "code" and validator.timeout is None
    if inline and not validator.binding.is_async:
        found = validator.call(op.output, op.ctx)
        plain = type(found) in _ANSWERS or not inspect.isawaitable(found)
        return found if plain else await found
    import asyncio  # see Clock.asleep

    if validator.binding.is_async:
        said: Awaitable[Any] = validator.call(op.output, op.ctx)
    elif validator.timeout is not None:
        said = asyncio.wrap_future(_spawned(lambda: validator.call(op.output, op.ctx)))
    else:
        said = asyncio.to_thread(_in_a_thread, lambda: validator.call(op.output, op.ctx))
    if validator.timeout is None:
        return await said
    try:
        return await asyncio.wait_for(said, validator.timeout)
    except asyncio.TimeoutError:
        raise TimeoutError(f"no verdict within {validator.timeout:g} s") from None


def run_step(step: Step, execute: Callable[[Step], Any]) -> Decision:
    """Execute a step, judge it and repeat it in place, until something else follows.

    Args:
        step: From `Run.enter`.
        execute: Called once per execution; returns the step's host-neutral output. It reads
            `step.substitute` (the fallback that stands in: a step's name, a callable or a model)
            and `step.deliver()` (feedback).

    Returns:
        `Accept`, `Again` to another step, `Escalate` or `Fail`.
    """
    decision: Decision = drive(visiting(step), step, execute)
    return decision


async def arun_step(step: Step, execute: Callable[[Step], Awaitable[Any]]) -> Decision:
    """The async form of `run_step`."""
    decision: Decision = await adrive(visiting(step), step, execute)
    return decision


def settle(step: Step, *, value: Any = None, error: Exception | None = None) -> Decision:
    """Judge one execution that the host itself made; decide and record.

    Call `step.begin()` before the execution. A decision to repeat is the host's to carry out.

    Inside an execution of `run_step` (where a host judges before it does more with a candidate)
    `run_step` takes the decision as its own: the execution then returns, or leaves in whatever
    way the host has (after an error: by raising that error), and is not judged again.
    """
    decision: Decision = drive(settling(step, value=value, error=error), step)
    step.settled, step.failed = decision, error
    return decision


async def asettle(step: Step, *, value: Any = None, error: Exception | None = None) -> Decision:
    """The async form of `settle`."""
    decision: Decision = await adrive(settling(step, value=value, error=error), step)
    step.settled, step.failed = decision, error
    return decision


async def arun_part(
    step: Step,
    execute: Callable[[Step], Awaitable[Any]],
    model: type,
    retry: Retry | None = None,
) -> Any:
    """Make one call inside an execution, and make it again as the step's retry says.

    For hosts whose steps are more than one call (an agent's turn with tools): a failed model call
    is repeated alone, and what the turn did before it stays done. Each failed call counts as an
    execution, as on hosts whose steps are one call.

    Args:
        step: The step that is executing.
        execute: Makes the call; it reads `step.substitute`.
        model: The class of the fallbacks that can take this call; another fallback is the
            step's affair: the error passes out, and `run_step` takes it from there.
        retry: This call's own retry; None: the step's.
    """
    of_step = step.retry
    step.retry = of_step if retry is None else retry
    loop = parts(step, model)
    if step.run.traces is not None:
        loop = followed(step, loop, whole=False)
    try:
        return await adrive(loop, step, execute)
    finally:
        step.retry = of_step
