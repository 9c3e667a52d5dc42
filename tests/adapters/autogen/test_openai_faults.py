"""A model that fails: AutoGen's own OpenAI client, alone under a `Retry` and in attached teams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("autogen_ext")

import openai
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import ModelClientStreamingChunkEvent
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_core.models import CreateResult, UserMessage
from coord_autogen import RetryingChatCompletionClient, attach
from pydantic import BaseModel, ValidationError

from coord_plugins import (
    Budget,
    PolicyError,
    Retry,
    UsageUnavailableError,
    ValidationEdge,
    check,
    use_clock,
)
from coord_plugins.testing import FakeClock, assert_identities

from .openai_server import BROKEN, STALLED, TOKENS_IN, TOKENS_OUT, OpenAIServer, Reply

CALL = TOKENS_IN + TOKENS_OUT
"""Tokens of one answered call."""
PRICES = {"gpt-4o-mini": (1e6, 1e6), "gpt-4o": (1e6, 1e6)}
"""A dollar a token, so that a cost is a count."""
TASK = "write about the sea"
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
USAGE = {"stream_options": {"include_usage": True}}
"""Settings of a client whose streams tell their usage; an AssistantAgent does not ask for it."""
Make = Callable[..., Any]


@dataclass
class Seen:
    """What the caller of a team saw, and what the record says."""

    record: Any = None
    result: TaskResult | None = None
    error: Exception | None = None
    items: list[Any] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def step(self) -> Any:
        """The writer's tally."""
        return self.record.steps["writer"]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The writer's executions, errors, retries and fallbacks."""
        step = self.step
        return step.executions, step.errors, step.retries, step.fallbacks

    @property
    def answers(self) -> list[str]:
        """What the agents said, in order."""
        assert self.result is not None
        return [m.to_text() for m in self.result.messages if m.source != "user"]

    @property
    def chunks(self) -> list[str]:
        """What the user's stream showed word by word."""
        kind = ModelClientStreamingChunkEvent
        return [item.content.strip() for item in self.items if isinstance(item, kind)]


def maker(server: OpenAIServer, stack: AsyncExitStack) -> Make:
    """Makes clients that are closed with the stack."""

    def make(**settings: Any) -> Any:
        client = server.client(**settings)
        stack.push_async_callback(client.close)
        return client

    return make


def attached(
    server: OpenAIServer, build: Callable[[Make], Any], *edges: Any, goal: Any = None, **policy: Any
) -> Seen:
    """Run an attached team once; a policy that needs clients is a function of `make`."""
    seen, clock = Seen(), FakeClock()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            make = maker(server, stack)
            team = build(make)
            more = {k: v(make) if callable(v) else v for k, v in policy.items()}
            more = {"prices": PRICES, "store": "off", **more}
            attach(team, *edges, pipeline="p", goal=goal or is_good, **more)
            try:
                async for item in team.run_stream(task=TASK):
                    if isinstance(item, TaskResult):
                        seen.result = item
                    else:
                        seen.items.append(item)
            except Exception as error:
                seen.error = error
            seen.record = team.coord.last

    with use_clock(clock):
        asyncio.run(main())
    seen.waits = clock.sleeps
    assert_identities(seen.record)
    assert server.left == 0
    return seen


def is_good(text: str) -> bool:
    return "good" in text


def writer(make: Make, *, stream: bool = False, client: Any = None, **settings: Any) -> Any:
    """One agent, the only one of its team: the chat ends with its answer."""
    more = {"system_message": "You are the WRITER.", **settings}
    client = client if client is not None else make(**(USAGE if stream else {}))
    return AssistantAgent("writer", client, model_client_stream=stream, **more)


def alone(make: Make, **settings: Any) -> RoundRobinGroupChat:
    """A team of the writer."""
    ends = MaxMessageTermination(2)
    return RoundRobinGroupChat([writer(make, **settings)], termination_condition=ends)


def alone_streaming(make: Make) -> RoundRobinGroupChat:
    return alone(make, stream=True)


def alone_with(**settings: Any) -> Callable[[Make], Any]:
    """A team of the writer whose client has these settings."""
    return lambda make: alone(make, client=make(**settings))


@dataclass
class Asked:
    """What the caller of a `RetryingChatCompletionClient` saw."""

    result: CreateResult | None = None
    error: Exception | None = None
    words: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def ask(
    server: OpenAIServer,
    retry: Retry | Callable[[Make], Retry] | None,
    *,
    stream: bool = False,
    **settings: Any,
) -> Asked:
    """One request of a `RetryingChatCompletionClient` that belongs to no team."""
    seen, clock = Asked(), FakeClock()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            make = maker(server, stack)
            policy = retry(make) if callable(retry) else retry
            client = RetryingChatCompletionClient(make(**settings), policy)
            messages = [UserMessage(content=TASK, source="user")]
            try:
                if not stream:
                    seen.result = await client.create(messages)
                    return
                async for part in client.create_stream(messages, include_usage=True):
                    if isinstance(part, CreateResult):
                        seen.result = part
                    else:
                        seen.words.append(part.strip())
            except Exception as error:
                seen.error = error

    with use_clock(clock):
        asyncio.run(main())
    seen.waits = clock.sleeps
    assert server.left == 0
    return seen


