"""`Session`: one call of an attached graph, from its start to how it ended."""

from __future__ import annotations

import contextvars
from typing import Any

from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from coord_plugins.host import Coord, activate

from ._callbacks import RunHandler, handler
from ._memory import GraphRun, run_id_of
from ._thread import Kept, Thread

LIVE = {"messages", "custom", "tools"}
"""Stream modes that show a node's inside while it works."""

graph_run: contextvars.ContextVar[GraphRun | None] = contextvars.ContextVar(
    "coord_graph_run", default=None
)


class Session:
    """One call of `stream` or `astream`: the run, its handler, and how it ended.

    Attributes:
        error: What ended the run, host control flow excluded.
        paused: Whether the run waits for a person, a breakpoint or a drained process.
    """

    def __init__(self, graph: Any, input: Any, config: Any, kwargs: dict[str, Any]) -> None:
        self.graph = graph
        self.config = merge_configs(graph.config, config)
        self.thread = Thread(graph, input, self.config)
        self.error: BaseException | None = None
        self.paused = False
        self._input = input
        modes = kwargs.get("stream_mode") or graph.stream_mode
        modes = {modes} if isinstance(modes, str) else set(modes)
        self._live = bool(modes & LIVE) or bool(kwargs.get("subgraphs"))
        self._breakpoints = self.thread.saver is not None and any(
            kwargs.get(k) or getattr(graph, f"{k}_nodes", None)
            for k in ("interrupt_before", "interrupt_after")
        )

    def begin(self, kept: Kept, *, is_async: bool) -> bool:
        """Start or continue the run; False when the mode is "off".

        Args:
            kept: What an earlier part of the run left on the thread.
            is_async: Whether async validators can run.
        """
        given = self.config
        run_id = None if kept.forked else run_id_of(kept.values)
        run_id = run_id or (str(given["run_id"]) if given.get("run_id") else None)
        thread = given.get("configurable", {}).get("thread_id")
        coord: Coord = self.graph.coord
        run = coord.start(
            self._input,
            is_async=is_async,
            run_id=run_id,
            thread=None if thread is None else str(thread),
            tags=tuple(given.get("tags") or ()),
            metadata=_own(given.get("metadata")),
        )
        if run is None:
            return False
        self.run = run
        self._active = activate(run)
        self.handler = RunHandler(run)
        self.graph_run = GraphRun(
            run,
            kept=kept.values,
            resumable=self.thread.saver is not None,
            forked=kept.forked,
            live=self._live,
        )
        return True

    def __enter__(self) -> None:
        """While LangGraph works: this is the current run, and its handler listens.

        Only around LangGraph's own work and never across a `yield`, so that nothing leaks into
        the caller that consumes the stream. It happens for every chunk, so it is cheap.
        """
        self._active.__enter__()
        self._tokens = (graph_run.set(self.graph_run), handler.set(self.handler))

    def __exit__(self, *error: object) -> None:
        graph_run.reset(self._tokens[0])
        handler.reset(self._tokens[1])
        self._active.__exit__(*error)

    def ended(self, error: BaseException | None) -> None:
        """Read how LangGraph stopped."""
        drained = type(error).__name__ == "GraphDrained"  # 1.2 and later
        interrupted = error is None and self.handler.interrupted
        self.paused = drained or interrupted or isinstance(error, GraphInterrupt)
        # a ParentCommand ends a subgraph normally and goes on in its parent
        self.error = None if isinstance(error, GraphBubbleUp) else error

    @property
    def may_be_at_a_breakpoint(self) -> bool:
        """Whether only the checkpoint can tell if the graph stopped at a static breakpoint."""
        return self._breakpoints and not self.paused and not self.thread.nested

    @property
    def latest(self) -> Any:
        """The config of the thread's newest checkpoint, wherever the call began."""
        found = {**self.config["configurable"], "checkpoint_id": None}
        return {**self.config, "configurable": found}

    def check(self, state: Any) -> None:
        """A thread with nodes still to run waits at a breakpoint."""
        self.paused = bool(state.next)

    def finish(self) -> None:
        """End or pause the run."""
        if self.paused:
            self.run.pause()
        else:
            self.graph.coord.finish(self.run, self.handler.output, self.error)

    async def afinish(self) -> None:
        """The async form of `finish`."""
        if self.paused:
            self.run.pause()
        else:
            await self.graph.coord.afinish(self.run, self.handler.output, self.error)


def _own(metadata: Any) -> dict[str, Any]:
    """The user's own plain metadata; LangGraph's and LangSmith's keys stay out."""
    return {
        k: v
        for k, v in (metadata or {}).items()
        if isinstance(v, (str, int, float, bool))
        and not k.startswith(("langgraph_", "ls_", "__", "checkpoint_"))
    }
