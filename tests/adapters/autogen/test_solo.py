"""`validated`: one agent with validators of its own; and the pump under every turn."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_agentchat.tools import AgentTool
from autogen_core import CancellationToken
from coord_autogen import ValidatedAgent, validated
from coord_autogen._pump import pumped
from pydantic import BaseModel

from coord_plugins import (
    START,
    STOP,
    AttemptsExhaustedError,
    PolicyError,
    check,
    schema,
    track,
)

from .teams import BAD, GOOD, Speaker, chat, fine, replies, row, run

no_bad = check(lambda text: "bad" not in text, name="no_bad", feedback="do better")
PATH = f"{__name__}:no_bad"


class Reply(BaseModel):
    """What a writer hands over."""

    amount: int


def test_alone() -> None:
    client = replies(BAD, GOOD)
    writer = validated(AssistantAgent("writer", client), fine)
    result = asyncio.run(writer.run(task="the task"))
    assert result.messages[-1].to_text() == GOOD
    assert [len(call["messages"]) for call in client.create_calls] == [2, 4]
    assert isinstance(writer, AssistantAgent)


def test_an_agent_that_has_nothing_but_on_messages() -> None:
    writer = validated(Speaker("writer", BAD, GOOD), fine)

    async def main() -> Any:
        said = TextMessage(content="the task", source="user")
        return await writer.on_messages([said], CancellationToken())

    assert asyncio.run(main()).chat_message.content == GOOD
    assert writer.turns == 2


def test_in_a_team_that_is_not_attached() -> None:
    team = row(validated(Speaker("writer", BAD, GOOD), fine), Speaker("editor", "printed"))
    result = run(team)
    assert chat(result)[1:] == [("writer", GOOD), ("editor", "printed")]


def test_as_a_tool_of_another_agent() -> None:
    writer = validated(AssistantAgent("writer", replies(BAD, GOOD)), fine)
    tool = AgentTool(writer, return_value_as_last_message=True)

    async def main() -> Any:
        return await tool.run_json({"task": "the task"}, CancellationToken())

    assert asyncio.run(main()).messages[-1].content == GOOD


def test_exhausted() -> None:
    with pytest.raises(AttemptsExhaustedError, match="'writer': 2 of 2"):
        asyncio.run(validated(Speaker("writer", BAD), fine).run(task="the task"))
    stopped = validated(Speaker("writer", BAD), fine, otherwise=STOP)
    result = asyncio.run(stopped.run(task="the task"))
    assert BAD not in result.messages[-1].to_text()
    assert "2 of 2 answers were rejected" in result.messages[-1].to_text()


def test_a_parsed_value_takes_the_place_of_the_text() -> None:
    writer = validated(Speaker("writer", '{"amount": 7}'), schema(Reply))
    result = asyncio.run(writer.run(task="the task"))
    assert result.messages[-1].content == Reply(amount=7)  # type: ignore[attr-defined]  # it has


def test_inside_track_it_is_a_step_of_that_run() -> None:
    writer = validated(Speaker("writer", BAD, GOOD), fine)
    with track("outer", store="off") as outer:
        asyncio.run(writer.run(task="the task"))
    assert outer.tallies["writer"].executions == 2


def test_off() -> None:
    from coord_plugins import configure

    configure(mode="off")
    writer = validated(Speaker("writer", BAD), fine)
    assert asyncio.run(writer.run(task="the task")).messages[-1].to_text() == BAD


def test_bad_settings_are_errors_at_once() -> None:
    with pytest.raises(PolicyError, match="is no agent; a team is attached"):
        validated(row(Speaker("writer", GOOD)), fine)  # type: ignore[type-var]  # the test
    with pytest.raises(PolicyError, match="has no other to stand in"):
        validated(Speaker("writer", GOOD), fine, otherwise="desk")
    with pytest.raises(PolicyError, match="at least one validator"):
        validated(Speaker("writer", GOOD))
    with pytest.raises(PolicyError, match="is not found"):
        validated(Speaker("writer", GOOD), "no_module:thing")
    assert START


def test_component_config_round_trip_inside_a_team() -> None:
    assert sys.modules[__name__].no_bad is no_bad
    writer = validated(
        AssistantAgent("writer", replies(BAD, GOOD)), PATH, max_attempts=3, otherwise=STOP
    )
    team = RoundRobinGroupChat([writer], max_turns=1)
    said = json.loads(team.dump_component().model_dump_json())
    assert said["config"]["participants"][0]["provider"] == "coord_autogen.ValidatedAgent"
    again: Any = RoundRobinGroupChat.load_component(said)
    assert chat(run(again))[-1] == ("writer", GOOD)
    with pytest.raises(PolicyError, match="cannot be declared; give it as 'module:name'"):
        validated(AssistantAgent("writer", replies(GOOD)), fine).dump_component()
    assert ValidatedAgent.component_provider_override == "coord_autogen.ValidatedAgent"


def test_state_is_the_agents_own() -> None:
    async def main() -> Any:
        writer = AssistantAgent("writer", replies(GOOD, GOOD))
        await writer.run(task="the task")
        plain = await writer.save_state()
        wrapped = validated(AssistantAgent("writer", replies(GOOD)), fine)
        await wrapped.load_state(json.loads(json.dumps(plain)))
        return plain, await wrapped.save_state()

    plain, wrapped = asyncio.run(main())
    assert plain == wrapped


# ---------------------------------------------------------------------- the pump


def test_the_pump_keeps_order_and_raises_what_the_work_raised() -> None:
    async def work(emit: Any) -> None:
        for i in range(3):
            emit(i)
            await asyncio.sleep(0)
        raise KeyError("broken")

    async def main() -> list[Any]:
        stream = pumped(work, asyncio.Task.cancel)
        seen = [await anext(stream) for _ in range(3)]
        with pytest.raises(KeyError, match="broken"):
            await anext(stream)
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def test_the_pump_stops_the_work_when_its_consumer_turns_away() -> None:
    ended: list[str] = []

    async def work(emit: Any) -> None:
        emit("first")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    async def main() -> None:
        stream = pumped(work, asyncio.Task.cancel)
        assert await anext(stream) == "first"
        await stream.aclose()
        assert ended == ["ended"]

    asyncio.run(main())


def test_the_pump_ends_with_its_token() -> None:
    async def work(emit: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        token = CancellationToken()
        stream = pumped(work, asyncio.Task.cancel, token)
        asyncio.get_running_loop().call_soon(token.cancel)
        with pytest.raises(asyncio.CancelledError):
            await anext(stream)

    asyncio.run(main())
