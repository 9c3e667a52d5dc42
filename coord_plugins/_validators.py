"""Validators: `check`, `judge`, `any_of`, `grounded`, `from_evaluator`; `schema` is next door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ._call import Binding, bind
from ._mode import Mode, check_mode
from ._retry import Retry
from ._verdict import Handover, Kind, Parsed, Verdict
from .errors import PolicyError, ValidatorError

OnError = Literal["escalate", "raise", "pass", "reject"]
"""What happens to a candidate whose validator failed for good."""


@dataclass(frozen=True, kw_only=True)
class Validator:
    """One validator with its settings; made by `check`, `judge`, `schema` and their kin."""

    fn: Callable[..., Any]
    """Called as `fn(output)`, with `inputs=` and `ctx=` where it declares them."""
    name: str
    """Stands in verdicts, feedback, reports and the policy's identity."""
    kind: Kind = "code"
    """Who judges."""
    feedback: str | None = None
    """What a rejection says when the validator gives no explanation of its own."""
    version: str = ""
    """Part of the policy's identity: change it when the judgement changes."""
    on_error: OnError = "escalate"
    """What follows when the validator itself fails after its retries."""
    retry: Retry = field(default_factory=lambda: Retry(max_attempts=2))
    """How often the validator alone is tried when it fails; waits only on transient errors."""
    timeout: float | None = None
    """Seconds for one judgement; None: no limit."""
    mode: Mode | None = None
    """Weaker than the run's mode: "observe" only records `would_reject`, "off" skips it."""
    ends_chain: bool = False
    """Whether a rejection ends the chain: later validators could not read the candidate."""
    model: type | None = field(default=None, repr=False)
    """The pydantic model that a schema parses into, for hosts that must know it before a run."""
    binding: Binding = field(init=False, repr=False, compare=False)
    """Which optional parameters `fn` declares."""
    accepted: Verdict = field(init=False, repr=False, compare=False)
    """The verdict of a plain `True`, made once."""
    wants_ctx: bool = field(init=False, repr=False, compare=False)
    """Whether it looks at more than its output."""
    is_plain: bool = field(init=False, repr=False, compare=False)
    """Whether it needs nothing but the output and never waits: a synchronous code check."""

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise PolicyError(
                f"validator {self.name!r}: on_error={self.on_error!r}; "
                f"it is one of {', '.join(get_args(OnError))}"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise PolicyError(f"validator {self.name!r}: timeout must be positive seconds")
        check_mode(self.mode, f"validator {self.name!r}")
        object.__setattr__(self, "binding", bind(self.fn, f"validator {self.name!r}"))
        object.__setattr__(self, "accepted", Verdict(passed=True, name=self.name))
        wants = self.binding.inputs or self.binding.ctx
        object.__setattr__(self, "wants_ctx", wants)
        inline = self.kind == "code" and self.timeout is None and not self.binding.is_async
        object.__setattr__(self, "is_plain", inline and not wants)

    def call(self, output: Any, ctx: Handover | None) -> Any:
        """Call the function (or start its coroutine) with what it declares."""
        if not self.wants_ctx:
            return self.fn(output)
        wants = self.binding
        assert ctx is not None
        if wants.ctx:
            if wants.inputs:
                return self.fn(output, inputs=ctx.inputs, ctx=ctx)
            return self.fn(output, ctx=ctx)
        return self.fn(output, inputs=ctx.inputs)

    def verdict(self, said: Any) -> Verdict:
        """Turn what the function returned into a verdict.

        Raises:
            ValidatorError: It returned something that is no judgement (also None).
        """
        if said is True:
            return self.accepted
        if type(said) is Parsed:
            return Verdict(passed=True, name=self.name, value=said.value)
        if said is False:
            return Verdict(passed=False, name=self.name, explanation=self.feedback)
        if isinstance(said, Verdict):
            return self._completed(said)
        if isinstance(said, tuple) and len(said) == 2 and isinstance(said[0], bool):
            words = None if said[1] is None else str(said[1])
            return self._completed(Verdict(passed=said[0], explanation=words))
        if type(said).__module__ == "numpy" and type(said).__name__ in ("bool", "bool_"):
            return self.verdict(bool(said))
        raise ValidatorError(
            self.name,
            f"it returned {said!r}; return True, False, a Verdict or (bool, explanation)",
        )

    def _completed(self, said: Verdict) -> Verdict:
        words = said.explanation
        if not said.passed and not words:
            words = self.feedback
        if said.name and words is said.explanation:
            return said
        return Verdict(
            passed=said.passed,
            name=said.name or self.name,
            score=said.score,
            label=said.label,
            explanation=words,
            value=said.value,
        )


UNSURE: Any = object()
"""What `passed_on` says where only the full judgement can tell."""


def passed_on(said: Any, value: Any) -> Any:
    """The candidate that goes on when a validator said `said` of `value`, without a verdict.

    Returns:
        The value, or the one that a passing verdict brings; UNSURE for all but a plain pass.
    """
    if said is True:
        return value
    kind = type(said)
    if kind is Parsed or (kind is Verdict and said.passed):
        return value if said.value is None else said.value
    if kind is tuple and len(said) == 2 and said[0] is True:
        return value
    return UNSURE


def name_of(fn: Any) -> str:
    """How a validator is named after its function."""
    named = getattr(fn, "__name__", None) or getattr(
        getattr(fn, "func", None), "__name__", type(fn).__name__
    )
    return str(named)


def as_validator(said: Any) -> Validator:
    """Take a `Validator` as it is and wrap a bare callable with `check`."""
    return said if isinstance(said, Validator) else check(said)


def check(fn: Callable[..., Any], *, name: str | None = None, **settings: Any) -> Validator:
    """A deterministic check: `fn(output)` says whether the output may go on.

    `AssertionError`, `ValueError` and pydantic's `ValidationError` raised by `fn` are a
    rejection with their message; any other error is a validator error.

    Args:
        fn: Returns True/False, a `Verdict` or `(bool, explanation)`; may be async. A
            parameter named `inputs` gets the run's input, `ctx` a `Handover`.
        name: How verdicts name it; default the function's name.
        **settings: `feedback`, `version`, `on_error`, `retry`, `timeout` (seconds), `mode`,
            `kind`, `ends_chain`: the fields of `Validator`.

    Raises:
        PolicyError: `fn` has the wrong signature, or a setting is out of range.
    """
    return Validator(fn=fn, name=name or name_of(fn), **settings)


def judge(
    fn: Callable[..., Any],
    *,
    threshold: float | None = None,
    name: str | None = None,
    **settings: Any,
) -> Validator:
    """A model as validator: any callable that asks one.

    Under an async host a synchronous judge runs in a thread with the context copied. None
    of its tokens reach a user's stream.

    Args:
        fn: As for `check`; with `threshold` it may also return a number.
        threshold: A returned number passes when it is at least this.
        name: How verdicts name it; default the function's name.
        **settings: The fields of `Validator`.
    """
    settings.setdefault("kind", "llm")
    name = name or name_of(fn)
    if threshold is None:
        return Validator(fn=fn, name=name, **settings)
    limit = threshold
    return _mapped(fn, lambda said: _scored(said, limit), name, settings)


def _mapped(
    fn: Callable[..., Any], turn: Callable[[Any], Any], name: str, settings: dict[str, Any]
) -> Validator:
    """A validator whose function's answer goes through `turn`; keeps `fn`'s own parameters."""
    inner = Validator(fn=fn, name=name, **settings)

    def sync(output: Any, *, ctx: Handover) -> Any:
        return turn(inner.call(output, ctx))

    async def asynchronous(output: Any, *, ctx: Handover) -> Any:
        return turn(await inner.call(output, ctx))

    return Validator(fn=asynchronous if inner.binding.is_async else sync, name=name, **settings)


def _scored(said: Any, threshold: float) -> Any:
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return Verdict(passed=said >= threshold, score=float(said))
    return said


def any_of(*validators: Any, name: str | None = None, **settings: Any) -> Validator:
    """Pass when at least one validator passes; its `value` is handed on.

    A rejection carries all explanations. The validators must be synchronous or all async.

    Raises:
        PolicyError: No validator is given, or synchronous and async ones are mixed.
    """
    members = tuple(as_validator(v) for v in validators)
    kinds = {v.binding.is_async for v in members}
    if len(kinds) != 1:
        raise PolicyError("any_of takes at least one validator, all synchronous or all async")
    settings.setdefault("kind", "llm" if any(v.kind == "llm" for v in members) else "code")
    settings.setdefault("version", "+".join(v.version for v in members if v.version))

    def sync(output: Any, *, ctx: Handover) -> Verdict:
        failed = []
        for member in members:
            said = judged(member, lambda m=member: m.call(output, ctx))  # type: ignore[misc]  # a default argument binds the loop variable
            if said.passed:
                return said
            failed.append(said)
        return _none_of(failed)

    async def asynchronous(output: Any, *, ctx: Handover) -> Verdict:
        failed = []
        for member in members:
            try:
                said = member.verdict(await member.call(output, ctx))
            except rejections() as error:
                said = rejection(member, error)
            if said.passed:
                return said
            failed.append(said)
        return _none_of(failed)

    title = name or "any_of(" + ", ".join(v.name for v in members) + ")"
    return Validator(fn=asynchronous if kinds.pop() else sync, name=title, **settings)


def _none_of(failed: list[Verdict]) -> Verdict:
    return Verdict(passed=False, explanation=" or ".join(v.explanation or v.name for v in failed))


def rejections() -> tuple[type[Exception], ...]:
    """Errors that a validator raises to say no (pydantic's ValidationError is a ValueError)."""
    return (AssertionError, ValueError)


def rejection(validator: Validator, error: Exception) -> Verdict:
    """The rejection that a raised AssertionError or ValueError stands for."""
    words = str(error) or validator.feedback
    return Verdict(passed=False, name=validator.name, explanation=words)


def judged(validator: Validator, call: Callable[[], Any]) -> Verdict:
    """Run one synchronous judgement; a raised rejection becomes a verdict."""
    try:
        return validator.verdict(call())
    except rejections() as error:
        return rejection(validator, error)
