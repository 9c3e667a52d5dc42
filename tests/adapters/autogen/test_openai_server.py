"""The local stand-in for OpenAI's API, by what AutoGen's own client makes of it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import threading
import time
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

import openai
import tiktoken
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core.models import CreateResult, SystemMessage, UserMessage

from .openai_server import BROKEN, STALLED, TOKENS_IN, TOKENS_OUT, OpenAIServer, Reply

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def asked(client: Any, text: str, told: str, stream: bool, **more: Any) -> list[Any]:
    """The result, and before it the words of a stream."""
    messages = [SystemMessage(content=told), UserMessage(content=text, source="user")]
    if not stream:
        return [await client.create(messages, **more)]
    return [part async for part in client.create_stream(messages, **more)]


def ask(
    server: OpenAIServer,
    *,
    stream: bool = False,
    told: str = "Be brief.",
    words: list[str] | None = None,
    counted: bool = True,
    **settings: Any,
) -> CreateResult:
    """One request of a new client; `words` gets what a stream has brought."""

    async def main() -> CreateResult:
        client = server.client(**settings)
        more = {"include_usage": True} if stream and counted else {}
        try:
            *found, result = await asked(client, "hi", told, stream, **more)
        finally:
            await client.close()
        if words is not None:
            words.extend(found)
        return result

    return asyncio.run(main())


def send(
    server: OpenAIServer, body: str = "", path: str = "chat/completions", method: str = "POST"
) -> int:
    """A request that the client would not send; the status of its answer."""
    line = http.client.HTTPConnection(server.host, server.port, timeout=10)
    line.request(method, f"/v1/{path}", body, {"Content-Type": "application/json"})
    answer = line.getresponse()
    answer.read()
    line.close()
    return answer.status


def used(result: CreateResult) -> tuple[int, int]:
    return result.usage.prompt_tokens, result.usage.completion_tokens


# ------------------------------------------------------------------ replies


def test_a_text() -> None:
    with OpenAIServer() as server:
        server.say("hello there")
        server.say("never asked for")
        result = ask(server)
        assert (result.content, result.finish_reason) == ("hello there", "stop")
        assert used(result) == (TOKENS_IN, TOKENS_OUT)
        assert server.left == 1
    (body,) = server.requests
    assert body["model"] == "gpt-4o-mini"
    assert [m["content"] for m in body["messages"]] == ["Be brief.", "hi"]


@pytest.mark.parametrize("text", ["one", "one two  three ", " one\n\ntwo", "ø → 3"])
def test_a_stream_comes_word_by_word(text: str) -> None:
    words: list[str] = []
    with OpenAIServer() as server:
        server.say(text)
        result = ask(server, stream=True, words=words)
    assert (result.content, result.finish_reason) == (text, "stop")
    assert "".join(words) == text
    assert [w.strip() for w in words if w.strip()] == text.split()
    assert used(result) == (TOKENS_IN, TOKENS_OUT)


@BOTH
def test_usage_can_be_told_and_left_out(stream: bool) -> None:
    with OpenAIServer() as server:
        server.say("x", usage=(3, 4))
        server.say("x", usage=None)
        assert used(ask(server, stream=stream)) == (3, 4)
        assert used(ask(server, stream=stream)) == (0, 0)


def test_a_stream_tells_its_usage_to_who_asks() -> None:
    with OpenAIServer() as server:
        server.say("x")
        server.say("x")
        assert used(ask(server, stream=True, counted=False)) == (0, 0)
        options = {"include_usage": True}
        told = ask(server, stream=True, counted=False, stream_options=options)
        assert used(told) == (TOKENS_IN, TOKENS_OUT)


@BOTH
def test_tool_calls(stream: bool) -> None:
    with OpenAIServer() as server:
        server.call("get_weather", name="x", city="Oslo")
        server.add(Reply(calls=(("a", "{}"), ("b", '{"broken": ')), usage=(1, 2)))
        one, two = ask(server, stream=stream), ask(server, stream=stream)
    assert (one.finish_reason, used(one)) == ("function_calls", (TOKENS_IN, TOKENS_OUT))
    (call,) = one.content
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"name": "x", "city": "Oslo"})
    assert [(c.name, c.arguments) for c in two.content] == [("a", "{}"), ("b", '{"broken": ')]
    assert len({c.id for c in [*one.content, *two.content]}) == 3
    assert used(two) == (1, 2)


# ------------------------------------------------------------------ faults


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, openai.BadRequestError, None),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (503, openai.InternalServerError, None),
    ],
)
def test_an_http_error(stream: bool, status: int, kind: type, code: str | None) -> None:
    with OpenAIServer() as server:
        server.fail(status, "too much", retry_after="0.1")
        with pytest.raises(kind, match="too much") as caught:
            ask(server, stream=stream)
        assert len(server.requests) == 1
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.response.headers["retry-after"] == "0.1"


def test_the_client_tries_again_only_when_told() -> None:
    with OpenAIServer() as server:
        server.fail(429, retry_after="0.01")
        server.say("now")
        assert ask(server, max_retries=1).content == "now"
        assert len(server.requests) == 2


@BOTH
@pytest.mark.parametrize("raw", [[], [""], ["ø"]], ids=["half", "empty", "text"])
def test_no_json(stream: bool, raw: list[str]) -> None:
    with OpenAIServer() as server:
        server.malformed(*raw)
        with pytest.raises(json.JSONDecodeError):
            ask(server, stream=stream)


def test_the_page_of_a_gateway() -> None:
    with OpenAIServer() as server:
        server.malformed("<html>bad gateway</html>")
        server.malformed("<html>bad gateway</html>")
        with pytest.raises(AttributeError, match="'str' object has no attribute 'usage'"):
            ask(server)
        with pytest.warns(UserWarning, match="Model returned empty result"):
            assert ask(server, stream=True).content == ""


def test_an_error_inside_a_stream() -> None:
    with OpenAIServer() as server:
        server.malformed('{"error": {"message": "overloaded"}}')
        with pytest.raises(openai.APIError, match="overloaded") as caught:
            ask(server, stream=True)
    assert type(caught.value) is openai.APIError


@BOTH
def test_no_answer(stream: bool) -> None:
    start = time.monotonic()
    with OpenAIServer() as server:
        server.hang(30)
        with pytest.raises(openai.APITimeoutError):
            ask(server, stream=stream, timeout=0.1)
    assert time.monotonic() - start < 10


def test_an_answer_that_takes_too_long_for_the_server_too() -> None:
    with OpenAIServer() as server:
        server.hang(0.01)
        with pytest.raises(openai.APIConnectionError) as caught:
            ask(server)
    assert type(caught.value) is openai.APIConnectionError


def test_a_stream_that_stands_still() -> None:
    with OpenAIServer() as server:
        server.hang(30, "some text that", after=2)
        with pytest.raises(STALLED):
            ask(server, stream=True, timeout=0.3)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stream_that_breaks(after: int) -> None:
    words: list[str] = []

    async def main(server: OpenAIServer) -> None:
        client = server.client()
        try:
            async for part in client.create_stream([UserMessage(content="hi", source="user")]):
                words.append(part)  # noqa: PERF401 - those before the break count
        finally:
            await client.close()

    with OpenAIServer() as server:
        server.cut("some text that", after=after)
        with pytest.raises(BROKEN) as caught:
            asyncio.run(main(server))
    assert words == ["some", " text"][:after]
    assert "RemoteProtocolError" in repr((caught.value, caught.value.__cause__))


def test_a_body_that_breaks() -> None:
    with OpenAIServer() as server:
        server.cut("some text that", after=2)
        with pytest.raises(openai.APIConnectionError) as caught:
            ask(server)
    assert isinstance(caught.value.__cause__, BROKEN)


# ------------------------------------------------------------------ scripts


def test_a_function_replies() -> None:
    def by_request(body: dict[str, Any]) -> Reply | None:
        told = body["messages"][0]["content"]
        return None if told == "queue" else Reply.say(f"{told}!")

    with OpenAIServer() as server:
        server.script(by_request)
        server.say("queued")
        assert [ask(server, told=t).content for t in ("a", "queue", "b")] == ["a!", "queued", "b!"]


def test_queues_by_agent() -> None:
    with OpenAIServer() as server:
        server.script({"the writer": [Reply.say("w1"), Reply.say("w2")]})
        server.script({"the reader": [Reply.say("r1")]})
        server.say("other")
        assert server.left == 4
        told = ("You are the reader", "You are the writer", "Be brief.", "You are the writer")
        assert [ask(server, told=t).content for t in told] == ["r1", "w1", "other", "w2"]
        assert server.left == 0


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ({"the writer": []}, "nothing is queued for the writer"),
        (lambda body: "a text", "'a text' is no Reply"),
        (lambda body: {}["x"], "KeyError"),
    ],
)
def test_a_script_that_has_no_reply(plan: Any, complaint: str) -> None:
    server = OpenAIServer()
    server.start()
    server.script(plan)
    with pytest.raises(openai.InternalServerError, match=complaint):
        ask(server, told="You are the writer")
    with pytest.raises(AssertionError, match=complaint):
        server.close()


# ------------------------------------------------------------------ agents


def test_a_team_with_a_tool_and_a_handoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiktoken, "get_encoding", None)  # it would download a vocabulary
    monkeypatch.setattr(tiktoken, "encoding_for_model", None)

    async def weather(city: str) -> str:
        """The weather."""
        return f"rain in {city}"

    async def main(server: OpenAIServer) -> Any:
        client = server.client()
        settings: dict[str, Any] = {"tools": [weather], "handoffs": ["writer"]}
        reader = AssistantAgent("reader", client, system_message="the reader", **settings)
        settings = {"handoffs": ["user"], "model_client_stream": True}
        writer = AssistantAgent("writer", client, system_message="the writer", **settings)
        try:
            until = HandoffTermination("user") | MaxMessageTermination(20)
            return await Swarm([reader, writer], termination_condition=until).run(task="go")
        finally:
            await client.close()

    with OpenAIServer() as server:
        facts = [Reply.call("weather", city="Oslo"), Reply.call("transfer_to_writer")]
        server.script({"the reader": facts, "the writer": [Reply.call("transfer_to_user")]})
        result = asyncio.run(main(server))
        assert (len(server.requests), server.left) == (3, 0)
    kinds = [type(m).__name__ for m in result.messages]
    assert kinds.count("HandoffMessage") == 2
    assert "rain in Oslo" in json.dumps(server.requests[2])
    assert result.stop_reason == "Handoff to user from writer detected."


def test_copies_of_a_client_reach_the_server_too() -> None:
    async def main(server: OpenAIServer) -> str:
        client = server.client()
        team = RoundRobinGroupChat(
            [AssistantAgent("writer", client)], termination_condition=MaxMessageTermination(2)
        )
        config = team.dump_component()
        copied = RoundRobinGroupChat.load_component(config)
        result = await copied.run(task="go")
        await copied._participants[0]._model_client.close()  # type: ignore[attr-defined]
        await client.close()
        return result.messages[-1].to_text()

    with OpenAIServer() as server:
        server.say("hello")
        assert asyncio.run(main(server)) == "hello"


def test_a_hanging_request_holds_up_no_other() -> None:
    async def main(server: OpenAIServer) -> str:
        client = server.client(timeout=60)
        slow = asyncio.create_task(asked(client, "hi", "slow", False))
        while not server.requests:
            await asyncio.sleep(0.01)
        (fast,) = await asked(client, "hi", "fast", False)
        assert not slow.done()
        slow.cancel()
        await asyncio.wait([slow])
        await client.close()
        return fast.content

    with OpenAIServer() as server:
        server.script({"slow": [Reply.hang()], "fast": [Reply.say("x")]})
        assert asyncio.run(main(server)) == "x"


def test_closing_ends_what_hangs() -> None:
    async def main(server: OpenAIServer) -> None:
        client = server.client(timeout=60)
        slow = asyncio.create_task(asked(client, "hi", "slow", False))
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.close)
        with pytest.raises(openai.APIConnectionError):
            await slow
        await client.close()

    server = OpenAIServer()
    server.start()
    server.hang()
    start = time.monotonic()
    asyncio.run(main(server))
    assert time.monotonic() - start < 10


# ------------------------------------------------------------------ strictness


@BOTH
def test_a_request_that_nobody_expects(stream: bool) -> None:
    def main() -> None:
        with OpenAIServer() as server:
            with pytest.raises(openai.InternalServerError, match="nothing is queued"):
                ask(server, stream=stream)
            assert len(server.requests) == 1

    with pytest.raises(AssertionError, match="nothing is queued.*Be brief"):
        main()


GOOD = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("body", "where", "complaint"),
    [
        (GOOD, {"path": "responses"}, "POST /v1/responses: .*no such endpoint"),
        ("", {"method": "GET"}, "GET .*no such endpoint"),
        ("{", {}, "the body is no JSON object"),
        ([], {}, "the body is no JSON object"),
        ({**GOOD, "model": None}, {}, "no model"),
        ({"model": "m"}, {}, "no messages"),
        ({**GOOD, "messages": []}, {}, "no messages"),
    ],
)
def test_a_request_that_the_api_does_not_have(
    body: Any, where: dict[str, str], complaint: str
) -> None:
    server = OpenAIServer()
    server.start()
    server.say("never")
    assert send(server, body if isinstance(body, str) else json.dumps(body), **where) == 500
    assert server.left == 1
    assert server.requests == ([body] if isinstance(body, dict) else [])
    with pytest.raises(AssertionError, match=complaint):
        server.close()
    server.close()  # it has complained


def test_all_complaints_are_named() -> None:
    server = OpenAIServer()
    server.start()
    send(server, path="one")
    send(server, path="two")
    with pytest.raises(AssertionError, match=r"/v1/one.*\n.*/v1/two"):
        server.close()


def test_what_the_test_raises_comes_first() -> None:
    def main() -> None:
        with OpenAIServer() as server:
            send(server, path="one")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


# ------------------------------------------------------------------ the machine


def test_nothing_is_left_behind() -> None:
    threads = set(threading.enumerate())
    with OpenAIServer() as server:
        server.hang()
        with pytest.raises(openai.APITimeoutError):
            ask(server, timeout=0.1)
        assert set(threading.enumerate()) - threads
    assert not set(threading.enumerate()) - threads
    with pytest.raises(ConnectionRefusedError):
        send(server)


def test_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    with OpenAIServer() as server:
        server.say("hello")
        assert ask(server).content == "hello"
    assert os.environ["no_proxy"] == "example.org"
