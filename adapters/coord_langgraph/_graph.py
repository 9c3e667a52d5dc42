"""The attached graph: LangGraph's own class, with every way to run it made a run."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from coord_plugins.host import Coord

from ._session import Session

_OURS = {"nodes", "_coord"}
"""The attributes in which an attached graph differs from the bare one that runs in its place."""


class Attached:
    """Mixed into the class of an attached graph. Its call sites stay as they are.

    `invoke`, `batch`, `astream_events` and their kin all go through `stream` and `astream`.
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

    def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:
        """As LangGraph's own; each call is a run."""
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
            session.ended(None)
            if session.may_be_at_a_breakpoint:
                session.check(self.get_state(session.latest))  # type: ignore[attr-defined]  # the mixin's other base
        except BaseException as error:
            with session:
                chunks.close()
            session.ended(error)
            session.finish()
            raise
        session.finish()

    async def astream(self, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:
        """As LangGraph's own; each call is a run."""
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
            session.ended(None)
            if session.may_be_at_a_breakpoint:
                session.check(await self.aget_state(session.latest))  # type: ignore[attr-defined]  # the mixin's other base
        except BaseException as error:
            with session:
                await chunks.aclose()
            session.ended(error)
            await session.afinish()
            raise
        await session.afinish()
