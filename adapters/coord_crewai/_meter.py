"""What a run's model calls use: heard from CrewAI's own events, never from its totals.

CrewAI's totals are lifetime counters of a model object, added up per agent: they multiply by
agents and by kickoffs. The events say what one call used. They arrive through a sink that only
this kickoff's context has, in order, on the thread that emits them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, NamedTuple, NoReturn

from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMStreamChunkEvent
from crewai.hooks.dispatch import InterceptionPoint
from crewai.types.usage_metrics import UsageMetrics

from coord_plugins import BudgetError, Run, current_run, current_step

from ._private import get_scoped_hooks
from ._signals import Aborted

HOST_RETRIES = "host_retries"
"""Key of a run's metadata: failed model calls that CrewAI itself repeated."""


class Call(NamedTuple):
    """What was known when a model call of this context began."""

    totals: UsageMetrics | None
    """The model object's own counters."""
    counted: int
    """Calls that the step under way (or the run) had counted."""


class Attempt:
    """What one execution of a task said and suffered.

    Attributes:
        failed: Model calls that failed in it.
        aborted: Why a hook of ours stopped a model call of it.
    """

    def __init__(self, *, holds: bool) -> None:
        self.failed = 0
        self.aborted: BudgetError | None = None
        self._holds = holds
        self._around = attempt.get()
        self._kept: list[tuple[Any, LLMStreamChunkEvent]] = []

    def take(self, source: Any, event: LLMStreamChunkEvent) -> None:
        """Empty a chunk before it goes on to any stream, and keep what it said.

        What this execution lets pass may be part of one around it (a crew inside a task).
        """
        if self._holds:
            self._kept.append((source, event.model_copy()))
            event.chunk, event.tool_call = "", None
        elif self._around is not None:
            self._around.take(source, event)

    def release(self) -> None:
        """The candidate was accepted: say it now."""
        self._holds = False
        for source, event in self._kept:
            again = {name: getattr(event, name) for name in _SAID}
            crewai_event_bus.emit(source, LLMStreamChunkEvent(**again))
        self._kept.clear()


_SAID = (
    *("chunk", "tool_call", "call_type", "response_id", "model", "call_id"),
    *("task_id", "task_name", "agent_id", "agent_role"),
)
"""The fields of a chunk that make it what it is; the others belong to one emission."""

_HEARD = {"llm_stream_chunk", "llm_call_completed", "llm_call_failed"}

attempt: ContextVar[Attempt | None] = ContextVar("coord_crewai_attempt", default=None)
_call: ContextVar[Call | None] = ContextVar("coord_crewai_call", default=None)


class Meter:
    """Hears one run.

    Attributes:
        error: A budget that cannot be measured; it is raised where CrewAI lets it through.
        aborted: Why a hook of ours stopped a model call outside of every task.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.error: BudgetError | None = None
        self.aborted: BudgetError | None = None

    def hear(self, source: Any, event: Any) -> None:
        """The sink. CrewAI calls it for every event of this kickoff."""
        kind = event.type
        if kind not in _HEARD or not self._mine():
            return
        work = attempt.get()
        if kind == "llm_call_completed":
            self._count(event.model, event.usage)
        elif work is not None and kind == "llm_stream_chunk":
            work.take(source, event)
        elif work is not None:
            work.failed += 1

    def _mine(self) -> bool:
        """Whether it belongs to this run and not to one inside it, which rolls it up."""
        try:
            return current_run() is self.run
        except LookupError:  # a thread of the user's own, without the context
            return True

    def _count(self, model: str | None, usage: Any) -> None:
        known = usage if isinstance(usage, dict) else None
        metrics = UsageMetrics.from_provider_dict(known)
        self._add(model, metrics)

    def _add(self, model: str | None, metrics: UsageMetrics | None) -> None:
        try:
            self.run.add_usage(
                model=model,
                input_tokens=None if metrics is None else metrics.prompt_tokens,
                output_tokens=None if metrics is None else metrics.completion_tokens,
            )
        except BudgetError as error:  # a sink must not raise: it would look like a failed call
            self.error = self.error or error

    def _counted(self) -> int:
        """Calls counted so far where the next one counts: it moves when somebody counts it."""
        try:
            step = current_step()
        except LookupError:
            return self.run.spent.calls
        parts = step.usage, step.validation
        return sum(part.calls for part in parts if part is not None)

    # ------------------------------------------------------------------ hooks

    def before(self, context: Any) -> None:
        """Before a model call: the budget may forbid it."""
        error = self.error or self.run.check_budget(under_way=True)
        if error is not None:
            self._abort(error)
        _call.set(Call(_totals(context.llm), self._counted()) if self._mine() else None)

    def after(self, context: Any) -> None:
        """After a model call: one that neither an event nor its own code counted is counted."""
        call = _call.get()
        if call is not None and self._mine() and self._counted() == call.counted:
            self._add(getattr(context.llm, "model", None), _used(call.totals, context.llm))
        if self.error is not None:
            self._abort(self.error)

    def _abort(self, error: BudgetError) -> NoReturn:
        """Stop a model call. Who began it raises the error itself: CrewAI may lose it on its way.

        Before 1.15.20 it came out as a ValueError.
        """
        stopped: Attempt | Meter = attempt.get() or self
        stopped.aborted = error
        raise Aborted(str(error), "coord-plugins")


def _totals(llm: Any) -> UsageMetrics | None:
    summary = getattr(llm, "get_token_usage_summary", None)
    found: UsageMetrics | None = summary() if summary is not None else None
    return found


def _used(before: UsageMetrics | None, llm: Any) -> UsageMetrics | None:
    """What the call used, by the model object's own counters; None when they cannot tell.

    They count all calls of the object. A difference of exactly one request is this call; any
    other is mixed with calls of other runs, or was not counted.
    """
    after = _totals(llm)
    if before is None or after is None:
        return None
    used = after.delta_since(before)
    return used if used.successful_requests == 1 else None


def needs_hooks(run: Run, models: list[Any]) -> bool:
    """Whether model calls must be seen by hooks: for a budget, or a model of the user's own.

    CrewAI's own models emit an event for each call; those of others may not.
    """
    budgets = run.policy.budget is not None
    return budgets or any(not type(m).__module__.startswith("crewai.") for m in models)


def hooks_with(meter: Meter) -> dict[InterceptionPoint, list[Any]]:
    """The hooks of this context with the meter's added: a scope of its own would hide them."""
    found = {point: get_scoped_hooks(point) for point in InterceptionPoint}
    found[InterceptionPoint.PRE_MODEL_CALL].append(meter.before)
    found[InterceptionPoint.POST_MODEL_CALL].append(meter.after)
    return {point: hooks for point, hooks in found.items() if hooks}
