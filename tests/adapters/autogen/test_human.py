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


def test_what_was_approved_is_the_agents_output_for_later_validators() -> None:
    seen: list[Any] = []

    def looks(text: str, ctx: Any) -> bool:
        seen.append(dict(ctx.outputs))
        return True

    async def main() -> None:
        agents = [Speaker("writer", BAD), Speaker("editor", "printed")]
        one = attach(row(*agents), EDGE, ValidationEdge("editor", looks), pipeline="p", store="off")
        asked = await one.run(task="the task")
        await one.run(task=decide(asked, "approve"))

    asyncio.run(main())
    assert seen == [{"writer": BAD}]


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


def parallel() -> Any:
    """Two branches whose drafts are both rejected."""
    agents = {n: Speaker(n, n) for n in "abcd"}
    agents["b"], agents["c"] = Speaker("b", BAD), Speaker("c", BAD)
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for one, other in ("ab", "ac", "bd", "cd"):
        builder.add_edge(agents[one], agents[other])
    edges = [ValidationEdge(n, fine, otherwise=HUMAN) for n in "bc"]
    flow = GraphFlow(list(agents.values()), builder.build())
    return attach(flow, *edges, pipeline="p", store="off")


def test_two_questions_at_the_same_time() -> None:
    async def main() -> Any:
        flow = parallel()
        result = await flow.run(task="the task")
        with pytest.raises(PolicyError, match="asks about b, c; say which with step="):
            decide(result, "approve")
        with pytest.raises(PolicyError, match="not about 'a'"):
            decide(result, "approve", step="a")
        one = await flow.run(task=decide(result, "approve", step="b"))
        two = await flow.run(task=decide(one, "edit", output="by hand"))
        return flow, result, one, two

    flow, result, one, two = asyncio.run(main())
    assert result.stop_reason == "b, c waits for a person"
    assert ("b", BAD) in chat(one)
    assert one.stop_reason == "c waits for a person"  # it is asked again, and has not worked
    assert chat(two)[1:] == [("c", "by hand"), ("d", "d")]
    assert [a.turns for a in flow._participants] == [1, 2, 2, 1]


def test_both_answers_at_once() -> None:
    async def main() -> Any:
        flow = parallel()
        result = await flow.run(task="the task")
        return await flow.run(task=[decide(result, "approve", step=n) for n in "bc"])

    after = chat(asyncio.run(main()))
    assert sorted(after[2:4]) == [("b", BAD), ("c", BAD)]
    assert after[4:] == [("d", "d")]


def test_run_without_an_answer_asks_again() -> None:
    async def main() -> Any:
        one = team()
        await one.run(task="the task")
        return one, await one.run()

    one, again = asyncio.run(main())
    assert again.stop_reason == "writer waits for a person"
    assert one._participants[1].turns == 2


def test_an_answer_to_another_run_is_an_error_and_no_new_task() -> None:
    async def main() -> None:
        asked = await team().run(task="the task")
        with pytest.raises(PolicyError, match="did not ask; load the state"):
            await team().run(task=decide(asked, "approve"))

    asyncio.run(main())


def test_a_validator_in_the_chat_cannot_ask_a_person() -> None:
    from coord_autogen import ValidatorAgent

    with pytest.raises(PolicyError, match="an edge on its author"):
        ValidatorAgent("v", fine, watches="writer", otherwise=HUMAN)
