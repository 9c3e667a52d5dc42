"""The attached graph: LangGraph's own class, with every way to run it made a run."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from coord_plugins.host import Coord, Run, activate
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from ._callbacks import UNSET, RunHandler, handler
from ._memory import GraphRun
from ._node import graph_run
from ._private import TASK_ID

LIVE = {"messages", "custom", "tools"}
"""Stream modes that show a node's inside while it works."""


class Attached:
    """Mixed into the class of an attached graph. Its call sites stay as they are."""

    __dict__: dict[str, Any]

    @property
    def coord(self) -> Coord:
        """Results and settings of this pipeline."""
        found: Coord = self.__dict__["_coord"]
        return found

    def copy(self, update: Mapping[str, Any] | None = None) -> Any:
        """A copy that is attached as well (LangGraph's `with_config` makes one)."""
        new = copy.copy(self)
        new.__dict__.update(update or {})
        return new

    def bare(self) -> Any:
        """The graph as it was before `attach`, with this copy's config."""
        new = copy.copy(self.coord.detach())
        new.config = self.__dict__.get("config")
        return new

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:
        """As LangGraph's own; each call is a run."""
        session = Session.begin(self, input, config, kwargs, is_async=False)
        if session is None:
            yield from self.bare().stream(input, config, **kwargs)
            return
        chunks = super().stream(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
        try:
            while True:
                with session.active():
                    try:
                        chunk = next(chunks)
                    except StopIteration:
                        break
                session.saw(chunk)
                yield chunk
        except BaseException as error:
            with session.active():
                chunks.close()
            session.ended(error)
            self._finish(session)
            raise
        session.ended(None)
        if session.may_be_before_a_breakpoint:
            session.check(self.get_state(config))  # type: ignore[attr-defined]  # the mixin's other base
        self._finish(session)

    async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:
        """As LangGraph's own; each call is a run."""
        session = Session.begin(self, input, config, kwargs, is_async=True)
        if session is None:
            async for chunk in self.bare().astream(input, config, **kwargs):
                yield chunk
            return
        chunks = super().astream(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
        try:
            while True:
                with session.active():
                    try:
                        chunk = await anext(chunks)
                    except StopAsyncIteration:
                        break
                session.saw(chunk)
                yield chunk
        except BaseException as error:
            with session.active():
                await chunks.aclose()
            session.ended(error)
            await self._afinish(session)
            raise
        session.ended(None)
        if session.may_be_before_a_breakpoint:
            session.check(await self.aget_state(config))  # type: ignore[attr-defined]  # the mixin's other base
        await self._afinish(session)

    def _finish(self, session: Session) -> None:
        if session.paused:
            session.run.pause()
        else:
            self.coord.finish(session.run, session.output, session.error)

    async def _afinish(self, session: Session) -> None:
        if session.paused:
            session.run.pause()
        else:
            await self.coord.afinish(session.run, session.output, session.error)


class Session:
    """One call of `stream` or `astream`: the run, its handler, and how it ended."""

    def __init__(self, run: Run, found: GraphRun, breakpoints: bool) -> None:
        self.run = run
        self.graph_run = found
        self.handler = RunHandler(run)
        self.error: BaseException | None = None
        self.paused = False
        self._breakpoints = breakpoints

    @classmethod
    def begin(
        cls, graph: Any, input: Any, config: Any, kwargs: dict[str, Any], *, is_async: bool
    ) -> Session | None:
        """Start a run, or None when the mode is "off"."""
        given = {**(graph.config or {}), **(config or {})}
        found = given.get("configurable") or {}
        thread = found.get("thread_id")
        run_id = given.get("run_id")
        coord: Coord = graph.coord
        run = coord.start(
            input,
            is_async=is_async,
            run_id=None if run_id is None else str(run_id),
            thread=None if thread is None else str(thread),
            tags=tuple(given.get("tags") or ()),
            metadata=_own(given.get("metadata")),
        )
        if run is None:
            return None
        modes = kwargs.get("stream_mode") or graph.stream_mode
        modes = {modes} if isinstance(modes, str) else set(modes)
        live = bool(modes & LIVE) or bool(kwargs.get("subgraphs"))
        fresh = input is not None and not (isinstance(input, Command) and input.resume is not None)
        wants = coord.policy.wants_outputs()
        breakpoints = any(
            kwargs.get(k) or getattr(graph, f"{k}_nodes", None)
            for k in ("interrupt_before", "interrupt_after")
        )
        is_task = TASK_ID in found
        remembered = GraphRun(run, fresh=fresh, live=live, wants_outputs=wants)
        return cls(run, remembered, bool(breakpoints) and not is_task)

    @contextmanager
    def active(self) -> Iterator[None]:
        """While LangGraph works: this is the current run, and its handler listens.

        Only around LangGraph's own work and never across a `yield`, so that nothing leaks into
        the caller that consumes the stream.
        """
        tokens = (graph_run.set(self.graph_run), handler.set(self.handler))
        try:
            with activate(self.run):
                yield
        finally:
            graph_run.reset(tokens[0])
            handler.reset(tokens[1])

    def saw(self, chunk: Any) -> None:
        """Notice an interrupt that passes by in the stream."""
        if isinstance(chunk, tuple) and chunk:
            chunk = chunk[-1]
        if isinstance(chunk, dict) and "__interrupt__" in chunk:
            self.paused = True

    def ended(self, error: BaseException | None) -> None:
        """Read how LangGraph stopped."""
        interrupted = isinstance(error, GraphInterrupt) or (
            error is None and self.graph_run.interrupted
        )
        drained = type(error).__name__ == "GraphDrained"
        self.paused = self.paused or interrupted or drained
        # a ParentCommand ends a subgraph normally and goes on in its parent
        self.error = None if isinstance(error, GraphBubbleUp) else error

    @property
    def may_be_before_a_breakpoint(self) -> bool:
        """Whether only the checkpoint can tell if the graph stopped at a static breakpoint."""
        return self._breakpoints and not self.paused

    def check(self, state: Any) -> None:
        """A thread with nodes still to run waits at a breakpoint."""
        self.paused = bool(state.next)

    @property
    def output(self) -> Any:
        """The graph's final output, whatever was streamed."""
        return None if self.handler.output is UNSET else self.handler.output


def _own(metadata: Any) -> dict[str, Any]:
    """The user's own plain metadata; LangGraph's and LangSmith's keys stay out."""
    return {
        k: v
        for k, v in (metadata or {}).items()
        if isinstance(v, (str, int, float, bool))
        and not k.startswith(("langgraph_", "ls_", "__", "checkpoint_"))
    }


