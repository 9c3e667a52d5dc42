"""What research saw AutoGen do in a run, and what an attached team does instead."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import (
    FunctionalTermination,
    TextMentionTermination,
)
from autogen_agentchat.messages import (
    StructuredMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
)
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
)
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import CreateResult, RequestUsage
from coord_autogen import TeamUnusableError, attach
from coord_autogen._messages import is_note
from pydantic import BaseModel

from coord_plugins import STOP, PolicyError, Retry, ValidationEdge, check, schema

from .teams import BAD, GOOD, Speaker, chat, counts, fine, replies, row, run


class Reply(BaseModel):
    """What a writer hands over."""

    amount: int


# ---------------------------------------------------------------------- the context


def test_the_context_holds_the_task_once_and_the_feedback_once() -> None:
    client = replies(BAD, BAD, GOOD, "printed")
    writer, editor = AssistantAgent("writer", client), AssistantAgent("editor", client)
    edge = ValidationEdge("writer", fine, max_attempts=3)
    team = attach(row(writer, editor), edge, pipeline="p", store="off")
    run(team)
    calls = [
        [(m.type, getattr(m, "source", ""), m.content) for m in call["messages"][1:]]
        for call in client.create_calls
    ]
    words = "Your previous answer was rejected. Mend what the reviewer names:\ndo better"
    task, feedback = ("UserMessage", "user", "the task"), ("UserMessage", "coord", words)
    draft = ("AssistantMessage", "writer", BAD)
    assert calls == [
        [task],
        [task, draft, feedback],
        [task, draft, feedback, draft, feedback],
        [task, ("UserMessage", "writer", GOOD)],
    ]


def test_after_a_loop_back_each_agent_has_read_each_message_once() -> None:
    reader, writer = Speaker("reader", "facts", "more facts"), Speaker("writer", BAD, GOOD)
    editor = Speaker("editor", "printed")
    edge = ValidationEdge("writer", fine, back_to="reader")
    run(attach(row(reader, writer, editor), edge, pipeline="p", store="off"))
    words = ("coord", "Your previous answer was rejected. Mend what the reviewer names:\ndo better")
    assert reader.heard == [("user", "the task"), words]
    assert writer.heard == [
        *(("user", "the task"), ("reader", "facts")),
        *(("reader", "more facts"), words),
    ]
    assert editor.heard == [
        *(("user", "the task"), ("reader", "facts")),
        *(("reader", "more facts"), ("writer", GOOD)),
    ]


def test_a_retried_turn_is_given_its_messages_once() -> None:
    writer = Speaker("writer", TimeoutError("slow"), GOOD)
    team = attach(row(writer), pipeline="p", retry=Retry(initial_interval=0.0), store="off")
    run(team)
    assert writer.heard == [("user", "the task")]
    assert counts(team, "writer") == (2, 0, 0, 0, 1)


# ---------------------------------------------------------------------- text that ends a chat


def test_a_terminate_in_a_rejected_draft_or_in_feedback_does_not_end_the_chat() -> None:
    quoting = check(lambda t: "bad" not in t, name="quoting", feedback="never say TERMINATE")
    writer = Speaker("writer", f"{BAD} TERMINATE", f"{BAD} TERMINATE", f"{GOOD} TERMINATE")
    reader = Speaker("reader", "facts")
    edge = ValidationEdge("writer", quoting, back_to=("writer", "reader"))
    team = RoundRobinGroupChat(
        [reader, writer], termination_condition=TextMentionTermination("TERMINATE")
    )
    result = run(attach(team, edge, pipeline="p", store="off"))
    assert chat(result)[-1] == ("writer", f"{GOOD} TERMINATE")
    assert (reader.turns, writer.turns) == (2, 3)
    told = [t for m in result.messages[:-1] if "TERMINATE" in (t := m.to_text())]
    assert told == []


def test_a_rejected_turn_is_nobodys_turn_for_a_condition_on_sources() -> None:
    """Also not by the tools that were called in it."""
    client = replies()
    client.chat_completions = [
        CreateResult(
            finish_reason="function_calls",
            content=[FunctionCall(id="1", name="look", arguments="{}")],
            usage=RequestUsage(3, 2),
            cached=False,
        ),
        BAD,
        GOOD,
    ]
    looked: list[int] = []

    def look() -> str:
        """Look it up."""
        looked.append(1)
        return "seen"

    writer = AssistantAgent("writer", client, tools=[look], reflect_on_tool_use=True)
    reader = Speaker("reader", "facts")
    edge = ValidationEdge("writer", fine, back_to="reader")
    team = attach(row(reader, writer), edge, pipeline="p", store="off")
    result = run(team)
    kinds = _thread(team)
    assert kinds.count("ToolCallExecutionEvent") == 1  # what was done stays in the chat's thread
    assert (reader.turns, looked) == (2, [1])
    assert chat(result)[-1] == ("writer", GOOD)
    assert sum(isinstance(m, ToolCallExecutionEvent) for m in result.messages) == 1
    assert counts(team, "writer") == (2, 1, 1, 0, 0)


def _thread(team: Any) -> list[str]:
    """The kinds of messages of the chat as its manager has it."""

    async def main() -> Any:
        state = await team.save_state()
        return state["agent_states"]["RoundRobinGroupChatManager"]["message_thread"]

    return [message["type"] for message in asyncio.run(main())]


def test_what_was_done_and_paid_in_a_rejected_draft_counts_for_autogens_own_limits() -> None:
    client = replies(BAD, GOOD)
    writer = AssistantAgent("writer", client)
    edge = ValidationEdge("writer", fine)
    seen: list[Any] = []

    def listens(messages: Any) -> bool:
        seen.append([(type(m).__name__, m.models_usage) for m in messages])
        return False

    team = RoundRobinGroupChat(
        [writer], termination_condition=FunctionalTermination(listens), max_turns=1
    )
    run(attach(team, edge, pipeline="p", store="off"))
    usage = RequestUsage(5, 7)
    assert seen[-1] == [("ThoughtEvent", usage), ("TextMessage", usage)]


def test_what_a_stream_shows_of_a_rejected_draft() -> None:
    writer = Speaker("writer", BAD, GOOD)
    team = attach(row(writer), ValidationEdge("writer", fine), pipeline="p", store="off")

    async def main() -> list[Any]:
        return [item async for item in team.run_stream(task="the task")]

    items = asyncio.run(main())
    assert BAD not in repr(items)
    [mark] = [m for m in items if isinstance(m, ThoughtEvent)]
    assert mark.content == "writer's draft 1 was rejected by fine."
    assert mark.metadata == {"coord.verdict": "rejected", "coord.attempt": "1"}
    assert isinstance(items[-1], TaskResult)


# ---------------------------------------------------------------------- messages


class Structured(Speaker):
    """Says a model that no team knows of."""

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        response = await super().on_messages(messages, cancellation_token)
        content = Reply(amount=len(response.chat_message.to_text()))
        return Response(chat_message=StructuredMessage[Reply](content=content, source=self.name))


def test_a_structured_message_that_autogen_alone_would_not_accept() -> None:
    writer, editor = Structured("writer", "seven.."), Speaker("editor", "printed")
    with pytest.raises(RuntimeError, match="is not registered"):
        run(row(Structured("writer", "x"), Speaker("editor", "printed")))
    run(attach(row(writer, editor), pipeline="p", store="off"))
    assert editor.heard[-1] == ("writer", Reply(amount=7))


def test_output_content_type_that_does_not_parse_is_one_rejection() -> None:
    client = replies('{"amount": "many"}', '{"amount": 7}')
    writer = AssistantAgent("writer", client, output_content_type=Reply)
    edge = ValidationEdge("writer", schema(Reply))
    team = attach(row(writer), edge, pipeline="p", goal=lambda r: r.amount == 7, store="off")
    result = run(team)
    assert result.messages[-1].content == Reply(amount=7)  # type: ignore[attr-defined]  # it has
    assert counts(team, "writer") == (2, 1, 1, 0, 0)
    assert team.coord.last.outcome == "success.unjudged"


def test_a_parsed_value_goes_on_as_a_structured_message_and_survives_a_saved_state() -> None:
    def team() -> Any:
        agents = [Speaker("writer", '{"amount": 7}'), Speaker("editor", "printed")]
        edge = ValidationEdge("writer", schema(Reply))
        return attach(row(*agents), edge, pipeline="p", store="off")

    first = team()
    run(first)
    assert first._participants[1].heard[-1] == ("writer", Reply(amount=7))

    async def main() -> Any:
        state = json.loads(json.dumps(await _plain(first)))
        again = team()
        await again.load_state(state)
        return await again.run()

    assert chat(asyncio.run(main()))[-1] == ("editor", "printed")


async def _plain(team: Any) -> Any:
    """A saved state whose agents keep nothing that JSON cannot hold."""
    state = dict(await team.save_state())
    for name in ("writer", "editor"):
        state["agent_states"][name]["agent_state"] = {"heard": []}
    return state


def test_magentic_one_takes_text_alone_and_gets_it() -> None:
    from ..autogen_driver import NoModel

    team = MagenticOneGroupChat([Structured("writer", "seven..")], NoModel(["writer"]))
    result = run(attach(team, pipeline="p", store="off"))
    assert ("writer", '{"amount":7}') in chat(result)


# ---------------------------------------------------------------------- going on


def in_turns(*agents: Any) -> RoundRobinGroupChat:
    """A team that stops after each turn."""
    ends = FunctionalTermination(lambda messages: messages[-1].source != "user")
    return RoundRobinGroupChat(list(agents), termination_condition=ends)


def loop_graph(reader: Any, writer: Any, editor: Any) -> GraphFlow:
    builder = DiGraphBuilder()
    for node in (reader, writer, editor):
        builder.add_node(node)
    builder.add_edge(reader, writer).add_edge(writer, editor)
    ends = FunctionalTermination(lambda messages: messages[-1].source != "user")
    return GraphFlow([reader, writer, editor], builder.build(), termination_condition=ends)


@pytest.mark.parametrize("make", [in_turns, loop_graph])
def test_resume_mid_loop_in_another_process(make: Any) -> None:
    """AutoGen's graph alone ends at once after a resume; its round robin asks the wrong agent."""
    edge = ValidationEdge("writer", fine, back_to="reader", max_attempts=3)
    asked: list[str] = []

    def team(*drafts: str) -> Any:
        agents = [Speaker("reader", "facts"), Speaker("writer", *drafts), Speaker("editor", "end")]
        goal = check(lambda text: text == "end", name="goal")
        return attach(make(*agents), edge, pipeline="p", goal=goal, store="off")

    async def turn(one: Any, **task: Any) -> Any:
        result = await one.run(**task)
        said = [m for m in result.messages if not isinstance(m, ThoughtEvent)]
        asked.append(said[-1].source)
        return json.loads(json.dumps(await one.save_state()))

    async def main() -> Any:
        first = team(BAD)
        await turn(first, task="the task")
        state = await turn(first)  # the writer's draft is rejected: the reader is to be asked
        assert first.coord.last.steps.keys() == {"reader"}  # the run waits: no outcome is told
        second = team(GOOD)
        await second.load_state(state)
        for _ in range(3):
            state = await turn(second)
        return first, second

    first, second = asyncio.run(main())
    assert asked == ["reader", "coord", "reader", "writer", "editor"]
    record = second.coord.last
    assert record.run_id == first.coord.last.run_id  # one run in both processes
    assert counts(second, "writer") == (2, 1, 1, 0, 0)
    assert counts(second, "reader")[0] == 2
    assert record.outcome == "success.unjudged"


