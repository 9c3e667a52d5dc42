"""The attached agent: AutoGen's own class, with each turn under the core's loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import BaseChatMessage
from autogen_core import CancellationToken, ComponentModel

from ._pump import pumped
from ._session import at_work, session_of
from ._solo import dumped, solo
from ._visit import Visit


class AttachedAgent(ChatAgent):
    """Mixed into the class of an attached or validated agent; without a run it does nothing."""

    visit_class: type[Visit] = Visit

    def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        """As the agent's own, until an answer is accepted."""
        session = None if at_work.get() is self else session_of(self) or solo(self)
        if session is None:
            return self.bare_stream(messages, cancellation_token)
        visits, found = self.visit_class, session

        def turn(emit: Callable[[Any], None]) -> Any:
            return visits(found, self, messages, cancellation_token, emit).turn()

        return pumped(turn, asyncio.Task.cancel, cancellation_token)

    def bare_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        """The agent's own turn; inside of a visit it must be `at_work`."""
        bare: Any = super()
        stream: AsyncGenerator[Any, None] = bare.on_messages_stream(messages, cancellation_token)
        return stream

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        """As the agent's own, until an answer is accepted."""
        if at_work.get() is self or (session_of(self) or solo(self)) is None:
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