def models(server: OpenAIServer) -> list[str]:
    return [body["model"] for body in server.requests]


def count(body: dict[str, Any], text: str) -> int:
    """How many messages of a request hold a text."""
    return sum(text in json.dumps(m) for m in body["messages"])


# ------------------------------------------------------------------ 429 and 500


@BOTH
def test_a_team_waits_as_long_as_the_server_asks(stream: bool) -> None:
    with OpenAIServer() as server:
        server.fail(429, retry_after="7")
        server.say("a good text")
        build = alone_streaming if stream else alone
        seen = attached(server, build, retry=Retry(max_attempts=3))
        assert len(server.requests) == 2
    assert (seen.error, seen.answers, seen.waits) == (None, ["a good text"], [7.0])
    assert seen.record.outcome == "success.crash_retried"
    assert seen.counts == (2, 1, 1, 0)
    assert (seen.record.tokens, seen.record.cost, seen.record.cost_unknown) == (CALL, CALL, 0)


@BOTH
def test_a_client_waits_as_long_as_the_server_asks(stream: bool) -> None:
    with OpenAIServer() as server:
        server.fail(429, retry_after="7")
        server.say("a good text")
        seen = ask(server, Retry(max_attempts=3), stream=stream)
        assert len(server.requests) == 2
    assert seen.error is None
    assert seen.result is not None
    assert (seen.result.content, seen.waits) == ("a good text", [7.0])
    used = seen.result.usage
    assert (used.prompt_tokens, used.completion_tokens) == (TOKENS_IN, TOKENS_OUT)


def test_the_server_may_ask_for_longer_than_the_longest_wait() -> None:
    with OpenAIServer() as server:
        server.fail(429, retry_after="90")
        server.say("a good text")
        seen = ask(server, Retry(max_interval=1.0))
    assert seen.waits == [90.0]


@BOTH
def test_the_waits_of_a_team_grow(stream: bool) -> None:
    with OpenAIServer() as server:
        for _ in range(3):
            server.fail(500)
        server.say("a good text")
        build = alone_streaming if stream else alone
        retry = Retry(max_attempts=4, initial_interval=1.0, backoff_factor=3.0)
        seen = attached(server, build, retry=retry)
        assert len(server.requests) == 4
    assert (seen.answers, seen.waits) == (["a good text"], [1.0, 3.0, 9.0])
    assert seen.record.outcome == "success.crash_retried"
    assert (seen.counts, seen.record.tokens) == ((4, 3, 3, 0), CALL)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@BOTH
def test_a_team_gives_up_with_the_clients_own_error(stream: bool, status: int, kind: type) -> None:
    with OpenAIServer() as server:
        for _ in range(3):
            server.fail(status, "too much")
        build = alone_streaming if stream else alone
        seen = attached(server, build, retry=Retry(max_attempts=3))
        assert len(server.requests) == 3
    assert type(seen.error) is kind
    assert seen.error.status_code == status
    assert seen.waits == [0.5, 1.0]
    assert (seen.record.outcome, seen.record.lost_at) == ("error.crash", "writer")
    assert (seen.counts, seen.record.tokens) == ((3, 3, 2, 0), 0)


@BOTH
def test_a_client_gives_up_with_its_own_error(stream: bool) -> None:
    with OpenAIServer() as server:
        for _ in range(3):
            server.fail(429, "too much")
        seen = ask(server, None, stream=stream)  # three calls are the default
        assert len(server.requests) == 3
    assert type(seen.error) is openai.RateLimitError
    assert (seen.waits, seen.words) == ([0.5, 1.0], [])


def test_a_quota_that_is_spent_is_not_asked_again() -> None:
    with OpenAIServer() as server:
        server.fail(429, "You exceeded your current quota, please check your plan")
        seen = attached(server, alone, retry=Retry())
        assert len(server.requests) == 1
    assert type(seen.error) is openai.RateLimitError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (1, 1, 0, 0))


def test_a_deadline_ends_the_tries() -> None:
    with OpenAIServer() as server:
        server.fail(429, retry_after="7")
        server.fail(429, retry_after="7")
        seen = attached(server, alone, retry=Retry(max_attempts=9, max_elapsed=10.0))
        assert len(server.requests) == 2
    assert type(seen.error) is openai.RateLimitError
    assert (seen.waits, seen.counts) == ([7.0], (2, 2, 1, 0))


# ------------------------------------------------------------------ the SDK's own retries


@BOTH
def test_under_a_retry_the_sdks_own_are_off(stream: bool) -> None:
    kept: list[Any] = []

    def build(make: Make) -> Any:
        kept.append(make(max_retries=2, **USAGE))
        return alone(make, client=kept[0], stream=stream)

    with OpenAIServer() as server:
        for _ in range(3):
            server.fail(500)
        seen = attached(server, build, retry=Retry(max_attempts=3))
        assert len(server.requests) == 3
    assert type(seen.error) is openai.InternalServerError
    assert seen.counts == (3, 3, 2, 0)
    assert kept[0]._client.max_retries == 2


@BOTH
def test_under_a_retry_of_the_clients_own_the_sdks_are_off(stream: bool) -> None:
    with OpenAIServer() as server:
        for _ in range(3):
            server.fail(500)
        seen = ask(server, Retry(max_attempts=3), stream=stream, max_retries=2)
        assert len(server.requests) == 3
    assert type(seen.error) is openai.InternalServerError


