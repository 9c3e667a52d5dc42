"""`validated` and `retrying`: decorators on any synchronous or async function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ._call import declares, is_async_callable
from ._clock import current_clock
from ._config import current_mode
from ._context import current as running
from ._decide import Accept, Decision, Escalate
from ._drive import Known, adrive, drive
from ._edge import HUMAN, STOP, ValidationEdge
from ._feedback import route_feedback
from ._follow import visiting
from ._mode import Mode
from ._outside import Outside, Spec
from ._retry import Retry, as_retry
from ._step import Step, current
from ._track import StopRun
from ._validators import UNSURE, Validator, passed_on
from .errors import AsyncValidatorError, PolicyError

F = TypeVar("F", bound=Callable[..., Any])


def validated(
    *validators: Validator | Callable[..., Any],
    of: str | Callable[[Any], Any] | None = None,
    max_attempts: int = 2,
    otherwise: Callable[..., Any] | str | None = None,
    feedback_to: Any = None,
    name: str | None = None,
    mode: Mode | None = None,
) -> Callable[[F], F]:
    """Judge a function's output; on a rejection call it again with the reason.

    A function that declares a parameter `feedback` gets the validators' words there;
    `current_feedback()` works anywhere inside.

    Args:
        *validators: As for `ValidationEdge`.
        of: What they see of the output.
        max_attempts: Judged outputs, the first included.
        otherwise: When they are spent: a callable with the function's own arguments, or STOP
            (ends the surrounding `track` normally); None: `AttemptsExhaustedError`.
        feedback_to: A key of the first argument, or `callable(input, feedback) -> input`.
        name: The step's name; default the function's.
        mode: "observe" or "off" weaken this step alone.

    Raises:
        PolicyError: A setting that cannot hold, or an async validator on a synchronous function.
    """

    def decorate(fn: F) -> F:
        spec = _spec(fn, name)
        if otherwise == HUMAN or (isinstance(otherwise, str) and otherwise != STOP):
            raise PolicyError(
                f"validated {spec.name!r}: otherwise={otherwise!r}; a function has no other step: "
                "give a callable or STOP"
            )
        edge = ValidationEdge(
            spec.name,
            *validators,
            of=of,
            max_attempts=max_attempts,
            otherwise=_title(otherwise),
            feedback_to=feedback_to,
            mode=mode,
        )
        stand_in = otherwise if callable(otherwise) else None
        return cast(F, _wrapper(Spec(spec.fn, spec.name, edge, spec.retry, stand_in)))

    return decorate


def retrying(retry: Any = None, *, name: str | None = None, **settings: Any) -> Callable[[F], F]:
    """Try a function again when it raises what a repeat can mend.

    Args:
        retry: A `Retry` or a LangGraph `RetryPolicy`; or give the fields of `Retry`.
        name: The step's name; default the function's.
        **settings: The fields of `Retry`.

    Raises:
        PolicyError: A setting that cannot hold.
    """
    if retry is not None and settings:
        raise PolicyError("retrying: give a Retry or its fields, not both")
    chosen = as_retry(retry, "retrying") if retry is not None else Retry(**settings)
    if chosen is not None and any(isinstance(f, str) for f in chosen.fallbacks):
        raise PolicyError("retrying: a function has no other step; give fallbacks as callables")

    def decorate(fn: F) -> F:
        spec = _spec(fn, name)
        full = Spec(spec.fn, name or spec.name, spec.edge, chosen, spec.otherwise)
        return cast(F, _wrapper(full))

    return decorate


def _title(otherwise: Any) -> str | None:
    if otherwise is None or isinstance(otherwise, str):
        return otherwise
    return str(getattr(otherwise, "__name__", type(otherwise).__name__)) + "()"


def _spec(fn: Any, name: str | None) -> Spec:
    """The function's spec so far: decorators on one function share one loop."""
    found = getattr(fn, "__coord__", None)
    if isinstance(found, Spec):
        return found
    if not callable(fn):
        raise PolicyError(f"{fn!r} is not a function")
    return Spec(fn, name or str(getattr(fn, "__name__", type(fn).__name__)))


def _wrapper(spec: Spec) -> Any:
    fn = spec.fn
    chain = spec.edge.validators if spec.edge is not None else ()
    is_async = is_async_callable(fn)
    if not is_async:
        for validator in chain:
            if validator.binding.is_async:
                raise AsyncValidatorError(
                    f"validated {spec.name!r}: validator {validator.name!r} is async and the "
                    "function is not; make the function async or the validator synchronous"
                )
    outside = Outside(spec)
    wrap = _async_wrapper if is_async else _sync_wrapper
    wrapped: Any = functools.wraps(fn)(wrap(spec, outside))
    wrapped.__coord__ = spec
    return wrapped