@pytest.mark.parametrize("activation", ["all", "any"])
def test_a_graphs_own_loop_survives_a_saved_state(activation: Any) -> None:
    """AutoGen alone does not save what it needs to start a node twice (its issue 7043)."""

    def team(*words: str) -> GraphFlow:
        writer, critic, end = Speaker("writer", "draft"), Speaker("critic", *words), Speaker("end")
        end.script = ("end",)
        builder = DiGraphBuilder()
        for node in (writer, critic, end):
            builder.add_node(node)
        own: dict[str, Any] = {"activation_condition": activation}
        builder.add_edge(writer, critic, activation_group="critic", **own)
        builder.add_edge(critic, writer, condition="again", activation_group="loop", **own)
        builder.add_edge(critic, end, condition="fine", activation_group="end", **own)
        builder.set_entry_point(writer)
        ends = FunctionalTermination(lambda messages: messages[-1].source != "user")
        return GraphFlow([writer, critic, end], builder.build(), termination_condition=ends)

    async def main() -> list[str]:
        spoke, state, task = [], None, "the task"
        for words in ("again", "again", "again", "again", "fine", "fine", "fine"):
            one = attach(team(words), pipeline="p", store="off")
            if state is not None:
                await one.load_state(state)
            result = await one.run(task=task)
            task = None  # type: ignore[assignment]  # it goes on
            spoke.append(result.messages[-1].source)
            state = json.loads(json.dumps(await one.save_state()))
        return spoke

    row = ["writer", "critic"]
    assert asyncio.run(main()) == [*row, *row, *row, "end"]


