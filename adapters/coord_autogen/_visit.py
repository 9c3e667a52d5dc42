"""`Visit`: one turn of one agent, with all its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from autogen_agentchat.base import Response
from autogen_agentchat.messages import (
    BaseChatMessage,
    CodeGenerationEvent,
    ModelClientStreamingChunkEvent,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
)
from autogen_core import CancellationToken

from coord_plugins import HUMAN, STOP, StepSettled
from coord_plugins.host import (
    Accept,
    Again,
    Decision,
    Escalate,
    Step,
    arun_step,
)

from ._host import Passing
from ._human import Question, ask
from ._limits import turns_left
from ._messages import (
    STANDS_FOR,
    go_back,
    is_answer,
    is_note,
    neutral,
    rejected,
    stop_note,
    why_of,
    with_value,
)
from ._serving import Serving
from ._session import Session, at_work
from ._solo import EDGE

_SPOKEN = (ModelClientStreamingChunkEvent, ThoughtEvent, CodeGenerationEvent, BaseChatMessage)
"""What an agent says before its answer; it is held until the answer is accepted."""
_DONE = (ToolCallRequestEvent, ToolCallExecutionEvent)
"""What an agent has done: it stays done, also when its answer is rejected."""


class Visit(Serving):
    """One turn of one agent.

    Attributes:
        response: What AutoGen's agent returned last.
        event: What became of the latest execution.
    """

    def __init__(
        self,
        session: Session,
        agent: Any,
        messages: Sequence[BaseChatMessage],
        token: CancellationToken,
        emit: Callable[[Any], None],
    ) -> None:
        super().__init__(session, agent, messages, token)
        self.emit = emit
        self.response: Any = None
        self.event: StepSettled | None = None
        self._inner: list[Any] = []
        self._held: list[Any] = []
        self._done: list[Any] = []

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
            edge=self.agent.__dict__.get(EDGE),
            reachable=partial(_is_reachable, self.session, self.name),
        )
        try:
            decision = await arun_step(step, self._execute)
        except Passing as passing:
            return self._finished(passing.response)
        except BaseException:
            await self.take_back()
            raise
        self.event = step.events[-1] if step.events else None
        step.commit()
        return await self._ended(decision)

    # ------------------------------------------------------------------ each attempt

    async def _execute(self, step: Step) -> Any:
        self.event = step.events[-1] if step.events else None
        self._close_attempt()
        edge, run = step.edge, self.session.run
        judged = edge is not None and run.mode == (edge.mode or "enforce") == "enforce"
        holds = judged and edge is not None and edge.stream == "hold"
        stream = await self.serve(step)
        self.response, self.raised = None, True
        token = at_work.set(self.session.tree.agents.get(self.server))
        try:
            async with aclosing(stream) as items:
                async for item in items:
                    if isinstance(item, Response):
                        self.response = item
                    elif holds and isinstance(item, _SPOKEN):
                        self._held.append(item)
                    else:
                        self._show(item)
        finally:
            at_work.reset(token)
        if self.response is None:
            raise RuntimeError(f"agent {self.server!r} ended its turn without a response")
        self.raised = False
        message = self.response.chat_message
        if self.server == self.name and not is_answer(message):
            self._let_pass(step)
        return self._candidate(message)

    def _candidate(self, message: BaseChatMessage) -> Any:
        """What is judged of a turn's message."""
        return neutral(message)

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
            message = self._in_place(message, self.server)
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
        unread = self.unread_of(name)
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


def _is_reachable(session: Session, name: str, target: str) -> bool:
    """Whether turns are left to go back to the target and come to `name` again."""
    left = turns_left(session.manager_of(name))
    return left is None or left >= session.way(target)
