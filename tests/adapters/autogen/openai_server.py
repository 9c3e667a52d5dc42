"""A local stand-in for OpenAI's API: AutoGen's own client talks to it in tests."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import logging
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("autogen_ext")

import openai
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

Body = dict[str, Any]
JSON = "application/json"
TOKENS_IN, TOKENS_OUT = 11, 7
"""What a reply says that it used, unless told otherwise."""
SNAPSHOTS = {"gpt-4o-mini": "gpt-4o-mini-2024-07-18", "gpt-4o": "gpt-4o-2024-08-06"}
"""The model that answers for a short name; the client warns of any other."""

_HTTP = [importlib.import_module(n) for n in ("httpx", "httpx2") if importlib.util.find_spec(n)]
BROKEN = (openai.APIConnectionError, *(h.RemoteProtocolError for h in _HTTP))
STALLED = (openai.APITimeoutError, *(h.ReadTimeout for h in _HTTP))
"""What a stream raises in its middle: openai 2 passes on httpx's error, 3 (later) wraps it."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer of the server. The server has a method for each of the kinds below."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()  # names of tools, and their arguments as JSON
    usage: tuple[int, int] | None = (TOKENS_IN, TOKENS_OUT)
    status: int = 200
    retry_after: str | None = None
    raw: str | None = None  # what stands where the JSON should be
    after: int | None = None  # the connection breaks after so many words
    seconds: float = 0  # how long nothing comes before it breaks

    @classmethod
    def say(cls, text: str, **more: Any) -> Reply:
        """A text, with `usage=` of its own; word by word where a stream is asked for."""
        return cls(text=text, **more)

    @classmethod
    def call(cls, name: str, /, **arguments: Any) -> Reply:
        """A call of one tool."""
        return cls(calls=((name, json.dumps(arguments)),))

    @classmethod
    def fail(cls, status: int, text: str = "no luck", *, retry_after: str | None = None) -> Reply:
        """An HTTP error with OpenAI's body."""
        return cls(status=status, text=text, retry_after=retry_after)

    @classmethod
    def malformed(cls, raw: str = '{"choices": [') -> Reply:
        """A success whose body (or stream's first event) is no JSON, or the page of a gateway."""
        return cls(raw=raw)

    @classmethod
    def hang(cls, seconds: float = 60, text: str = "", *, after: int = 0) -> Reply:
        """Nothing comes, or nothing more after some words of a stream; then it breaks."""
        return cls(text=text, after=after, seconds=seconds)

    @classmethod
    def cut(cls, text: str, *, after: int) -> Reply:
        """The connection breaks: a stream after some words, a body in its middle."""
        return cls(text=text, after=after)


def queued(make: Callable[..., Reply]) -> Callable[..., None]:
    """A server's method that queues what `make` makes."""

    @functools.wraps(make)
    def method(self: OpenAIServer, /, *args: Any, **more: Any) -> None:
        self.add(make(*args, **more))

    return method


