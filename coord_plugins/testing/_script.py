"""Steps that do as they are told: values, errors and delays, one per call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._clock import current_clock
from .._context import current_run
from .._step import current_feedback, running_step


@dataclass(frozen=True, kw_only=True)
class Act:
    """One call of a scripted step that does more than return or raise."""

    then: Any = None
    """The value to return, or the error (an instance or a class) to raise."""
    seconds: float = 0.0
    """How long the call takes, on the injected clock."""
    cost_usd: float | None = None
    """US dollars of a model call that the step makes."""
    tokens: int | None = None
    """Input tokens of that call (with as many output tokens)."""
    model: str | None = None
    """That call's model; with neither cost nor tokens its usage is unknown."""
    do: Callable[[], Any] | None = None
    """Called first; what it raises is what the step raises."""


class Call(NamedTuple):
    """One call of a scripted step."""

    input: Any
    """What the step was called with."""
    feedback: str | None
    """The validators' words that reached it."""
    idempotency_key: str | None
    """`current_step().idempotency_key`; None outside of a step."""


class Script:
    """A step that plays a list, one entry per call; the last entry repeats for ever.

    An entry is a value to return, an error (instance or class) to raise, or an `Act`. A list is
    taken as the script; give a list of lists for values that are lists.

    Attributes:
        calls: Every call so far, in order.
    """

    def __init__(self, entries: Sequence[Any], name: str = "scripted") -> None:
        if not entries:
            raise ValueError("a script needs at least one entry")
        self.entries = tuple(entries)
        self.calls: list[Call] = []
        self.__name__ = name
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How often it was called."""
        return len(self.calls)

    @property
    def feedback(self) -> list[str | None]:
        """The validators' words that each call received."""
        return [call.feedback for call in self.calls]

    def __call__(self, input: Any = None, *, feedback: str | None = None) -> Any:
        """Play the next entry."""
        return self.play(input, _heard(feedback))

    def asynchronous(self) -> Callable[..., Any]:
        """The same script as an async function."""

        async def scripted(input: Any = None, *, feedback: str | None = None) -> Any:
            return await self.aplay(input, _heard(feedback))

        scripted.__name__ = self.__name__
        return scripted

    def play(self, input: Any, feedback: str | None) -> Any:
        """Play the next entry, with exactly this feedback."""
        act = self._next(input, feedback)
        if act.seconds:
            current_clock().sleep(act.seconds)
        return _play(act)

    async def aplay(self, input: Any, feedback: str | None) -> Any:
        """The async form of `play`."""
        act = self._next(input, feedback)
        if act.seconds:
            await current_clock().asleep(act.seconds)
        return _play(act)

    def _next(self, input: Any, feedback: str | None) -> Act:
        step = running_step()
        key = step.idempotency_key if step is not None else None
        with self._lock:
            self.calls.append(Call(input, feedback, key))
            entry = self.entries[min(len(self.calls), len(self.entries)) - 1]
        return entry if isinstance(entry, Act) else Act(then=entry)


def _heard(feedback: str | None) -> str | None:
    return feedback if feedback is not None else current_feedback()


def _play(act: Act) -> Any:
    if act.cost_usd is not None or act.tokens is not None or act.model is not None:
        current_run().add_usage(
            model=act.model,
            input_tokens=act.tokens,
            output_tokens=act.tokens,
            cost_usd=act.cost_usd,
        )
    if act.do is not None:
        act.do()
    then = act.then
    if isinstance(then, BaseException) or (
        isinstance(then, type) and issubclass(then, BaseException)
    ):
        raise then
    return then


def scripted(*entries: Any, name: str = "scripted") -> Script:
    """A step that plays these entries, one per call; the last one repeats for ever.

    Args:
        *entries: Values to return, errors to raise, or `Act`s; or one list of them.
        name: Its name.
    """
    if len(entries) == 1 and isinstance(entries[0], (list, tuple)):
        return Script(entries[0], name)
    return Script(entries, name)
