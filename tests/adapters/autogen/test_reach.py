"""What an attached team reaches: inner teams, tools, other runtimes, the final answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.conditions import (
    SourceMatchTermination,
)
from autogen_agentchat.teams import (
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_core import FunctionCall, SingleThreadedAgentRuntime
from autogen_core.models import CreateResult, RequestUsage
from coord_autogen import TeamUnusableError, attach, validated

from coord_plugins import (
    END,
    HUMAN,
    START,
    STOP,
    AttemptsExhaustedError,
    CoordWarning,
    PolicyError,
    Retry,
    ValidationEdge,
    check,
    track,
)
from coord_plugins.testing import set_testing

from .teams import BAD, GOOD, Speaker, chat, counts, fine, replies, row, run

EDGE = ValidationEdge("writer", fine)


# ---------------------------------------------------------------------- what it reaches


def test_agents_inside_nested_teams_and_inside_a_society_of_mind() -> None:
    inner = Speaker("inner", BAD, GOOD)
    nested = RoundRobinGroupChat([inner], max_turns=1, name="nested")
    mind_client = replies("the mind's answer")
    thinker = Speaker("thinker", BAD, GOOD)
    mind = SocietyOfMindAgent(
        "mind", RoundRobinGroupChat([thinker], max_turns=1), model_client=mind_client
    )
    edges = [ValidationEdge("inner", fine), ValidationEdge("thinker", fine)]
    team = attach(row(nested, mind), *edges, pipeline="p", store="off")
    result = run(team)
    assert counts(team, "inner") == (2, 1, 1, 0, 0)
    assert counts(team, "thinker") == (2, 1, 1, 0, 0)
    assert counts(team, "mind")[0] == 1
    assert chat(result)[-1] == ("mind", "the mind's answer")
    assert BAD not in repr(result)
    assert team.coord.last.steps["mind"].executions == 1
    assert len(team.coord.runs) == 1


def test_an_edge_on_a_nested_team_names_the_forms_that_work() -> None:
    nested = row(Speaker("inner", GOOD), name="nested")
    team = row(nested, Speaker("editor", "printed"))
    with pytest.raises(PolicyError, match="'nested': it is a team.*SocietyOfMindAgent"):
        attach(team, ValidationEdge("nested", fine), pipeline="p", store="off")


def test_a_loop_back_inside_a_nested_team() -> None:
    reader, writer = Speaker("reader", "facts"), Speaker("writer", BAD, GOOD)
    nested = row(reader, writer, name="nested")
    editor = Speaker("editor", "printed")
    edge = ValidationEdge("writer", fine, back_to="reader")
    team = attach(row(nested, editor), edge, pipeline="p", store="off")
    run(team)
    assert (reader.turns, writer.turns) == (2, 2)
    said = [pair for pair in editor.heard if pair[0] == "coord"]
    assert said == []  # the note of the inner team stays inside
    with pytest.raises(PolicyError, match="'editor' speaks in another team"):
        attach(
            row(row(Speaker("w", GOOD), name="nested"), Speaker("editor", "x")),
            ValidationEdge("w", fine, back_to="editor"),
            pipeline="p",
        )


def test_an_attached_team_inside_an_attached_team_is_a_run_of_its_own() -> None:
    nested = row(Speaker("inner", GOOD), name="nested")
    attach(nested, pipeline="child", store="off")
    team = attach(row(nested, Speaker("editor", "printed")), pipeline="parent", store="off")
    run(team)
    [child] = nested.coord.runs  # type: ignore[attr-defined]  # attached
    assert child.parent_id == team.coord.last.run_id


def test_a_runtime_of_the_users_own() -> None:
    """It has a context of its own, started before: the team itself says which run it is."""
    writer = Speaker("writer", BAD, GOOD)

    async def main() -> Any:
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        team = attach(row(writer, runtime=runtime), EDGE, pipeline="p", store="off")
        await team.run(task="the task")
        await runtime.stop()
        return team

    team = asyncio.run(main())
    assert counts(team, "writer") == (2, 1, 1, 0, 0)


def test_at_any_time_also_after_the_first_run() -> None:
    writer, reader = Speaker("writer", GOOD, BAD, GOOD), Speaker("reader", "facts")

    async def main() -> Any:
        team = row(reader, writer)
        await team.run(task="one")
        attach(team, ValidationEdge("writer", fine, back_to=START), pipeline="p", store="off")
        await team.run(task="two")
        return team

    team = asyncio.run(main())
    assert counts(team, "writer") == (2, 1, 1, 0, 0)
    assert reader.turns == 3


def test_start_is_the_first_speaker_whom_only_the_run_knows() -> None:
    b, a, writer = Speaker("b", "facts"), Speaker("a", "x"), Speaker("writer", BAD, GOOD)
    order = {"user": "b", "b": "writer"}
    team = SelectorGroupChat(
        [a, b, writer],
        replies(),
        selector_func=lambda thread: order[thread[-1].source],
        termination_condition=SourceMatchTermination(["writer"]),
    )
    attach(team, ValidationEdge("writer", fine, back_to=START), pipeline="p", store="off")
    run(team)
    assert (a.turns, b.turns, writer.turns) == (0, 2, 2)
    assert "do better" in str(b.heard[-1])


def test_the_selectors_model_may_choose_the_rejected_agent_after_a_loop_back() -> None:
    """AutoGen lets nobody speak twice in a row: the target is whom it must remember."""
    reader, writer = Speaker("reader", "facts"), Speaker("writer", BAD, GOOD)
    team = SelectorGroupChat(
        [reader, writer, Speaker("third", "x")],
        replies("reader", "writer", "writer"),
        termination_condition=SourceMatchTermination(["writer"]),
    )
    attach(team, ValidationEdge("writer", fine, back_to="reader"), pipeline="p", store="off")
    result = run(team)
    assert [s for s, _ in chat(result)] == ["user", "reader", "coord", "reader", "writer"]
    assert len(team._model_client.create_calls) == 3  # type: ignore[attr-defined]  # a replay
    assert team.coord.last.tokens > 0  # type: ignore[attr-defined]  # attached


def test_an_edge_on_end_runs_a_round_robin_again() -> None:
    reader, writer = Speaker("reader", "facts"), Speaker("writer", BAD, GOOD)
    edge = ValidationEdge(END, fine)
    team = attach(row(reader, writer), edge, pipeline="p", goal=lambda t: t == GOOD, store="off")

    async def main() -> list[Any]:
        return [item async for item in team.run_stream(task="the task")]

    items = asyncio.run(main())
    assert BAD not in repr(items)
    assert chat(items[-1]) == [
        *(("user", "the task"), ("reader", "facts"), ("reader", "facts"), ("writer", GOOD))
    ]
    assert counts(team, END) == (2, 1, 1, 0, 0)
    assert team.coord.last.outcome == "success.unjudged"
    assert "do better" in str(reader.heard[-1])


def test_an_edge_on_end_that_is_spent() -> None:
    def team(**more: Any) -> Any:
        return attach(row(Speaker("w", BAD)), ValidationEdge(END, fine, **more), pipeline="p")

    with pytest.raises(AttemptsExhaustedError, match="'__end__': 2 of 2"):
        run(team())
    stopped = team(otherwise=STOP)
    result = run(stopped)
    assert chat(result) == [("user", "the task")]
    assert str(result.stop_reason).startswith("stopped at the end")
    assert stopped.coord.last.outcome == "escalated.unjudged"


# ---------------------------------------------------------------------- others


def test_inside_track_and_with_set_testing() -> None:
    team = attach(
        row(Speaker("writer", TimeoutError("slow"), GOOD)),
        pipeline="p",
        retry=Retry(max_attempts=3, initial_interval=100.0),
        store="off",
    )
    with set_testing() as clock, track("outer", store="off") as outer:
        run(team)
    assert team.coord.last.parent_id == outer.run_id
    assert len(clock.sleeps) == 1


def test_a_validator_that_knows_the_chat() -> None:
    seen: list[Any] = []

    def knows(text: str, inputs: Any, ctx: Any) -> bool:
        seen.append((inputs, dict(ctx.outputs), [m.source for m in ctx.input]))
        return True

    team = row(Speaker("reader", "facts"), Speaker("writer", GOOD))
    run(attach(team, ValidationEdge("writer", check(knows)), pipeline="p", store="off"))
    assert seen == [("the task", {"reader": "facts"}, ["user", "reader"])]


def test_validated_agents_bring_their_edge() -> None:
    writer = validated(Speaker("writer", BAD, GOOD), fine)
    team = attach(row(writer), pipeline="p", store="off")
    run(team)
    assert counts(team, "writer") == (2, 1, 1, 0, 0)
    with pytest.raises(PolicyError, match="two edges for step 'writer'"):
        attach(row(validated(Speaker("writer", GOOD), fine)), EDGE, pipeline="p", store="off")


def test_two_runs_of_one_team_at_the_same_time_are_autogens_own_error() -> None:
    team = attach(row(Speaker("writer", BAD, GOOD)), EDGE, pipeline="p", store="off")

    async def main() -> list[Any]:
        both = (team.run(task=task) for task in ("one", "two"))
        return await asyncio.gather(*both, return_exceptions=True)

    one, two = asyncio.run(main())
    assert chat(one)[-1] == ("writer", GOOD)
    assert isinstance(two, ValueError)
    assert "already running" in str(two)
    assert counts(team, "writer") == (2, 1, 1, 0, 0)
    assert len(team.coord.runs) == 1


def test_an_inner_team_that_is_left_unusable_is_no_empty_answer() -> None:
    """AutoGen's society of mind alone would answer 'No response.' when it is asked again."""
    thinker = Speaker("thinker", TimeoutError("slow"), GOOD)
    inner = RoundRobinGroupChat([thinker], max_turns=1)
    mind = SocietyOfMindAgent("mind", inner, model_client=replies("an answer"))
    retry = {"mind": Retry(retry_on=(Exception,), initial_interval=0.0), "thinker": None}
    team = attach(row(mind), pipeline="p", retry=retry, store="off")
    with pytest.raises(TeamUnusableError, match="waits for thinker"):
        run(team)


