"""`RetryingChatCompletionClient`: a model client that asks again, in any place that takes one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from autogen_core import Component, ComponentModel
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)
from pydantic import BaseModel
from typing_extensions import Self

from coord_plugins import PolicyError, Retry
from coord_plugins.host import Coord, Escalate, Fail, arun_step, make_policy

from ._client import Call, metering, own_error, streamed
from ._host import HOST


class RetryingChatCompletionClientConfig(BaseModel):
    """The declarative form of `RetryingChatCompletionClient`."""

    client: ComponentModel
    max_attempts: int = 3
    initial_interval: float = 0.5
    backoff_factor: float = 2.0
    max_interval: float = 30.0
    jitter: bool = True
    max_elapsed: float | None = None
    fallbacks: list[ComponentModel] = []


class RetryingChatCompletionClient(
    ChatCompletionClient, Component[RetryingChatCompletionClientConfig]
):
    """A model client that makes a failed call again, and asks other clients when it must.

    It works in any place that takes a client, with or without an attached team. In an attached
    team its tries are counted, and the team's `retry=` leaves it alone. A stream is repeated
    before its first chunk only: what was streamed cannot be taken back.
    """

    component_type = "model"
    component_config_schema = RetryingChatCompletionClientConfig
    component_provider_override = "coord_autogen.RetryingChatCompletionClient"

    def __init__(self, client: ChatCompletionClient, retry: Retry | None = None) -> None:
        """Wrap a client.

        Args:
            client: The client that is asked first.
            retry: How often and when; its fallbacks are clients. None: three calls at most.

        Raises:
            PolicyError: A fallback is no client.
        """
        self.client = client
        self.retry = retry if retry is not None else Retry()
        for fallback in self.retry.fallbacks:
            if not isinstance(fallback, ChatCompletionClient):
                raise PolicyError(
                    f"RetryingChatCompletionClient: the fallback {fallback!r} is no "
                    "ChatCompletionClient; steps and callables stand in by attach(retry=...)"
                )
        self._coord: Coord | None = None

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        """Ask, and ask again."""
        session = metering()
        call = Call(self.client, self.client.create, "create", messages, options, self.retry)
        if session is not None:
            return await call.make(session)  # type: ignore[no-any-return]  # the host's
        return await self._alone(call)  # type: ignore[no-any-return]  # the host's

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Ask, and ask again before the first chunk."""
        session = metering()
        ask = self.client.create_stream
        call = Call(self.client, ask, "create_stream", messages, options, self.retry)
        if session is not None:
            stream = streamed(call, session)
        else:
            first, stream, _ = await self._alone(call)
            yield first
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _alone(self, call: Call) -> Any:
        """The call outside of every attached team: in a run that nobody hears of."""
        if self._coord is None:
            policy = make_policy(pipeline="model calls", retry=self.retry)
            self._coord = Coord(policy, HOST, recorded=False)
        run = self._coord.start(None, is_async=True)
        if run is None:  # mode "off"
            said = call.ask(call.messages, **call.options)
            return await said if call.method == "create" else (await anext(said), said, None)
        decision = await arun_step(run.enter("create"), call.once)
        if isinstance(decision, (Fail, Escalate)):
            raise own_error(decision.error)
        return decision.value  # type: ignore[union-attr]  # an Accept

    # ------------------------------------------------------------------ the client's own

    async def close(self) -> None:
        """Close the client and its fallbacks."""
        for client in (self.client, *self.retry.fallbacks):
            await client.close()

    def actual_usage(self) -> RequestUsage:
        """As the client's own."""
        return self.client.actual_usage()

    def total_usage(self) -> RequestUsage:
        """As the client's own."""
        return self.client.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], **options: Any) -> int:
        """As the client's own."""
        return self.client.count_tokens(messages, **options)

    def remaining_tokens(self, messages: Sequence[LLMMessage], **options: Any) -> int:
        """As the client's own."""
        return self.client.remaining_tokens(messages, **options)

    @property
    def capabilities(self) -> ModelCapabilities:
        """As the client's own."""
        return self.client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        """As the client's own."""
        return self.client.model_info

    def _to_config(self) -> RetryingChatCompletionClientConfig:
        retry = self.retry
        undeclared = [n for n in ("retry_on", "breaker", "throttle") if getattr(retry, n)]
        if undeclared:
            raise PolicyError(
                f"RetryingChatCompletionClient: {', '.join(undeclared)} cannot be declared"
            )
        return RetryingChatCompletionClientConfig(
            client=self.client.dump_component(),
            max_attempts=retry.max_attempts,
            initial_interval=retry.initial_interval,
            backoff_factor=retry.backoff_factor,
            max_interval=retry.max_interval,
            jitter=retry.jitter,
            max_elapsed=retry.max_elapsed,
            fallbacks=[client.dump_component() for client in retry.fallbacks],
        )

    @classmethod
    def _from_config(cls, config: RetryingChatCompletionClientConfig) -> Self:
        said = config.model_dump(exclude={"client", "fallbacks"})
        fallbacks = [ChatCompletionClient.load_component(c) for c in config.fallbacks]
        client = ChatCompletionClient.load_component(config.client)
        return cls(client, Retry(**said, fallbacks=fallbacks))