class OpenAIServer(HTTPServer):
    """Plays replies in their order, and remembers every request.

    Strict: a request that nobody queued a reply for, or that OpenAI's API does not have, gets a
    500, and the end of the `with` block raises an AssertionError that names it.
    """

    say, call, fail = queued(Reply.say), queued(Reply.call), queued(Reply.fail)
    malformed, hang, cut = queued(Reply.malformed), queued(Reply.hang), queued(Reply.cut)

    def __init__(self) -> None:
        super().__init__("127.0.0.1", threaded=True)
        self.requests: list[Body] = []
        self._queues: dict[str, deque[Reply]] = {"": deque()}
        self._decide: Callable[[Body], Reply | None] = lambda body: None
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._env = pytest.MonkeyPatch()

    @property
    def url(self) -> str:
        """The client's `base_url`."""
        return self.url_for("/v1")

    @property
    def left(self) -> int:
        """How many queued replies nobody has asked for."""
        return sum(len(queue) for queue in self._queues.values())

    def client(self, model: str = "gpt-4o-mini", **more: Any) -> OpenAIChatCompletionClient:
        """AutoGen's own client; the caller closes it. It tries once, and waits a second."""
        settings = {"base_url": self.url, "api_key": "test", "max_retries": 0, "timeout": 1.0}
        return OpenAIChatCompletionClient(model=model, **{**settings, **more})

    def add(self, *replies: Reply) -> None:
        """Queue replies."""
        self._queues[""].extend(replies)

    def script(self, plan: Callable[[Body], Reply | None] | Mapping[str, Iterable[Reply]]) -> None:
        """Reply by request: a function of its body (None: the queue), or queues by agent.

        A queue's key is a text that stands in the system message of that agent alone.
        """
        if callable(plan):
            self._decide = plan
            return
        for key, replies in plan.items():
            self._queues.setdefault(key, deque()).extend(replies)

    def start(self) -> None:
        self._env.setenv("no_proxy", "*")  # httpx would ask a proxy even for this machine
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would log each request
        super().start()

    def thread_target(self) -> None:
        assert self.server is not None
        self.server.daemon_threads = False  # so that closing waits for the handlers
        self.server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        """Stop, and raise an AssertionError that names what nobody expected."""
        self._closing.set()
        if self.is_running():
            self.stop()
        self._env.undo()
        found, self.assertions = self.assertions, []
        if found:
            raise AssertionError("\n".join(map(str, found)))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        # what the test itself raised says more
        with contextlib.suppress(*([AssertionError] if error else [])):
            self.close()

    def dispatch(self, request: Request) -> Response:
        body = request.get_json(silent=True)
        with self._lock:
            self.requests.extend([body] if isinstance(body, dict) else [])
            tag = str(len(self.requests))
            try:
                _check(request, body)
                reply = self._take(body)
            except Exception as error:
                about = f"{request.method} {request.path}: {type(error).__name__}: {error}"
                self.add_assertion(f"{about}, of {request.get_data(as_text=True)[:500]}")
                reply = Reply.fail(500, about)
        return self._answer(reply, body, tag, request.environ["werkzeug.socket"])

    def _take(self, body: Body) -> Reply:
        reply = self._decide(body)
        if reply is None:
            told = "\n".join(str(m["content"]) for m in body["messages"] if m["role"] == "system")
            key = next((k for k in self._queues if k and k in told), "")
            assert self._queues[key], f"nothing is queued{key and ' for '}{key}"
            reply = self._queues[key].popleft()
        assert isinstance(reply, Reply), f"{reply!r} is no Reply"
        return reply

    def _answer(self, reply: Reply, body: Body, tag: str, line: socket.socket) -> Response:
        if reply.status != 200:
            return _error(reply)
        if (reply.raw or "").startswith("<"):
            return Response(reply.raw, mimetype="text/html")
        if reply.seconds and not (reply.after and body.get("stream")):
            self._break(reply, line)
        if body.get("stream"):
            return Response(self._events(reply, body, tag, line), mimetype="text/event-stream")
        whole = json.dumps(_completion(reply, body, tag)) if reply.raw is None else reply.raw
        full = whole.encode()
        sent = full if reply.after is None else full[: len(full) // 2]
        # a list, as of bytes alone werkzeug would tell the true length
        return Response([sent], headers={"Content-Length": str(len(full))}, mimetype=JSON)

    def _events(self, reply: Reply, body: Body, tag: str, line: socket.socket) -> Iterator[str]:
        chunks = map(json.dumps, _chunks(reply, body, tag)) if reply.raw is None else [reply.raw]
        for chunk in chunks:
            yield f"data: {chunk}\n\n"
        if reply.after is not None:
            self._break(reply, line)
        yield "data: [DONE]\n\n"

    def _break(self, reply: Reply, line: socket.socket) -> None:
        self._closing.wait(reply.seconds)
        with contextlib.suppress(OSError):  # the client may have hung up first
            line.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError  # werkzeug says no more on this connection


def _check(request: Request, body: Any) -> None:
    assert (request.method, request.path) == ("POST", "/v1/chat/completions"), "no such endpoint"
    assert isinstance(body, dict), "the body is no JSON object"
    assert isinstance(body.get("model"), str), "no model"
    assert body.get("messages"), "no messages"


def _error(reply: Reply) -> Response:
    kind = "invalid_request_error" if reply.status < 500 else "server_error"
    code = {401: "invalid_api_key", 429: "rate_limit_exceeded"}.get(reply.status)
    body = {"error": {"message": reply.text, "type": kind, "param": None, "code": code}}
    headers = {} if reply.retry_after is None else {"Retry-After": reply.retry_after}
    return Response(json.dumps(body), reply.status, headers, mimetype=JSON)


def _with_usage(found: Body, reply: Reply) -> Body:
    given, made = reply.usage or (0, 0)
    usage = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    return found if reply.usage is None else {**found, "usage": usage}


def _head(body: Body, tag: str, kind: str) -> Body:
    model = SNAPSHOTS.get(body["model"], body["model"])
    return {"id": f"chatcmpl-{tag}", "object": kind, "created": 1_700_000_000, "model": model}


def _end(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _calls(reply: Reply, tag: str) -> list[Body]:
    return [
        {"id": f"call_{tag}_{n}", "type": "function", "function": {"name": name, "arguments": text}}
        for n, (name, text) in enumerate(reply.calls)
    ]


def _completion(reply: Reply, body: Body, tag: str) -> Body:
    message: Body = {"role": "assistant", "content": None if reply.calls else reply.text}
    message |= {"tool_calls": _calls(reply, tag)} if reply.calls else {}
    choice = {"index": 0, "message": message, "finish_reason": _end(reply)}
    return _with_usage({**_head(body, tag, "chat.completion"), "choices": [choice]}, reply)


def _chunks(reply: Reply, body: Body, tag: str) -> Iterator[Body]:
    """What the events of a stream hold."""
    counted = (body.get("stream_options") or {}).get("include_usage")
    head = _head(body, tag, "chat.completion.chunk") | ({"usage": None} if counted else {})

    def chunk(delta: Body, end: str | None = None) -> Body:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}

    yield chunk({"role": "assistant", "content": ""})
    for word in re.findall(r"\s*\S+|\s+$", reply.text)[: reply.after]:
        yield chunk({"content": word})
    for n, call in enumerate(_calls(reply, tag)):
        text = call["function"]["arguments"]
        begun = {**call, "index": n, "function": {**call["function"], "arguments": text[:3]}}
        yield chunk({"tool_calls": [begun]})
        yield chunk({"tool_calls": [{"index": n, "function": {"arguments": text[3:]}}]})
    if reply.after is None:
        yield chunk({}, _end(reply))
        if counted and reply.usage is not None:
            yield _with_usage({**head, "choices": []}, reply)