def test_start_is_remembered_in_another_process() -> None:
    from autogen_agentchat.teams import SelectorGroupChat

    def team(*drafts: str) -> Any:
        agents = [Speaker("a", "x"), Speaker("reader", "facts"), Speaker("writer", *drafts)]
        made = SelectorGroupChat(
            agents,
            replies(),
            selector_func=lambda thread: "writer" if thread[-1].source == "reader" else "reader",
            termination_condition=FunctionalTermination(lambda m: m[-1].source != "user"),
        )
        edge = ValidationEdge("writer", fine, back_to="__start__")
        return attach(made, edge, pipeline="p", store="off")

    async def main() -> Any:
        first = team(BAD)
        await first.run(task="the task")
        second = team(BAD, GOOD)
        await second.load_state(json.loads(json.dumps(await first.save_state())))
        return [(await second.run()).messages[-1] for _ in range(3)]

    said = asyncio.run(main())
    assert [m.source for m in said] == ["coord", "reader", "writer"]
    assert said[0].metadata["coord.goto"] == "reader"


def test_a_new_task_is_a_new_run_and_run_without_one_goes_on() -> None:
    team = attach(in_turns(Speaker("a", "1"), Speaker("b", "2")), pipeline="p", store="off")

    async def main() -> list[str]:
        found = []
        for task in ("one", None, "two"):
            await team.run(task=task)
            found.append(team.coord.last.run_id)
        return found

    one, same, two = asyncio.run(main())
    assert one == same != two
    assert [set(r.steps) for r in team.coord.runs] == [{"a", "b"}, {"a"}]


