"""`attach`: what it reaches, what it refuses, and what it gives back."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

import coord_autogen
from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
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
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
)
from autogen_agentchat.ui import Console
from autogen_core import FunctionCall, SingleThreadedAgentRuntime
from autogen_core.models import CreateResult, RequestUsage
from coord_autogen import TeamUnusableError, attach, validated

from coord_plugins import (
    END,
    HUMAN,
    START,
    STOP,
    AlreadyAttachedError,
    AttemptsExhaustedError,
    Budget,
    CoordWarning,
    PolicyError,
    Retry,
    UnknownStepError,
    UnsupportedHostError,
    ValidationEdge,
    check,
    collect_runs,
    current_run,
    run_context,
    track,
)
from coord_plugins.testing import set_testing

from .teams import BAD, GOOD, Speaker, chat, counts, fine, replies, row, run

EDGE = ValidationEdge("writer", fine)


# ---------------------------------------------------------------------- the object


def test_the_same_object_with_its_class_and_its_declaration() -> None:
    client = replies(GOOD)
    writer = AssistantAgent("writer", client)
    team = RoundRobinGroupChat([writer], max_turns=1)
    before = team.dump_component().model_dump_json()
    attached = attach(team, EDGE, pipeline="p", store="off")
    assert attached is team
    assert isinstance(team, RoundRobinGroupChat)
    assert (type(team).__name__, type(writer).__name__) == ("RoundRobinGroupChat", "AssistantAgent")
    assert team.dump_component().model_dump_json() == before
    run(team)
    assert team.coord.last.outcome == "unlabelled"


def test_attaching_again_with_equal_arguments_returns_it_and_others_are_an_error() -> None:
    team = attach(row(Speaker("writer", GOOD)), EDGE, pipeline="p", store="off")
    coord = team.coord
    assert attach(team, EDGE, pipeline="p", store="off").coord is coord
    with pytest.raises(AlreadyAttachedError, match=r"pipeline 'p'.*\.coord\.detach\(\)"):
        attach(team, EDGE, pipeline="q", store="off")


def test_detach_gives_the_bare_team_back() -> None:
    client = replies(BAD, BAD)
    writer = AssistantAgent("writer", client)
    team = row(writer)
    kinds = [type(one) for one in (team, writer, client)]
    attach(team, EDGE, pipeline="p", store="off")
    assert [type(one) for one in (team, writer, client)] != kinds
    assert team.coord.detach() is team  # type: ignore[attr-defined]  # attached
    assert [type(one) for one in (team, writer, client)] == kinds
    assert chat(run(team))[-1] == ("writer", BAD)
    assert not hasattr(team, "coord")


def test_two_teams_that_share_an_agent_and_a_client() -> None:
    """Each detach leaves what the other has."""
    client = replies(*[GOOD] * 9)
    writer = AssistantAgent("writer", client)
    one = attach(row(writer), EDGE, pipeline="one", store="off")
    two = attach(row(writer), pipeline="two", store="off")
    one.coord.detach()
    run(two)
    assert two.coord.last.tokens > 0
    two.coord.detach()
    assert type(client).__module__ == "autogen_ext.models.replay._replay_chat_completion_client"
    assert type(writer) is AssistantAgent


def test_the_signature_is_that_of_every_host() -> None:
    pytest.importorskip("langgraph.graph")
    import coord_langgraph as langgraph

    mine, theirs = inspect.signature(attach), inspect.signature(langgraph.attach)
    assert list(mine.parameters) == list(theirs.parameters)


def test_what_is_no_team_is_one_clear_error() -> None:
    writer = Speaker("writer", GOOD)
    with pytest.raises(PolicyError, match="is an agent; attach its team, or use validated"):
        attach(writer, pipeline="p")
    with pytest.raises(PolicyError, match="int is no AutoGen team"):
        attach(7, pipeline="p")


def test_public_names() -> None:
    assert set(dir(coord_autogen)) == set(coord_autogen.__all__)
    for name in coord_autogen.__all__:
        assert getattr(coord_autogen, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        coord_autogen.nothing  # noqa: B018 - the access is the test


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("edges", "settings", "error", "words"),
    [
        ([ValidationEdge("wrter", fine)], {}, UnknownStepError, "'wrter'"),
        ([ValidationEdge("writer", fine, back_to="x")], {}, UnknownStepError, "'x'"),
        ([ValidationEdge("writer", fine, otherwise="x")], {}, UnknownStepError, "'x'"),
        ([EDGE, EDGE], {}, PolicyError, "two edges"),
        (
            [
                ValidationEdge("writer", fine, otherwise="desk"),
                ValidationEdge("desk", fine, back_to="writer"),
            ],
            {},
            PolicyError,
            "only loop back in place",
        ),
        (
            [
                ValidationEdge("writer", fine, back_to="desk"),
                ValidationEdge("reader", fine, otherwise="desk"),
            ],
            {},
            PolicyError,
            "'desk' only stands in",
        ),
        ([ValidationEdge(END, fine, back_to="writer")], {}, PolicyError, "runs the team again"),
        ([ValidationEdge(END, fine, otherwise="desk")], {}, PolicyError, "STOP or None"),
        ([], {"retry": {"writer": Retry(fallbacks=[7])}}, PolicyError, "cannot use the fallback 7"),
        ([], {"retry": {"writer": Retry(fallbacks=[replies()])}}, PolicyError, "no model client"),
    ],
)
def test_what_cannot_hold_is_an_error_at_attach(
    edges: Any, settings: Any, error: Any, words: str
) -> None:
    team = row(Speaker("reader", "facts"), Speaker("writer", GOOD), Speaker("desk", "by hand"))
    with pytest.raises(error, match=words):
        attach(team, *edges, pipeline="p", store="off", **settings)
    assert not hasattr(team, "coord")
    assert type(team) is RoundRobinGroupChat


def test_magentic_one_refuses_what_its_orchestrator_decides() -> None:
    def team() -> Any:
        return MagenticOneGroupChat([Speaker("reader", "f"), Speaker("writer", GOOD)], replies())

    with pytest.raises(PolicyError, match="only loop back in place"):
        attach(team(), ValidationEdge("writer", fine, back_to="reader"), pipeline="p")
    with pytest.raises(PolicyError, match="nobody can answer it"):
        attach(team(), ValidationEdge("writer", fine, otherwise=HUMAN), pipeline="p")


def test_names_must_be_clear() -> None:
    inner = RoundRobinGroupChat([Speaker("writer", GOOD)], max_turns=1)
    with pytest.raises(PolicyError, match="two agents of the team are named 'writer'"):
        attach(row(Speaker("writer", GOOD), inner, last="x"), pipeline="p", store="off")
    with pytest.raises(PolicyError, match="no agent can be named 'coord'"):
        attach(row(Speaker("coord", GOOD)), pipeline="p", store="off")


def test_a_changed_private_part_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from autogen_agentchat.teams import BaseGroupChat

    monkeypatch.delattr(BaseGroupChat, "_init")
    with pytest.raises(UnsupportedHostError, match=r"BaseGroupChat lost _init.*0\.7\.5"):
        attach(row(Speaker("writer", GOOD)), pipeline="p", store="off")


def test_a_runtime_that_hides_its_agents_is_refused() -> None:
    team = row(Speaker("writer", GOOD))
    team._runtime = object()  # type: ignore[assignment]  # stands for a distributed one
    with pytest.raises(PolicyError, match="only a SingleThreadedAgentRuntime"):
        attach(team, pipeline="p", store="off")


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


# ---------------------------------------------------------------------- graphs


def graph(agents: dict[str, Speaker], *edges: str) -> GraphFlow:
    """A graph of agents; an edge is written "one other"."""
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for edge in edges:
        builder.add_edge(*(agents[name] for name in edge.split()))
    return GraphFlow(list(agents.values()), builder.build())


def speakers(names: str, **scripts: tuple[str, ...]) -> dict[str, Speaker]:
    return {n: Speaker(n, *scripts.get(n, (n,))) for n in names.split()}


DIAMOND = ("a b", "a c", "b d", "c d")


def test_a_join_waits_only_for_the_branch_that_runs_again() -> None:
    agents = speakers("start left left2 right join", left2=(BAD, GOOD))
    edges = ("start left", "start right", "left left2", "left2 join", "right join")
    team = graph(agents, *edges)
    attach(team, ValidationEdge("left2", fine, back_to="left"), pipeline="p", store="off")
    run(team)
    assert [a.turns for a in agents.values()] == [1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("target", "turns"), [(START, [2, 2, 2, 2]), ("b", [1, 2, 1, 2]), ("c", [1, 1, 2, 2])]
)
def test_a_join_goes_back_to_before_the_fan_out_or_into_one_branch(
    target: str, turns: list[int]
) -> None:
    """It had both parents; what runs again is what it waits for."""
    agents = speakers("a b c d", d=(BAD, GOOD))
    team = graph(agents, *DIAMOND)
    attach(team, ValidationEdge("d", fine, back_to=target), pipeline="p", store="off")
    run(team)
    assert [a.turns for a in agents.values()] == turns


def test_a_graph_refuses_to_run_a_sibling_again() -> None:
    agents = speakers("start left right")
    team = graph(agents, "start left", "start right")
    with pytest.raises(PolicyError, match="'start' would start 'right' again"):
        attach(team, ValidationEdge("left", fine, back_to="start"), pipeline="p")
    with pytest.raises(PolicyError, match="no way from it to 'left'"):
        attach(team, ValidationEdge("left", fine, back_to="right"), pipeline="p")


def test_a_stop_in_one_branch_ends_a_parallel_graph_and_leaves_it_whole() -> None:
    """AutoGen looks at the turn that ends last alone; the stop of another would be lost."""
    agents = speakers("a b c d e", b=(BAD, BAD, GOOD))
    team = graph(agents, "a b", "a c", "c e", "b d", "e d")
    attach(team, ValidationEdge("b", fine, otherwise=STOP), pipeline="p", store="off")

    async def main() -> None:
        for task in ("one", "two"):
            await team.run(task=task)

    asyncio.run(main())
    assert [a.turns for a in agents.values()] == [2, 3, 2, 1, 1]
    assert [r.outcome for r in team.coord.runs] == ["escalated.unjudged", "unlabelled"]  # type: ignore[attr-defined]  # attached


def test_a_stand_in_must_not_be_a_node() -> None:
    team = graph(speakers("writer desk"), "writer desk")
    with pytest.raises(PolicyError, match="leave it out of the graph"):
        attach(team, ValidationEdge("writer", fine, otherwise="desk"), pipeline="p")


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