def test_a_retry_of_one_attempt_leaves_one_request() -> None:
    with OpenAIServer() as server:
        server.fail(500)
        seen = attached(server, alone_with(max_retries=2), retry=Retry(max_attempts=1))
        assert len(server.requests) == 1
    assert (seen.counts, seen.waits) == ((1, 1, 0, 0), [])


@pytest.mark.parametrize(
    "policy",
    [{}, {"retry": Retry(), "mode": "observe"}],
    ids=["no retry", "observed"],
)
def test_without_a_retry_the_sdks_own_stay(policy: dict[str, Any]) -> None:
    with OpenAIServer() as server:
        server.fail(500, retry_after="0.01")
        server.fail(500, retry_after="0.01")
        server.say("a good text")
        seen = attached(server, alone_with(max_retries=2), **policy)
        assert len(server.requests) == 3
    assert (seen.counts, seen.waits) == ((1, 0, 0, 0), [])
    assert (seen.record.outcome, seen.record.tokens) == ("success.first_pass", CALL)


def test_none_switches_the_sdks_own_off() -> None:
    """It is an order: this agent's calls are never repeated, by nobody."""
    with OpenAIServer() as server:
        server.fail(500, retry_after="0.01")
        policy = {"retry": {"*": Retry(), "writer": None}}
        seen = attached(server, alone_with(max_retries=2), **policy)
        assert len(server.requests) == 1
    assert (seen.counts, seen.waits) == ((1, 1, 0, 0), [])


def test_parallel_agents_share_a_client_without_its_own_retries() -> None:
    clients: list[Any] = []

    def build(make: Make) -> GraphFlow:
        clients.append(make(max_retries=2))
        builder = DiGraphBuilder()
        agents = {
            name: AssistantAgent(name, clients[0], system_message=f"You are {name.upper()}.")
            for name in ("start", "left", "right", "join")
        }
        for agent in agents.values():
            builder.add_node(agent)
        for side in ("left", "right"):
            builder.add_edge("start", side).add_edge(side, "join")
        return GraphFlow(list(agents.values()), builder.build())

    with OpenAIServer() as server:
        say, fail = Reply.say, Reply.fail
        server.script(
            {
                "START": [say("begun")],
                "LEFT": [fail(500), fail(500), say("left is done")],
                "RIGHT": [fail(500), say("right is done")],
                "JOIN": [say("all good")],
            }
        )
        seen = attached(server, build, retry=Retry(max_attempts=3))
        assert len(server.requests) == 7
    steps = seen.record.steps
    assert {n: (t.executions, t.errors) for n, t in steps.items()} == {
        "start": (1, 0),
        "left": (3, 2),
        "right": (2, 1),
        "join": (1, 0),
    }
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", 4 * CALL)
    assert clients[0]._client.max_retries == 2


def test_an_agents_own_retrying_client_is_left_alone_by_the_teams_retry() -> None:
    def build(make: Make) -> Any:
        client = RetryingChatCompletionClient(make(max_retries=2), Retry(max_attempts=2))
        return alone(make, client=client)

    with OpenAIServer() as server:
        server.fail(500)
        server.fail(500)
        seen = attached(server, build, retry=Retry(max_attempts=5))
        assert len(server.requests) == 2
    assert type(seen.error) is openai.InternalServerError
    assert seen.counts == (2, 2, 1, 0)


def test_an_agents_own_retrying_client_is_counted_in_a_team_without_a_retry() -> None:
    def build(make: Make) -> Any:
        client = RetryingChatCompletionClient(make(max_retries=2), Retry(max_attempts=2))
        return alone(make, client=client)

    with OpenAIServer() as server:
        server.fail(500)
        server.say("a good text")
        seen = attached(server, build)
        assert len(server.requests) == 2
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", CALL)
    assert (seen.counts, seen.waits) == ((2, 1, 1, 0), [0.5])


# ------------------------------------------------------------------ timeouts and connections


@BOTH
def test_a_call_that_hangs_is_made_again(stream: bool) -> None:
    with OpenAIServer() as server:
        server.hang()
        server.say("a good text")
        build = lambda make: alone(make, client=make(timeout=0.2, **USAGE), stream=stream)
        seen = attached(server, build, retry=Retry())
        assert len(server.requests) == 2
    assert (seen.answers, seen.waits) == (["a good text"], [0.5])
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", CALL)
    assert seen.counts == (2, 1, 1, 0)


@BOTH
def test_calls_that_hang_end_as_a_timeout(stream: bool) -> None:
    with OpenAIServer() as server:
        server.hang()
        server.hang()
        build = lambda make: alone(make, client=make(timeout=0.1, max_retries=2), stream=stream)
        seen = attached(server, build, retry=Retry(max_attempts=2))
        assert len(server.requests) == 2
    assert type(seen.error) is openai.APITimeoutError
    assert (seen.record.outcome, seen.record.lost_at) == ("error.timeout", "writer")
    assert seen.counts == (2, 2, 1, 0)


