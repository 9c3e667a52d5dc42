"""What passes in a turn, what is held, and where limits and modes end a run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import (
    HandoffTermination,
    MaxMessageTermination,
    SourceMatchTermination,
    StopMessageTermination,
    TimeoutTermination,
    TokenUsageTermination,
)
from autogen_agentchat.messages import (
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    StopMessage,
    TextMessage,
    ToolCallSummaryMessage,
)
from autogen_agentchat.teams import (
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_agentchat.ui import Console
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, RequestUsage
from coord_autogen import attach

from coord_plugins import (
    STOP,
    Budget,
    CoordWarning,
    ValidationEdge,
    collect_runs,
    current_run,
    run_context,
)

from .teams import BAD, GOOD, Speaker, chat, counts, fine, replies, row, run

EDGE = ValidationEdge("writer", fine)


# ---------------------------------------------------------------------- what passes


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (HandoffMessage(content=BAD, source="writer", target="user"), HandoffTermination("user")),
        (StopMessage(content=BAD, source="writer"), StopMessageTermination()),
        (
            ToolCallSummaryMessage(content=BAD, source="writer", tool_calls=[], results=[]),
            MaxMessageTermination(2),
        ),
    ],
)
def test_handoffs_stop_messages_and_tool_summaries_pass_unjudged(
    message: Any, condition: Any
) -> None:
    """And they are no candidates: what the turn cost is counted, an execution is not."""
    team = RoundRobinGroupChat([Speaker("writer", message)], termination_condition=condition)
    attach(team, EDGE, pipeline="p", store="off")
    with collect_runs() as runs:
        assert chat(run(team))[-1] == ("writer", BAD)
    if isinstance(message, HandoffMessage):
        assert runs == []  # it waits for the person
    else:
        assert runs[0].steps["writer"].executions == 0


def test_a_handoff_to_a_person_is_a_pause_and_the_answer_goes_on_with_the_run() -> None:
    """Its text is no answer to be judged, and its money is no retry's."""
    client: Any = replies()
    client.model = "some-model"
    call = FunctionCall(id="1", name="transfer_to_user", arguments="{}")
    client.chat_completions = [
        CreateResult(
            finish_reason="function_calls",
            content=[call],
            usage=RequestUsage(1_000_000, 0),
            cached=False,
        ),
        GOOD,
    ]
    writer = AssistantAgent("writer", client, handoffs=["user"])
    ends = HandoffTermination("user") | SourceMatchTermination(["editor"])
    seen: list[Any] = []

    def goal(text: str, inputs: Any) -> bool:
        seen.append((text, inputs))
        return text == "printed"

    def team() -> Any:
        agents = [writer, Speaker("editor", "printed")]
        made = SelectorGroupChat(
            agents,
            replies(),
            selector_func=lambda thread: "editor" if thread[-1].source == "writer" else "writer",
            termination_condition=ends,
        )
        prices = lambda *call: 1.0  # noqa: E731 - a price list of one line
        return attach(made, EDGE, pipeline="p", goal=goal, store="off", prices=prices)

    async def main() -> list[Any]:
        first = team()
        await first.run(task="the task")
        assert first.coord.last is None
        state = json.loads(json.dumps(await first.save_state()))
        second = team()
        await second.load_state(state)
        await second.run(task="a word from the person")
        return [state["coord"]["durable"]["run"]["id"], second.coord.last]

    run_id, record = asyncio.run(main())
    assert record.run_id == run_id
    assert record.outcome == "success.first_pass"
    assert seen == [("printed", "the task")]
    writer_tally = record.steps["writer"]
    assert (writer_tally.executions, writer_tally.passes) == (1, 1)
    assert (writer_tally.cost_first, writer_tally.cost_retry) == (1.0, 0.0)


def test_chunks_are_held_until_the_verdict_and_live_ones_pass() -> None:
    class Streaming(Speaker):
        async def on_messages_stream(self, messages: Any, cancellation_token: Any) -> Any:
            response = await self.on_messages(messages, cancellation_token)
            for word in response.chat_message.to_text().split():
                yield ModelClientStreamingChunkEvent(content=word, source=self.name)
            yield response

    def streamed(**more: Any) -> list[str]:
        edge = ValidationEdge("writer", fine, **more)
        team = attach(row(Streaming("writer", BAD, GOOD)), edge, pipeline="p", store="off")

        async def main() -> list[Any]:
            return [item async for item in team.run_stream(task="the task")]

        items = asyncio.run(main())
        return [i.content for i in items if isinstance(i, ModelClientStreamingChunkEvent)]

    assert streamed() == ["good", "draft"]
    assert streamed(stream="live") == ["bad", "draft", "good", "draft"]


def test_console_and_run_context() -> None:
    team = attach(row(Speaker("writer", GOOD)), EDGE, pipeline="p", store="off", tags=["nightly"])

    async def main() -> None:
        with run_context(task="T-1", metadata={"tenant": "a"}):
            await Console(team.run_stream(task="the task"))

    with collect_runs() as runs:
        asyncio.run(main())
    [record] = runs
    assert (record.task, record.tags, record.metadata["tenant"]) == ("T-1", ("nightly",), "a")


