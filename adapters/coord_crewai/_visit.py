"""`Visit`: one task in one place of a run, with all its attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from inspect import isawaitable, iscoroutine
from typing import Any, NamedTuple

from crewai import Agent
from crewai.events.event_bus import crewai_event_bus
from crewai.llms.base_llm import BaseLLM

from coord_plugins import STOP, PolicyError
from coord_plugins.host import (
    Accept,
    Again,
    Decision,
    Escalate,
    Step,
    asettle,
    declares,
    route_feedback,
    settle,
    swapped,
)

from . import _memory
from ._events import CoordRejectedEvent
from ._guardrail import candidate
from ._meter import HOST_RETRIES, Attempt, attempt
from ._private import prepare_task_execution, rate_limit_retry
from ._session import Session
from ._signals import GoBack, Rejected, Stop
from ._values import neutral, output_of, put_back, with_feedback


class Work(NamedTuple):
    """What CrewAI is to execute: a task, by an agent, in a context, with tools."""

    task: Any
    agent: Any
    context: str | None
    tools: Any


class Visit:
    """One task in one place of a run.

    Attributes:
        step: The core's step.
        output: The accepted output.
    """

    def __init__(self, found: Session, work: Work, *, is_async: bool) -> None:
        self.session = found
        self.work = work
        self.name = found.names[id(work.task)]
        self.step: Step = found.run.enter(self.name, input=work.context)
        self.output: Any = None
        self.is_async = is_async
        self._attempt = Attempt(holds=False)
        self._writes: list[Callable[[], Any]] = []
        self._callback: Any = None
        self._executed: Any = None

    # ------------------------------------------------------------------ each attempt

    @contextmanager
    def attempting(self, step: Step) -> Iterator[Work]:
        """Prepare one execution; inside, CrewAI executes what this yields."""
        edge, run = step.edge, self.session.run
        judged = edge is not None and run.mode == (edge.mode or "enforce") == "enforce"
        live = edge is not None and edge.stream == "live"
        work = self._serving(step)
        self._attempt = Attempt(holds=judged and not live)
        with ExitStack() as stack:
            _within(stack, attempt, self._attempt)
            if judged:
                self._writes = stack.enter_context(_memory.holding())
            if self._own_retries_are_off(step):
                self._switch_own_retries_off(stack, work.agent)
            if isinstance(step.substitute, BaseLLM):
                stack.enter_context(swapped(work.agent, "llm", step.substitute))
            if isinstance(work.agent, StandIn):
                # CrewAI leaves it there
                stack.enter_context(swapped(work.task, "agent", work.agent))
            self._executed, self._callback = work.task, work.task.callback
            stack.enter_context(swapped(work.task, "callback", Callback(self, self._callback)))
            try:
                yield work
            except Rejected:
                return  # it was settled
            except Exception as error:
                found = self._attempt.aborted or _own_error(error, step)
                if found is error:
                    raise
                raise found from None
        if self.session.meter.error is not None:
            raise self.session.meter.error

    def _serving(self, step: Step) -> Work:
        """Who executes: the task itself, or the fallback that stands in."""
        task, agent, context, tools = self.work
        substitute = step.substitute
        context = route_feedback(step, context, text=with_feedback)
        if isinstance(substitute, str):
            return self._other(substitute, context)
        if callable(substitute) and not isinstance(substitute, BaseLLM):
            agent = StandIn(agent, substitute, step.feedback)
        return Work(task, agent, context, tools)

    def _other(self, name: str, context: str | None) -> Work:
        """Another task of the crew, with its own agent and tools."""
        task, crew = self.session.task(name), self.session.host
        index = [t is task for t in crew.tasks].index(True)
        prepared, _, _ = prepare_task_execution(crew, task, index, None, [], None)
        return Work(task, prepared.agent, context, prepared.tools)

    def _own_retries_are_off(self, step: Step) -> bool:
        """Under a `Retry` CrewAI must not repeat failed calls by itself: they would be hidden.

        Nor where the policy says None: never repeat this task.
        """
        run = self.session.run
        said = step.retry is not None or self.name in run.policy.retry
        return said and run.mode == "enforce"

    def _switch_own_retries_off(self, stack: ExitStack, agent: Any) -> None:
        """Switch CrewAI's two ways of repeating a failed call off, for this execution."""
        crew = self.session.host
        agents = {id(agent): agent}
        if getattr(agent, "allow_delegation", False):  # its coworkers work for it
            agents |= {id(a): a for a in crew.agents}
        for one in agents.values():
            if isinstance(one, Agent):
                stack.enter_context(swapped(one, "max_retry_limit", 0))
        if rate_limit_retry is not None:
            _within(stack, rate_limit_retry, True)

    # ------------------------------------------------------------------ the candidate

    def judge(self, output: Any) -> Any:
        """Judge a candidate, synchronously; then the user's own callback.

        Raises:
            Rejected: It is not accepted.
        """
        with self._judging(output):
            decision = settle(self.step, value=neutral(output))
        self._took(output, decision)
        return None if self._callback is None else self._callback(output)

    async def ajudge(self, output: Any) -> None:
        """The async form of `judge`."""
        with self._judging(output):
            decision = await asettle(self.step, value=neutral(output))
        self._took(output, decision)
        said = None if self._callback is None else self._callback(output)
        if isawaitable(said):
            await said

    @contextmanager
    def _judging(self, output: Any) -> Iterator[None]:
        """While validators judge, what their models say is in nobody's stream.

        What they write to a memory is their own, and not a part of what they judge.
        """
        with ExitStack() as stack:
            _within(stack, candidate, output)
            _within(stack, attempt, Attempt(holds=True))
            _within(stack, _memory.held_writes, None)
            yield

    def _took(self, output: Any, decision: Decision) -> None:
        """Let CrewAI go on with an accepted candidate; get a rejected one out of its way."""
        self._executed.callback = self._callback  # CrewAI looks at it right after
        if not isinstance(decision, Accept):
            self._executed.output = None
            raise Rejected(self._why(decision))
        if decision.replaced:
            put_back(output, decision.value)
        run = self.session.run
        run.outputs[self.name] = neutral(output)
        if self._attempt.failed and not self._own_retries_are_off(self.step):
            seen = run.metadata.get(HOST_RETRIES, 0)
            run.metadata[HOST_RETRIES] = seen + self._attempt.failed
        self.session.keep(dict(self.step.commit()))  # before CrewAI writes its checkpoint
        self._attempt.release()
        _memory.write(self._writes)

    def _why(self, decision: Decision) -> str:
        """What CrewAI's own events say of the rejection, and a word about what was streamed."""
        edge, event = self.step.edge, self.step.events[-1]
        if edge is not None and edge.stream == "live":
            said = CoordRejectedEvent(step=self.name, execution=event.execution)
            crewai_event_bus.emit(self._executed, said)
        if isinstance(decision, Again):
            return f"rejected, back to {decision.target!r}: {decision.feedback}"
        return f"rejected: {decision.error}"  # type: ignore[union-attr]  # Escalate or Fail

    # ------------------------------------------------------------------ after

    def end(self, decision: Decision) -> Any:
        """Turn a decision into CrewAI's mechanism, and enter the executions into the record.

        Returns:
            None: the output is accepted; or what stands in for it, to be executed.

        Raises:
            GoBack: An earlier task runs again.
            Stop: The run ends here, normally.
        """
        self.session.keep(dict(self.step.commit()))
        if isinstance(decision, Accept):
            return None
        if isinstance(decision, Again):
            raise GoBack(decision.target)
        if not isinstance(decision, Escalate) or decision.otherwise is None:
            raise decision.error  # type: ignore[union-attr]  # Fail, or Escalate without otherwise
        if decision.otherwise == STOP:
            raise Stop(self.name, str(decision.error))
        return self._other(decision.otherwise, self.work.context)

    def stood_in(self, output: Any) -> Any:
        """What stood in takes the place of the task's own output."""
        self.work.task.output = output
        self.session.run.outputs[self.name] = neutral(output)
        return output

    def took(self, output: Any) -> Any:
        """CrewAI has executed: keep its output, also where a fallback made it."""
        self.work.task.output = self.output = output
        return neutral(output)


