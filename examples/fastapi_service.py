r"""A web service: every answer carries its run's id, and reports split by tenant.

Run it with any ASGI server, for example:

    uvicorn --app-dir examples --factory fastapi_service:create_app

    curl -H "X-Tenant: acme" -d '{"question": "Why so much?"}' \
         -H "Content-Type: application/json" localhost:8000/threads/t1/ask

`COORD_MODE=off` switches everything off, `COORD_MODE=observe` only records.
"""

import json
from collections.abc import AsyncIterator

from coord_langgraph import attach
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from coord_plugins import ValidationEdge, check, collect_runs, report


class State(TypedDict, total=False):
    """What flows through the graph."""

    question: str
    draft: str


class Question(BaseModel):
    """The body of a request."""

    question: str


async def writer(state: State, feedback: str | None = None) -> State:
    """Answer; a model forgets the invoice line until it is told."""
    told = feedback or "line" in state["question"]
    text = "Line 2 is a yearly fee." if told else "We will look into it."
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))  # your own chat model here
    reply = await model.ainvoke(state["question"])
    return {"draft": str(reply.content)}


def build():
    """The graph as it was, before anything was attached."""
    graph = StateGraph(State)
    graph.add_node("writer", writer)
    graph.add_edge(START, "writer")
    return graph.compile(checkpointer=InMemorySaver())


def attached():
    """The same graph with a validation edge and a goal."""
    cites = check(lambda draft: "Line" in draft, name="cites_line", feedback="cite the line")
    edge = ValidationEdge("writer", cites, of="draft")
    return attach(build(), edge, pipeline="service", goal=lambda out: "fee" in out["draft"])


def create_app(graph=None) -> FastAPI:
    """The service, around any graph with this state."""
    graph = graph or attached()
    app = FastAPI()

    def settings(thread: str, tenant: str) -> dict:
        return {"configurable": {"thread_id": thread}, "metadata": {"tenant": tenant}}

    @app.post("/threads/{thread}/ask")
    async def ask(thread: str, body: Question, x_tenant: str = Header()) -> dict:
        with collect_runs() as runs:  # the runs of this request, whatever else is under way
            done = await graph.ainvoke(body.model_dump(), settings(thread, x_tenant))
        return {"run_id": runs[0].run_id if runs else None, "answer": done["draft"]}

    @app.post("/threads/{thread}/stream")
    async def stream(thread: str, body: Question, x_tenant: str = Header()) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            modes = ["messages", "updates"]
            config = settings(thread, x_tenant)
            async for mode, chunk in graph.astream(body.model_dump(), config, stream_mode=modes):
                said = chunk[0].content if mode == "messages" else chunk
                yield json.dumps([mode, said]) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    @app.get("/report")
    def by_tenant() -> dict:
        return report(pipeline="service", by="tenant").to_dict()

    return app
