"""Tokens, money and limits: every model call of a run, failed and rejected attempts included."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from coord_langgraph import attach
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

from coord_plugins import (
    Budget,
    BudgetExceededError,
    Retry,
    UnpricedModelError,
    UsageUnavailableError,
    ValidationEdge,
    judge,
    schema,
    use_clock,
)
from coord_plugins.testing import FakeClock

from .graphs import Lab
from .models import Scripted, Whole
from .test_topologies import SYNC_AND_ASYNC, quietly_attached

PRICES = {"fake-model": (1_000_000.0, 2_000_000.0)}  # 1 USD per input token, 2 per output token
NO_WAIT = Retry(max_attempts=3, initial_interval=0.0)
HI = {"messages": [HumanMessage("hi")]}


def asking(lab: Lab, model: Any, *, after: Any = None) -> Any:
    """writer asks the model; `after(call)` may raise when the reply is there."""

    def work(state: Any) -> Any:
        lab.calls["writer"] += 1
        reply = model.invoke(state["messages"])
        if after is not None:
            after(lab.calls["writer"])
        return {"messages": [reply]}

    async def awork(state: Any) -> Any:
        lab.calls["writer"] += 1
        reply = await model.ainvoke(state["messages"])
        if after is not None:
            after(lab.calls["writer"])
        return {"messages": [reply]}

    graph = StateGraph(MessagesState)
    graph.add_node("writer", awork if lab.is_async else work)
    graph.add_edge(START, "writer")
    return graph.compile()


def fine(output: Any) -> tuple[bool, str]:
    return "fine" in output["messages"][-1].content, "make it fine"


@SYNC_AND_ASYNC
def test_rejected_and_failed_attempts_and_the_judge(is_async: bool) -> None:
    """Four replies of the writer and three of the judge, each where it belongs."""
    lab = Lab(is_async=is_async)
    model = Whole(replies=["bad", "worse", "bad", "fine"])
    jury = Whole(replies=["no"], usage=(3, 1))

    def lost(call: int) -> None:
        if call == 2:  # the reply came, and was paid for, before the connection broke
            raise ConnectionError("lost")

    def asks(output: Any) -> Any:
        jury.invoke("?")
        return fine(output)

    async def aasks(output: Any) -> Any:
        await jury.ainvoke("?")
        return fine(output)

    edge = ValidationEdge("writer", judge(aasks if is_async else asks), max_attempts=4)
    app = quietly_attached(asking(lab, model, after=lost), edge, retry=NO_WAIT, prices=PRICES)
    lab.run(app, HI)
    writer = app.coord.last.steps["writer"]
    assert (writer.executions, writer.errors, writer.rejects, writer.passes) == (4, 1, 2, 1)
    assert (writer.input_tokens, writer.output_tokens) == (4 * 10 + 3 * 3, 4 * 5 + 3 * 1)
    assert writer.cost_first == 20.0  # 10 in, 5 out at 2 USD
    assert writer.cost_retry == 60.0
    assert writer.cost_validation == 15.0
    assert app.coord.last.cost == 95.0
    assert (app.coord.last.tokens, app.coord.last.cost_unknown) == (72, 0)


@SYNC_AND_ASYNC
def test_missing_usage_is_unknown(is_async: bool) -> None:
    """Not zero: it is counted, and the cost is a lower bound."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(asking(lab, Whole(replies=["fine"], usage=None)), prices=PRICES)
    lab.run(app, HI)
    writer = app.coord.last.steps["writer"]
    assert (writer.unknown_tokens, writer.unknown_cost, writer.input_tokens) == (1, 1, 0)
    assert app.coord.last.cost_unknown == 1


@SYNC_AND_ASYNC
@pytest.mark.parametrize("stream_mode", ["messages", "updates"])
def test_a_streaming_model(stream_mode: str, is_async: bool) -> None:
    """Usage that comes with the last chunk counts once, held or not."""
    lab = Lab(is_async=is_async)
    model = Scripted(replies=["this is bad", "this is fine"])
    app = quietly_attached(asking(lab, model), ValidationEdge("writer", fine), prices=PRICES)
    lab.run(app, HI, stream_mode=stream_mode)
    writer = app.coord.last.steps["writer"]
    assert (writer.input_tokens, writer.output_tokens, app.coord.last.cost) == (20, 10, 40.0)


