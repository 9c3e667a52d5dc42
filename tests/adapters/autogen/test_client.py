"""Model clients of an attached team: what is counted, once, and where."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import SelectorGroupChat
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage, UserMessage
from autogen_ext.models.cache import ChatCompletionCache
from coord_autogen import RetryingChatCompletionClient, attach

from coord_plugins import (
    END,
    Budget,
    BudgetExceededError,
    PolicyError,
    Retry,
    ValidationEdge,
    judge,
    use_clock,
)
from coord_plugins.testing import FakeClock

from .teams import GOOD, Speaker, fine, replies, row, run

CALL = 12
"""Tokens of one reply of `replies`."""


class Flaky(ChatCompletionClient):
    """Fails as often as it is told, then asks the client behind it."""

    def __init__(self, *errors: Exception, model: Any = None) -> None:
        self.errors = list(errors)
        self.behind = model or replies(*[GOOD] * 9)
        self.calls = 0
        self.tokens: list[Any] = []

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        self.calls += 1
        self.tokens.append(options.get("cancellation_token"))
        if self.errors:
            raise self.errors.pop(0)
        return await self.behind.create(messages, **options)

    async def create_stream(self, messages: Any, **options: Any) -> Any:
        yield await self.create(messages, **options)

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    total_usage = actual_usage

    def count_tokens(self, *args: Any, **kwargs: Any) -> int:
        return 3

    def remaining_tokens(self, *args: Any, **kwargs: Any) -> int:
        return 4

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> Any:
        return self.behind.model_info


def test_a_client_that_works_by_another_is_counted_once() -> None:
    client = replies(GOOD, "printed")
    agents = [AssistantAgent("one", ChatCompletionCache(client)), AssistantAgent("two", client)]
    team = attach(row(*agents), pipeline="p", store="off")
    run(team)
    assert {n: t.input_tokens + t.output_tokens for n, t in team.coord.last.steps.items()} == {
        "one": CALL,
        "two": CALL,
    }


def test_what_a_cache_answered_costs_nothing() -> None:
    cache = ChatCompletionCache(replies(GOOD))
    asyncio.run(cache.create([UserMessage(content="hello", source="user")]))
    writer = AssistantAgent("writer", cache, system_message=None)
    team = attach(row(writer), pipeline="p", store="off")
    run(team, "hello")
    assert (team.coord.last.tokens, team.coord.last.cost_unknown) == (0, 0)


def test_a_validators_own_calls_count_as_validation_and_are_not_the_steps_to_repeat() -> None:
    client = Flaky()
    judging = Flaky(TimeoutError("slow"))

    async def model_says(text: str) -> bool:
        said = await judging.create([UserMessage(content=text, source="judge")])
        return said.content == GOOD

    writer = AssistantAgent("writer", client)
    helper = AssistantAgent("helper", judging)  # so that the client is the team's
    team = row(writer, helper, last="writer")
    edge = ValidationEdge("writer", judge(model_says, retry=Retry(max_attempts=2)))
    attach(team, edge, pipeline="p", retry=Retry(max_attempts=5), store="off")
    with use_clock(FakeClock()):
        run(team)
    tally = team.coord.last.steps["writer"]  # type: ignore[attr-defined]  # attached
    assert (tally.executions, tally.retries, tally.calls, tally.passes) == (1, 0, 1, 1)
    assert judging.calls == 2
    assert team.coord.last.tokens == 2 * CALL  # type: ignore[attr-defined]  # attached


def test_a_selectors_call_can_be_cancelled_though_autogen_gives_it_no_token() -> None:
    client = Flaky(model=replies("one", "two"))
    team = SelectorGroupChat([Speaker("one", "1"), Speaker("two", "2")], client, max_turns=1)
    run(attach(team, pipeline="p", store="off"))
    assert [type(token) for token in client.tokens] == [CancellationToken]


def test_the_whole_chat_is_never_run_again_for_an_error() -> None:
    writer = Speaker("writer", TimeoutError("slow"))
    team = attach(
        row(writer),
        ValidationEdge(END, fine),
        pipeline="p",
        retry={"*": Retry(max_attempts=3, initial_interval=0.0, retry_on=(Exception,))},
        store="off",
    )
    with pytest.raises(TimeoutError):
        run(team)
    assert writer.turns == 3
    assert team.coord.last.steps[END].executions == 1


def test_a_budget_stops_a_model_call_in_the_middle_of_a_turn() -> None:
    client = replies(*[GOOD] * 9)

    class Twice(AssistantAgent):
        async def on_messages_stream(self, messages: Any, cancellation_token: Any) -> Any:
            for _ in range(3):
                await self._model_client.create([UserMessage(content="x", source="user")])
            async for item in super().on_messages_stream(messages, cancellation_token):
                yield item

    team = row(Twice("writer", client))
    attach(team, pipeline="p", budget=Budget(max_tokens=CALL + 1), store="off")
    with pytest.raises(BudgetExceededError):
        run(team)
    assert len(client.create_calls) == 2
    assert team.coord.last.outcome == "error.budget"  # type: ignore[attr-defined]  # attached


def test_an_agent_that_survives_a_failed_call_by_itself_is_judged_by_its_answer() -> None:
    client = Flaky(*[TimeoutError("slow")] * 2)

    class Patient(Speaker):
        async def on_messages(self, messages: Any, cancellation_token: Any) -> Any:
            try:
                await client.create([UserMessage(content="x", source="user")])
            except TimeoutError:
                pass
            return await super().on_messages(messages, cancellation_token)

    writer = Patient("writer", GOOD)
    writer.client = client  # type: ignore[attr-defined]  # so that it is seen
    team = attach(
        row(writer),
        ValidationEdge("writer", fine),
        pipeline="p",
        retry=Retry(max_attempts=2, initial_interval=0.0),
        goal=lambda text: text == GOOD,
        store="off",
    )
    run(team)
    tally = team.coord.last.steps["writer"]
    assert (client.calls, tally.errors, tally.retries, tally.passes) == (2, 2, 1, 1)
    assert team.coord.last.outcome == "success.crash_retried"


# ---------------------------------------------------------------------- the retrying client


def test_alone_it_asks_again_and_then_another() -> None:
    bad, other = Flaky(*[TimeoutError("slow")] * 9), Flaky()
    retry = Retry(max_attempts=2, jitter=False, fallbacks=[other])
    client = RetryingChatCompletionClient(bad, retry)

    async def main() -> Any:
        messages = [UserMessage(content="hello", source="user")]
        whole = await client.create(messages)
        streamed = [chunk async for chunk in client.create_stream(messages)]
        await client.close()
        return whole.content, streamed[-1].content

    with use_clock(FakeClock()) as clock:
        assert asyncio.run(main()) == (GOOD, GOOD)
    assert (bad.calls, other.calls) == (4, 2)
    assert clock.sleeps == [0.5, 0.5]  # type: ignore[attr-defined]  # a fake one's


def test_in_an_attached_team_its_own_retry_counts_and_the_teams_leaves_it_alone() -> None:
    inner = Flaky(*[TimeoutError("slow")] * 2)
    client = RetryingChatCompletionClient(inner, Retry(max_attempts=3, initial_interval=0.0))
    team = row(AssistantAgent("writer", client))
    attach(team, pipeline="p", retry=Retry(max_attempts=1), store="off")
    run(team)
    tally = team.coord.last.steps["writer"]  # type: ignore[attr-defined]  # attached
    assert (tally.executions, tally.errors, tally.retries) == (3, 2, 2)
    assert team.coord.last.tokens == CALL  # type: ignore[attr-defined]  # attached


def test_it_speaks_for_its_client_and_can_be_declared() -> None:
    client = RetryingChatCompletionClient(replies(GOOD), Retry(max_attempts=5, jitter=False))
    said = json.loads(client.dump_component().model_dump_json())
    assert said["provider"] == "coord_autogen.RetryingChatCompletionClient"
    again: Any = ChatCompletionClient.load_component(said)
    assert (again.retry.max_attempts, again.retry.jitter) == (5, False)
    assert type(again.client).__name__ == "ReplayChatCompletionClient"
    flaky = RetryingChatCompletionClient(Flaky())
    assert (flaky.count_tokens([]), flaky.remaining_tokens([])) == (3, 4)
    assert flaky.model_info == flaky.capabilities
    assert flaky.total_usage() == flaky.actual_usage() == RequestUsage(0, 0)
    unspeakable = RetryingChatCompletionClient(replies(GOOD), Retry(retry_on=(KeyError,)))
    with pytest.raises(PolicyError, match="retry_on cannot be declared"):
        unspeakable.dump_component()
    with pytest.raises(PolicyError, match="is no ChatCompletionClient"):
        RetryingChatCompletionClient(replies(GOOD), Retry(fallbacks=[print]))
