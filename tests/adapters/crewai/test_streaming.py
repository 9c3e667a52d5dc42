"""What a user's stream shows: nothing of a rejected draft, nothing of a judge."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("crewai")

from coord_crewai import CoordRejectedEvent, attach
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks

from coord_plugins import STOP, ValidationEdge, check, judge

from .crews import crew_of, events, model_of, no_bad

fine = check(no_bad, name="fine", feedback="do better")
SCRIPTS = {"reader": "the facts", "writer": ["a bad draft", "a good draft"], "sender": "is sent"}


def attached(*edges: Any, scripts: Any = SCRIPTS, **settings: Any) -> Any:
    host, _ = crew_of(scripts, stream=True)
    return attach(host, *edges, pipeline="p", store="off", **settings)


def streamed(host: Any, form: str) -> tuple[list[tuple[str, str]], Any]:
    """The chunks as (agent, text), and the result."""

    async def main() -> tuple[list[Any], Any]:
        found = await getattr(host, form)(inputs={"ticket": "T-1"})
        return [chunk async for chunk in found], found.result

    if form == "kickoff":
        output = host.kickoff(inputs={"ticket": "T-1"})
        chunks, result = list(output), output.result
    else:
        chunks, result = asyncio.run(main())
    return [(c.agent_role, c.content) for c in chunks], result


def said(chunks: list[tuple[str, str]]) -> dict[str, str]:
    """What each agent said, joined."""
    found: dict[str, str] = {}
    for agent, text in chunks:
        found[agent] = found.get(agent, "") + text
    return found


@pytest.mark.parametrize("form", ["kickoff", "kickoff_async", "akickoff"])
def test_hold_shows_a_draft_when_it_is_accepted(form: str) -> None:
    host = attached(ValidationEdge("writer", fine), goal=lambda o: o == "is sent")
    chunks, result = streamed(host, form)
    assert said(chunks) == {
        "reader agent": "the facts ",
        "writer agent": "a good draft ",
        "sender agent": "is sent ",
    }
    # the pieces keep their size and order; while the task works they come empty
    written = [text for agent, text in chunks if agent == "writer agent"]
    assert written == [""] * 6 + ["a ", "good ", "draft "]
    assert result.raw == "is sent"
    assert host.coord.last.outcome == "success.unjudged"
    assert host.stream is True


def test_without_an_edge_nothing_is_held() -> None:
    host = attached(ValidationEdge("sender", fine))
    chunks, _ = streamed(host, "kickoff")
    assert [text for agent, text in chunks if agent == "reader agent"] == ["the ", "facts "]


def test_what_an_exhausted_task_said_is_never_shown() -> None:
    scripts = {**SCRIPTS, "writer": "a bad draft"}
    host = attached(ValidationEdge("writer", fine, otherwise=STOP), scripts=scripts)
    chunks, result = streamed(host, "kickoff")
    assert said(chunks) == {"reader agent": "the facts ", "writer agent": ""}
    assert result.raw == ""


def test_observe_holds_nothing() -> None:
    host = attached(ValidationEdge("writer", fine), mode="observe")
    chunks, _ = streamed(host, "kickoff")
    assert said(chunks)["writer agent"] == "a bad draft "
    assert host.coord.last.steps["writer"].would_reject == 1


def test_live_lets_tokens_pass_and_announces_the_rejection() -> None:
    host = attached(ValidationEdge("writer", fine, stream="live"))
    with events() as heard:
        chunks, _ = streamed(host, "kickoff")
    assert said(chunks)["writer agent"] == "a bad draft a good draft "
    announced = [e for e in heard if isinstance(e, CoordRejectedEvent)]
    assert [(e.step, e.execution, e.type) for e in announced] == [("writer", 1, "coord_rejected")]
    order = [e.type for e in heard if e.type in ("coord_rejected", "task_failed")]
    assert order == ["coord_rejected", "task_failed"]


@pytest.mark.parametrize("stream", ["hold", "live"])
def test_a_judges_tokens_are_nobodys(stream: Any) -> None:
    critic = model_of({"*": "harsh words"})
    critic.stream = True

    def asks(output: str) -> bool:
        critic.call("is it fine?")
        return no_bad(output)

    host = attached(ValidationEdge("writer", judge(asks), stream=stream))
    chunks, _ = streamed(host, "kickoff")
    assert critic.calls == 2
    assert "harsh" not in "".join(text for _, text in chunks)
    assert "a good draft" in said(chunks)["writer agent"]


def test_for_each_streams_every_run() -> None:
    host = attached(ValidationEdge("writer", fine), task="ticket")
    outputs = host.kickoff_for_each([{"ticket": "T-1"}, {"ticket": "T-2"}])
    texts = [said([(c.agent_role, c.content) for c in o]) for o in outputs]
    assert [t["writer agent"] for t in texts] == ["a good draft ", "a good draft "]
    assert [o.result.raw for o in outputs] == ["is sent", "is sent"]
    assert [r.task for r in host.coord.runs] == ["T-1", "T-2"]


def test_each_word_is_emitted_once_with_its_text() -> None:
    """Also to sinks that listened before the kickoff, as a flow's `stream_events` does."""
    words: list[str] = []

    def sink(source: Any, event: Any) -> None:
        if event.type == "llm_stream_chunk" and event.task_name == "writer":
            words.append(event.chunk)

    host = attached(ValidationEdge("writer", fine))
    token = add_stream_sink(sink)
    try:
        streamed(host, "kickoff")
    finally:
        reset_stream_sinks(token)
    assert words == [""] * 6 + ["a ", "good ", "draft "]


@pytest.mark.parametrize("form", ["kickoff_for_each_async", "akickoff_for_each"])
def test_for_each_streams_all_runs_at_once(form: str) -> None:
    """CrewAI merges the chunks of the copies into one stream; each copy holds its own."""
    host = attached(ValidationEdge("writer", fine), task="ticket")

    async def main() -> tuple[str, list[str]]:
        stream = await getattr(host, form)([{"ticket": "T-1"}, {"ticket": "T-2"}])
        text = "".join([chunk.content async for chunk in stream])
        return text, [result.raw for result in stream.results]

    text, results = asyncio.run(main())
    assert results == ["is sent", "is sent"]
    assert "bad" not in text
    # CrewAI itself brings each chunk of a copy twice
    assert sorted(text.split()) == sorted("the facts a good draft is sent".split() * 4)
    assert sorted(r.task for r in host.coord.runs) == ["T-1", "T-2"]


@pytest.mark.parametrize("edges", [(), (ValidationEdge("deep", fine),)])
def test_what_a_crew_inside_a_task_says_is_part_of_the_task(edges: Any) -> None:
    """It comes when the task around it is accepted, and each word once."""
    model = model_of({"deep": ["one bad word", "two", "three"] if edges else ["one", "two"]})
    inner, _ = crew_of({"deep": "x"}, model=model)
    model.stream = True
    attach(inner, *edges, pipeline="inner", store="off")
    drafts = iter(["a bad draft", "a good draft"])

    def delegates(prompt: str, task: Any) -> str:
        inner.kickoff(inputs={"ticket": "i"})
        return next(drafts)

    host = attached(ValidationEdge("writer", fine), scripts={"writer": delegates})
    chunks, _ = streamed(host, "kickoff")
    assert said(chunks) == {
        "deep agent": "three " if edges else "two ",
        "writer agent": "a good draft ",
    }
