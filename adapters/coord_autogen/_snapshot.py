"""An agent's state before an execution, so that what failed can be taken back.

AutoGen's own way validates and dumps the whole history, which takes a millisecond for a long one,
in every turn. Where an agent's state is known to be nothing, or the messages of its context, those
are kept as they are: AutoGen never changes a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_core.model_context import ChatCompletionContext

Undo = Callable[[], Awaitable[None]]


async def snapshot(agent: Any) -> Undo:
    """Note an agent's state; what is returned gives it back."""
    if _has_both(agent, BaseChatAgent):
        return _nothing
    context: Any = getattr(agent, "_model_context", None)
    if _has_both(agent, AssistantAgent) and _has_both(context, ChatCompletionContext):
        kept = list(context._messages)

        async def give_back() -> None:
            context._messages = list(kept)

        return give_back
    state = await agent.save_state()

    async def load() -> None:
        await agent.load_state(state)

    return load


async def _nothing() -> None:
    """An agent that saves nothing has nothing to be given back."""


def _has_both(one: Any, kind: type) -> bool:
    """Whether an object saves and loads its state exactly as a class of AutoGen's does."""
    mine, theirs = type(one), kind
    return all(getattr(mine, m, None) is getattr(theirs, m) for m in ("save_state", "load_state"))
