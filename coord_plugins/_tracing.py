"""Tracers: listeners that also follow a run where it happens, as a tracing backend must.

A listener hears of a run later, on a worker. What is to stand in a trace under the run (a step, a
repeat, a validator, and whatever the user's own code traces inside them) must be known where it
happens, so a listener with a method `trace` is asked there. It must be quick, and whatever it
raises is logged and costs the run nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._record import RunRecord
    from ._run import Run
    from ._step import Step
    from ._validators import Validator

log = logging.getLogger("coord_plugins.tracing")


class Span(Protocol):
    """Something under way in a trace; what happens until it is closed belongs under it."""

    def close(self, result: Any, error: BaseException | None) -> None:
        """It ended.

        Args:
            result: A `Decision` (a step), a `Judgement` (a validator), or an execution's value.
            error: What it raised, host control flow included.
        """


class RunTrace(Protocol):
    """One run in one tracing backend; see `Tracer`.

    It must not keep the run: the run keeps it, and a circle waits for the garbage collector.
    """

    def enter(self) -> Callable[[], None]:
        """Make the run the parent of what is traced here; returns what undoes that."""

    def step(self, step: Step, number: int) -> Span | None:
        """A visit of a step begins here; from number 2 on, because it or a later one failed."""

    def repeat(self, step: Step, number: int) -> Span | None:
        """An execution after the visit's first begins here; `step.events[-1]` says why."""

    def failed(self, step: Step, number: int) -> None:
        """Execution `number`, which had no span of its own, raised and is repeated.

        `step.events[-1]` says what it raised, when it began and how long it took.
        """

    def judge(self, step: Step, validator: Validator, output: Any) -> Span | None:
        """A validator of the step's edge is asked here."""

    def reference(self, run: Run) -> Mapping[str, Any]:
        """What the run's record keeps among its metadata, to find the trace again."""

    def end(self, run: Run, record: RunRecord) -> None:
        """The run ended, or pauses (`record.status`)."""


class Tracer(Protocol):
    """A listener that is also asked where a run happens."""

    def trace(self, run: Run) -> RunTrace | None:
        """A run begins here; None: it is not traced."""


class Traces:
    """The traces of one run, in all backends that trace it."""

    __slots__ = ("_traces",)

    def __init__(self, traces: list[RunTrace]) -> None:
        self._traces = traces

    @classmethod
    def of(cls, tracers: list[Any], run: Run) -> Traces | None:
        """Ask every tracer; None when none traces this run."""
        found = [quietly(tracer.trace, run) for tracer in tracers]
        traces = [trace for trace in found if trace is not None]
        return cls(traces) if traces else None

    def enter(self) -> list[Callable[[], None]]:
        """Make the run the parent of what is traced here; returns what undoes that."""
        undos = [quietly(trace.enter) for trace in self._traces]
        return [undo for undo in reversed(undos) if undo is not None]

    def step(self, step: Step, number: int) -> list[Span]:
        """A visit begins."""
        return _opened([quietly(t.step, step, number) for t in self._traces])

    def repeat(self, step: Step, number: int) -> list[Span]:
        """A repeat begins."""
        return _opened([quietly(t.repeat, step, number) for t in self._traces])

    def failed(self, step: Step, number: int) -> None:
        """An execution without a span of its own raised and is repeated."""
        for trace in self._traces:
            quietly(trace.failed, step, number)

    def judge(self, step: Step, validator: Validator, output: Any) -> list[Span]:
        """A validator is asked."""
        return _opened([quietly(t.judge, step, validator, output) for t in self._traces])

    def reference(self, run: Run) -> dict[str, Any]:
        """What the record keeps of all traces."""
        found: dict[str, Any] = {}
        for trace in self._traces:
            found.update(quietly(trace.reference, run) or {})
        return found

    def end(self, run: Run, record: RunRecord) -> None:
        """The run ended or pauses."""
        for trace in self._traces:
            quietly(trace.end, run, record)


def _opened(spans: list[Span | None]) -> list[Span]:
    return [span for span in spans if span is not None]


def close(spans: list[Span], result: Any, error: BaseException | None = None) -> None:
    """Close spans, the latest first."""
    for span in reversed(spans):
        quietly(span.close, result, error)


def leave(undos: list[Callable[[], None]]) -> None:
    """Undo what `Traces.enter` did."""
    for undo in undos:
        quietly(undo)


def quietly(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a tracer; what it raises is logged, and None is the answer."""
    try:
        return call(*arguments)
    except Exception as error:  # tracing never hurts the run
        log.warning("a tracer failed: %s: %s", type(error).__name__, error, exc_info=True)
        return None