@SYNC_AND_ASYNC
def test_a_price_table_and_own_prices(is_async: bool) -> None:
    """A known model has a price without being told one; a callable of the user's own wins."""
    lab = Lab(is_async=is_async)
    known = Whole(replies=["fine"], usage=(1_000_000, 0), named="gpt-4o-mini")
    app = quietly_attached(asking(lab, known))
    lab.run(app, HI)
    assert app.coord.last.cost == pytest.approx(0.15)
    app = quietly_attached(asking(lab, known), prices=lambda model, given, made: 3.0)
    lab.run(app, HI)
    assert app.coord.last.cost == 3.0


BUDGETS = [
    (Budget(max_tokens=30), 2, "max_tokens"),
    (Budget(max_cost_usd=40.0), 2, "max_cost_usd"),
    (Budget(max_attempts=3), 3, "max_attempts"),
    (Budget(max_elapsed=10.0), 4, "max_elapsed"),
]


@SYNC_AND_ASYNC
@pytest.mark.parametrize(("budget", "calls", "limit"), BUDGETS, ids=[b[2] for b in BUDGETS])
def test_budgets(budget: Budget, calls: int, limit: str, is_async: bool) -> None:
    """The limit that is reached ends the run before the next execution."""
    lab, clock = Lab(is_async=is_async), FakeClock()
    model = Whole(replies=["bad"])
    edge = ValidationEdge("writer", fine, max_attempts=50)
    slow = lambda call: clock.advance(3.0)
    app = quietly_attached(asking(lab, model, after=slow), edge, budget=budget, prices=PRICES)
    with use_clock(clock), pytest.raises(BudgetExceededError, match=limit):
        lab.run(app, HI)
    assert (lab.calls["writer"], model.calls) == (calls, calls)
    assert app.coord.last.outcome == "error.budget"


@SYNC_AND_ASYNC
def test_a_budget_is_checked_before_each_model_call(is_async: bool) -> None:
    """A node that asks and asks is stopped inside."""
    lab, model = Lab(is_async=is_async), Whole(replies=["bad"])

    def work(state: Any) -> Any:
        while True:
            model.invoke("more")

    async def awork(state: Any) -> Any:
        while True:
            await model.ainvoke("more")

    graph = StateGraph(MessagesState)
    graph.add_node("writer", awork if is_async else work)
    graph.add_edge(START, "writer")
    app = quietly_attached(graph.compile(), budget=Budget(max_tokens=40), retry=NO_WAIT)
    with pytest.raises(BudgetExceededError):
        lab.run(app, HI)
    assert model.calls == 3


@SYNC_AND_ASYNC
def test_a_spent_budget_with_a_way_out(is_async: bool) -> None:
    """`Budget(otherwise=)`: a node takes over, and the run ends normally."""
    lab = Lab(is_async=is_async)
    graph = asking(lab, Whole(replies=["bad"])).builder
    graph.add_node("desk", lab.node("desk", lambda s, n: {"messages": ["a person will answer"]}))
    edge = ValidationEdge("writer", fine, max_attempts=50)
    budget = Budget(max_tokens=30, otherwise="desk")
    app = quietly_attached(graph.compile(), edge, budget=budget)
    out = lab.run(app, HI)
    assert lab.calls == {"writer": 2, "desk": 1}
    assert [m.content for m in out["messages"]] == ["hi", "a person will answer"]


@SYNC_AND_ASYNC
@pytest.mark.parametrize(
    ("model", "budget", "error"),
    [
        (Whole(replies=["bad"], named="no-such-model"), {"max_cost_usd": 1.0}, UnpricedModelError),
        (Whole(replies=["bad"], usage=None), {"max_cost_usd": 1.0}, UsageUnavailableError),
        (Whole(replies=["bad"], usage=None), {"max_tokens": 1}, UsageUnavailableError),
    ],
)
def test_what_cannot_be_measured_is_an_error_at_the_first_reply(
    model: Any, budget: Any, error: Any, is_async: bool
) -> None:
    """A budget that could never fire is no budget."""
    lab, model = Lab(is_async=is_async), model.model_copy()
    edge = ValidationEdge("writer", fine, max_attempts=9)
    app = quietly_attached(asking(lab, model), edge, budget=Budget(**budget), retry=NO_WAIT)
    with pytest.raises(error):
        lab.run(app, HI)
    assert model.calls == 1
    assert app.coord.last.outcome == "error.budget"


