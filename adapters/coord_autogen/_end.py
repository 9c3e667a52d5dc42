"""An edge on END: the run's final answer is judged, and a rejection runs the team again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import BaseChatMessage, ModelClientStreamingChunkEvent, TextMessage
from autogen_agentchat.teams import MagenticOneGroupChat

from coord_plugins import END, STOP
from coord_plugins.host import Accept, Escalate, Step, arun_step

from ._host import Passing
from ._messages import FEEDBACK_HEAD, is_note, neutral, why_of, with_value
from ._session import Session

Stream = Callable[..., AsyncGenerator[Any, None]]


def final_answer(result: TaskResult) -> BaseChatMessage | None:
    """The last message of a run; None where a note of ours ended it without an answer."""
    chat = [m for m in result.messages if isinstance(m, BaseChatMessage)]
    return chat[-1] if chat and not is_note(chat[-1]) else None


class Ending:
    """One run whose final answer is judged.

    Each pass of the team is one execution of the step END. What a pass says is shown as it is
    said, but for its last message: that one waits for its verdict.
    """

    def __init__(
        self, session: Session, team: Any, stream: Stream, task: Any, emit: Callable[[Any], None]
    ) -> None:
        self.session = session
        self.team = team
        self.stream = stream
        self.task = task
        self.emit = emit
        self._messages: list[Any] = []
        self._result = TaskResult(messages=[])
        self._answer: BaseChatMessage | None = None

    async def run(self, **options: Any) -> TaskResult:
        """Run the team until its final answer is accepted.

        Raises:
            Exception: The answer was rejected for good, or the team failed.
        """

        async def execute(step: Step) -> Any:
            task, more = self._task(step), dict(options)
            if step.attempt > 1 and not self._forgets:
                more["output_task_messages"] = False  # the chat goes on
            await self._pass(task, more)
            if self.session.stopped or self.session.questions:
                raise Passing(None)  # there is no answer to judge
            return None if self._answer is None else neutral(self._answer)

        step = self.session.run.enter(END, input=self.task)
        step.retry = None  # a model call is repeated where it fails, never the whole chat
        try:
            decision = await arun_step(step, execute)
        except Passing:
            return self._returned(self._result.stop_reason)
        step.commit()
        if isinstance(decision, Accept):
            return self._accepted(decision)
        if isinstance(decision, Escalate) and decision.otherwise == STOP:
            self.session.stopped = f"stopped at the end: {why_of(decision.error)}"
            return self._returned(self.session.stopped)
        raise decision.error  # type: ignore[union-attr]  # Escalate without otherwise, or Fail

    @property
    def _forgets(self) -> bool:
        """Whether the team begins anew with each task: its plan is made of that alone."""
        return isinstance(self.team, MagenticOneGroupChat)

    def _task(self, step: Step) -> Any:
        words = step.deliver()
        if words is None:
            return self.task
        said = TextMessage(content=f"{FEEDBACK_HEAD}\n{words}", source="user")
        if not self._forgets:
            return said
        first: Sequence[Any] = self.task if isinstance(self.task, list) else [self.task]
        return [
            TextMessage(content=m, source="user") if isinstance(m, str) else m for m in first
        ] + [said]

    async def _pass(self, task: Any, options: dict[str, Any]) -> None:
        """Run the team once; its last message is held."""
        held: list[Any] = []
        async with aclosing(self.stream(task=task, **options)) as items:
            async for item in items:
                if isinstance(item, TaskResult):
                    self._result = item
                    continue
                if isinstance(item, BaseChatMessage):
                    self._show(held)
                    held = []
                if held or isinstance(item, BaseChatMessage):
                    held.append(item)
                else:
                    self._show([item])
        self._answer = final_answer(self._result)
        after = [m for m in held if m is not self._answer]
        self._show(after)

    def _show(self, items: list[Any]) -> None:
        for item in items:
            self._messages.append(item)
            self.emit(item)

    def _accepted(self, decision: Accept) -> TaskResult:
        if self._answer is not None:
            answer = self._answer
            if decision.replaced:
                answer = with_value(answer, decision.value)
            self._show([answer])
        return self._returned(self._result.stop_reason)

    def _returned(self, reason: str | None) -> TaskResult:
        kept = [m for m in self._messages if not isinstance(m, ModelClientStreamingChunkEvent)]
        return TaskResult(messages=kept, stop_reason=reason)