@pytest.mark.parametrize(("saved", "loaded"), [(True, False), (False, True), (True, True)])
def test_state_loads_in_both_directions(saved: bool, loaded: bool) -> None:
    def team(*, attached: bool) -> Any:
        made = row(Speaker("writer", GOOD), Speaker("editor", "printed"))
        edge = ValidationEdge("writer", fine)
        return attach(made, edge, pipeline="p", store="off") if attached else made

    async def main() -> list[Any]:
        first, second = team(attached=saved), team(attached=loaded)
        await first.run(task="the task")
        await second.load_state(json.loads(json.dumps(await first.save_state())))
        await second.run(task="another")
        return list(second._participants[0].heard)

    heard = asyncio.run(main())
    assert heard == [("user", "the task"), ("editor", "printed"), ("user", "another")]


# ---------------------------------------------------------------------- cancelling, failing


class Hanging(Speaker):
    """Waits for ever in its first turn, as an agent does whose model does not answer."""

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        if not self.turns:
            self.turns += 1
            self.heard.append(("half", "done"))
            await asyncio.Event().wait()
        return await super().on_messages(messages, cancellation_token)


@pytest.mark.parametrize("how", ["token", "task", "wait_for", "aclose"])
def test_cancelling_stops_the_chat_at_once_and_leaves_the_agent_usable(how: str) -> None:
    """AutoGen alone lets a cancelled task run all turns that are left."""
    slow, after = Hanging("slow", "a", GOOD), Speaker("after", "b")
    team = attach(row(slow, after), pipeline="p", store="off")

    async def main() -> None:
        token = CancellationToken()
        if how == "aclose":
            stream = team.run_stream(task="the task")
            await anext(stream)
            await stream.aclose()
            return
        running = asyncio.ensure_future(team.run(task="the task", cancellation_token=token))
        while not slow.turns:
            await asyncio.sleep(0)
        if how == "token":
            token.cancel()
        elif how == "task":
            running.cancel()
        with pytest.raises((asyncio.CancelledError, asyncio.TimeoutError)):
            await asyncio.wait_for(running, 0.01 if how == "wait_for" else 5)

    asyncio.run(main())
    assert team.coord.last.outcome == "error.cancelled"
    assert after.turns == 0
    assert slow.heard == []  # what was half done is taken back
    again = attach(row(slow, Speaker("after", "b")), pipeline="p", store="off")
    assert chat(run(again))[1:] == [("slow", GOOD), ("after", "b")]