def test_concurrent_teams_share_a_client_and_count_apart() -> None:
    client = replies(*[GOOD] * 40)

    async def main() -> list[Any]:
        teams = [
            attach(row(AssistantAgent("writer", client)), pipeline="p", store="off")
            for _ in range(20)
        ]
        await asyncio.gather(*(team.run(task=f"task {i}") for i, team in enumerate(teams)))
        return teams

    teams = asyncio.run(main())
    assert len({team.coord.last.run_id for team in teams}) == 20
    assert {team.coord.last.steps["writer"].executions for team in teams} == {1}
    one = teams[0].coord.last.tokens
    assert all(abs(team.coord.last.tokens - one) <= 2 for team in teams)


def test_current_run_inside_an_agent_and_nothing_leaks_outside() -> None:
    seen: list[str] = []

    class Looking(Speaker):
        async def on_messages(self, messages: Any, cancellation_token: Any) -> Any:
            seen.append(current_run().run_id)
            return await super().on_messages(messages, cancellation_token)

    team = attach(row(Looking("writer", GOOD)), EDGE, pipeline="p", store="off")

    async def main() -> None:
        async for _ in team.run_stream(task="the task"):
            with pytest.raises(LookupError):
                current_run()

    asyncio.run(main())
    assert seen == [team.coord.last.run_id]


# ---------------------------------------------------------------------- limits and modes


def test_a_limit_beside_another_end_is_the_hosts_limit() -> None:
    def outcome(condition: Any, **more: Any) -> str:
        usage = TextMessage(content="x", source="writer", models_usage=None)
        team = RoundRobinGroupChat(
            [Speaker("writer", usage)], termination_condition=condition, **more
        )
        attach(team, pipeline="p", goal=lambda text: True, store="off")
        run(team)
        found: str = team.coord.last.outcome  # type: ignore[attr-defined]  # attached
        return found

    natural = StopMessageTermination()
    assert outcome(natural | MaxMessageTermination(3)) == "error.recursion_limit"
    assert outcome(natural, max_turns=2) == "error.recursion_limit"
    assert outcome(natural | TimeoutTermination(0.0)) == "error.timeout"
    # where it is the only way to end, it is how the chat ends
    assert outcome(MaxMessageTermination(3)) == "success.first_pass"
    assert outcome(None, max_turns=1) == "success.first_pass"


def test_autogens_own_token_limit_is_a_budget() -> None:
    from autogen_core.models import RequestUsage

    said = TextMessage(content="x", source="writer", models_usage=RequestUsage(5, 5))
    team = RoundRobinGroupChat(
        [Speaker("writer", said)],
        termination_condition=StopMessageTermination() | TokenUsageTermination(9),
    )
    run(attach(team, pipeline="p", store="off"))
    assert team.coord.last.outcome == "error.budget"  # type: ignore[attr-defined]  # attached


def test_message_limits_exhaust_an_edge_in_time() -> None:
    reader, writer = Speaker("reader", "facts"), Speaker("writer", BAD)
    edge = ValidationEdge("writer", fine, back_to="reader", max_attempts=50, otherwise=STOP)
    ends = SourceMatchTermination(["writer"]) | MaxMessageTermination(7)
    team = RoundRobinGroupChat([reader, writer], termination_condition=ends)
    run(attach(team, edge, pipeline="p", store="off"))
    # task, reader, note, reader, note: two messages are left, and a third round needs two
    assert counts(team, "writer") == (3, 0, 2, 1, 0)
    assert team.coord.last.outcome == "escalated.unjudged"  # type: ignore[attr-defined]  # attached


def test_off_is_autogens_own_path() -> None:
    team = attach(row(Speaker("writer", BAD)), EDGE, pipeline="p", mode="off", store="off")
    assert chat(run(team))[-1] == ("writer", BAD)
    assert list(team.coord.runs) == []


def test_observe_holds_nothing_and_records_what_it_would_reject() -> None:
    writer = Speaker("writer", BAD)
    team = attach(row(writer), EDGE, pipeline="p", mode="observe", store="off")
    assert chat(run(team))[-1] == ("writer", BAD)
    assert team.coord.last.steps["writer"].would_reject == 1
    assert team.coord.last.would_stop == "writer: would_reject"


def test_findings_and_explain() -> None:
    team = SelectorGroupChat([Speaker("writer", GOOD), Speaker("desk", "x")], replies())
    edge = ValidationEdge("writer", fine, otherwise="desk")
    with pytest.warns(CoordWarning, match="'desk' stands in, and the model .* may choose it"):
        attach(team, edge, pipeline="p", store="off")
    said = team.coord.explain()  # type: ignore[attr-defined]  # attached
    assert "pipeline 'p' on autogen" in said
    assert "rejected: back to writer; 2 attempts; then desk" in said


def test_a_budget_ends_the_run_before_the_next_call() -> None:
    client = replies("a", "b", "c")
    team = row(*(AssistantAgent(n, client) for n in ("one", "two", "three")))
    attach(team, pipeline="p", budget=Budget(max_attempts=2), store="off")
    from coord_plugins import BudgetExceededError

    with pytest.raises(BudgetExceededError):
        run(team)
    assert team.coord.last.outcome == "error.budget"  # type: ignore[attr-defined]  # attached
    assert len(client.create_calls) == 2
