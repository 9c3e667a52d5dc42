"""The billing desk on AutoGen: six assistants in a selector team, plain text between them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.messages import BaseChatMessage, StructuredMessage
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core import CancellationToken
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelInfo,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from pydantic import BaseModel

from coord_plugins import PolicyError
from coord_plugins.demo import INSTRUCTIONS, STEPS, Desk, prompt_for

from ._attach import attach
from ._messages import FEEDBACK_HEAD, NOTE

# AutoGen logs each failed turn with its traceback; the demo's are simulated and counted.
logging.getLogger("autogen_core").setLevel(logging.CRITICAL)


class TicketTask(BaseModel):
    """The task of one run."""

    ticket_id: str
    ticket: str


class SimulatedClient(ChatCompletionClient):
    """The demo's simulated model behind AutoGen's own model interface.

    It answers from what AutoGen brings it, and from nothing else: its instructions name the step,
    the chat holds the ticket and the other assistants' answers, and the feedback.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.model = desk.model.name

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        """Reply to one prompt."""
        step, prompt = _prompt(messages)
        reply = self._desk.model.reply(prompt, step)
        return CreateResult(
            finish_reason="stop",
            content=reply.text,
            usage=RequestUsage(reply.input_tokens, reply.output_tokens),
            cached=False,
        )

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Reply in one chunk."""
        yield await self.create(messages, **options)

    async def close(self) -> None:
        """There is nothing to close."""

    def actual_usage(self) -> RequestUsage:
        """The records have it."""
        return RequestUsage(0, 0)

    def total_usage(self) -> RequestUsage:
        """The records have it."""
        return RequestUsage(0, 0)

    def count_tokens(self, messages: Sequence[LLMMessage], **options: Any) -> int:
        """Its prompts fit into any window."""
        return 1

    def remaining_tokens(self, messages: Sequence[LLMMessage], **options: Any) -> int:
        """Its prompts fit into any window."""
        return 100_000

    @property
    def capabilities(self) -> Any:
        """AutoGen's older name of `model_info`."""
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        """It has nothing but text."""
        return ModelInfo(
            vision=False,
            function_calling=False,
            json_output=False,
            family="unknown",
            structured_output=False,
        )


def _prompt(messages: Sequence[LLMMessage]) -> tuple[str, str]:
    """The step, and the simulated model's own form of a prompt, read off what AutoGen sends."""
    system = next(str(m.content) for m in messages if isinstance(m, SystemMessage))
    step = next(step for step in STEPS if INSTRUCTIONS[step] == system)
    state: dict[str, Any] = {}
    feedback = None
    for message in messages:
        if isinstance(message, AssistantMessage):
            feedback = None  # what came before its own answer is settled
        elif isinstance(message, UserMessage) and message.source == NOTE:
            feedback = str(message.content).removeprefix(f"{FEEDBACK_HEAD}\n")
        elif isinstance(message, UserMessage):
            said = json.loads(str(message.content))
            state |= said if message.source == "user" else {message.source: said}
    return step, prompt_for(step, state, feedback)


class Clerk(AssistantAgent):
    """An assistant that does a step's own work with its model's reply."""

    def __init__(self, desk: Desk, step: str, client: ChatCompletionClient) -> None:
        super().__init__(step, client, description=step, system_message=INSTRUCTIONS[step])
        self._desk = desk

    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        """As an assistant's, with the artefact for an answer."""
        async for item in super().on_messages_stream(messages, cancellation_token):
            if isinstance(item, Response):
                message: Any = item.chat_message
                made = self._desk.work(self.name, message.content, {})
                text = json.dumps(made, ensure_ascii=False)
                item.chat_message = message.model_copy(update={"content": text})
            yield item


def build_team(desk: Desk, client: ChatCompletionClient) -> SelectorGroupChat:
    """The billing desk as a plain team that knows nothing of this library."""

    def following(thread: Sequence[Any]) -> str:
        last = thread[-1].source
        return STEPS[0] if last == "user" else STEPS[STEPS.index(last) + 1]

    return SelectorGroupChat(
        [Clerk(desk, step, client) for step in STEPS],
        model_client=client,
        selector_func=following,
        termination_condition=SourceMatchTermination([STEPS[-1]]),
        custom_message_types=[StructuredMessage[TicketTask]],
    )


@dataclass(frozen=True)
class DeskTeams:
    """Makes a team per ticket: AutoGen's agents remember, and a failure leaves a team unusable."""

    make: Callable[[], Any]
    edges: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def team(self) -> Any:
        """A team of its own for one ticket, attached where the desk has a policy."""
        return attach(self.make(), *self.edges, **self.settings)


_CLIENTS = {
    "openai": "autogen_ext.models.openai:OpenAIChatCompletionClient",
    "anthropic": "autogen_ext.models.anthropic:AnthropicChatCompletionClient",
    "ollama": "autogen_ext.models.ollama:OllamaChatCompletionClient",
}


def real_client(model: str) -> ChatCompletionClient:
    """A real chat model, by AutoGen's own clients.

    Raises:
        PolicyError: The name has no provider, or its package or key is missing.
    """
    provider, found, name = model.partition(":")
    if not found or provider not in _CLIENTS:
        raise PolicyError(
            f"--model {model!r}; write PROVIDER:NAME, with one of {', '.join(_CLIENTS)}, for "
            "example openai:gpt-4o-mini"
        )
    module, _, kind = _CLIENTS[provider].partition(":")
    try:
        client: ChatCompletionClient = getattr(import_module(module), kind)(model=name, timeout=60)
    except Exception as error:
        raise PolicyError(
            f"--model {model}: the model could not be made; are its package and key there? "
            f"({error})"
        ) from error
    return client


class AutoGenWiring:
    """How the demo runs on AutoGen."""

    default_runs = 1_000
    """AutoGen takes some 3 ms a ticket."""
    rate_limit_tries = 1
    """The simulated client has no SDK that repeats by itself."""

    def build(self, desk: Desk, model: str | None) -> DeskTeams:
        """What makes the teams."""
        client = SimulatedClient(desk) if model is None else real_client(model)
        return DeskTeams(lambda: build_team(desk, client))

    def attach(self, host: DeskTeams, *edges: Any, **settings: Any) -> DeskTeams:
        """The same policy for every team; a first one shows that it can hold."""
        attached = replace(host, edges=edges, settings=settings)
        attached.team()
        return attached

    def run(self, host: DeskTeams, inputs: Mapping[str, Any]) -> None:
        """Run one ticket through a team of its own."""
        task = StructuredMessage[TicketTask](content=TicketTask(**inputs), source="user")
        asyncio.run(host.team().run(task=task))


def wiring() -> AutoGenWiring:
    """The entry point `coord_plugins.demo`."""
    return AutoGenWiring()