class Callback:
    """The callback of a task while it executes: CrewAI awaits what it returns on a loop.

    CrewAI writes a task's callback into checkpoints, by module and name: they are the user's own.
    """

    def __init__(self, visit: Visit, own: Any) -> None:
        self._visit = visit
        self.__module__ = getattr(own, "__module__", None) or __name__
        self.__qualname__ = getattr(own, "__qualname__", "<locals>")

    def __call__(self, output: Any) -> Any:
        visit = self._visit
        return visit.ajudge(output) if visit.is_async else visit.judge(output)


class StandIn:
    """A callable that executes a task in the place of its agent; all else is the agent's."""

    def __init__(self, agent: Any, fn: Callable[..., Any], feedback: str | None) -> None:
        self._agent = agent
        self._fn = fn
        self._feedback = feedback

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def _call(self, context: str | None) -> Any:
        if declares(self._fn, "feedback"):
            return self._fn(context, feedback=self._feedback)
        return self._fn(context)

    def execute_task(self, task: Any, context: str | None = None, tools: Any = None) -> Any:
        """As an agent's own: returns the text of the answer.

        Raises:
            PolicyError: The callable is async, and this is a synchronous kickoff.
        """
        said = self._call(context)
        if iscoroutine(said):
            said.close()
            name = getattr(self._fn, "__name__", repr(self._fn))
            raise PolicyError(
                f"the fallback {name!r} is async, and this is a synchronous call; call akickoff"
            )
        return output_of(said)

    async def aexecute_task(self, task: Any, context: str | None = None, tools: Any = None) -> Any:
        """The async form of `execute_task`."""
        said = self._call(context)
        return output_of(await said if isawaitable(said) else said)


def _own_error(error: Exception, step: Step) -> BaseException:
    """The error of a task with `max_execution_time`: CrewAI wraps it, and so hides what it was."""
    cause = error.__cause__
    if cause is None or (step.retry is None and step.edge is None):
        return error
    wrapped = type(error) is RuntimeError and str(error).startswith("Task execution failed: ")
    return cause if wrapped else error


def _within(stack: ExitStack, variable: ContextVar[Any], value: Any) -> None:
    token = variable.set(value)
    stack.callback(variable.reset, token)