class Provider(ThreadingHTTPServer):
    """An OpenAI-compatible server on loopback that answers from a script."""

    daemon_threads = True

    def __init__(self, replies: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.replies = replies
        self.bodies: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answering(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        self.server.bodies.append(json.loads(self.rfile.read(size)))
        status, payload = self.server.replies[len(self.server.bodies) - 1]
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if status == 429:
            self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def completion(content: str, *, usage: bool = True) -> tuple[int, dict[str, Any]]:
    """A chat completion as OpenAI sends it."""
    body: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": content},
            }
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    return 200, body


@pytest.fixture
def provide() -> Iterator[Any]:
    """Starts servers, and stops them at the end."""
    started: list[Provider] = []

    def start(*replies: Any) -> tuple[Provider, ChatOpenAI]:
        server = Provider(list(replies))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        started.append(server)
        settings = {"model": "gpt-4o-mini", "base_url": server.url, "api_key": "none"}
        return server, ChatOpenAI(**settings, max_retries=0)

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@SYNC_AND_ASYNC
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # clients that live as long as the process
def test_a_real_client_and_its_errors(provide: Any, is_async: bool) -> None:
    """429, 500, then a reply without usage and one with: retries are ours, and counted."""
    lab, clock = Lab(is_async=is_async), FakeClock()
    server, model = provide(
        (429, {"error": {"message": "slow down", "type": "rate_limit"}}),
        (500, {"error": {"message": "oops", "type": "server_error"}}),
        completion('{"amount": "much"}', usage=False),
        completion('{"amount": 7}'),
    )
    from pydantic import BaseModel

    class Reply(BaseModel):
        amount: int

    last = lambda out: out["messages"][-1].content
    app = quietly_attached(
        asking(lab, model),
        ValidationEdge("writer", schema(Reply), of=last),
        retry=Retry(max_attempts=3, initial_interval=1.0, jitter=False),
        goal=lambda out: "7" in out["messages"][-1].content,
    )
    with use_clock(clock):
        lab.run(app, HI)
    assert len(server.bodies) == 4
    assert clock.sleeps == [7.0, 2.0]  # Retry-After, then the second interval
    writer = app.coord.last.steps["writer"]
    assert (writer.executions, writer.errors, writer.retries) == (4, 2, 2)
    assert (writer.rejects, writer.passes) == (1, 1)
    assert (writer.input_tokens, writer.output_tokens, writer.unknown_tokens) == (100, 50, 1)
    assert app.coord.last.cost == pytest.approx(100 * 0.15e-6 + 50 * 0.6e-6)
    assert app.coord.last.outcome == "success.unjudged"


@SYNC_AND_ASYNC
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_reply_that_is_no_json(provide: Any, is_async: bool) -> None:
    """A malformed body is invalid output: one rejection of the edge, no retry."""
    lab = Lab(is_async=is_async)
    server, model = provide((200, b'{"choices": [{"mess'), completion("fine"))
    app = quietly_attached(
        asking(lab, model), ValidationEdge("writer", fine), retry=NO_WAIT, goal=lambda out: True
    )
    lab.run(app, HI)
    assert len(server.bodies) == 2
    writer = app.coord.last.steps["writer"]
    assert (writer.executions, writer.rejects, writer.retries, writer.errors) == (2, 1, 0, 0)
    assert "could not be read" in json.dumps(server.bodies[1])


@SYNC_AND_ASYNC
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_authentication_error_is_not_retried(provide: Any, is_async: bool) -> None:
    """401 is fatal at once."""
    lab = Lab(is_async=is_async)
    server, model = provide((401, {"error": {"message": "who?", "code": "invalid_api_key"}}))
    app = attach(asking(lab, model), pipeline="p", retry=NO_WAIT)
    with pytest.raises(Exception, match="who"):
        lab.run(app, HI)
    assert len(server.bodies) == 1
    assert app.coord.last.outcome == "error.crash"