def test_cancelling_during_a_tool_call_leaves_no_dangling_call() -> None:
    """AutoGen's assistant alone waits for ever, and keeps a call without its result."""
    client = replies()
    client.chat_completions = [
        CreateResult(
            finish_reason="function_calls",
            content=[FunctionCall(id="1", name="look", arguments="{}")],
            usage=RequestUsage(3, 2),
            cached=False,
        ),
        GOOD,
    ]
    called = asyncio.Event()

    async def look() -> str:
        """Look it up, for ever."""
        called.set()
        await asyncio.Event().wait()
        return "never"

    writer = AssistantAgent("writer", client, tools=[look])
    team = attach(row(writer), pipeline="p", store="off")

    async def main() -> Any:
        token = CancellationToken()
        running = asyncio.ensure_future(team.run(task="the task", cancellation_token=token))
        await called.wait()
        token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        return await writer.model_context.get_messages()

    assert asyncio.run(main()) == []
    assert team.coord.last.outcome == "error.cancelled"
    again = attach(row(writer), pipeline="p", store="off")
    assert chat(run(again))[-1] == ("writer", GOOD)


@pytest.mark.parametrize("kind", ["row", "graph"])
def test_a_team_that_autogen_left_unusable_says_so(kind: str) -> None:
    """AutoGen alone returns 'The group chat is stopped.' as if it had done its work."""
    writer, editor = Speaker("writer", KeyError("broken"), GOOD), Speaker("editor", "printed")
    if kind == "row":
        made: Any = row(writer, editor)
    else:
        builder = DiGraphBuilder().add_node(writer).add_node(editor).add_edge(writer, editor)
        made = GraphFlow([writer, editor], builder.build())
    team = attach(made, pipeline="p", store="off")
    with pytest.raises(KeyError, match="broken"):
        run(team)
    assert team.coord.last.outcome == "error.crash"
    with pytest.raises(TeamUnusableError, match=r"build a new team .* waits for writer"):
        run(team, "again")
    assert (team.coord.last.outcome, writer.turns) == ("error.crash", 1)


