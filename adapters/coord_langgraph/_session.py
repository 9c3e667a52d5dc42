"""`Session`: one call of an attached graph, from its start to how it ended."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.config import merge_configs
from langgraph.errors import GraphBubbleUp, GraphInterrupt

from coord_plugins.host import Coord, Run, activate

from ._callbacks import RunHandler, handler
from ._memory import GraphRun, run_id_of
from ._thread import Kept, Thread

LIVE = {"messages", "custom", "tools"}
"""Stream modes that show a node's inside while it works."""

INTERRUPT = "__interrupt__"
"""Where `invoke` returns what a person is asked."""


def current_graph_run() -> GraphRun | None:
    """The graph's run that is under way here, or None."""
    found = handler.get()
    return None if found is None else found.graph_run


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
        self.handler = RunHandler(run, self._remembered(run, kept))
        return True

    def _remembered(self, run: Run, kept: Kept) -> GraphRun:
        return GraphRun(
            run,
            kept=kept.values,
            resumable=self.thread.saver is not None,
            forked=kept.forked,
            live=self._live,
        )

    def __enter__(self) -> None:
        """While LangGraph works: this is the current run, and its handler listens.

        Only around LangGraph's own work and never across a `yield`, so that nothing leaks into
        the caller that consumes the stream. It happens for every chunk, so it is cheap.
        """
        self._active.__enter__()
        self._token = handler.set(self.handler)

    def __exit__(self, *error: object) -> None:
        handler.reset(self._token)
        self._active.__exit__(*error)

    def expect(self, kwargs: dict[str, Any]) -> None:
        """Before LangGraph's `invoke`: where it returns the whole output, callbacks need not.

        Hearing every chain costs a few microseconds a node.
        """
        whole = kwargs.get("stream_mode", "values") == "values" and not kwargs.get("output_keys")
        self._plain = whole and kwargs.get("version", "v1") == "v1"
        # but whoever traces the run must learn how LangGraph's own tracing calls it
        self.handler.ignore_chain = self._plain and self.run.traces is None

    def got(self, result: Any) -> None:
        """Read what LangGraph's `invoke` returned."""
        if not self._plain:
            return
        self.handler.output = result
        if isinstance(result, dict) and INTERRUPT in result:
            self.handler.output = {k: v for k, v in result.items() if k != INTERRUPT}
            self.handler.interrupted = True

    def ended(self) -> None:
        """LangGraph returned."""
        self.paused = self.handler.interrupted

    def failed(self, error: BaseException) -> None:
        """LangGraph raised."""
        drained = type(error).__name__ == "GraphDrained"  # 1.2 and later
        self.paused = drained or isinstance(error, GraphInterrupt)
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
