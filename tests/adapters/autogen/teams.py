"""Agents that say what they are told, and teams of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.models import CreateResult, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

from coord_plugins import check

GOOD, BAD = "good draft", "bad draft"
fine = check(lambda text: "bad" not in str(text), name="fine", feedback="do better")
"""Rejects BAD."""


class Speaker(BaseChatAgent):
    """Says one entry of its script per turn, the last one again and again; errors are raised.

    Attributes:
        heard: Every message that it was given, as (source, content).
        turns: How often it had the word.
    """

    def __init__(self, name: str, *script: Any) -> None:
        super().__init__(name, f"{name} speaks")
        self.script = script
        self.heard: list[tuple[str, Any]] = []
        self.turns = 0

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        self.heard += [(m.source, getattr(m, "content", None)) for m in messages]
        said = self.script[min(self.turns, len(self.script) - 1)]
        self.turns += 1
        if isinstance(said, BaseException):
            raise said
        message = said if isinstance(said, BaseChatMessage) else None
        return Response(chat_message=message or TextMessage(content=said, source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self.heard = []

    async def save_state(self) -> Mapping[str, Any]:
        return {"heard": [list(pair) for pair in self.heard]}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self.heard = [(source, content) for source, content in state["heard"]]


def row(*agents: Any, last: str | None = None, **more: Any) -> RoundRobinGroupChat:
    """A round robin that ends when its last agent has spoken."""
    more.setdefault("termination_condition", SourceMatchTermination([last or agents[-1].name]))
    return RoundRobinGroupChat(list(agents), **more)


def run(team: Any, task: Any = "the task", **more: Any) -> TaskResult:
    """Run a team once."""
    result: TaskResult = asyncio.run(team.run(task=task, **more))
    return result


def chat(result: TaskResult) -> list[tuple[str, Any]]:
    """What was said, as (source, content), events left out."""
    return [(m.source, m.content) for m in result.messages if isinstance(m, BaseChatMessage)]  # type: ignore[attr-defined]  # all have it


def counts(team: Any, step: str) -> tuple[int, int, int, int, int]:
    """Executions, passes, loops, exhausted and retries of a step in the last run."""
    t = team.coord.last.steps[step]
    return t.executions, t.passes, t.loops, t.exhausted, t.retries


def replies(*texts: str) -> ReplayChatCompletionClient:
    """AutoGen's own client that replays what it is given."""
    info: Any = {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": "unknown",
        "structured_output": True,
    }
    said = [
        CreateResult(finish_reason="stop", content=t, usage=RequestUsage(5, 7), cached=False)
        for t in texts
    ]
    return ReplayChatCompletionClient(said, model_info=info)