def test_reuse_after_a_failure_with_a_new_team_and_the_state_from_before() -> None:
    def team(*script: Any) -> Any:
        agents = [Speaker("writer", *script), Speaker("editor", "printed")]
        return attach(row(*agents), pipeline="p", store="off")

    async def main() -> Any:
        first = team(GOOD, KeyError("broken"))
        await first.run(task="one")
        before = json.loads(json.dumps(await first.save_state()))
        with pytest.raises(KeyError):
            await first.run(task="two")
        second = team(GOOD)
        await second.load_state(before)
        result = await second.run(task="two")
        return result, second._participants[0].heard

    result, heard = asyncio.run(main())
    assert chat(result)[1:] == [("writer", GOOD), ("editor", "printed")]
    assert heard == [("user", "one"), ("editor", "printed"), ("user", "two")]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda part: part.pop("questions"),
        lambda part: part["durable"].pop("run"),
        lambda part: part.update(questions=[{"step": "writer", "candidate": {"type": "Gone"}}]),
        lambda part: part.update(durable="of another kind"),
    ],
)
def test_a_state_that_cannot_be_read_loads_nothing(spoil: Any) -> None:
    def team() -> Any:
        return attach(row(Speaker("writer", GOOD)), pipeline="p", store="off")

    async def main() -> Any:
        first, second = team(), team()
        await first.run(task="one")
        state = json.loads(json.dumps(await first.save_state()))
        spoil(state["coord"])
        before = await second.save_state()
        with pytest.raises(PolicyError, match=r"'coord' part cannot be read .* leave 'coord' out"):
            await second.load_state(state)
        assert await second.save_state() == before
        del state["coord"]
        await second.load_state(state)
        return state["agent_states"], (await second.save_state())["agent_states"]

    saved, loaded = asyncio.run(main())
    assert loaded == saved


def test_the_original_exception_with_its_cause() -> None:
    cause = ValueError("why")
    error = KeyError("broken")
    error.__cause__ = cause
    team = attach(row(Speaker("writer", error)), pipeline="p", store="off")
    with pytest.raises(KeyError) as caught:
        run(team)
    assert caught.value is error
    assert caught.value.__cause__ is cause


def test_errors_of_the_manager_come_as_they_were() -> None:
    from autogen_agentchat.teams import SelectorGroupChat

    def select(thread: Any) -> str:
        if len(thread) > 1:
            raise LookupError("nobody is left")
        return "a"

    agents = [Speaker("a", "1"), Speaker("b", "2")]
    team = SelectorGroupChat(agents, replies(), selector_func=select)
    with pytest.raises(LookupError, match="nobody is left"):
        run(attach(team, pipeline="p", store="off"))

    def breaks(messages: Any) -> bool:
        raise ZeroDivisionError

    ends = FunctionalTermination(breaks)
    team2 = RoundRobinGroupChat([Speaker("a", "1")], termination_condition=ends)
    with pytest.raises(ZeroDivisionError):
        run(attach(team2, pipeline="p", store="off"))


def test_stop_ends_normally_and_the_team_goes_on_with_the_next_task() -> None:
    writer, editor = Speaker("writer", BAD, BAD, GOOD), Speaker("editor", "printed")
    edge = ValidationEdge("writer", fine, otherwise=STOP)
    team = attach(row(writer, editor), edge, pipeline="p", store="off")

    async def main() -> Any:
        return [await team.run(task=task) for task in ("one", "two")]

    one, two = asyncio.run(main())
    assert is_note(one.messages[-1])
    assert one.stop_reason == "stopped at writer: 2 of 2 answers were rejected by fine"
    # a round robin goes on where it was, as AutoGen's does after any end
    assert chat(two)[1:] == [("editor", "printed")]
    assert [r.outcome for r in team.coord.runs] == ["escalated.unjudged", "unlabelled"]


def test_a_task_with_an_image_can_be_saved() -> None:
    from autogen_agentchat.messages import MultiModalMessage
    from autogen_core import Image
    from PIL import Image as Pictures

    picture = Image(Pictures.new("RGB", (1, 1)))
    task = MultiModalMessage(content=["look", picture], source="user")
    team = attach(in_turns(Speaker("a", "1"), Speaker("b", "2")), pipeline="p", store="off")

    async def main() -> Any:
        await team.run(task=task)
        return json.loads(json.dumps((await team.save_state())["coord"]))

    assert asyncio.run(main())["inputs"][0] == "look"
