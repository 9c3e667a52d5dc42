"""Between AutoGen's messages and the core's host-neutral values; and our own messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.messages import (
    BaseChatMessage,
    HandoffMessage,
    MultiModalMessage,
    StopMessage,
    StructuredMessage,
    TextMessage,
    ThoughtEvent,
    ToolCallSummaryMessage,
)
from autogen_core import Image
from autogen_core.models import RequestUsage
from pydantic import BaseModel

from coord_plugins import AttemptsExhaustedError

NOTE = "coord"
"""The source of the library's own messages: no participant has this name."""
MARK = "coord.note"
"""Metadata of a message that directs the chat: no agent is shown it."""
GOTO = "coord.goto"
"""Metadata: who speaks next."""
FROM = "coord.from"
"""Metadata: whose turn ended with a note."""
REQUEST = "coord.request"
"""Metadata: what a person is asked, as JSON text."""
RUN = "coord.run"
"""Metadata of a question and of its answer: which run asks."""
DECISION = "coord.decision"
"""Metadata: what a person answered, as JSON text."""
VERDICT = "coord.verdict"
"""Metadata of a validator's message: "passed" or "rejected"."""
TARGET = "coord.target"
"""Metadata of a validator's message: whose answer it judged."""
ATTEMPT = "coord.attempt"
"""Metadata of a rejection: which judged answer of the present round it was, from 1."""
STANDS_FOR = "coord.stands_for"
"""Metadata of an answer that another agent gave: whose place it takes."""
CANDIDATE = "coord.candidate"
"""Metadata by which an agent says that its handoff carries its answer, to be judged."""
FEEDBACK_HEAD = "Your previous answer was rejected. Mend what the reviewer names:"
"""The line above the validators' words in the message that an agent gets."""


def neutral(message: Any) -> Any:
    """A message as validators see it: its content."""
    return getattr(message, "content", None) if isinstance(message, BaseChatMessage) else message


def is_note(message: Any) -> bool:
    """Whether a message is the library's own, which no agent is shown."""
    return MARK in message.metadata


def is_answer(message: BaseChatMessage) -> bool:
    """Whether a message is an answer, to be judged.

    Handoffs, stop messages and raw tool results direct the chat: they pass. A handoff that
    carries the answer itself says so in its metadata.
    """
    if isinstance(message, HandoffMessage):
        return CANDIDATE in message.metadata
    return not isinstance(message, (StopMessage, ToolCallSummaryMessage))


def text_of(value: Any) -> str:
    """A value as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, ensure_ascii=False, default=str)


def with_value(message: BaseChatMessage, value: Any, *, text_only: bool = False) -> Any:
    """A message that says `value` in the place of what it said.

    Args:
        message: The message.
        value: Text, a model, a list with images, a message, or anything JSON can hold.
        text_only: Whether the team takes nothing but text (MagenticOne).
    """
    if isinstance(value, BaseChatMessage):
        return value.model_copy(update={"source": message.source})
    if isinstance(message, HandoffMessage):
        return message.model_copy(update={"content": text_of(value)})
    kept: dict[str, Any] = {
        "source": message.source,
        "id": message.id,
        "models_usage": message.models_usage,
        "metadata": message.metadata,
    }
    if isinstance(value, BaseModel) and not text_only:
        kind: Any = StructuredMessage[type(value)]  # type: ignore[misc]  # known at run time
        return kind(content=value, **kept)
    if isinstance(value, list) and any(isinstance(part, Image) for part in value):
        return MultiModalMessage(content=value, **kept)
    return TextMessage(content=text_of(value), **kept)


def with_feedback(messages: Sequence[BaseChatMessage], words: str) -> list[BaseChatMessage]:
    """The messages of a turn with the validators' words after them."""
    return [*messages, TextMessage(content=f"{FEEDBACK_HEAD}\n{words}", source=NOTE)]


def go_back(step: str, targets: Sequence[str]) -> TextMessage:
    """The note that ends a turn whose answer was rejected, and gives the word to the targets.

    It holds neither the draft nor the feedback: conditions on text look at every message, and a
    TERMINATE in one of them would end the chat.
    """
    return TextMessage(
        content=f"{step}'s answer was not accepted; it goes back to {' and '.join(targets)}.",
        source=NOTE,
        metadata={MARK: "rejected", GOTO: ",".join(targets), FROM: step},
    )


def why_of(error: Exception) -> str:
    """Why an edge ends a run, without the validators' words, which may quote the draft."""
    if isinstance(error, AttemptsExhaustedError):
        names = ", ".join(v.name for v in error.verdicts)
        return f"{error.attempts} of {error.attempts} answers were rejected by {names}"
    return str(error)


def stop_note(why: str) -> TextMessage:
    """The note that ends a run without the rejected answer."""
    return TextMessage(content=f"The chat was {why}", source=NOTE, metadata={MARK: "stopped"})


def rejected(step: str, attempt: int, names: str, usage: RequestUsage | None) -> ThoughtEvent:
    """What a user's stream shows of a rejected draft: that there was one, and what it cost.

    It is not the agent's: conditions on sources look at events as well.
    """
    return ThoughtEvent(
        content=f"{step}'s draft {attempt} was rejected by {names}.",
        source=NOTE,
        models_usage=usage,
        metadata={VERDICT: "rejected", ATTEMPT: str(attempt)},
    )


def without_words(message: Any) -> Any:
    """A validator's rejection without its words, which may quote the draft that it rejects."""
    if isinstance(message, TextMessage) and message.metadata.get(VERDICT) == "rejected":
        said = f"{message.metadata.get(TARGET)}'s answer was rejected."
        return message.model_copy(update={"content": said})
    return message


def unsaid(messages: Sequence[Any]) -> list[Any]:
    """What a condition of the user's is shown of a turn.

    Of a turn whose answer was not accepted only that it was and what it cost: nobody spoke, so no
    source and no text of it may end the chat.
    """
    if not messages or not (is_note(messages[-1]) and GOTO in messages[-1].metadata):
        return [without_words(message) for message in messages]
    return [
        m
        if m.source == NOTE
        else ThoughtEvent(content="", source=NOTE, models_usage=m.models_usage)
        for m in messages
    ]


def inputs_of(task: Any) -> Any:
    """A run's input as validators and goals see it: the task's content."""
    if isinstance(task, Sequence) and not isinstance(task, str):
        said = [neutral(m) for m in task if not is_note(m)]
        return said[0] if len(said) == 1 else said
    return neutral(task)
