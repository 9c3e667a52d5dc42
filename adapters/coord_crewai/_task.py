"""The attached task: CrewAI's own class, with its execution under the core's loop."""

from __future__ import annotations

import contextvars
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from coord_plugins.host import Step, arun_step, run_step

from ._session import current
from ._visit import Visit, Work


class AttachedTask:
    """Mixed into the class of an attached crew's tasks; without a run it does nothing."""

    def execute_sync(self, agent: Any = None, context: Any = None, tools: Any = None) -> Any:
        """As CrewAI's own, until a candidate is accepted."""
        visit = _visit(Work(self, agent, context, tools), is_async=False)
        if visit is None:
            return super().execute_sync(agent, context, tools)  # type: ignore[misc]  # the mixin's other base

        def execute(step: Step) -> Any:
            with visit.attempting(step) as work:
                found: Any = super(AttachedTask, work.task)
                return visit.took(found.execute_sync(*work[1:]))

        other = visit.end(run_step(visit.step, execute))
        if other is None:
            return visit.output
        return visit.stood_in(other.task.execute_sync(*other[1:]))

    async def aexecute_sync(self, agent: Any = None, context: Any = None, tools: Any = None) -> Any:
        """As CrewAI's own, until a candidate is accepted."""
        visit = _visit(Work(self, agent, context, tools), is_async=True)
        if visit is None:
            return await super().aexecute_sync(agent, context, tools)  # type: ignore[misc]  # the mixin's other base

        async def execute(step: Step) -> Any:
            with visit.attempting(step) as work:
                found: Any = super(AttachedTask, work.task)
                return visit.took(await found.aexecute_sync(*work[1:]))

        other = visit.end(await arun_step(visit.step, execute))
        if other is None:
            return visit.output
        return visit.stood_in(await other.task.aexecute_sync(*other[1:]))

    def execute_async(
        self, agent: Any = None, context: Any = None, tools: Any = None
    ) -> Future[Any]:
        """As CrewAI's own: in a thread that has this context."""
        if current.get() is None:
            found: Future[Any] = super().execute_async(agent, context, tools)  # type: ignore[misc]  # the mixin's other base
            return found
        pool = ThreadPoolExecutor(1, "coord-crewai-task")
        work = contextvars.copy_context()
        future = pool.submit(work.run, self.execute_sync, agent, context, tools)
        pool.shutdown(wait=False)
        return future


def _visit(work: Work, *, is_async: bool) -> Visit | None:
    """A visit of a task that belongs to the kickoff under way, or None."""
    found = current.get()
    if found is None or id(work.task) not in found.names:
        return None
    context = found.context(work.task, work.context)
    return Visit(found, work._replace(context=context), is_async=is_async)
