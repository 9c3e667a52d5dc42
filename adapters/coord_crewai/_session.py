"""`Session`: one kickoff of an attached crew or flow, from its start to how it ended."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from crewai import Crew

from coord_plugins import PolicyError
from coord_plugins.host import COORD, Coord, Run, activate

from . import _checkpoint
from ._meter import Meter, hooks_with, needs_hooks
from ._private import scoped_hooks, stream_sinks
from ._values import neutral

current: ContextVar[Session | None] = ContextVar("coord_crewai_session", default=None)


class Session:
    """A context manager around CrewAI's own kickoff.

    Attributes:
        run: The core's run.
        names: The name of each task object of this kickoff, by `id`.
        output: What the kickoff returned.
        paused: Whether a flow waits for a person.
        stopped: Whether the run ended early, without the rejected output (`STOP`).
    """

    def __init__(self, host: Any, run: Run, meter: Meter, tasks: dict[int, str]) -> None:
        self.host = host
        self.run = run
        self.meter = meter
        self.names = tasks
        self.output: Any = None
        self.paused = self.stopped = False
        self._contexts: dict[str, Any] = {}
        self._stack = ExitStack()

    def task(self, name: str) -> Any:
        """The task object of this kickoff that has this name."""
        return next(t for t in self.host.tasks if self.names.get(id(t)) == name)

    def context(self, task: Any, given: Any) -> Any:
        """The context that a task works on.

        CrewAI gives a parallel task none but what it names in `context`; after a loop-back it
        would give it the output of the task before. It works on what it had.
        """
        if not task.async_execution or isinstance(task.context, list):
            return given
        return self._contexts.setdefault(self.names[id(task)], given)

    def keep(self, change: dict[str, Any]) -> None:
        """Keep a change where CrewAI's checkpoints take it along."""
        if self.run.resumable:
            _checkpoint.keep(self.host, self.run, change)

    def _enter(self) -> None:
        stack = self._stack
        stack.enter_context(activate(self.run))
        # first of all sinks: what is held must not reach a user's stream
        _set(stack, stream_sinks, (self.meter.hear, *stream_sinks.get()))
        _set(stack, current, self)
        if needs_hooks(self.run, _models(self.host)):
            stack.enter_context(scoped_hooks(hooks_with(self.meter)))

    def _leave(self) -> Any:
        """Leave CrewAI's work; returns what the goal sees."""
        self._stack.close()
        _checkpoint.forget(self.host)
        release(self.host)
        return None if self.stopped else neutral(self.output)

    def _aborted(self, error: BaseException | None) -> BaseException | None:
        """The budget's error, where a model call that no task made was stopped for it."""
        return self.meter.aborted if isinstance(error, Exception) else None

    def __enter__(self) -> Session:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        output, aborted = self._leave(), self._aborted(error)
        self.run.coord.finish(self.run, output, aborted or error)
        if aborted is not None:
            raise aborted from None

    async def __aenter__(self) -> Session:
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        output, aborted = self._leave(), self._aborted(error)
        if self.paused:
            self.run.pause()
        else:
            await self.run.coord.afinish(self.run, output, aborted or error)
        if aborted is not None:
            raise aborted from None


def begin(
    host: Any,
    inputs: Any,
    names: dict[int, str],
    *,
    is_async: bool,
    kept: dict[str, Any] | None = None,
) -> Session | None:
    """Begin a run of an attached crew or flow.

    None when the mode is "off", and for an object that was made from an attached object's class
    and carries no policy itself.

    Args:
        host: The crew or flow.
        inputs: What its kickoff was given.
        names: The names of its task objects.
        is_async: Whether async validators can run.
        kept: What a pause kept of the run that goes on; else the crew's checkpoint is asked.

    Raises:
        PolicyError: The object is running already.
    """
    coord: Coord | None = host.__dict__.get(COORD)
    if coord is None:
        return None
    if isinstance(host, Crew):  # a flow may call its own kickoff
        take(host)
    try:
        kept = kept or _checkpoint.kept(host)
        run_id = kept["run"]["id"] if kept else None
        run = coord.start(inputs, is_async=is_async, run_id=run_id)
        if run is None:
            release(host)
            return None
        run.resumable = _checkpoint.is_on(host)
        if kept is not None:
            run.restore(kept)
        return Session(host, run, Meter(run), names)
    except BaseException:
        release(host)
        raise


_BUSY = "_coord_busy"


def take(host: Any) -> None:
    """Mark a crew as running.

    Raises:
        PolicyError: It is running: CrewAI keeps a kickoff's state in the object itself.
    """
    lock: threading.Lock = host.__dict__.setdefault(_BUSY, threading.Lock())
    if not lock.acquire(blocking=False):
        raise PolicyError(
            f"pipeline {host.coord.policy.pipeline!r}: this object is running already, and CrewAI "
            "cannot run one object twice at the same time; use kickoff_for_each, which copies it, "
            "or give each kickoff a copy() of its own"
        )


def release(host: Any) -> None:
    """Mark a crew as done."""
    lock: threading.Lock | None = host.__dict__.get(_BUSY)
    if lock is not None and lock.locked():
        lock.release()


def _set(stack: ExitStack, variable: ContextVar[Any], value: Any) -> None:
    token = variable.set(value)
    stack.callback(variable.reset, token)


def _models(host: Any) -> list[Any]:
    """The model objects that a crew's agents call; a flow's crews have runs of their own."""
    agents = [*getattr(host, "agents", ()), getattr(host, "manager_agent", None)]
    agents += [t.agent for t in getattr(host, "tasks", ())]
    found = [getattr(agent, "llm", None) for agent in agents if agent is not None]
    return [m for m in [*found, getattr(host, "manager_llm", None)] if m is not None and m != ""]
