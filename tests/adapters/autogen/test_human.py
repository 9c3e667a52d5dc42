"""`otherwise=HUMAN`: a handoff to a person, whose answer the next run brings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.messages import HandoffMessage, TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, SelectorGroupChat
from coord_autogen import attach, decide

from coord_plugins import HUMAN, AttemptsExhaustedError, PolicyError, ValidationEdge

from .teams import BAD, GOOD, Speaker, chat, fine, replies, row, run

EDGE = ValidationEdge("writer", fine, otherwise=HUMAN)


def graph(*agents: Any) -> GraphFlow:
    builder = DiGraphBuilder()
    for agent in agents:
        builder.add_node(agent)
    for one, other in zip(agents, agents[1:], strict=False):
        builder.add_edge(one, other)
    return GraphFlow(list(agents), builder.build())


def selector(*agents: Any) -> SelectorGroupChat:
    from autogen_agentchat.conditions import SourceMatchTermination

    names = [agent.name for agent in agents]

    def select(thread: Any) -> str:
        last = thread[-1].source
        return names[names.index(last) + 1] if last in names else names[0]

    ends = SourceMatchTermination([names[-1]])
    return SelectorGroupChat(
        list(agents), replies(), selector_func=select, termination_condition=ends
    )


KINDS = [row, graph, selector]


def team(make: Any = row, *, script: tuple[str, ...] = (BAD, BAD), goal: Any = None) -> Any:
    agents = [Speaker("reader", "facts"), Speaker("writer", *script), Speaker("editor", "printed")]
    return attach(make(*agents), EDGE, pipeline="p", goal=goal, store="off")


async def asked_and_answered(make: Any, *answer: Any, **more: Any) -> Any:
    """One process asks, another one goes on."""
    first = team(make, goal=lambda t: t == "printed")
    result = await first.run(task="the task")
    state = json.loads(json.dumps(await first.save_state()))
    second = team(make, goal=lambda t: t == "printed")
    await second.load_state(state)
    return first, result, second, await second.run(task=decide(result, *answer, **more))


@pytest.mark.parametrize("make", KINDS)
def test_the_question_is_a_handoff_and_the_run_waits(make: Any) -> None:
    one = team(make)
    result = run(one)
    question = result.messages[-1]
    assert isinstance(question, HandoffMessage)
    assert (question.source, question.target) == ("coord", "user")
    request = json.loads(question.metadata["coord.request"])
    assert request == {
        "action_requests": [
            {"name": "writer", "args": {"output": BAD}, "description": "do better"}
        ],
        "review_configs": [
            {"action_name": "writer", "allowed_decisions": ["approve", "edit", "reject"]}
        ],
    }
    assert result.stop_reason == "writer waits for a person"
    assert one.coord.last is None  # paused, not ended
    assert BAD not in question.content


@pytest.mark.parametrize("make", KINDS)
def test_approved_in_another_process(make: Any) -> None:
    first, result, second, after = asyncio.run(asked_and_answered(make, "approve"))
    assert chat(after)[1:] == [("writer", BAD), ("editor", "printed")]
    record = second.coord.last
    assert record.outcome == "escalated.unjudged"
    assert record.steps["writer"].human == 1
    assert record.steps["writer"].executions == 2  # those of the first process
    assert second._participants[1].turns == 0  # asked, not worked


@pytest.mark.parametrize("make", KINDS)
def test_edited(make: Any) -> None:
    _, _, _, after = asyncio.run(asked_and_answered(make, "edit", output="by hand"))
    assert chat(after)[1:] == [("writer", "by hand"), ("editor", "printed")]


@pytest.mark.parametrize("make", KINDS)
def test_rejected(make: Any) -> None:
    with pytest.raises(AttemptsExhaustedError, match="not like this"):
        asyncio.run(asked_and_answered(make, "reject", message="not like this"))


def test_no_agent_is_shown_the_question_or_the_answer() -> None:
    _, _, second, _ = asyncio.run(asked_and_answered(row, "approve"))
    editor = second._participants[2]
    assert editor.heard == [("user", "the task"), ("reader", "facts"), ("writer", BAD)]


def test_a_new_task_drops_the_question() -> None:
    async def main() -> Any:
        one = team(script=(BAD, BAD, GOOD))
        await one.run(task="the task")
        await one.reset()
        return await one.run(task="another")

    assert chat(asyncio.run(main()))[-2:] == [("writer", GOOD), ("editor", "printed")]


def test_bad_answers_are_one_clear_error() -> None:
    result = run(team())
    with pytest.raises(PolicyError, match="asked nothing"):
        decide(TextMessage(content="x", source="y"), "approve")
    with pytest.raises(PolicyError, match="'maybe'; it is one of approve, edit, reject"):
        decide(result, "maybe")
    with pytest.raises(PolicyError, match="needs output="):
        decide(result, "edit")