def test_a_stop_inside_leaves_an_edge_on_end_nothing_to_judge() -> None:
    edges = [ValidationEdge("writer", fine, otherwise=STOP), ValidationEdge(END, fine)]
    team = attach(row(Speaker("writer", BAD)), *edges, pipeline="p", store="off")
    result = run(team)
    assert str(result.stop_reason).startswith("stopped at writer")
    assert counts(team, "writer") == (2, 0, 1, 1, 0)
    assert END not in team.coord.last.steps


def test_an_agent_that_filters_its_messages_by_source() -> None:
    """Its client is counted; attach says that it would not be told."""
    from autogen_agentchat.agents import MessageFilterAgent, MessageFilterConfig, PerSourceFilter

    def team(*sources: str) -> Any:
        only = MessageFilterConfig(per_source=[PerSourceFilter(source=s) for s in sources])
        inner = AssistantAgent("inner", replies(BAD, GOOD))
        writer = MessageFilterAgent(name="writer", wrapped_agent=inner, filter=only)
        return RoundRobinGroupChat([writer], max_turns=1)

    with pytest.warns(CoordWarning, match=r"'writer' filters .* PerSourceFilter\(source='coord'\)"):
        attach(team("user"), EDGE, pipeline="p", store="off")
    hearing = attach(team("user", "coord"), EDGE, pipeline="p", store="off")
    run(hearing)
    assert counts(hearing, "writer") == (2, 1, 1, 0, 0)
    assert hearing.coord.last.tokens == 24


