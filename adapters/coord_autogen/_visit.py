"""`Visit`: one turn of one agent, with all its attempts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from inspect import isawaitable
from typing import Any

from autogen_agentchat.base import Response
from autogen_agentchat.messages import (
    BaseChatMessage,
    CodeGenerationEvent,
    ModelClientStreamingChunkEvent,
    TextMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
)
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient

from coord_plugins import HUMAN, STOP, StepSettled
from coord_plugins.host import (
    Accept,
    Again,
    Decision,
    Escalate,
    Step,
    arun_step,
    declares,
    route_feedback,
)

from ._host import Passing
from ._human import Question, ask
from ._limits import turns_left
from ._messages import (
    STANDS_FOR,
    VERDICT,
    go_back,
    is_answer,
    is_note,
    neutral,
    rejected,
    stop_note,
    why_of,
    with_feedback,
    with_value,
)
from ._session import Session

_SPOKEN = (ModelClientStreamingChunkEvent, ThoughtEvent, CodeGenerationEvent, BaseChatMessage)
"""What an agent says before its answer; it is held until the answer is accepted."""
_DONE = (ToolCallRequestEvent, ToolCallExecutionEvent)
"""What an agent has done: it stays done, also when its answer is rejected."""


class Visit:
    """One turn of one agent.

    Attributes:
        step: The core's step.
        response: What AutoGen's agent returned last.
        event: What became of the latest execution.
    """

    step: Step

    def __init__(
        self,
        session: Session,
        agent: Any,
        messages: Sequence[BaseChatMessage],
        token: CancellationToken,
        emit: Callable[[Any], None],
    ) -> None:
        self.session = session
        self.agent = agent
        self.name = session.tree.names[id(agent)]
        self.messages = [m for m in messages if not is_note(m)]
        self.token = token
        self.emit = emit
        self.response: Any = None
        self.event: StepSettled | None = None
        self._inner: list[Any] = []
        self._held: list[Any] = []
        self._done: list[Any] = []
        self._unread: dict[str, list[BaseChatMessage]] = {}
        self._given: set[str] = set()
        self._server, self._snapshot, self._raised = "", None, False

    @property
    def step_name(self) -> str:
        """The step's name in records."""
        return self.name

    async def turn(self) -> None:
        """Have the turn; what comes of it is emitted."""
        session = self.session
        session.began(self.name)
        with session.within():
            waiting = session.waiting.pop(self.name, None)
            if waiting is None:
                response = await self._worked()
            elif waiting.decided is not None:
                response = self._finished(Response(chat_message=waiting.answer(session.run)))
            else:
                response = self._asks(waiting)
        session.accept(response.chat_message)
        self.emit(response)

    async def _worked(self) -> Response:
        session = self.session
        self.step = step = session.run.enter(
            self.step_name,
            input=self.messages,
            edge=getattr(self.agent, "_coord_edge", None),
            reachable=self._is_reachable,
        )
        try:
            decision = await arun_step(step, self._execute)
        except Passing as passing:
            return self._finished(passing.response)
        except BaseException:
            await self._take_back()
            raise
        self.event = step.events[-1] if step.events else None
        step.commit()
        return await self._ended(decision)

    def _is_reachable(self, target: str) -> bool:
        """Whether turns are left to go back to the target and come here again."""
        left = turns_left(self.session.manager_of(self.name))
        return left is None or left >= self.session.way(target)

    # ------------------------------------------------------------------ each attempt

    async def _execute(self, step: Step) -> Any:
        self.event = step.events[-1] if step.events else None
        self._close_attempt()
        edge, run = step.edge, self.session.run
        judged = edge is not None and run.mode == (edge.mode or "enforce") == "enforce"
        holds = judged and edge is not None and edge.stream == "hold"
        stream = await self._serve(step)
        self.response, self._raised = None, True
        async with aclosing(stream) as items:
            async for item in items:
                if isinstance(item, Response):
                    self.response = item
                elif holds and isinstance(item, _SPOKEN):
                    self._held.append(item)
                else:
                    self._show(item)
        if self.response is None:
            raise RuntimeError(f"agent {self._server!r} ended its turn without a response")
        self._raised = False
        message = self.response.chat_message
        if self._server == self.name and not is_answer(message):
            self._let_pass(step)
        return self._candidate(message)

    def _candidate(self, message: BaseChatMessage) -> Any:
        """What is judged of a turn's message."""
        return neutral(message)

    async def _serve(self, step: Step) -> AsyncGenerator[Any, None]:
        """Who works now: the agent, or the fallback that stands in."""
        substitute = step.substitute
        if callable(substitute) and not isinstance(substitute, ChatCompletionClient):
            return self._called(substitute, step)
        name = substitute if isinstance(substitute, str) else self.name
        again = self._server == name and await self._take_back()
        agent = self.session.tree.agents[name]
        messages = self._messages_for(name, step, again=again)
        self._server, self._snapshot = name, await agent.save_state()
        stream: AsyncGenerator[Any, None] = agent.bare_stream(messages, self.token)
        return stream

    def _messages_for(self, name: str, step: Step, *, again: bool) -> list[BaseChatMessage]:
        """What an agent is given: what is new to it, then the validators' words.

        It keeps its own history, so a message that it was given is not given again.
        """
        base: list[BaseChatMessage] = []
        if again or name not in self._given:
            base = self.messages if name == self.name else self._unread_of(name)
        if step.feedback is not None:  # it has the words of these, once
            base = [m for m in base if m.metadata.get(VERDICT) != "rejected"]
        self._given.add(name)
        heard = (*self.session.rejections_for(name), (name, len(step.events)))
        if step.feedback is not None and self.session.told.get(name) == heard:
            step.deliver()  # it stands in its history
            return base
        self.session.told[name] = heard
        given: list[BaseChatMessage] = route_feedback(step, base, text=with_feedback)
        return given

    def _unread_of(self, name: str) -> list[BaseChatMessage]:
        if name not in self._unread:
            self._unread[name] = self.session.unread(name)
        return self._unread[name]

    async def _called(self, fn: Callable[..., Any], step: Step) -> AsyncGenerator[Any, None]:
        """A callable that stands in for the agent: it gets the turn's messages."""
        self._server = step.served_by or ""
        if declares(fn, "feedback"):
            said = fn(self.messages, feedback=step.deliver())
        else:
            said = fn(route_feedback(step, self.messages, text=with_feedback))
        said = await said if isawaitable(said) else said
        yield Response(chat_message=with_value(TextMessage(content="", source=self.name), said))

    async def _take_back(self) -> bool:
        """Give the agent that worked the state that it had before what failed.

        So a repeat may give it the same messages, and no half-done tool call stays behind. What
        an agent said that could not be read was rejected, and stays in its own conversation.

        Returns:
            Whether there was something to take back.
        """
        events = self.step.events
        if not self._raised or (events and events[-1].judged == "reject"):
            return False
        self._raised = False
        agent = self.session.tree.agents.get(self._server)
        if agent is not None and self._snapshot is not None:
            await agent.load_state(self._snapshot)
            self.session.told.pop(self._server, None)
        return True

    # ------------------------------------------------------------------ what is shown

    def _show(self, item: Any) -> None:
        self.session.accept(item)
        self.emit(item)
        if isinstance(item, _DONE):
            self._done.append(item)

    def _close_attempt(self) -> None:
        """After a rejection: forget what was held, keep what was done, and say that it was."""
        self._held.clear()
        done, self._done = self._done, []
        event = self.event
        if event is None or event.judged != "reject":
            return
        names = ", ".join(j.name for j in event.judgements if not j.passed) or "its form"
        usage = self.response.chat_message.models_usage if self.response is not None else None
        said = rejected(self.name, event.attempt, names, usage)
        self._inner += [*done, said]
        self.emit(said)

    def _let_pass(self, step: Step) -> None:
        """The message directs the chat: it ends the turn unjudged, and is no candidate.

        Raises:
            Passing: Always.
        """
        step.commit()  # what was rejected before stays in the record
        if step.usage is not None:
            self.session.run.spend_on(step.name, "cost_first", step.usage)
            step.usage = None
        raise Passing(self.response)

    def _finished(self, response: Response, message: Any = None) -> Response:
        """The turn's response, with all that was done in the attempts before."""
        for item in self._held:
            self._show(item)
        self._held.clear()
        message = response.chat_message if message is None else message
        if self.session.text_only(self.name):
            message = (
                with_value(message, message.content, text_only=True)
                if is_answer(message)
                else message
            )
        inner = [*self._inner, *(response.inner_messages or ())]
        return Response(chat_message=message, inner_messages=inner)

    # ------------------------------------------------------------------ after

    async def _ended(self, decision: Decision) -> Response:
        """Turn a decision into AutoGen's mechanism.

        Raises:
            Exception: The step failed for good.
        """
        if isinstance(decision, Accept):
            return self._accepted(decision)
        self._close_attempt()
        if isinstance(decision, Again):
            return self._back(decision)
        if not isinstance(decision, Escalate) or decision.otherwise is None:
            raise decision.error  # type: ignore[union-attr]  # Fail, or Escalate without otherwise
        if decision.otherwise == STOP:
            self.session.stopped = f"stopped at {self.step_name}: {why_of(decision.error)}"
            return self._note(stop_note(self.session.stopped))
        if decision.otherwise == HUMAN:
            run, candidate = self.session.run, self.response.chat_message
            return self._asks(ask(run, self.name, candidate, decision.error))
        return await self._stand_in(decision.otherwise)

    def _accepted(self, decision: Accept) -> Response:
        message = self.response.chat_message
        if decision.replaced:
            message = with_value(message, decision.value)
        if message.source != self.name:
            message = self._in_place(message, self._server)
        self.session.run.outputs[self.name] = neutral(message)
        self._spoke(message)
        return self._finished(self.response, message)

    def _back(self, decision: Again) -> Response:
        """Give the word to an earlier agent."""
        return self._note(go_back(self.name, self.session.resolve(decision.target)))

    def _asks(self, question: Question) -> Response:
        """Hand over to a person; the run stops."""
        self.session.questions[self.name] = question
        return self._note(question.message())

    def _note(self, message: BaseChatMessage) -> Response:
        return Response(chat_message=message, inner_messages=list(self._inner))

    async def _stand_in(self, name: str) -> Response:
        """Let another agent answer in this one's place; the chat goes on after this one."""
        agent, response = self.session.tree.agents[name], None
        unread = self._unread_of(name)
        async with aclosing(agent.on_messages_stream(unread, self.token)) as items:
            async for item in items:
                if isinstance(item, Response):
                    response = item
                else:
                    self.emit(item)
        assert response is not None
        if is_note(response.chat_message):  # it ended the chat itself
            return response
        message = self._in_place(response.chat_message, name)
        self.session.run.outputs[self.name] = neutral(message)
        return Response(
            chat_message=message, inner_messages=[*self._inner, *(response.inner_messages or ())]
        )

    def _in_place(self, message: BaseChatMessage, of: str) -> BaseChatMessage:
        """Another's answer in this agent's name: whoever selects by names goes on after it."""
        said = {**message.metadata, STANDS_FOR: of}
        return message.model_copy(update={"source": self.name, "metadata": said})

    def _spoke(self, message: BaseChatMessage) -> None:
        """Note an answer that a validator of the chat must judge."""
        watcher = self.session.watchers.get(self.name)
        if watcher is not None:
            self.session.uncovered[self.name] = watcher