@BOTH
def test_a_client_asks_again_after_a_timeout(stream: bool) -> None:
    with OpenAIServer() as server:
        server.hang()
        server.say("a good text")
        seen = ask(server, Retry(), stream=stream, timeout=0.2)
        assert len(server.requests) == 2
    assert seen.result is not None
    assert (seen.result.content, seen.waits) == ("a good text", [0.5])


@BOTH
def test_a_client_whose_calls_hang_raises_its_own_timeout(stream: bool) -> None:
    with OpenAIServer() as server:
        server.hang()
        server.hang()
        seen = ask(server, Retry(max_attempts=2), stream=stream, timeout=0.1, max_retries=2)
        assert len(server.requests) == 2
    assert type(seen.error) is openai.APITimeoutError


def test_a_body_that_breaks_is_asked_for_again() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=1)
        server.say("a good text")
        seen = attached(server, alone, retry=Retry())
        assert len(server.requests) == 2
    assert (seen.answers, seen.record.outcome) == (["a good text"], "success.crash_retried")


def test_a_client_asks_again_for_a_body_that_breaks() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=1)
        server.cut("a lost text", after=1)
        seen = ask(server, Retry(max_attempts=2))
        assert len(server.requests) == 2
    assert type(seen.error) is openai.APIConnectionError


# ------------------------------------------------------------------ what is no JSON


@BOTH
def test_a_malformed_body_is_asked_for_again(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        server.say("a good text")
        seen = attached(server, alone_streaming if stream else alone, retry=Retry())
        assert len(server.requests) == 2
        assert [count(body, TASK) for body in server.requests] == [1, 1]
    assert (seen.answers, seen.waits) == (["a good text"], [0.5])
    assert (seen.record.outcome, seen.counts) == ("success.crash_retried", (2, 1, 1, 0))


@BOTH
def test_malformed_bodies_end_with_the_clients_own_error(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        server.malformed()
        build = alone_streaming if stream else alone
        seen = attached(server, build, retry=Retry(max_attempts=2))
        assert len(server.requests) == 2
    assert type(seen.error) is json.JSONDecodeError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (2, 2, 1, 0))


@BOTH
def test_a_malformed_body_without_a_retry_ends_with_the_clients_own_error(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        seen = attached(server, alone_streaming if stream else alone)
        assert len(server.requests) == 1
    assert type(seen.error) is json.JSONDecodeError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (1, 1, 0, 0))


@BOTH
def test_a_client_asks_again_for_a_malformed_body(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        server.say("a good text")
        seen = ask(server, Retry(), stream=stream)
        assert len(server.requests) == 2
    assert seen.result is not None
    assert (seen.result.content, seen.waits) == ("a good text", [0.5])


@BOTH
def test_a_client_gives_up_on_malformed_bodies_with_its_own_error(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        server.malformed()
        seen = ask(server, Retry(max_attempts=2), stream=stream)
        assert len(server.requests) == 2
    assert type(seen.error) is json.JSONDecodeError


@BOTH
def test_a_malformed_body_is_no_rejected_answer_of_an_edge(stream: bool) -> None:
    with OpenAIServer() as server:
        server.malformed()
        server.say("a good text")
        build = alone_streaming if stream else alone
        seen = attached(server, build, ValidationEdge("writer", check(is_good)), retry=Retry())
        assert len(server.requests) == 2
        assert [count(body, "rejected") for body in server.requests] == [0, 0]
    assert (seen.answers, seen.record.outcome) == (["a good text"], "success.crash_retried")
    assert seen.counts == (2, 1, 1, 0)
    assert (seen.step.calls, seen.step.rejects, seen.step.passes) == (1, 0, 1)


STRUCTURED = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
"""AutoGen's client dumps the SDK's parsed reply, of which pydantic complains."""


class Poem(BaseModel):
    """What the writer answers where its answers are structured."""

    good: bool


def structured(make: Make) -> RoundRobinGroupChat:
    return alone(make, output_content_type=Poem)


@STRUCTURED
def test_a_structured_answer_that_cannot_be_read_is_a_rejected_one() -> None:
    with OpenAIServer() as server:
        server.say("no JSON at all")
        server.say('{"good": true}')
        edge = ValidationEdge("writer", check(lambda poem: poem.good))
        seen = attached(server, structured, edge, goal=lambda poem: poem.good, retry=Retry())
        assert len(server.requests) == 2
        assert [count(body, TASK) for body in server.requests] == [1, 1]
        assert [count(body, "could not be read") for body in server.requests] == [0, 1]
    assert (seen.error, seen.record.outcome) == (None, "success.unjudged")
    assert (seen.counts, seen.waits) == ((2, 0, 0, 0), [])
    assert (seen.step.calls, seen.step.rejects, seen.step.passes) == (2, 1, 1)


@STRUCTURED
def test_a_structured_answer_that_cannot_be_read_is_paid_for() -> None:
    with OpenAIServer() as server:
        server.say("no JSON at all")
        server.say('{"good": true}')
        edge = ValidationEdge("writer", check(lambda poem: poem.good))
        seen = attached(server, structured, edge, goal=lambda poem: poem.good)
    # the client raises it away with its usage
    assert (seen.record.tokens, seen.step.unknown_tokens, seen.record.cost_unknown) == (CALL, 1, 1)


def test_a_structured_answer_that_cannot_be_read_ends_a_run_without_an_edge() -> None:
    with OpenAIServer() as server:
        server.say("no JSON at all")
        seen = attached(server, structured, retry=Retry())
        assert len(server.requests) == 1
    assert type(seen.error) is ValidationError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (1, 1, 0, 0))


def test_the_page_of_a_gateway_is_a_programming_error() -> None:
    with OpenAIServer() as server:
        server.malformed("<html>bad gateway</html>")
        seen = attached(server, alone, retry=Retry())
        assert len(server.requests) == 1
    assert type(seen.error) is AttributeError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (1, 1, 0, 0))


# ------------------------------------------------------------------ streams that break


def test_a_stream_that_breaks_before_its_first_chunk_is_begun_again() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=0)
        server.say("a good text")
        seen = attached(server, alone_streaming, retry=Retry())
        assert len(server.requests) == 2
    assert (seen.answers, seen.chunks) == (["a good text"], ["a", "good", "text"])
    assert (seen.record.outcome, seen.counts) == ("success.crash_retried", (2, 1, 1, 0))
    assert (seen.record.tokens, seen.step.unknown_tokens) == (CALL, 0)


