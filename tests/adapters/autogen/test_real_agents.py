"""Teams of every kind with AutoGen's own agents, tools and client: who was told what, counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("autogen_ext")

from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import HandoffMessage, ThoughtEvent
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from coord_autogen import attach

from coord_plugins import END, START, Retry, ValidationEdge, check, use_clock
from coord_plugins.testing import FakeClock, assert_identities

from .openai_server import TOKENS_IN, TOKENS_OUT, OpenAIServer, Reply

# AutoGen's client dumps the SDK's parsed reply, of which pydantic complains
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")

CALL = TOKENS_IN + TOKENS_OUT
"""Tokens of one call."""
TASK, DRAFT, FINAL = "Write about the sea.", "The waves crash.", "The tides turn [1]."
WORDS = "name your source"
"""The reviewer's words."""
FACT, OTHER_FACT, OVER = "Salt is a fact.", "Foam is a fact.", "APPROVED"
SELECTS = "role play game"
"""What stands in a selector's prompt alone."""
SOCIETY = "Earlier you were asked"
"""What stands in the prompt of a SocietyOfMindAgent's own call alone."""
say, call = Reply.say, Reply.call
Make = Callable[..., Any]


def cites(text: str) -> bool:
    return "[1]" in text


CITES = check(cites, feedback=WORDS)


class Desk:
    """Agents on a server; the researcher has a tool, which notes its calls."""

    def __init__(self, server: OpenAIServer, stack: AsyncExitStack) -> None:
        self.server = server
        self.looked_up: list[str] = []
        self._stack = stack

    def client(self, **settings: Any) -> Any:
        client = self.server.client(**settings)
        self._stack.push_async_callback(client.close)
        return client

    def lookup(self, topic: str) -> str:
        """Look a topic up."""
        self.looked_up.append(topic)
        return f"All about {topic}."

    def agent(self, name: str, **settings: Any) -> AssistantAgent:
        more = {"system_message": f"You are the {name.upper()}.", **settings}
        return AssistantAgent(name, self.client(), description=f"a {name}", **more)

    def agents(self, *names: str, handoffs: bool = False) -> list[Any]:
        """Agents of these names; with handoffs each can hand over to the next."""
        made = []
        for name, following in zip(names, [*names[1:], None], strict=True):
            more: dict[str, Any] = {}
            if name == "researcher":
                more = {"tools": [self.lookup], "reflect_on_tool_use": True}
            if handoffs and following is not None:
                more["handoffs"] = [following]
            made.append(self.agent(name, **more))
        return made


@dataclass
class Seen:
    """What the caller saw, what the agents were told, and what the record says."""

    requests: list[dict[str, Any]]
    tool_calls: list[str]
    record: Any = None
    result: Any = None
    items: list[Any] = field(default_factory=list)

    def told(self, agent: str, text: str) -> list[int]:
        """In each request of an agent, how many messages hold a text."""
        return [_count(body, text) for body in self.requests if agent in _system(body)]

    def others_told(self, agent: str, text: str) -> int:
        """In how many requests of all but one agent a text stands."""
        return sum(1 for b in self.requests if agent not in _system(b) and text in json.dumps(b))

    def step(self, name: str) -> tuple[int, int, int, int, int]:
        """A step's executions, judged candidates, passes, rejects, and deliveries of feedback."""
        t = self.record.steps[name]
        return t.executions, t.calls, t.passes, t.rejects, t.delivered

    @property
    def ran(self) -> dict[str, int]:
        """Executions by step."""
        return {n: t.executions for n, t in self.record.steps.items() if t.executions}

    @property
    def answers(self) -> list[str]:
        """What the caller gets of the chat, without the task and the events."""
        return [m.to_text() for m in self.result.messages if m.source != "user" and _is_chat(m)]


def _is_chat(message: Any) -> bool:
    return hasattr(message, "to_model_message")


def _system(body: dict[str, Any]) -> str:
    return "\n".join(str(m["content"]) for m in body["messages"] if m["role"] == "system")


def _count(body: dict[str, Any], text: str) -> int:
    return sum(text in json.dumps(m) for m in body["messages"])


