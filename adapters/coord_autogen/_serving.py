"""Who works in a turn, with which messages, and how what failed is taken back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from inspect import isawaitable
from typing import Any

from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient

from coord_plugins.host import Step, declares, route_feedback

from ._messages import VERDICT, is_note, with_feedback, with_value
from ._session import Session
from ._snapshot import Undo, snapshot


class Serving:
    """The part of a turn that has its agent work, or who stands in for it.

    Attributes:
        session: The run.
        agent: Whose turn it is.
        name: Its name.
        messages: What it was given, without notes.
        step: The core's step.
        server: Who worked last.
        raised: Whether that failed.
    """

    step: Step

    def __init__(
        self,
        session: Session,
        agent: Any,
        messages: Sequence[BaseChatMessage],
        token: CancellationToken,
    ) -> None:
        self.session = session
        self.agent = agent
        self.name = session.tree.names[id(agent)]
        self.messages = [m for m in messages if not is_note(m)]
        self.token = token
        self.server, self.raised = "", False
        self._undo: Undo | None = None
        self._unread: dict[str, list[BaseChatMessage]] = {}
        self._given: set[str] = set()

    async def serve(self, step: Step) -> AsyncGenerator[Any, None]:
        """Who works now: the agent, or the fallback that stands in."""
        substitute = step.substitute
        is_model = isinstance(substitute, ChatCompletionClient)
        if substitute is not None and callable(substitute) and not is_model:
            return self._called(substitute, step)
        name = substitute if isinstance(substitute, str) else self.name
        again = self.server == name and await self.take_back()
        agent = self.session.tree.agents[name]
        messages = self._messages_for(name, step, again=again)
        self.server, self._undo = name, await snapshot(agent)
        stream: AsyncGenerator[Any, None] = agent.bare_stream(messages, self.token)
        return stream

    def _messages_for(self, name: str, step: Step, *, again: bool) -> list[BaseChatMessage]:
        """What an agent is given: what is new to it, then the validators' words.

        It keeps its own history, so a message that it was given is not given again.
        """
        base: list[BaseChatMessage] = []
        if again or name not in self._given:
            base = self.messages if name == self.name else self.unread_of(name)
        self._given.add(name)
        if step.feedback is None:
            return base
        # the feedback has the words of a validator in the chat, once
        base = [m for m in base if m.metadata.get(VERDICT) != "rejected"]
        heard = (*self.session.rejections_for(name), (name, len(step.events)))
        if self.session.told.get(name) == heard:
            step.deliver()  # it stands in its history
            return base
        self.session.told[name] = heard
        given: list[BaseChatMessage] = route_feedback(step, base, text=with_feedback)
        return given

    def unread_of(self, name: str) -> list[BaseChatMessage]:
        """What an agent that stands in has not read of the chat; the same all through the turn."""
        if name not in self._unread:
            self._unread[name] = self.session.unread(name)
        return self._unread[name]

    async def _called(self, fn: Callable[..., Any], step: Step) -> AsyncGenerator[Any, None]:
        """A callable that stands in for the agent: it gets the turn's messages."""
        self.server, self._undo = step.served_by or "", None
        if declares(fn, "feedback"):
            said = fn(self.messages, feedback=step.deliver())
        else:
            said = fn(route_feedback(step, self.messages, text=with_feedback))
        said = await said if isawaitable(said) else said
        yield Response(chat_message=with_value(TextMessage(content="", source=self.name), said))

    async def take_back(self) -> bool:
        """Give the agent that worked the state that it had before what failed.

        So a repeat may give it the same messages, and no half-done tool call stays behind. What
        an agent said that could not be read was rejected, and stays in its own conversation.

        Returns:
            Whether there was something to take back.
        """
        events = self.step.events
        if not self.raised or (events and events[-1].judged == "reject"):
            return False
        self.raised = False
        if self._undo is not None and self.server in self.session.tree.agents:
            await self._undo()
            self.session.told.pop(self.server, None)
        return True