def test_a_client_begins_a_stream_again_before_its_first_chunk() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=0)
        server.say("a good text")
        seen = ask(server, Retry(), stream=True)
        assert len(server.requests) == 2
    assert (seen.words, seen.error) == (["a", "good", "text"], None)


def test_a_client_gives_up_on_streams_that_break_before_their_first_chunk() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=0)
        server.cut("a lost text", after=0)
        seen = ask(server, Retry(max_attempts=2), stream=True)
        assert len(server.requests) == 2
    assert isinstance(seen.error, BROKEN)
    assert seen.words == []


def test_a_client_takes_nothing_back_after_the_first_chunk() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=2)
        seen = ask(server, Retry(max_attempts=3), stream=True, max_retries=2)
        assert len(server.requests) == 1
    assert isinstance(seen.error, BROKEN)
    assert (seen.words, seen.waits) == (["a", "lost"], [])


def test_a_client_whose_stream_stands_still_raises_its_own_error() -> None:
    with OpenAIServer() as server:
        server.hang(text="a lost text", after=1)
        seen = ask(server, Retry(max_attempts=3), stream=True, timeout=0.2)
        assert len(server.requests) == 1
    assert isinstance(seen.error, STALLED)
    assert seen.words == ["a"]


def test_a_turn_whose_stream_breaks_is_had_again() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=2)
        server.say("a good text")
        seen = attached(server, alone_streaming, retry=Retry())
        assert len(server.requests) == 2
        assert [count(body, TASK) for body in server.requests] == [1, 1]
        assert count(server.requests[1], "lost") == 0
    assert seen.answers == ["a good text"]
    assert seen.chunks == ["a", "lost", "a", "good", "text"]  # no edge: nothing is held
    assert (seen.record.outcome, seen.waits) == ("success.crash_retried", [0.5])
    assert seen.counts == (2, 1, 1, 0)
    # what broke was paid for, and nobody knows how much
    assert (seen.record.tokens, seen.step.unknown_tokens, seen.record.cost_unknown) == (CALL, 1, 1)


def test_an_edge_holds_what_a_broken_stream_has_brought() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=2)
        server.say("a good text")
        edge = ValidationEdge("writer", check(is_good))
        seen = attached(server, alone_streaming, edge, retry=Retry())
        assert len(server.requests) == 2
    assert (seen.answers, seen.chunks) == (["a good text"], ["a", "good", "text"])
    assert (seen.record.outcome, seen.counts) == ("success.crash_retried", (2, 1, 1, 0))
    assert (seen.step.calls, seen.step.rejects) == (1, 0)


def test_turns_whose_streams_break_end_with_the_clients_own_error() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=1)
        server.cut("a lost text", after=2)
        seen = attached(server, alone_streaming, retry=Retry(max_attempts=2))
        assert len(server.requests) == 2
    assert isinstance(seen.error, BROKEN)
    assert (seen.record.outcome, seen.counts) == ("error.crash", (2, 2, 1, 0))
    assert (seen.record.tokens, seen.record.cost_unknown) == (0, 2)


def test_turns_whose_streams_stand_still_end_as_a_timeout() -> None:
    with OpenAIServer() as server:
        server.hang(text="a lost text", after=1)
        server.hang(text="a lost text", after=1)
        build = lambda make: alone(make, client=make(timeout=0.2), stream=True)
        seen = attached(server, build, retry=Retry(max_attempts=2))
        assert len(server.requests) == 2
    assert isinstance(seen.error, STALLED)
    assert (seen.record.outcome, seen.counts) == ("error.timeout", (2, 2, 1, 0))


def test_a_stream_that_breaks_without_a_retry_is_not_begun_again() -> None:
    with OpenAIServer() as server:
        server.cut("a lost text", after=1)
        seen = attached(server, alone_streaming)
        assert len(server.requests) == 1
    assert isinstance(seen.error, BROKEN)
    assert seen.counts == (1, 1, 0, 0)


# ------------------------------------------------------------------ tools


