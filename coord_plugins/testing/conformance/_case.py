"""What the suite asks of a host (`Case`) and what it wants to know afterwards (`Observed`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from ... import Budget, Retry, RunRecord, ValidationEdge
from ..._step import running_step
from .._clock import FakeClock
from .._script import Act, Script

Route = Literal["parameter", "current", "state", "none"]
NOTES = "notes"
"""The state key for feedback in cases with the route "state"."""


class Killed(BaseException):
    """The process dies here: no `except Exception` sees it."""


class Cancelled:
    """A script's entry: the run is cancelled while this call is under way."""


class Execution(NamedTuple):
    """One call of one step, as the step saw it."""

    step: str
    received: Any
    """The previous step's output, or the run's input for the first step."""
    feedback: str | None
    """The validators' words that reached it."""
    key: str | None
    """`current_step().idempotency_key`."""


@dataclass(kw_only=True)
class Case:
    """A pipeline of scripted steps in a row, with a policy. Every step's output is one value.

    A host with a state keeps the output of a step under the step's name; the edges of the
    suite say `of=STEP`, which takes that key there and the whole output elsewhere.
    """

    steps: Mapping[str, Sequence[Any]]
    """The steps in order, each with its script (see `coord_plugins.testing.scripted`)."""
    spare: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Steps that only stand in. Their output takes the place of the step they stand in for,
    and the pipeline goes on after that one."""
    edges: Sequence[ValidationEdge] = ()
    retry: Any = None
    """As for `attach`; a `Script` among the fallbacks is to be made a callable like a step."""
    budget: Budget | None = None
    goal: Any = None
    """Judges the last step's output (None when there is none)."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of `attach`: label, task, mode, listeners, prices, tags, metadata, store."""
    inputs: Sequence[str] = ("go",)
    """One run per input, one after the other, on one attached pipeline."""
    route: Route = "parameter"
    """How feedback is to reach the steps: they declare `feedback`, call `current_feedback()`,
    read the state key `notes`, or have no way to read it."""
    host_steps: int | None = None
    """Most host steps of one run (LangGraph: the recursion limit)."""
    decision: Mapping[str, Any] | None = None
    """What a person answers in `resume`."""
    clock: FakeClock = field(default_factory=FakeClock)
    """The driver makes it the clock of the runs, with `use_clock`."""
    log: list[Execution] = field(default_factory=list, init=False)
    scripts: dict[str, Script] = field(default_factory=dict, init=False)
    task: asyncio.Task[Any] | None = field(default=None, init=False)
    """The driver puts the task that it awaits the run in here, so that a case can cancel it."""

    def __post_init__(self) -> None:
        for name, entries in {**self.steps, **self.spare}.items():
            self.scripts[name] = Script(list(entries), name)

    # ------------------------------------------------------------------ for drivers

    @property
    def order(self) -> tuple[str, ...]:
        """The pipeline's steps."""
        return tuple(self.steps)

    @property
    def last(self) -> str:
        """The step whose output is the run's."""
        return self.order[-1]

    def place(self, step: str) -> str:
        """The step whose output a step makes: its own, or that of the step it stands in for."""
        if step in self.spare:
            for edge in self.edges:
                if edge.otherwise == step:
                    return edge.step
            retries = self.retry if isinstance(self.retry, Mapping) else {}
            for name, retry in retries.items():
                if retry is not None and step in retry.fallbacks:
                    return str(name)
        return step

    def before(self, step: str) -> str | None:
        """The step whose output a step works on; None: the run's input."""
        place = self.place(step)
        at = self.order.index(place) if place in self.order else 0
        return self.order[at - 1] if at else None

    def after(self, step: str) -> str | None:
        """The step that follows; None: the end."""
        place = self.place(step)
        at = self.order.index(place) if place in self.order else len(self.order)
        return self.order[at + 1] if at + 1 < len(self.order) else None

    def retries(self, make: Callable[[Script], Any]) -> Any:
        """`retry`, with each `Script` among the fallbacks made a callable of this host."""
        if isinstance(self.retry, Mapping):
            return {name: _made(r, make) for name, r in self.retry.items()}
        return _made(self.retry, make)

    def call(self, step: str | Script, received: Any, feedback: str | None = None) -> Any:
        """Do a step's work, synchronously."""
        script, act = self._begin(step, received, feedback)
        if isinstance(act.then, Cancelled):
            raise KeyboardInterrupt
        return script.play(received, feedback)

    async def acall(self, step: str | Script, received: Any, feedback: str | None = None) -> Any:
        """Do a step's work on the event loop."""
        script, act = self._begin(step, received, feedback)
        if isinstance(act.then, Cancelled):
            assert self.task is not None, "the driver must set case.task"
            self.task.cancel()
            await asyncio.Event().wait()
        return await script.aplay(received, feedback)

    def _begin(self, step: str | Script, received: Any, feedback: str | None) -> tuple[Script, Act]:
        script = step if isinstance(step, Script) else self.scripts[step]
        running = running_step()
        if feedback is None and self.route == "current" and running is not None:
            feedback = running.deliver()
        key = running.idempotency_key if running is not None else None
        entry = script.entries[min(script.count, len(script.entries) - 1)]
        self.log.append(Execution(script.__name__, received, feedback, key))
        return script, entry if isinstance(entry, Act) else Act(then=entry)


def _made(retry: Any, make: Callable[[Script], Any]) -> Any:
    if not isinstance(retry, Retry) or not retry.fallbacks:
        return retry
    made = [make(f) if isinstance(f, Script) else f for f in retry.fallbacks]
    return replace(retry, fallbacks=made)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One run."""

    record: RunRecord | None
    """From `collect_runs` or `.coord.last`; None when the run has none (off, paused)."""
    output: Any = None
    """The last step's output as the caller got it; None when there is none."""
    error: BaseException | None = None
    """What the caller got instead."""
    state: Any = None
    """Everything that other steps, agents or a memory can see after the run; its `repr` is
    searched."""
    streamed: Sequence[str] | None = None
    """What a user's stream showed, in order; None: the driver does not stream."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a driver saw."""

    runs: Sequence[Ran]
    log: Sequence[Execution]
    """`case.log`: every call of every step, in order."""
    warnings: Sequence[str] = ()
    """What attaching warned of."""

    @property
    def record(self) -> RunRecord:
        """The last run's record."""
        found = self.runs[-1].record
        assert found is not None, f"the run has no record; it raised {self.runs[-1].error!r}"
        return found

    @property
    def output(self) -> Any:
        """The last run's output."""
        return self.runs[-1].output

    @property
    def error(self) -> BaseException | None:
        """What the last run raised."""
        return self.runs[-1].error

    @property
    def order(self) -> list[str]:
        """The steps' names in order of execution."""
        return [e.step for e in self.log]

    def executions(self, step: str) -> int:
        """How often a step was called."""
        return self.order.count(step)

    def feedback(self, step: str) -> list[str | None]:
        """What each call of a step was told."""
        return [e.feedback for e in self.log if e.step == step]

    def received(self, step: str) -> list[Any]:
        """What each call of a step worked on."""
        return [e.received for e in self.log if e.step == step]

    def keys(self, step: str) -> list[str | None]:
        """The idempotency key of each call of a step."""
        return [e.key for e in self.log if e.step == step]