def _sync_wrapper(spec: Spec, outside: Outside) -> Any:
    fn, chain = spec.fn, outside.chain
    takes_feedback = declares(fn, "feedback")

    def call(*args: Any, **kwargs: Any) -> Any:
        run, known, made = running.get(), None, None
        began = current_clock().monotonic() if outside.timed else None

        def step() -> Step:
            nonlocal made
            if made is None:
                made = outside.enter(run, args, kwargs, began)
            return made

        if run is None and chain is not None and current_mode() == "enforce":
            # The common case costs no run, no step and no event: call, judge, return. What
            # it learns before something fails is replayed into the full loop.
            known = Known()
            token = current.set(step)
            try:
                output = fn(*args, **kwargs)
            except Exception as error:
                known.append((None, error))
            else:
                value = _judge_quickly(spec.edge, chain, output, known)
                if value is not UNSURE:
                    return value
            finally:
                current.reset(token)

        def execute(step: Step) -> Any:
            serve, given, named = _arguments(step, fn, takes_feedback, args, kwargs)
            return serve(*given, **named)

        visit = step()
        decision = drive(visiting(visit), visit, execute, known)
        return _ended(spec, visit, decision, args, kwargs)

    return call


def _async_wrapper(spec: Spec, outside: Outside) -> Any:
    fn, chain = spec.fn, outside.chain
    takes_feedback = declares(fn, "feedback")

    async def call(*args: Any, **kwargs: Any) -> Any:
        run, known, made = running.get(), None, None
        began = current_clock().monotonic() if outside.timed else None

        def step() -> Step:
            nonlocal made
            if made is None:
                made = outside.enter(run, args, kwargs, began)
            return made

        if run is None and chain is not None and current_mode() == "enforce":
            known = Known()
            token = current.set(step)
            try:
                output = await fn(*args, **kwargs)
            except Exception as error:
                known.append((None, error))
            else:
                value = _judge_quickly(spec.edge, chain, output, known)
                if value is not UNSURE:
                    return value
            finally:
                current.reset(token)

        async def execute(step: Step) -> Any:
            serve, given, named = _arguments(step, fn, takes_feedback, args, kwargs)
            said = serve(*given, **named)
            return await said if hasattr(said, "__await__") else said

        visit = step()
        decision = await adrive(visiting(visit), visit, execute, known)
        ended = _ended(spec, visit, decision, args, kwargs)
        return await ended if hasattr(ended, "__await__") else ended

    return call


def _judge_quickly(
    edge: ValidationEdge | None, chain: tuple[Validator, ...], output: Any, known: Known
) -> Any:
    """Judge an output without verdicts, judgements and events.

    Args:
        edge: The step's edge.
        chain: Its validators, all plain.
        output: The candidate.
        known: Keeps what was learned, in order, for the full loop.

    Returns:
        The output that goes on, or UNSURE.
    """
    known.append((output, None))
    if edge is None:
        return output
    value = selected = output if edge.of is None else edge.select(output)
    for validator in chain:
        try:
            said = validator.fn(value)
        except Exception as error:
            known.append((None, error))
            return UNSURE
        known.append((said, None))
        if said is not True:
            value = passed_on(said, value)
            if value is UNSURE:
                return UNSURE
    return output if value is selected else edge.put(output, value)


def _arguments(
    step: Step, fn: Any, takes_feedback: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """What to call, with which arguments, for the present execution."""
    serve = step.substitute if step.substitute is not None else fn
    if step.feedback is None:
        return serve, args, kwargs
    if takes_feedback and (serve is fn or declares(serve, "feedback")):
        return serve, args, {**kwargs, "feedback": step.deliver()}
    if args:
        args = (route_feedback(step, args[0]), *args[1:])
    return serve, args, kwargs


def _ended(spec: Spec, step: Step, decision: Decision, args: Any, kwargs: Any) -> Any:
    step.commit()
    if type(decision) is Accept:
        step.run.outputs[spec.name] = decision.value
        return decision.value
    if type(decision) is Escalate and decision.otherwise is not None:
        if decision.otherwise == STOP:
            raise StopRun(f"step {spec.name!r} stopped the run: {decision.error}")
        if spec.otherwise is not None:
            return spec.otherwise(*args, **kwargs)
    raise decision.error  # type: ignore[union-attr]  # Escalate without otherwise, or Fail
