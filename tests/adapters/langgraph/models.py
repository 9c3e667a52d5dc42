"""Chat models without a network: they stream word by word, and report usage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class Scripted(BaseChatModel):
    """Says its replies in turn; an exception among them is raised.

    Attributes:
        replies: What it says; the last is repeated.
        usage: Input and output tokens per reply; None: it reports none.
        named: The model's name in its replies.
        calls: How often it was called.
    """

    replies: list[Any]
    usage: tuple[int, int] | None = (10, 5)
    named: str | None = "fake-model"
    fixed_id: str | None = None
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _next(self) -> str:
        reply = self.replies[min(self.calls, len(self.replies) - 1)]
        self.calls += 1
        if isinstance(reply, BaseException):
            raise reply
        return str(reply)

    def _counted(self) -> dict[str, Any]:
        if self.usage is None:
            return {}
        given, made = self.usage
        used = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
        return {"usage_metadata": used}

    def _meta(self) -> dict[str, Any]:
        return {"response_metadata": {"model_name": self.named}} if self.named else {}

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        message = AIMessage(self._next(), id=self.fixed_id, **self._counted(), **self._meta())
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        words = self._next().split()
        for index, word in enumerate(words):
            last = index == len(words) - 1
            extra = {**self._counted(), **self._meta()} if last else {}
            text = word if last else f"{word} "
            message = AIMessageChunk(text, id=self.fixed_id, **extra)
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                run_manager.on_llm_new_token(text, chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            if run_manager is not None:
                await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk


class Whole(Scripted):
    """The same without streaming."""

    disable_streaming: Any = True
