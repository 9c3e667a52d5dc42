"""The attached agent: AutoGen's own class, with each turn under the core's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken, ComponentModel

from ._pump import pumped
from ._session import session_of
from ._solo import dumped, solo
from ._visit import Visit

_at_work: ContextVar[Any] = ContextVar("coord_autogen_at_work", default=None)
"""The agent whose own code runs: its `on_messages` is not another turn."""


class AttachedAgent(ChatAgent):
    """Mixed into the class of an attached or validated agent; without a run it does nothing."""

    visit_class: type[Visit] = Visit

    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        """As the agent's own, until an answer is accepted."""
        bare: Any = super()
        session = None if _at_work.get() is self else session_of(self) or solo(self)
        if session is None:
            stream = bare.on_messages_stream(messages, cancellation_token)
        else:
            visits, found = self.visit_class, session

            def turn(emit: Callable[[Any], None]) -> Any:
                return visits(found, self, messages, cancellation_token, emit).turn()

            stream = pumped(turn, asyncio.Task.cancel, cancellation_token)
        async with aclosing(stream) as items:
            async for item in items:
                yield item

    async def bare_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        """The agent's own turn, inside of a visit's task."""
        bare: Any = super()
        token = _at_work.set(self)
        stream = bare.on_messages_stream(messages, cancellation_token)
        try:
            async with aclosing(stream) as items:
                async for item in items:
                    yield item
        finally:
            _at_work.reset(token)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        """As the agent's own, until an answer is accepted."""
        if _at_work.get() is self or (session_of(self) or solo(self)) is None:
            bare: Any = super()
            found: Response = await bare.on_messages(messages, cancellation_token)
            return found
        response: Response | None = None
        async with aclosing(self.on_messages_stream(messages, cancellation_token)) as items:
            async for item in items:
                if isinstance(item, Response):
                    response = item
        assert response is not None
        return response

    def dump_component(self) -> ComponentModel:
        """As the agent's own; of a validated agent with what validates it."""
        bare: ComponentModel = super().dump_component()
        return dumped(self, bare)
