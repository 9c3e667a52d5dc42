"""What a user interface sees: not one token of a rejected candidate, or of a judge."""

from __future__ import annotations

import asyncio
import contextvars
import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from coord_plugins import START as ENTRY
from coord_plugins import Retry, ValidationEdge, check, judge

from .graphs import Lab, compare_with_bare, positive, static
from .models import Scripted, Whole
from .test_topologies import SYNC_AND_ASYNC, quietly_attached

CONFIG = {"configurable": {"thread_id": "t"}}
WEB = ["messages", "custom", "updates"]
BAD, GOOD, VERDICT = "this draft is wrong", "a truly fine draft", "judge says no way"


class Chat(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    log: Annotated[list[str], operator.add]


class Desk:
    """research -> writer, where the writer streams its draft and a judge asks a model."""

    def __init__(self, *, is_async: bool, model: type[Scripted] = Scripted, **model_settings: Any):
        self.is_async = is_async
        self.writer = model(replies=[BAD, GOOD], **model_settings)
        self.researcher = model(replies=["some facts"])
        self.judged = Scripted(replies=[VERDICT])

    def build(self, *, nested: bool = False) -> Any:
        """The graph; with `nested` the writer is a subgraph."""
        graph = StateGraph(Chat)
        if nested:
            inner = StateGraph(Chat)
            inner.add_node("inner", self._node("writer", self.writer))
            inner.add_edge(START, "inner")
            graph.add_node("writer", inner.compile())
        else:
            graph.add_node("writer", self._node("writer", self.writer))
        graph.add_node("research", self._node("research", self.researcher))
        graph.add_edge(START, "research")
        graph.add_edge("research", "writer")
        return graph

    def _node(self, name: str, model: Scripted) -> Any:
        def work(state: Any) -> Any:
            write = get_stream_writer()
            write({"from": name, "n": model.calls + 1})
            return {"messages": [model.invoke(state["messages"])], "log": [name]}

        async def awork(state: Any) -> Any:
            write = get_stream_writer()
            write({"from": name, "n": model.calls + 1})
            return {"messages": [await model.ainvoke(state["messages"])], "log": [name]}

        return awork if self.is_async else work

    def edge(self, **settings: Any) -> ValidationEdge:
        """A judge that streams to nobody, and writes to the custom stream in vain."""

        def says_fine(output: Any) -> Any:
            get_stream_writer()({"from": "judge"})
            said = self.judged.invoke("judge this")
            assert said.content == VERDICT
            return "fine" in output["messages"][-1].content, "make it fine"

        async def asays_fine(output: Any) -> Any:
            get_stream_writer()({"from": "judge"})
            assert (await self.judged.ainvoke("judge this")).content == VERDICT
            return "fine" in output["messages"][-1].content, "make it fine"

        chosen = asays_fine if self.is_async else says_fine
        return ValidationEdge("writer", judge(chosen, name="says_fine"), **settings)

    def stream(self, app: Any, **kwargs: Any) -> list[Any]:
        """Everything a consumer gets."""
        inputs = {"messages": [HumanMessage("hi", id="1")]}
        if not self.is_async:
            return list(app.stream(inputs, **kwargs))

        async def main() -> list[Any]:
            return [chunk async for chunk in app.astream(inputs, **kwargs)]

        return asyncio.run(main())


def tokens(chunks: list[Any]) -> str:
    """The text of all message chunks, in order."""
    found = [c[-1][0].content for c in chunks if c[-2] == "messages"]
    return "|".join(text for text in found if text)


def customs(chunks: list[Any]) -> list[Any]:
    return [c[-1] for c in chunks if c[-2] == "custom"]


@SYNC_AND_ASYNC
@pytest.mark.parametrize("model", [Scripted, Whole])
@pytest.mark.parametrize("back_to", [(), "research", ENTRY])
def test_hold(back_to: Any, model: Any, is_async: bool) -> None:
    """No token and no chunk of the rejected draft or of the judge; the accepted ones once."""
    desk = Desk(is_async=is_async, model=model)
    app = quietly_attached(desk.build().compile(), desk.edge(back_to=back_to))
    chunks = desk.stream(app, stream_mode=WEB)
    facts, draft = ("some |facts", "a |truly |fine |draft")
    if model is Whole:
        facts, draft = facts.replace("|", ""), draft.replace("|", "")
    rounds = 2 if back_to else 1
    assert tokens(chunks) == "|".join([facts] * rounds + [draft])
    assert customs(chunks) == [
        *({"from": "research", "n": n + 1} for n in range(rounds)),
        {"from": "writer", "n": 2},
    ]
    assert "wrong" not in repr(chunks)
    assert "judge" not in repr(chunks)
    assert (desk.writer.calls, desk.judged.calls) == (2, 2)
    updates = [list(c[1]) for c in chunks if c[0] == "updates"]
    written = [u for u in updates if u == ["writer"]]
    assert len(written) == (2 if back_to else 1)  # a loop-back is a superstep without an update


@SYNC_AND_ASYNC
def test_hold_with_a_fixed_message_id(is_async: bool) -> None:
    """LangGraph drops a message that it has shown; a rejected one was never shown."""
    desk = Desk(is_async=is_async, model=Whole, fixed_id="same")
    app = quietly_attached(desk.build().compile(), desk.edge())
    assert tokens(desk.stream(app, stream_mode=WEB)) == "some facts|a truly fine draft"


@SYNC_AND_ASYNC
@pytest.mark.parametrize("back_to", [(), "research"])
def test_live(back_to: Any, is_async: bool) -> None:
    """Tokens pass at once, a rejection is announced, and the judge is still silent."""
    desk = Desk(is_async=is_async)
    app = quietly_attached(desk.build().compile(), desk.edge(back_to=back_to, stream="live"))
    chunks = desk.stream(app, stream_mode=WEB)
    facts, bad, good = "some |facts", "this |draft |is |wrong", "a |truly |fine |draft"
    parts = [facts, bad, facts, good] if back_to else [facts, bad, good]
    assert tokens(chunks) == "|".join(parts)
    rejected = {"type": "coord.rejected", "step": "writer", "execution": 1}
    assert customs(chunks).count(rejected) == 1
    spoken = [c[0] if c[0] != "custom" else c[1] for c in chunks if c[0] != "updates"]
    after = spoken.index(rejected)
    assert {"from": "writer", "n": 1} in spoken[:after]
    assert {"from": "writer", "n": 2} in spoken[after:]
    assert "judge" not in repr(chunks)


@SYNC_AND_ASYNC
def test_hold_in_a_subgraph(is_async: bool) -> None:
    """With `subgraphs=True` nothing of the rejected subgraph run shows, in no mode."""
    desk = Desk(is_async=is_async)
    app = quietly_attached(desk.build(nested=True).compile(), desk.edge())
    chunks = desk.stream(app, stream_mode=[*WEB, "values", "tasks", "debug"], subgraphs=True)
    assert tokens(chunks) == "some |facts|a |truly |fine |draft"
    assert customs(chunks) == [{"from": "research", "n": 1}, {"from": "writer", "n": 2}]
    assert "wrong" not in repr(chunks)
    assert "judge" not in repr(chunks)
    inner = [c for c in chunks if c[0] and c[1] == "updates"]
    assert len(inner) == 1
    assert inner[0][0][0].startswith("writer:")


@SYNC_AND_ASYNC
def test_hold_through_a_failed_attempt(is_async: bool) -> None:
    """The words of an attempt that raised are dropped with it."""
    desk = Desk(is_async=is_async)
    desk.writer.replies = [ConnectionError("lost"), BAD, GOOD]
    retry = Retry(max_attempts=2, initial_interval=0.0)
    app = quietly_attached(desk.build().compile(), desk.edge(), retry=retry)
    chunks = desk.stream(app, stream_mode=WEB)
    assert tokens(chunks) == "some |facts|a |truly |fine |draft"
    assert customs(chunks)[-1] == {"from": "writer", "n": 3}
    assert len(customs(chunks)) == 2


def _version_two(app: Any, desk: Desk) -> list[Any]:
    """Streams of version 2 as tuples; before 1.1 there are only the tuples."""
    try:
        parts = desk.stream(app, stream_mode=WEB, version="v2")
    except TypeError:
        return desk.stream(app, stream_mode=WEB)
    if parts and isinstance(parts[0], tuple):
        return parts
    return [(p["type"], p["data"]) for p in parts]


@SYNC_AND_ASYNC
def test_hold_in_streams_of_version_2(is_async: bool) -> None:
    """The same in the newer format, where the installed LangGraph has it."""
    desk = Desk(is_async=is_async)
    app = quietly_attached(desk.build().compile(), desk.edge())
    chunks = _version_two(app, desk)
    assert tokens(chunks) == "some |facts|a |truly |fine |draft"
    assert "wrong" not in repr(chunks)
    assert "judge" not in repr(chunks)


def test_a_trace_can_tell_them_apart() -> None:
    """`astream_events` shows everything; tags say which attempt it is, and what is a judge's."""
    desk = Desk(is_async=True)
    app = quietly_attached(desk.build().compile(), desk.edge())

    async def main() -> list[Any]:
        inputs = {"messages": [HumanMessage("hi")]}
        return [e async for e in app.astream_events(inputs, version="v2")]

    said: dict[str, str] = {}
    for event in asyncio.run(main()):
        if event["event"] == "on_chat_model_stream":
            (tag,) = [t for t in event["tags"] if t.startswith("coord:")] or ["none"]
            said[tag] = said.get(tag, "") + event["data"]["chunk"].content
    assert said == {
        "none": "some facts",
        "coord:attempt:1": BAD,
        "coord:attempt:2": GOOD,
        "coord:validate": VERDICT * 2,
    }


def anonymous(value: Any) -> Any:
    """A chunk without the ids and times that differ from run to run."""
    if isinstance(value, dict):
        hidden = ("id", "timestamp", "checkpoint_id", "checkpoint_map", "parents", "created_at")
        return {
            k: anonymous(v)
            for k, v in value.items()
            if k not in hidden and not k.endswith("checkpoint_ns")
        }
    if isinstance(value, (list, tuple)):
        return [anonymous(v) for v in value]
    if hasattr(value, "content"):
        return (type(value).__name__, value.content)
    return str(value).split(":")[0] if isinstance(value, str) else value


MODES = ["values", "updates", "tasks", "debug", "checkpoints", "custom", "messages"]


@SYNC_AND_ASYNC
@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_without_failures_every_mode_is_as_bare(mode: str, subgraphs: bool, is_async: bool) -> None:
    """The same chunks, attached and bare, and nothing of the hidden channel in them."""
    compare_with_bare(is_async)
    kwargs = {"stream_mode": mode, "subgraphs": subgraphs, "config": CONFIG}
    found = []
    for attached in (False, True):
        desk = Desk(is_async=is_async)
        desk.writer.replies = [GOOD]
        app = desk.build(nested=True).compile(checkpointer=InMemorySaver())
        if attached:
            app = quietly_attached(app, desk.edge(back_to=("research", ENTRY)))
        chunks = desk.stream(app, **kwargs)
        assert "__coord__" not in repr(chunks)
        if mode == "messages":
            for chunk in chunks:
                (chunk[-1] if subgraphs else chunk)[1].pop("tags", None)
        found.append([anonymous(c) for c in chunks])
    assert found[0]
    assert found[1] == found[0]


@SYNC_AND_ASYNC
@pytest.mark.parametrize("mode", ["off", "observe"])
def test_off_and_observe_are_as_bare(
    mode: str, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With failures: the bare streams; observing adds the record, and off not even that."""
    compare_with_bare(is_async)
    monkeypatch.setenv("COORD_MODE", mode)
    found = []
    for attached in (False, True):
        desk = Desk(is_async=is_async)
        app = desk.build().compile()
        if attached:
            edge = desk.edge(back_to="research")
            app = quietly_attached(app, edge, retry=Retry(), goal=lambda out: True)
        chunks = desk.stream(app, stream_mode=[*WEB, "values", "tasks"])
        found.append([anonymous(c) for c in chunks])
    assert found[1] == found[0]
    assert "wrong" in tokens(chunks)
    assert desk.judged.calls == (1 if mode == "observe" else 0)
    if mode == "off":
        assert list(app.coord.runs) == []
    else:
        record = app.coord.last
        assert record.steps["writer"].would_reject == 1
        assert (record.steps["writer"].executions, record.steps["writer"].rejects) == (1, 0)


@SYNC_AND_ASYNC
def test_the_hidden_channel_is_nowhere(is_async: bool) -> None:
    """Not in outputs, states, histories or schemas; only in the saved checkpoint."""
    lab = Lab(2, is_async=is_async)
    saver = InMemorySaver()
    bare = static(lab).compile(checkpointer=saver)
    app = quietly_attached(bare, ValidationEdge("b", positive, back_to=("a", "a")))
    out = lab.run(app, {"x": 0}, CONFIG)
    states = [app.get_state(CONFIG), *app.get_state_history(CONFIG)]
    kinds = [f"get_{kind}_jsonschema" for kind in ("input", "output", "context")]
    schemas = [getattr(app, kind)() for kind in kinds]
    assert "__coord__" not in repr([out, states, schemas, app.get_graph().to_json()])
    assert schemas == [getattr(bare, kind)() for kind in kinds]
    kept = saver.get_tuple(CONFIG).checkpoint["channel_values"]["__coord__"]
    assert kept["run"]["id"] == app.coord.last.run_id


@SYNC_AND_ASYNC
def test_an_abandoned_stream(is_async: bool) -> None:
    """A consumer that goes away: error.cancelled, once."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(static(lab).compile(), goal=lambda out: True)

    def sync() -> None:
        stream = app.stream({"x": 0}, stream_mode="updates")
        next(stream)
        stream.close()

    async def asynchronous() -> None:
        stream = app.astream({"x": 0}, stream_mode="updates")
        await anext(stream)
        await stream.aclose()

    asyncio.run(asynchronous()) if is_async else sync()
    assert [r.outcome for r in app.coord.runs] == ["error.cancelled"]
    assert lab.calls["c"] == 0


def test_a_cancelled_call() -> None:
    """A timeout around `ainvoke`, in the middle of a node: error.cancelled too."""
    started = []

    async def hang(state: Any) -> Any:
        started.append(1)
        await asyncio.Event().wait()

    graph = StateGraph(Chat)
    graph.add_node("writer", hang)
    graph.add_edge(START, "writer")
    desk = Desk(is_async=True)
    app = quietly_attached(graph.compile(), desk.edge())

    async def main() -> None:
        call = asyncio.create_task(app.ainvoke({"messages": []}))
        while not started:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert [r.outcome for r in app.coord.runs] == ["error.cancelled"]


@SYNC_AND_ASYNC
def test_nothing_leaks_to_the_consumer(is_async: bool) -> None:
    """Between two chunks the consumer's context is its own, and two streams may interleave."""
    lab = Lab(is_async=is_async)
    app = quietly_attached(static(lab).compile(), ValidationEdge("b", check(positive)))

    def ours() -> dict[str, Any]:
        found = contextvars.copy_context()
        return {v.name: found[v] for v in found if v.name.startswith("coord_") and found[v]}

    before = ours()

    def sync() -> None:
        streams = [app.stream({"x": n}, stream_mode="updates") for n in (1, 2)]
        for _ in range(3):
            for stream in streams:
                next(stream)
                assert ours() == before
        for stream in streams:
            assert list(stream) == []

    async def asynchronous() -> None:
        streams = [app.astream({"x": n}, stream_mode="updates") for n in (1, 2)]
        for _ in range(3):
            for stream in streams:
                await anext(stream)
                assert ours() == before
        for stream in streams:
            assert [c async for c in stream] == []

    asyncio.run(asynchronous()) if is_async else sync()
    assert [r.steps["b"].calls for r in app.coord.runs] == [1, 1]