class Weather:
    """A tool that counts its calls."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def team(self, make: Make, stream: bool) -> RoundRobinGroupChat:
        async def weather(city: str) -> str:
            """The weather."""
            self.cities.append(city)
            return f"rain in {city}"

        settings: dict[str, Any] = {"tools": [weather], "reflect_on_tool_use": True}
        return alone(make, stream=stream, **settings)


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (False, Reply.fail(500)),
        (True, Reply.fail(500)),
        (False, Reply.cut("a lost text", after=1)),
        (True, Reply.cut("a lost text", after=1)),
    ],
    ids=["whole-500", "stream-500", "whole-cut", "stream-cut"],
)
def test_a_fault_before_the_tool_call_does_not_call_it_twice(stream: bool, fault: Reply) -> None:
    tool = Weather()
    with OpenAIServer() as server:
        server.add(fault, Reply.call("weather", city="Oslo"), Reply.say("a good text"))
        seen = attached(server, lambda make: tool.team(make, stream), retry=Retry())
        assert len(server.requests) == 3
        assert [count(body, TASK) for body in server.requests] == [1, 1, 1]
        assert [count(body, "rain in Oslo") for body in server.requests] == [0, 0, 1]
    assert tool.cities == ["Oslo"]
    assert (seen.answers[-1], seen.record.outcome) == ("a good text", "success.crash_retried")
    assert (seen.counts, seen.record.tokens) == ((2, 1, 1, 0), 2 * CALL)


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (False, Reply.fail(500)),
        (True, Reply.fail(500)),
        (False, Reply.cut("a lost text", after=1)),
        (True, Reply.cut("a lost text", after=0)),
    ],
    ids=["whole-500", "stream-500", "whole-cut", "stream-cut"],
)
def test_a_fault_after_the_tool_call_repeats_the_call_of_the_model_alone(
    stream: bool, fault: Reply
) -> None:
    tool = Weather()
    with OpenAIServer() as server:
        server.add(Reply.call("weather", city="Oslo"), fault, Reply.say("a good text"))
        seen = attached(server, lambda make: tool.team(make, stream), retry=Retry())
        assert len(server.requests) == 3
        assert [count(body, "rain in Oslo") for body in server.requests] == [0, 1, 1]
    assert tool.cities == ["Oslo"]
    assert (seen.answers[-1], seen.record.outcome) == ("a good text", "success.crash_retried")
    assert (seen.counts, seen.record.tokens) == ((2, 1, 1, 0), 2 * CALL)


def test_a_stream_that_breaks_after_the_tool_call_repeats_the_whole_turn() -> None:
    tool = Weather()
    with OpenAIServer() as server:
        call = Reply.call("weather", city="Oslo")
        server.add(call, Reply.cut("a lost text", after=1), call, Reply.say("a good text"))
        seen = attached(server, lambda make: tool.team(make, True), retry=Retry())
        assert len(server.requests) == 4
        # the second try begins from what the agent knew before its turn
        assert [count(body, TASK) for body in server.requests] == [1, 1, 1, 1]
        assert [count(body, "rain in Oslo") for body in server.requests] == [0, 1, 0, 1]
    assert tool.cities == ["Oslo", "Oslo"]
    assert (seen.answers[-1], seen.record.outcome) == ("a good text", "success.crash_retried")
    assert (seen.counts, seen.record.tokens) == ((2, 1, 1, 0), 3 * CALL)
    assert seen.record.cost_unknown == 1


# ------------------------------------------------------------------ usage


@BOTH
def test_missing_usage_is_unknown_and_not_nothing(stream: bool) -> None:
    with OpenAIServer() as server:
        server.say("a good text", usage=None)
        seen = attached(server, alone_streaming if stream else alone, retry=Retry())
    assert seen.record.outcome == "success.first_pass"
    assert (seen.record.tokens, seen.step.unknown_tokens) == (0, 1)
    assert (seen.record.cost, seen.record.cost_unknown) == (0, 1)


def test_a_stream_that_nobody_asked_for_its_usage_is_unknown() -> None:
    with OpenAIServer() as server:
        server.say("a good text")
        seen = attached(server, lambda make: alone(make, client=make(), stream=True))
        assert "stream_options" not in server.requests[0]
    assert (seen.record.tokens, seen.step.unknown_tokens, seen.record.cost_unknown) == (0, 1, 1)


@BOTH
@pytest.mark.parametrize("limit", ["max_tokens", "max_cost_usd"])
def test_a_budget_that_cannot_be_measured_ends_the_run(stream: bool, limit: str) -> None:
    with OpenAIServer() as server:
        server.say("a good text", usage=None)
        build = alone_streaming if stream else alone
        seen = attached(server, build, retry=Retry(), budget=Budget(**{limit: 1000}))
        assert len(server.requests) == 1
    assert type(seen.error) is UsageUnavailableError
    assert seen.record.outcome == "error.budget"
    assert (seen.counts, seen.step.unknown_tokens) == ((1, 1, 0, 0), 1)


def test_a_budget_in_tokens_counts_what_the_server_says() -> None:
    def build(make: Make) -> Any:
        ends = MaxMessageTermination(4)
        return RoundRobinGroupChat([writer(make)], termination_condition=ends)

    with OpenAIServer() as server:
        server.fail(500)
        server.say("one", usage=(60, 30))
        server.say("two", usage=(5, 5))
        seen = attached(server, build, retry=Retry(), budget=Budget(max_tokens=100))
        assert len(server.requests) == 3
    assert type(seen.error).__name__ == "BudgetExceededError"
    assert (seen.record.outcome, seen.record.tokens) == ("error.budget", 100)


# ------------------------------------------------------------------ 401 and fallbacks


@BOTH
def test_a_key_that_is_refused_is_not_tried_again(stream: bool) -> None:
    with OpenAIServer() as server:
        server.fail(401, "bad key")
        seen = attached(server, alone_streaming if stream else alone, retry=Retry())
        assert len(server.requests) == 1
    assert type(seen.error) is openai.AuthenticationError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (1, 1, 0, 0))


@BOTH
def test_a_team_asks_another_client_when_a_key_is_refused(stream: bool) -> None:
    with OpenAIServer() as server:
        server.fail(401, "bad key")
        server.say("a good text")
        other = lambda make: Retry(fallbacks=[make(model="gpt-4o", **USAGE)])
        seen = attached(server, alone_streaming if stream else alone, retry=other)
        assert models(server) == ["gpt-4o-mini", "gpt-4o"]
        assert [count(body, TASK) for body in server.requests] == [1, 1]
    assert (seen.answers, seen.waits) == (["a good text"], [])
    assert (seen.record.outcome, seen.counts) == ("success.fallback", (2, 1, 0, 1))
    assert (seen.record.tokens, seen.step.cost_fallback, seen.step.cost_first) == (CALL, CALL, 0)


@BOTH
def test_a_client_asks_another_one_when_a_key_is_refused(stream: bool) -> None:
    with OpenAIServer() as server:
        server.fail(401, "bad key")
        server.say("a good text")
        other = lambda make: Retry(fallbacks=[make(model="gpt-4o")])
        seen = ask(server, other, stream=stream)
        assert models(server) == ["gpt-4o-mini", "gpt-4o"]
    assert seen.result is not None
    assert (seen.result.content, seen.waits) == ("a good text", [])


def test_a_fallback_gets_as_many_tries_and_raises_its_own_error() -> None:
    with OpenAIServer() as server:
        for status in (500, 500, 429, 429):
            server.fail(status)
        other = lambda make: Retry(max_attempts=2, fallbacks=[make(model="gpt-4o", max_retries=2)])
        seen = attached(server, alone, retry=other)
        assert models(server) == ["gpt-4o-mini"] * 2 + ["gpt-4o"] * 2
    assert type(seen.error) is openai.RateLimitError
    assert (seen.record.outcome, seen.counts) == ("error.crash", (4, 4, 2, 1))


def test_a_clients_fallback_gets_as_many_tries_and_raises_its_own_error() -> None:
    with OpenAIServer() as server:
        for status in (500, 500, 429, 429):
            server.fail(status)
        other = lambda make: Retry(max_attempts=2, fallbacks=[make(model="gpt-4o", max_retries=2)])
        seen = ask(server, other)
        assert models(server) == ["gpt-4o-mini"] * 2 + ["gpt-4o"] * 2
    assert type(seen.error) is openai.RateLimitError


def test_a_call_after_the_tools_asks_the_first_client_again() -> None:
    tool = Weather()
    with OpenAIServer() as server:
        server.fail(401, "bad key")
        server.call("weather", city="Oslo")
        server.say("a good text")
        other = lambda make: Retry(fallbacks=[make(model="gpt-4o")])
        seen = attached(server, lambda make: tool.team(make, False), retry=other)
        assert models(server) == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
    assert tool.cities == ["Oslo"]
    assert (seen.record.outcome, seen.counts) == ("success.fallback", (2, 1, 0, 1))
    assert seen.record.tokens == 2 * CALL


def test_a_fallback_that_is_no_client_is_refused() -> None:
    with OpenAIServer() as server:

        def refused(make: Make) -> Retry:
            with pytest.raises(PolicyError, match="is no ChatCompletionClient"):
                RetryingChatCompletionClient(make(), Retry(fallbacks=["editor"]))
            return Retry()

        server.say("a good text")
        assert ask(server, refused).error is None


# ------------------------------------------------------------------ Selector


MANAGER = "SelectorGroupChatManager"
SELECTS = "role play game"
"""What stands in the selector's prompt alone."""


