"""The attached graph: LangGraph's own class, with every way to run it made a run."""

from __future__ import annotations

import contextvars
import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from coord_plugins.host import Coord

from ._session import Session

_OURS = {"nodes", "_coord"}
"""The attributes in which an attached graph differs from the bare one that runs in its place."""


class Attached:
    """Mixed into the class of an attached graph. Its call sites stay as they are.

    `batch`, `astream_events` and their kin all go through these four.
    """

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
        """The graph as it was before `attach`, with this copy's settings.

        The hidden channel stays declared: LangGraph takes a channel that it does not know for a
        change since the last static breakpoint, and would stop there for ever.
        """
        new = copy.copy(self.coord.detach())
        new.__dict__.update({k: v for k, v in self.__dict__.items() if k not in _OURS})
        return new

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """As LangGraph's own; each call is a run.

        LangGraph's `invoke` consumes its own stream, and nothing of the caller's runs in between:
        so the run is entered once for the whole call, and not for every chunk.
        """
        session = Session(self, input, config, kwargs)
        if not session.begin(session.thread.read(), is_async=False):
            return self.bare().invoke(input, config, **kwargs)
        session.expect(kwargs)
        try:
            with session, invoking(self):
                result = super().invoke(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
            session.got(result)
            self._end(session)
        except BaseException as error:
            session.failed(error)
            session.finish()
            raise
        session.finish()
        return result

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """As LangGraph's own; each call is a run."""
        session = Session(self, input, config, kwargs)
        if not session.begin(await session.thread.aread(), is_async=True):
            return await self.bare().ainvoke(input, config, **kwargs)
        session.expect(kwargs)
        try:
            with session, invoking(self):
                result = await super().ainvoke(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
            session.got(result)
            await self._aend(session)
        except BaseException as error:
            session.failed(error)
            await session.afinish()
            raise
        await session.afinish()
        return result

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:
        """As LangGraph's own; each call is a run."""
        if invoking.taken_by(self):  # `invoke` has made the run
            yield from super().stream(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
            return
        session = Session(self, input, config, kwargs)
        if not session.begin(session.thread.read(), is_async=False):
            yield from self.bare().stream(input, config, **kwargs)
            return
        chunks = super().stream(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
        try:
            while True:
                with session:
                    try:
                        chunk = next(chunks)
                    except StopIteration:
                        break
                yield chunk
            self._end(session)
        except BaseException as error:
            with session:
                chunks.close()
            session.failed(error)
            session.finish()
            raise
        session.finish()

    async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:
        """As LangGraph's own; each call is a run."""
        if invoking.taken_by(self):
            async for chunk in super().astream(input, config, **kwargs):  # type: ignore[misc]  # the mixin's other base
                yield chunk
            return
        session = Session(self, input, config, kwargs)
        if not session.begin(await session.thread.aread(), is_async=True):
            async for chunk in self.bare().astream(input, config, **kwargs):
                yield chunk
            return
        chunks = super().astream(input, config, **kwargs)  # type: ignore[misc]  # the mixin's other base
        try:
            while True:
                with session:
                    try:
                        chunk = await anext(chunks)
                    except StopAsyncIteration:
                        break
                yield chunk
            await self._aend(session)
        except BaseException as error:
            with session:
                await chunks.aclose()
            session.failed(error)
            await session.afinish()
            raise
        await session.afinish()

    def _end(self, session: Session) -> None:
        """LangGraph returned: the run is over, or waits."""
        session.ended()
        if session.may_be_at_a_breakpoint:
            session.check(self.get_state(session.latest))  # type: ignore[attr-defined]  # the mixin's other base

    async def _aend(self, session: Session) -> None:
        session.ended()
        if session.may_be_at_a_breakpoint:
            session.check(await self.aget_state(session.latest))  # type: ignore[attr-defined]  # the mixin's other base


class invoking:  # noqa: N801 - used like a function, as contextlib's own classes are
    """Inside, the graph's next `stream` belongs to this `invoke`; later ones are runs."""

    _graph: contextvars.ContextVar[Any] = contextvars.ContextVar("coord_invoking", default=None)

    def __init__(self, graph: Attached) -> None:
        self._mine = graph

    def __enter__(self) -> None:
        self._token = self._graph.set(self._mine)

    def __exit__(self, *error: object) -> None:
        self._graph.reset(self._token)

    @classmethod
    def taken_by(cls, graph: Attached) -> bool:
        """Whether `graph` is being invoked; true once."""
        if cls._graph.get() is not graph:
            return False
        cls._graph.set(None)
        return True