def test_an_agent_that_is_a_tool_can_only_loop_back_in_place() -> None:
    from autogen_agentchat.tools import AgentTool

    def team(*edges: Any) -> Any:
        helper = AssistantAgent("helper", replies(BAD, GOOD))
        tool = AgentTool(helper, return_value_as_last_message=True)
        client = replies()
        call = FunctionCall(id="1", name="helper", arguments='{"task": "look it up"}')
        client.chat_completions = [
            CreateResult(
                finish_reason="function_calls",
                content=[call],
                usage=RequestUsage(5, 7),
                cached=False,
            )
        ]
        writer = AssistantAgent("writer", client, tools=[tool])
        return attach(row(writer), *edges, pipeline="p", store="off")

    one = team(ValidationEdge("helper", fine))
    assert chat(run(one))[-1] == ("writer", GOOD)
    assert counts(one, "helper") == (2, 1, 1, 0, 0)
    for edge in (
        ValidationEdge("helper", fine, back_to="writer"),
        ValidationEdge("writer", fine, back_to="helper"),
        ValidationEdge("helper", fine, otherwise=HUMAN),
    ):
        with pytest.raises(PolicyError, match="'helper' works as a tool"):
            team(edge)


def test_a_user_proxy_is_asked_at_once_and_its_answer_is_judged_like_any() -> None:
    """Its request for input passes though an edge holds what an agent says."""
    from autogen_agentchat.agents import UserProxyAgent
    from autogen_agentchat.messages import UserInputRequestedEvent

    order: list[str] = []

    def typed(prompt: str) -> str:
        order.append("typed")
        return BAD if order.count("typed") == 1 else GOOD

    person = UserProxyAgent("person", input_func=typed)
    team = attach(row(person), ValidationEdge("person", fine), pipeline="p", store="off")

    async def main() -> None:
        items = [item async for item in team.run_stream(task="the task")]
        order.extend("requested" for i in items if isinstance(i, UserInputRequestedEvent))

    asyncio.run(main())
    assert sorted(order) == ["requested", "requested", "typed", "typed"]
    assert counts(team, "person") == (2, 1, 1, 0, 0)