def selecting(make: Make, **settings: Any) -> SelectorGroupChat:
    """A team whose manager asks a model of its own who speaks next."""
    client = make(max_retries=2)
    agents = [
        AssistantAgent("reader", client, description="reads", system_message="You are READER."),
        AssistantAgent("writer", client, description="writes", system_message="You are WRITER."),
        AssistantAgent("editor", client, description="edits", system_message="You are EDITOR."),
    ]
    ends = TextMentionTermination("APPROVED", sources=["editor"])
    client = make(max_retries=2, **USAGE)
    return SelectorGroupChat(agents, client, termination_condition=ends, **settings)


def agents_say(server: OpenAIServer) -> None:
    server.script(
        {
            "READER": [Reply.say("facts", usage=(1, 1))],
            "WRITER": [Reply.say("text", usage=(2, 2))],
            "EDITOR": [Reply.say("good. APPROVED", usage=(4, 4))],
        }
    )


def choice(name: str, used: int) -> Reply:
    return Reply.say(name, usage=(used, used))


def test_a_selectors_calls_count() -> None:
    with OpenAIServer() as server:
        server.script({SELECTS: [choice("reader", 8), choice("writer", 16), choice("editor", 32)]})
        agents_say(server)
        seen = attached(server, selecting, retry=Retry())
        assert len(server.requests) == 6
    assert seen.answers == ["facts", "text", "good. APPROVED"]
    assert (seen.record.outcome, seen.record.tokens) == ("success.first_pass", 2 * 63)
    assert seen.record.cost == 2 * 63


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_selectors_call_is_made_again(failing: int) -> None:
    choices = [choice("reader", 8), choice("writer", 16), choice("editor", 32)]
    choices[failing:failing] = [Reply.fail(500), Reply.fail(429, retry_after="5")]
    with OpenAIServer() as server:
        server.script({SELECTS: choices})
        agents_say(server)
        seen = attached(server, selecting, retry=Retry(max_attempts=3))
        assert len(server.requests) == 8
    assert seen.answers == ["facts", "text", "good. APPROVED"]
    assert (seen.error, seen.waits) == (None, [0.5, 5.0])
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", 2 * 63)
    manager = seen.record.steps[MANAGER]
    assert (manager.executions, manager.errors, manager.retries) == (3, 2, 2)
    assert seen.counts == (1, 0, 0, 0)