def chat(
    script: dict[str, Sequence[Reply]],
    build: Callable[[Desk], Any],
    *edges: Any,
    others: Sequence[Reply] = (),
    goal: Any = lambda text: True,
    retry: Any = None,
) -> Seen:
    """Attach a team and run it once; `others` answers requests without a system message."""
    with OpenAIServer() as server, use_clock(FakeClock()):
        server.script(script)
        server.add(*others)
        seen = Seen(server.requests, [])

        async def main() -> None:
            async with AsyncExitStack() as stack:
                desk = Desk(server, stack)
                seen.tool_calls = desk.looked_up
                team = build(desk)
                attach(team, *edges, pipeline="p", goal=goal, retry=retry, store="off")
                async for item in team.run_stream(task=TASK):
                    if isinstance(item, TaskResult):
                        seen.result = item
                    else:
                        seen.items.append(item)
                seen.record = team.coord.last

        asyncio.run(asyncio.wait_for(main(), 30))  # a chat that waits for ever is an error
        assert server.left == 0
    assert_identities(seen.record)
    assert seen.record.tokens == CALL * len(seen.requests)
    return seen


def until(source: str = "editor") -> TextMentionTermination:
    return TextMentionTermination(OVER, sources=[source])


# ------------------------------------------------------------------ the kinds of teams


def roundrobin(desk: Desk) -> RoundRobinGroupChat:
    agents = desk.agents("researcher", "writer", "editor")
    return RoundRobinGroupChat(agents, termination_condition=until())


def selector(desk: Desk) -> SelectorGroupChat:
    agents = desk.agents("researcher", "writer", "editor")
    return SelectorGroupChat(agents, desk.client(), termination_condition=until())


def swarm(desk: Desk) -> Swarm:
    agents = desk.agents("researcher", "writer", "editor", handoffs=True)
    return Swarm(agents, termination_condition=until())


def graph(desk: Desk) -> GraphFlow:
    agents = desk.agents("researcher", "writer", "editor")
    builder = DiGraphBuilder()
    for agent in agents:
        builder.add_node(agent)
    builder.add_edge("researcher", "writer").add_edge("writer", "editor")
    return GraphFlow(agents, builder.build())


def magentic(desk: Desk) -> MagenticOneGroupChat:
    return MagenticOneGroupChat(desk.agents("researcher", "writer"), desk.client())


def ledger(speaker: str, *, done: bool = False) -> Reply:
    """What MagenticOne's orchestrator is told of how the work stands."""
    said = {
        "is_request_satisfied": done,
        "is_progress_being_made": True,
        "is_in_loop": False,
        "instruction_or_question": "go on",
        "next_speaker": speaker,
    }
    return say(json.dumps({k: {"reason": "so it is", "answer": v} for k, v in said.items()}))


PLAN = [say("the facts"), say("the plan")]
"""The orchestrator's first two calls."""
BOTH_AGENTS = [*PLAN, ledger("researcher"), ledger("writer"), ledger("writer", done=True)]


def in_place(kind: str) -> dict[str, list[Reply]]:
    """The writer's first answer is rejected, and its second one is not."""
    script = {
        "RESEARCHER": [call("lookup", topic="salt"), say(FACT)],
        "WRITER": [say(DRAFT), say(FINAL)],
        "EDITOR": [say(OVER)],
    }
    if kind == "swarm":
        script["RESEARCHER"].append(call("transfer_to_writer"))
        script["WRITER"].append(call("transfer_to_editor"))
    if kind == "selector":
        script = {SELECTS: [say("researcher"), say("writer"), say("editor")], **script}
    if kind == "magentic":
        del script["EDITOR"]
    return script


def back(kind: str) -> dict[str, list[Reply]]:
    """As `in_place`, by way of the researcher, who then needs no tool."""
    script = in_place(kind)
    if kind == "swarm":
        script["RESEARCHER"].append(call("transfer_to_writer"))
    else:
        script["RESEARCHER"].append(say(OTHER_FACT))
    if kind == "selector":
        script[SELECTS] = [say(n) for n in ("researcher", "writer", "writer", "editor")]
    return script


