"""One wrapped node: execute it, call the core, turn the decision into LangGraph's mechanism."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from coord_plugins.host import Coord, arun_step, run_step

from ._functions import as_runnable
from ._memory import GraphRun
from ._private import RunnableCallable
from ._session import current_graph_run
from ._topology import Topology
from ._visit import Visit


class Node:
    """What attaching knows of one node; shared by all runs.

    Attributes:
        inner: The node's own work.
        mapper: Makes the state object that the node is given, where the state has a class.
        has_timeout: Whether LangGraph may cancel the node (1.2 and later).
        is_target: Whether another node's rejection goes back to this one.
        entry_branches: The conditional edges of START.
    """

    def __init__(
        self,
        name: str,
        pregel: Any,
        coord: Coord,
        topology: Topology,
        *,
        is_target: bool,
        others: Mapping[str, Any],
        entry_branches: Sequence[Any],
    ) -> None:
        self.name = name
        self.inner = pregel.bound
        self.mapper = pregel.mapper
        self.coord = coord
        self.topology = topology
        self.edge = coord.policy.edges.get(name)
        self.is_target = is_target
        self.has_timeout = getattr(pregel, "timeout", None) is not None
        self.entry_branches = entry_branches
        retry = coord.policy.retry_of(name)
        self._substitutes = {
            id(f): others[f] if isinstance(f, str) else as_runnable(f)
            for f in (retry.fallbacks if retry is not None else ())
        }

    def wrapped(self) -> Any:
        """The runnable that takes the place of the node's own."""

        def call(input: Any, config: RunnableConfig) -> Any:
            found = self.run()
            if found is None:
                return self.inner.invoke(input, config)
            visit = Visit(self, found, input, config)
            if visit.waiting is not None:
                return visit.decided_by_human()
            with visit.judging():
                decision = run_step(visit.step, visit.execute)
            result = visit.end(decision)
            for branch in visit.branches:
                branch.invoke(visit.start_input, config)
            visit.keep()
            return result

        async def acall(input: Any, config: RunnableConfig) -> Any:
            found = self.run()
            if found is None:
                return await self.inner.ainvoke(input, config)
            visit = Visit(self, found, input, config)
            if visit.waiting is not None:
                return visit.decided_by_human()
            try:
                with visit.judging():
                    decision = await arun_step(visit.step, visit.aexecute)
            finally:
                visit.leave()
            result = visit.end(decision)
            for branch in visit.branches:
                await branch.ainvoke(visit.start_input, config)
            visit.keep()
            return result

        name = getattr(self.inner, "name", None)
        return RunnableCallable(call, acall, name=name, trace=False, recurse=False)

    def run(self) -> GraphRun | None:
        """The run under way, unless it belongs to another graph around this one."""
        found = current_graph_run()
        return found if found is not None and found.run.coord is self.coord else None

    def serving(self, substitute: Any) -> Any:
        """The runnable of a fallback: another node's work, or a callable like the node."""
        return self.inner if substitute is None else self._substitutes[id(substitute)]