@pytest.mark.parametrize("fault", [Reply.fail(500), Reply.cut("reader", after=0)])
def test_a_selectors_streamed_call_is_made_again(fault: Reply) -> None:
    with OpenAIServer() as server:
        choices = [fault, choice("reader", 8), choice("writer", 16), choice("editor", 32)]
        server.script({SELECTS: choices})
        agents_say(server)
        build = lambda make: selecting(make, model_client_streaming=True)
        seen = attached(server, build, retry=Retry())
        assert len(server.requests) == 7
    assert seen.answers == ["facts", "text", "good. APPROVED"]
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", 2 * 63)
    manager = seen.record.steps[MANAGER]
    assert (manager.executions, manager.errors, manager.retries) == (2, 1, 1)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_selector_that_fails_for_good_ends_the_run(before: int) -> None:
    agents = ["READER", "WRITER", "EDITOR"]
    with OpenAIServer() as server:
        said = [choice("reader", 8), choice("writer", 16), choice("editor", 32)][:before]
        server.script({SELECTS: [*said, Reply.fail(500), Reply.fail(500)]})
        server.script({name: [Reply.say("x", usage=(1, 1))] for name in agents[:before]})
        seen = attached(server, selecting, retry=Retry(max_attempts=2))
        assert len(server.requests) == 2 * before + 2
    assert type(seen.error) is openai.InternalServerError
    assert (seen.record.outcome, seen.record.lost_at) == ("error.crash", MANAGER)
    assert seen.record.tokens == sum(2 * (8 << n) for n in range(before)) + 2 * before
    manager = seen.record.steps[MANAGER]
    assert (manager.executions, manager.errors, manager.retries) == (2, 2, 1)


def test_a_selector_without_a_retry_keeps_the_sdks_own() -> None:
    with OpenAIServer() as server:
        failing = [Reply.fail(500, retry_after="0.01")] * 2
        choices = [choice("reader", 8), choice("writer", 16), choice("editor", 32)]
        server.script({SELECTS: failing + choices})
        agents_say(server)
        seen = attached(server, selecting)
        assert len(server.requests) == 8
    assert (seen.record.outcome, seen.waits) == ("success.first_pass", [])
    assert MANAGER not in seen.record.steps  # nothing was repeated
    assert seen.record.steps["(outside steps)"].errors == 0


def test_a_selector_asks_another_client_when_its_key_is_refused() -> None:
    with OpenAIServer() as server:
        choices = [choice("reader", 8), choice("writer", 16), choice("editor", 32)]
        server.script({SELECTS: [Reply.fail(401), *choices]})
        agents_say(server)
        other = lambda make: Retry(fallbacks=[make(model="gpt-4o")])
        seen = attached(server, selecting, retry=other)
        assert models(server).count("gpt-4o") == 1
        assert len(server.requests) == 7
    assert (seen.record.outcome, seen.record.tokens) == ("success.fallback", 2 * 63)


def test_agents_and_their_selector_are_counted_together() -> None:
    with OpenAIServer() as server:
        choices = [Reply.fail(500), choice("reader", 8), choice("writer", 16), choice("editor", 32)]
        server.script({SELECTS: choices})
        texts = [Reply.fail(429, retry_after="3"), Reply.say("text", usage=(2, 2))]
        server.script({"WRITER": texts})
        server.script({"READER": [Reply.say("facts", usage=(1, 1))]})
        server.script({"EDITOR": [Reply.say("good. APPROVED", usage=(4, 4))]})
        seen = attached(server, selecting, retry=Retry())
        assert len(server.requests) == 8
    assert seen.waits == [0.5, 3.0]
    assert (seen.record.outcome, seen.record.tokens) == ("success.crash_retried", 2 * 63)
    assert seen.counts == (2, 1, 1, 0)
    assert seen.record.steps[MANAGER].errors == 1