KINDS: dict[str, Callable[[Desk], Any]] = {
    "roundrobin": roundrobin,
    "selector": selector,
    "swarm": swarm,
    "graph": graph,
    "magentic": magentic,
}
REQUESTS = {"roundrobin": 5, "selector": 8, "swarm": 7, "graph": 5, "magentic": 10}
"""Requests of a run in which the writer is asked twice."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_rejected_answer_stays_with_its_author(kind: str) -> None:
    others = [*BOTH_AGENTS, say("That was all.")] if kind == "magentic" else []
    edge = ValidationEdge("writer", CITES)
    seen = chat(in_place(kind), KINDS[kind], edge, others=others)
    assert len(seen.requests) == REQUESTS[kind]
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.step("researcher") == (1, 0, 0, 0, 0)
    assert seen.tool_calls == ["salt"]
    # what the writer was told, request by request
    assert seen.told("WRITER", "about the sea")[:2] == [1, 1]
    assert seen.told("WRITER", WORDS)[:2] == [0, 1]
    assert seen.told("WRITER", DRAFT)[:2] == [0, 1]
    assert seen.told("WRITER", FACT)[:2] == [1, 1]
    # and the others
    assert seen.others_told("WRITER", DRAFT) == 0
    assert seen.others_told("WRITER", WORDS) == 0
    assert set(seen.told("RESEARCHER", "about the sea")) == {1}
    if kind != "magentic":
        assert seen.told("EDITOR", "about the sea") == [1]
        assert seen.told("EDITOR", FINAL) == [1]
    assert seen.answers.count(FINAL) == 1
    assert DRAFT not in json.dumps([m.model_dump(mode="json") for m in seen.result.messages])


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_rejection_every_agent_is_asked_once(kind: str) -> None:
    script = in_place(kind)
    del script["WRITER"][0]
    others = [*BOTH_AGENTS, say("That was all.")] if kind == "magentic" else []
    edge = ValidationEdge("writer", CITES)
    seen = chat(script, KINDS[kind], edge, others=others)
    assert len(seen.requests) == REQUESTS[kind] - 1
    assert seen.record.outcome == "success.first_pass"
    assert seen.step("writer") == (1, 1, 1, 0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_attached_team_tells_its_agents_what_a_bare_one_tells(kind: str) -> None:
    script = in_place(kind)
    del script["WRITER"][0]
    others = [*BOTH_AGENTS, say("That was all.")] if kind == "magentic" else []
    seen = chat(script, KINDS[kind], ValidationEdge("writer", CITES), others=others)
    bare: list[dict[str, Any]] = []
    with OpenAIServer() as server:
        server.script(script)
        server.add(*others)

        async def main() -> Any:
            async with AsyncExitStack() as stack:
                return await KINDS[kind](Desk(server, stack)).run(task=TASK)

        result = asyncio.run(main())
        bare = server.requests
    assert seen.requests == bare
    texts = [(m.source, m.to_text()) for m in result.messages]
    assert [(m.source, m.to_text()) for m in seen.result.messages] == texts
    assert seen.result.stop_reason == result.stop_reason


@pytest.mark.parametrize("target", ["researcher", START], ids=["researcher", "START"])
@pytest.mark.parametrize("kind", ["roundrobin", "selector", "graph"])
def test_a_rejection_goes_back_to_an_earlier_agent(kind: str, target: str) -> None:
    edge = ValidationEdge("writer", CITES, back_to=(target,))
    seen = chat(back(kind), KINDS[kind], edge)
    assert len(seen.requests) == {"roundrobin": 6, "selector": 10, "graph": 6}[kind]
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.step("researcher") == (2, 0, 0, 0, 1)
    assert seen.step("editor") == (1, 0, 0, 0, 0)
    assert seen.tool_calls == ["salt"]
    assert seen.told("RESEARCHER", "about the sea") == [1, 1, 1]
    assert seen.told("RESEARCHER", WORDS) == [0, 0, 1]
    assert seen.told("RESEARCHER", FACT) == [0, 0, 1]
    assert seen.told("WRITER", "about the sea") == [1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("WRITER", DRAFT) == [0, 1]
    assert (seen.told("WRITER", FACT), seen.told("WRITER", OTHER_FACT)) == ([1, 1], [0, 1])
    assert seen.others_told("WRITER", DRAFT) == 0
    assert (seen.told("EDITOR", WORDS), seen.told("EDITOR", FINAL)) == ([0], [1])
    assert [a for a in seen.answers if "accepted" not in a] == [FACT, OTHER_FACT, FINAL, OVER]


def test_a_selector_is_not_asked_where_a_rejection_goes() -> None:
    edge = ValidationEdge("writer", CITES, back_to=("researcher",))
    seen = chat(back("selector"), selector, edge)
    assert seen.told(SELECTS, "about the sea") == [1, 1, 1, 1]
    assert seen.told(SELECTS, WORDS) == [0, 0, 0, 0]
    assert seen.told(SELECTS, OTHER_FACT) == [0, 0, 1, 1]


def test_a_rejection_goes_back_along_a_swarms_handoffs() -> None:
    edge = ValidationEdge("writer", CITES, back_to=("researcher",))
    seen = chat(back("swarm"), swarm, edge)
    assert len(seen.requests) == 8
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.tool_calls == ["salt"]
    assert seen.told("RESEARCHER", "about the sea") == [1, 1, 1, 1]
    assert seen.told("RESEARCHER", WORDS) == [0, 0, 0, 1]
    assert seen.told("WRITER", "about the sea") == [1, 1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1, 1]
    assert seen.told("WRITER", DRAFT) == [0, 1, 1]
    assert seen.others_told("WRITER", DRAFT) == 0
    assert seen.told("EDITOR", WORDS) == [0]
    to = [m.target for m in seen.result.messages if isinstance(m, HandoffMessage)]
    assert to == ["writer", "writer", "editor"]


def test_an_agent_of_a_swarm_that_gets_the_word_back_keeps_it_until_it_hands_over() -> None:
    script = back("swarm")
    script["RESEARCHER"].insert(3, say(OTHER_FACT))
    edge = ValidationEdge("writer", CITES, back_to=("researcher",))
    seen = chat(script, swarm, edge)
    assert len(seen.requests) == 9
    assert seen.record.outcome == "success.unjudged"
    assert seen.told("WRITER", OTHER_FACT) == [0, 1, 1]
    to = [m.target for m in seen.result.messages if isinstance(m, HandoffMessage)]
    assert to == ["writer", "writer", "editor"]


def test_an_agent_that_speaks_twice_before_the_edge_passes_gets_the_words_once() -> None:
    def build(desk: Desk) -> SelectorGroupChat:
        team = selector(desk)
        return SelectorGroupChat(
            team._participants,
            desk.client(),
            termination_condition=until(),
            allow_repeated_speaker=True,
        )

    names = ["researcher", "writer", "researcher", "writer", "editor"]
    script = back("selector")
    script[SELECTS] = [say(name) for name in names]
    script["RESEARCHER"].append(say("Sand is a fact."))
    seen = chat(script, build, ValidationEdge("writer", CITES, back_to=("researcher",)))
    assert len(seen.requests) == 12
    assert seen.record.outcome == "success.unjudged"
    assert seen.told("RESEARCHER", WORDS) == [0, 0, 1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]


def test_a_tool_result_is_no_answer() -> None:
    """Without reflection an AssistantAgent answers with what its tool returned."""

    def build(desk: Desk) -> RoundRobinGroupChat:
        agents = [desk.agent("writer", tools=[desk.lookup]), desk.agent("editor")]
        return RoundRobinGroupChat(agents, termination_condition=until())

    script = {
        "WRITER": [call("lookup", topic="salt"), say(DRAFT), say(FINAL)],
        "EDITOR": [say("Go on."), say(OVER)],
    }
    seen = chat(script, build, ValidationEdge("writer", CITES))
    assert len(seen.requests) == 5
    assert seen.answers == ["All about salt.", "Go on.", FINAL, OVER]
    assert seen.tool_calls == ["salt"]
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.told("WRITER", WORDS) == [0, 0, 1]
    assert seen.others_told("WRITER", DRAFT) == 0


def test_the_tools_of_a_rejected_answer_are_not_called_again() -> None:
    edge = ValidationEdge("researcher", CITES)
    script = in_place("roundrobin")
    script["RESEARCHER"] = [call("lookup", topic="salt"), say(DRAFT), say(FINAL)]
    script["WRITER"] = [say("Thank you.")]
    seen = chat(script, roundrobin, edge)
    assert len(seen.requests) == 5
    assert (seen.record.outcome, seen.tool_calls) == ("success.unjudged", ["salt"])
    assert seen.told("RESEARCHER", "All about salt.") == [0, 1, 1]
    assert seen.told("RESEARCHER", WORDS) == [0, 0, 1]
    assert seen.others_told("RESEARCHER", DRAFT) == 0
    kinds = Counter(type(m).__name__ for m in seen.result.messages)
    assert (kinds["ToolCallRequestEvent"], kinds["ToolCallExecutionEvent"]) == (1, 1)
    assert sum(isinstance(m, ThoughtEvent) for m in seen.result.messages) == 1


def test_the_branches_of_a_graph_are_judged_apart() -> None:
    def build(desk: Desk) -> GraphFlow:
        agents = [desk.agent(name) for name in ("planner", "writer", "critic", "editor")]
        builder = DiGraphBuilder()
        for agent in agents:
            builder.add_node(agent)
        for side in ("writer", "critic"):
            builder.add_edge("planner", side).add_edge(side, "editor")
        return GraphFlow(agents, builder.build())

    script = {
        "PLANNER": [say("Begin.")],
        "WRITER": [say(DRAFT), say(FINAL)],
        "CRITIC": [say("dull"), say("duller"), say("bright [1]")],
        "EDITOR": [say(OVER)],
    }
    edges = [ValidationEdge("writer", CITES), ValidationEdge("critic", CITES, max_attempts=3)]
    seen = chat(script, build, *edges)
    assert len(seen.requests) == 7
    assert seen.record.outcome == "success.unjudged"
    assert (seen.step("writer"), seen.step("critic")) == ((2, 2, 1, 1, 1), (3, 3, 1, 2, 2))
    assert (seen.told("WRITER", WORDS), seen.told("CRITIC", WORDS)) == ([0, 1], [0, 1, 2])
    assert (seen.others_told("WRITER", DRAFT), seen.others_told("CRITIC", "dull")) == (0, 0)
    assert seen.told("EDITOR", FINAL) == seen.told("EDITOR", "bright [1]") == [1]
    assert seen.told("EDITOR", "about the sea") == [1]


# ------------------------------------------------------------------ an edge on the end


def test_a_final_answer_of_magentic_one_is_judged() -> None:
    script = in_place("magentic")
    del script["WRITER"][0]
    again = [*PLAN, ledger("writer", done=True)]
    others = [*BOTH_AGENTS, say("The sea is wet."), *again, say("The sea is deep [1].")]
    seen = chat(script, magentic, ValidationEdge(END, CITES), others=others, goal=cites)
    assert len(seen.requests) == 6 + 3 + 4
    assert seen.record.outcome == "success.unjudged"
    assert seen.step(END) == (2, 2, 1, 1, 1)
    assert seen.ran == {"researcher": 1, "writer": 1, END: 2}
    assert seen.tool_calls == ["salt"]
    assert seen.answers[-1] == "The sea is deep [1]."
    assert "The sea is wet." not in seen.answers
    # it plans anew with the task and the words, and never sees the answer that was rejected
    planning = [b for b in seen.requests if "pre-survey" in json.dumps(b["messages"][0])]
    first, second = planning[0], next(b for b in planning if WORDS in json.dumps(b))
    assert (_count(first, "about the sea"), _count(second, "about the sea")) == (1, 1)
    assert all("The sea is wet." not in json.dumps(b) for b in seen.requests)


@pytest.mark.parametrize("kind", ["roundrobin", "selector", "graph"])
def test_a_final_answer_is_judged(kind: str) -> None:
    script = {
        "RESEARCHER": [call("lookup", topic="salt"), say(FACT), say(OTHER_FACT)],
        "WRITER": [say("one"), say("two")],
        "EDITOR": [say(f"{DRAFT} {OVER}"), say(f"{FINAL} {OVER}")],
    }
    if kind == "selector":
        names = ["researcher", "writer", "editor"] * 2
        script = {SELECTS: [say(name) for name in names], **script}
    seen = chat(script, KINDS[kind], ValidationEdge(END, CITES), goal=cites)
    assert len(seen.requests) == {"roundrobin": 7, "selector": 13, "graph": 7}[kind]
    assert seen.record.outcome == "success.unjudged"
    assert seen.step(END) == (2, 2, 1, 1, 1)
    assert seen.ran == {"researcher": 2, "writer": 2, "editor": 2, END: 2}
    assert seen.tool_calls == ["salt"]
    assert seen.answers == [FACT, "one", OTHER_FACT, "two", f"{FINAL} {OVER}"]
    assert seen.told("RESEARCHER", "about the sea") == [1, 1, 1]
    assert seen.told("EDITOR", WORDS) == [0, 1]


@pytest.mark.parametrize("kind", ["selector", "magentic"])
def test_a_managers_call_is_made_again_under_an_edge_on_the_end(kind: str) -> None:
    script = in_place(kind)
    script["WRITER"] = [say(FINAL)]
    others: list[Reply] = []
    if kind == "selector":
        script["EDITOR"] = [say(f"{FINAL} {OVER}")]
        script[SELECTS].insert(1, Reply.fail(500))
    else:
        others = [*BOTH_AGENTS, say(FINAL)]
        others.insert(1, Reply.fail(500))
    with_failure = REQUESTS[kind]  # one call less of the writer, one that failed
    with OpenAIServer() as server, use_clock(FakeClock()) as clock:
        server.script(script)
        server.add(*others)

        async def main() -> Any:
            async with AsyncExitStack() as stack:
                team = KINDS[kind](Desk(server, stack))
                attach(
                    team,
                    ValidationEdge(END, CITES),
                    pipeline="p",
                    goal=cites,
                    retry=Retry(),
                    store="off",
                )
                await team.run(task=TASK)
                return team.coord.last

        record = asyncio.run(main())
        assert len(server.requests) == with_failure
    assert clock.sleeps == [0.5]
    assert record.outcome == "success.crash_retried"
    assert record.tokens == (with_failure - 1) * CALL
    assert sum(t.errors for t in record.steps.values()) == 1


# ------------------------------------------------------------------ MagenticOne


def test_a_call_of_magentic_ones_orchestrator_is_made_again() -> None:
    script = in_place("magentic")
    with OpenAIServer() as server, use_clock(FakeClock()) as clock:
        server.script(script)
        fail = Reply.fail(500)
        server.add(fail, *PLAN, fail, *BOTH_AGENTS[2:], fail, say("That was all."))

        async def main() -> Any:
            async with AsyncExitStack() as stack:
                team = magentic(Desk(server, stack))
                edge = ValidationEdge("writer", CITES)
                attach(team, edge, pipeline="p", goal=bool, retry=Retry(), store="off")
                await team.run(task=TASK)
                return team.coord.last

        record = asyncio.run(main())
        assert (len(server.requests), server.left) == (13, 0)
    assert clock.sleeps == [0.5, 0.5, 0.5]
    assert (record.outcome, record.tokens) == ("success.unjudged", 10 * CALL)
    manager = record.steps["MagenticOneOrchestrator"]
    assert (manager.executions, manager.errors, manager.retries) == (6, 3, 3)


def test_a_ledger_that_cannot_be_read_is_asked_for_again_by_magentic_one_itself() -> None:
    others = [*BOTH_AGENTS, say("That was all.")]
    others.insert(3, say('{"is_request_satisfied": '))
    edge = ValidationEdge("writer", CITES)
    seen = chat(in_place("magentic"), plain_magentic, edge, others=others)
    assert len(seen.requests) == 11
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)


def plain_magentic(desk: Desk) -> MagenticOneGroupChat:
    """As `magentic`, with a model that has no structured output."""
    info = {
        "family": "unknown",
        "vision": False,
        "function_calling": True,
        "json_output": False,
        "structured_output": False,
    }
    client = desk.client(model="some-model", model_info=info)
    return MagenticOneGroupChat(desk.agents("researcher", "writer"), client)


def test_the_bundled_magentic_one_is_judged() -> None:
    """`pip install "autogen-ext[magentic-one,openai]" aiofiles`; nothing surfs or runs code."""
    bundle = pytest.importorskip("autogen_ext.teams.magentic_one")
    from autogen_core.code_executor import CodeExecutor

    class NoExecutor(CodeExecutor):
        async def execute_code_blocks(self, code_blocks: Any, cancellation_token: Any) -> Any:
            raise AssertionError("nobody runs code")

        async def start(self) -> None: ...

        async def stop(self) -> None: ...

        async def restart(self) -> None: ...

    def build(desk: Desk) -> Any:
        never = {"code_executor": NoExecutor(), "approval_func": lambda request: None}
        return bundle.MagenticOne(desk.client(model="gpt-4o"), **never)

    others = [
        *PLAN,
        ledger("Coder"),
        ledger("Coder", done=True),
        say("The sea is wet."),
        *PLAN,
        ledger("Coder", done=True),
        say(FINAL),
    ]
    script = {"You are a helpful AI assistant": [say(DRAFT), say(f"{FINAL} print(1)")]}
    edges = [ValidationEdge("Coder", CITES), ValidationEdge(END, CITES)]
    seen = chat(script, build, *edges, others=others, goal=cites)
    assert len(seen.requests) == 11
    assert seen.record.outcome == "success.unjudged"
    assert seen.ran == {"Coder": 2, END: 2}
    assert seen.step("Coder") == seen.step(END) == (2, 2, 1, 1, 1)
    assert seen.told("You are a helpful AI assistant", WORDS) == [0, 1]
    assert seen.others_told("You are a helpful AI assistant", DRAFT) == 0
    assert seen.answers[-1] == FINAL


# ------------------------------------------------------------------ teams inside teams


def nested(desk: Desk) -> RoundRobinGroupChat:
    """A researcher, a desk of a writer and an editor, and a publisher."""
    inner = RoundRobinGroupChat(
        desk.agents("writer", "editor"), name="desk", termination_condition=until()
    )
    researcher, publisher = desk.agents("researcher", "publisher")
    return RoundRobinGroupChat([researcher, inner, publisher], max_turns=3)


def test_an_agent_of_a_team_inside_a_team_is_judged() -> None:
    script = {**in_place("nested"), "PUBLISHER": [say("Published.")]}
    seen = chat(script, nested, ValidationEdge("writer", CITES))
    assert len(seen.requests) == 6
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.tool_calls == ["salt"]
    assert seen.told("WRITER", "about the sea") == [1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("WRITER", DRAFT) == [0, 1]
    assert seen.told("WRITER", FACT) == [1, 1]
    assert seen.others_told("WRITER", DRAFT) == seen.others_told("WRITER", WORDS) == 0
    assert seen.told("EDITOR", FINAL) == seen.told("PUBLISHER", FINAL) == [1]
    assert seen.told("PUBLISHER", "about the sea") == [1]
    assert seen.answers.count(FINAL) == 1


def test_a_rejection_goes_back_inside_of_a_team_inside_a_team() -> None:
    def build(desk: Desk) -> RoundRobinGroupChat:
        agents = desk.agents("researcher", "writer", "editor")
        inner = RoundRobinGroupChat(agents, name="desk", termination_condition=until())
        return RoundRobinGroupChat([inner, desk.agent("publisher")], max_turns=2)

    script = {**back("nested"), "PUBLISHER": [say("Published.")]}
    seen = chat(script, build, ValidationEdge("writer", CITES, back_to=("researcher",)))
    assert len(seen.requests) == 7
    assert seen.record.outcome == "success.unjudged"
    assert (seen.step("writer"), seen.step("researcher")) == ((2, 2, 1, 1, 1), (2, 0, 0, 0, 1))
    assert seen.told("RESEARCHER", WORDS) == [0, 0, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("PUBLISHER", "about the sea") == seen.told("PUBLISHER", FINAL) == [1]
    assert seen.others_told("WRITER", DRAFT) == 0
    assert seen.told("PUBLISHER", WORDS) == [0]


def test_a_team_inside_a_team_is_judged_as_one() -> None:
    script = {
        "RESEARCHER": [call("lookup", topic="salt"), say(FACT)],
        "WRITER": [say("one"), say("two")],
        "EDITOR": [say(f"{DRAFT} {OVER}"), say(f"{FINAL} {OVER}")],
        "PUBLISHER": [say("Published.")],
    }
    seen = chat(script, nested, ValidationEdge("editor", CITES, back_to=("writer",)))
    assert len(seen.requests) == 7
    assert seen.record.outcome == "success.unjudged"
    assert (seen.step("writer"), seen.step("editor")) == ((2, 0, 0, 0, 1), (2, 2, 1, 1, 1))
    assert seen.others_told("EDITOR", DRAFT) == 0
    assert seen.told("PUBLISHER", WORDS) == [0]


# ------------------------------------------------------------------ a society of mind


def society(desk: Desk) -> RoundRobinGroupChat:
    """A writer and an editor who speak with one voice, and a publisher."""
    inner = RoundRobinGroupChat(desk.agents("writer", "editor"), termination_condition=until())
    one = SocietyOfMindAgent("society", inner, desk.client())
    return RoundRobinGroupChat([one, desk.agent("publisher")], max_turns=2)


def test_an_agent_inside_a_society_of_mind_is_judged() -> None:
    script = {
        "WRITER": [say(DRAFT), say(FINAL)],
        "EDITOR": [say(OVER)],
        SOCIETY: [say("We wrote it.")],
        "PUBLISHER": [say("Published.")],
    }
    seen = chat(script, society, ValidationEdge("writer", CITES))
    assert len(seen.requests) == 5
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.ran == {"society": 1, "writer": 2, "editor": 1, "publisher": 1}
    assert seen.told("WRITER", "about the sea") == [1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("WRITER", DRAFT) == [0, 1]
    assert seen.others_told("WRITER", DRAFT) == seen.others_told("WRITER", WORDS) == 0
    assert seen.told(SOCIETY, FINAL) == [1]
    assert seen.told("PUBLISHER", "We wrote it.") == [1]


def test_a_society_of_mind_is_judged() -> None:
    script = {
        "WRITER": [say("one"), say("two")],
        "EDITOR": [say(OVER), say(OVER)],
        SOCIETY: [say(DRAFT), say(FINAL)],
        "PUBLISHER": [say("Published.")],
    }
    seen = chat(script, society, ValidationEdge("society", CITES))
    assert len(seen.requests) == 7
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("society") == (2, 2, 1, 1, 1)
    assert seen.ran == {"society": 2, "writer": 2, "editor": 2, "publisher": 1}
    # its agents begin anew, with the task and the words
    assert seen.told("WRITER", "about the sea") == [1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("EDITOR", "about the sea") == [1, 1]
    assert all(DRAFT not in json.dumps(body) for body in seen.requests)
    assert seen.told("PUBLISHER", FINAL) == [1]
    assert seen.told("PUBLISHER", WORDS) == [0]


def test_a_society_of_mind_whose_own_call_fails_has_its_turn_alone() -> None:
    script = {
        "WRITER": [say("one")],
        "EDITOR": [say(OVER)],
        SOCIETY: [Reply.fail(500), say(FINAL)],
        "PUBLISHER": [say("Published.")],
    }
    with OpenAIServer() as server, use_clock(FakeClock()) as clock:
        server.script(script)

        async def main() -> Any:
            async with AsyncExitStack() as stack:
                team = society(Desk(server, stack))
                attach(team, pipeline="p", goal=bool, retry=Retry(), store="off")
                await team.run(task=TASK)
                return team.coord.last

        record = asyncio.run(main())
        assert len(server.requests) == 5
    assert (record.outcome, clock.sleeps) == ("success.crash_retried", [0.5])
    assert (record.steps["society"].executions, record.steps["writer"].executions) == (2, 1)
    assert record.tokens == 4 * CALL


# ------------------------------------------------------------------ agents and teams as tools


def boss(desk: Desk, tool: Any) -> RoundRobinGroupChat:
    """An agent that has another one, or a team, as its tool."""
    one = AssistantAgent(
        "boss",
        desk.client(parallel_tool_calls=False),
        tools=[tool],
        reflect_on_tool_use=True,
        system_message="You are the BOSS.",
    )
    return RoundRobinGroupChat([one], max_turns=1)


def with_agent_tool(desk: Desk) -> RoundRobinGroupChat:
    return boss(desk, AgentTool(desk.agent("writer"), return_value_as_last_message=True))


def test_an_agent_that_is_a_tool_is_judged() -> None:
    script = {
        "BOSS": [call("writer", task="a line please"), say("Here it is.")],
        "WRITER": [say(DRAFT), say(FINAL)],
    }
    seen = chat(script, with_agent_tool, ValidationEdge("writer", CITES))
    assert len(seen.requests) == 4
    assert seen.record.outcome == "success.unjudged"
    assert (seen.step("writer"), seen.step("boss")) == ((2, 2, 1, 1, 1), (1, 0, 0, 0, 0))
    assert seen.told("WRITER", "a line please") == [1, 1]
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.told("WRITER", DRAFT) == [0, 1]
    assert seen.told("BOSS", FINAL) == [0, 1]
    assert seen.others_told("WRITER", DRAFT) == seen.others_told("WRITER", WORDS) == 0
    assert seen.record.steps["writer"].input_tokens == 2 * TOKENS_IN
    assert seen.record.steps["boss"].input_tokens == 2 * TOKENS_IN


def test_an_agent_whose_tool_is_an_agent_does_not_ask_it_again() -> None:
    script = {
        "BOSS": [call("writer", task="a line please"), say(DRAFT), say(FINAL)],
        "WRITER": [say("A line.")],
    }
    seen = chat(script, with_agent_tool, ValidationEdge("boss", CITES))
    assert len(seen.requests) == 4
    assert seen.record.outcome == "success.unjudged"
    assert (seen.step("boss"), seen.step("writer")) == ((2, 2, 1, 1, 1), (1, 0, 0, 0, 0))
    assert seen.told("BOSS", "A line.") == [0, 1, 1]
    assert seen.told("BOSS", WORDS) == [0, 0, 1]
    assert seen.told("BOSS", "about the sea") == [1, 1, 1]
    assert seen.others_told("BOSS", DRAFT) == 0


def test_an_agent_of_a_team_that_is_a_tool_is_judged() -> None:
    def build(desk: Desk) -> RoundRobinGroupChat:
        inner = RoundRobinGroupChat(desk.agents("writer", "editor"), termination_condition=until())
        return boss(desk, TeamTool(inner, name="desk", description="writes"))

    script = {
        "BOSS": [call("desk", task="a line please"), say("Here it is.")],
        "WRITER": [say(DRAFT), say(FINAL)],
        "EDITOR": [say(OVER)],
    }
    seen = chat(script, build, ValidationEdge("writer", CITES))
    assert len(seen.requests) == 5
    assert seen.record.outcome == "success.unjudged"
    assert seen.step("writer") == (2, 2, 1, 1, 1)
    assert seen.told("WRITER", WORDS) == [0, 1]
    assert seen.others_told("WRITER", DRAFT) == seen.others_told("WRITER", WORDS) == 0
    assert seen.told("BOSS", FINAL) == [0, 1]
