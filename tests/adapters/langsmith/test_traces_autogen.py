"""AutoGen's teams: the root and its steps are ours, what the user traces is below them."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import langsmith
import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.conditions import SourceMatchTermination
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, SelectorGroupChat, Swarm
from autogen_core import CancellationToken, SingleThreadedAgentRuntime
from coord_autogen import ValidatorAgent, attach, decide
from coord_langsmith import LangSmith

from coord_plugins import HUMAN, AttemptsExhaustedError, ValidationEdge, run_context
from coord_plugins.testing import LangSmithServer

from ..autogen.teams import BAD, GOOD, Speaker, fine, replies, row
from .test_traces_shared import NO_WAIT, delivered, feedback, labels, named, ours, told, untraced

__all__ = ["untraced"]
EDGE = ValidationEdge("writer", fine)


@pytest.fixture
def tracer(tmp_path: Path) -> LangSmith:
    return LangSmith(spool=tmp_path)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGen logs what its agents raise, also where a test wants them to."""
    monkeypatch.setattr(logging.getLogger("autogen_core"), "disabled", True)


@langsmith.traceable(run_type="llm")
def model(prompt: str) -> str:
    """The user's own model call."""
    return prompt


class Asking(Speaker):
    """A speaker that asks a model first."""

    async def on_messages(self, messages: Any, cancellation_token: CancellationToken) -> Any:
        model(self.name)
        return await super().on_messages(messages, cancellation_token)


def agents(*script: Any) -> list[Any]:
    return [Asking("reader", "facts"), Asking("writer", *script), Asking("editor", "printed")]


def printed(text: Any) -> bool:
    return bool(text == "printed")


def attached(team: Any, tracer: LangSmith, *edges: ValidationEdge, **settings: Any) -> Any:
    given = {"pipeline": "desk", "goal": printed, "listeners": [tracer], **settings}
    return attach(team, *(edges or (EDGE,)), **given)


AGAIN = "attempts=2 cost_usd=0 outcome.first_try=0 outcome=1(success.unjudged)"
ONCE = "attempts=1 cost_usd=0 outcome.first_try=1 outcome=1(success.first_pass)"
ROOT = f"desk [chain] success {AGAIN}"
READER, EDITOR = (
    [f"  {n} [chain] success", "    model [llm] success"] for n in ("reader", "editor")
)
REJECTED = [
    "  writer [chain] success",
    "    model [llm] success",
    "    validate:fine [chain] success #validate:rejected",
]
WRITER = [
    *REJECTED,
    "    attempt 2 [chain] success #retry:attempt:2",
    "      model [llm] success",
    "      validate:fine [chain] success",
]
IN_PLACE = [ROOT, *READER, *WRITER, *EDITOR]


def round_robin(team: list[Any]) -> Any:
    return row(*team)


def selector(team: list[Any]) -> Any:
    after = {one.name: other.name for one, other in zip(team, team[1:], strict=False)}
    return SelectorGroupChat(
        team,
        replies(),
        selector_func=lambda thread: after.get(thread[-1].source, team[0].name),
        termination_condition=SourceMatchTermination([team[-1].name]),
    )


def graph(team: list[Any]) -> Any:
    builder = DiGraphBuilder()
    for agent in team:
        builder.add_node(agent)
    for one, other in zip(team, team[1:], strict=False):
        builder.add_edge(one, other)
    return GraphFlow(team, builder.build())


async def run(team: Any) -> None:
    await team.run(task="the task")


async def run_stream(team: Any) -> None:
    async for _ in team.run_stream(task="the task"):
        pass


@pytest.mark.parametrize("call", [run, run_stream], ids=["run", "run_stream"])
@pytest.mark.parametrize("make", [round_robin, selector, graph], ids=lambda f: f.__name__)
def test_a_rejection_in_place(
    traced: LangSmithServer, tracer: LangSmith, make: Any, call: Any
) -> None:
    asyncio.run(call(attached(make(agents(BAD, GOOD)), tracer)))
    delivered(tracer)
    assert traced.tree().splitlines() == IN_PLACE
    [again] = named(traced, "attempt 2")
    assert again["inputs"] == {"after": "loop", "feedback": "do better"}
    first, second = named(traced, "validate:fine")
    assert (first["inputs"], second["inputs"]) == ({"output": BAD}, {"output": GOOD})
    assert first["outputs"] == {"passed": False, "explanation": "do better"}


def test_a_runtime_that_was_started_outside(traced: LangSmithServer, tracer: LangSmith) -> None:
    """Its context is another one; two teams in it are two traces."""

    async def main() -> None:
        runtime = SingleThreadedAgentRuntime()
        with langsmith.trace("elsewhere", inputs={}):
            runtime.start()
        teams = [row(*agents(BAD, GOOD), runtime=runtime) for _ in range(2)]
        await asyncio.gather(*(attached(team, tracer).run(task="x") for team in teams))
        await runtime.stop()

    asyncio.run(main())
    delivered(tracer)
    assert traced.tree().splitlines() == ["elsewhere [chain] success", *IN_PLACE * 2]


def test_a_swarm_hands_over(traced: LangSmithServer, tracer: LangSmith) -> None:
    class First(Asking):
        produced_message_types = (HandoffMessage,)  # type: ignore[assignment]  # as AutoGen asks

    go = HandoffMessage(content="go on", source="reader", target="writer")
    ends = SourceMatchTermination(["writer"])
    team = Swarm([First("reader", go), Asking("writer", BAD, GOOD)], termination_condition=ends)
    asyncio.run(run(attached(team, tracer, goal=lambda text: text == GOOD)))
    delivered(tracer)
    assert traced.tree().splitlines() == [ROOT, *READER, *WRITER]


def test_a_loop_back_to_an_earlier_agent(traced: LangSmithServer, tracer: LangSmith) -> None:
    edge = ValidationEdge("writer", fine, back_to="reader")
    asyncio.run(run(attached(row(*agents(BAD, GOOD)), tracer, edge)))
    delivered(tracer)
    tagged = [f"  {name} [chain] success #retry:attempt:2" for name in ("reader", "writer")]
    again = [tagged[0], READER[1], tagged[1], READER[1], "    validate:fine [chain] success"]
    assert traced.tree().splitlines() == [ROOT, *READER, *REJECTED, *again, *EDITOR]
    assert named(traced, "writer")[0]["outputs"] == {
        "decision": "loop",
        "back_to": "reader",
        "feedback": "do better",
    }


def test_a_validator_agent(traced: LangSmithServer, tracer: LangSmith) -> None:
    watching = ValidatorAgent("validator", fine, watches="writer")
    team = row(Asking("writer", BAD, GOOD), watching, Asking("editor", "printed"))
    asyncio.run(run(attach(team, pipeline="desk", goal=printed, listeners=[tracer])))
    delivered(tracer)
    assert traced.tree().splitlines() == [
        ROOT,
        *REJECTED[:2],
        "  validator [chain] success",
        REJECTED[2],
        "  writer [chain] success #retry:attempt:2",
        "    model [llm] success",
        "  validator [chain] success #retry:attempt:2",
        "    validate:fine [chain] success",
        *EDITOR,
    ]


def test_a_crash_is_retried(traced: LangSmithServer, tracer: LangSmith) -> None:
    team = row(*agents(TimeoutError("slow"), GOOD))
    asyncio.run(run(attached(team, tracer, retry=NO_WAIT)))
    delivered(tracer)
    assert told(traced, traced.roots()[0]) == feedback("success.crash_retried", 2)
    [again] = named(traced, "attempt 2")
    assert again["inputs"] == {"after": "TimeoutError: slow"}
    assert [r["name"] for r in traced.children(again["id"])] == ["model", "validate:fine"]


def test_a_person_is_asked(traced: LangSmithServer, tracer: LangSmith) -> None:
    """The question has no outcome; the run that the answer continues has one."""

    async def main() -> None:
        edge = ValidationEdge("writer", fine, otherwise=HUMAN)
        one = attached(row(*agents(BAD, BAD)), tracer, edge)
        question = await one.run(task="x")
        other = attached(row(*agents(BAD, BAD)), tracer, edge)
        await other.load_state(json.loads(json.dumps(await one.save_state())))
        await other.run(task=decide(question, "approve"))

    asyncio.run(main())
    delivered(tracer)
    paused, resumed = traced.roots()
    assert told(traced, paused) == {}
    assert told(traced, resumed) == feedback("escalated.unjudged", 2)
    assert ours(paused)["outcome"] == "in_flight.paused"
    assert labels(paused)["coord.run_id"] == labels(resumed)["coord.run_id"]
    assert [r["name"] for r in traced.children(resumed["id"])] == ["editor"]


def test_exhausted(traced: LangSmithServer, tracer: LangSmith) -> None:
    with pytest.raises(AttemptsExhaustedError):
        asyncio.run(run(attached(row(*agents(BAD)), tracer)))
    delivered(tracer)
    [root], [writer] = traced.roots(), named(traced, "writer")
    assert told(traced, root) == feedback("escalated.unjudged", 2)
    assert root["error"] == writer["error"]
    assert root["error"].startswith("AttemptsExhaustedError: step 'writer': 2 of 2 attempts")


@pytest.mark.parametrize("how", ["token", "task"])
def test_cancelled(traced: LangSmithServer, tracer: LangSmith, how: str) -> None:
    token = CancellationToken()

    async def main() -> None:
        under_way = asyncio.Event()

        class Endless(Asking):
            async def on_messages(self, messages: Any, cancellation_token: Any) -> Any:
                model(self.name)
                under_way.set()
                await asyncio.Event().wait()

        team = attached(row(Endless("writer")), tracer)
        task = asyncio.create_task(team.run(task="x", cancellation_token=token))
        await under_way.wait()
        token.cancel() if how == "token" else task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    delivered(tracer)
    [root] = traced.roots()
    assert told(traced, root) == feedback("error.cancelled")
    assert [r["name"] for r in traced.runs] == ["desk", "writer", "model"]


def test_a_team_inside_a_team(traced: LangSmithServer, tracer: LangSmith) -> None:
    """A bare one belongs to the run; an attached one is a run of its own, with its own keys."""
    bare = row(Asking("writer", BAD, GOOD), name="nested")
    asyncio.run(run(attached(row(bare, Asking("editor", "printed")), tracer)))
    nested = row(Asking("writer", GOOD), name="nested")
    attached(nested, tracer, pipeline="inner", goal=lambda text: text == GOOD)
    team = row(nested, Asking("editor", "printed"))
    asyncio.run(run(attach(team, pipeline="desk", goal=printed, listeners=[tracer])))
    delivered(tracer)
    sub = "attempts.sub=1 cost_usd.sub=0 outcome.sub.first_try=1 outcome.sub=1(success.first_pass)"
    assert traced.tree().splitlines() == [
        *[ROOT, *WRITER, *EDITOR],
        f"desk [chain] success {ONCE}",
        f"  inner [chain] success {sub}",
        "    writer [chain] success",
        "      model [llm] success",
        "      validate:fine [chain] success",
        *EDITOR,
    ]


def test_the_users_trace_and_the_run_context(traced: LangSmithServer, tracer: LangSmith) -> None:
    team = attached(row(*agents(GOOD)), tracer, tags=["nightly"], metadata={"team": "x"})
    with langsmith.trace("mine", inputs={}), run_context(tags=["ctx"], metadata={"tenant": "a"}):
        asyncio.run(run(team))
    delivered(tracer)
    [mine], [desk] = traced.roots(), named(traced, "desk")
    assert (mine["name"], told(traced, desk)) == ("mine", {})
    assert told(traced, mine) == feedback("success.first_pass")
    assert desk["tags"] == ["nightly", "ctx"]
    assert (labels(desk)["team"], labels(desk)["tenant"]) == ("x", "a")
    assert (desk["inputs"], desk["outputs"]) == ({"input": "the task"}, {"output": "printed"})
    for other in [r for r in traced.runs if r["id"] != desk["id"]]:
        assert not ours(other)
        assert not {"team", "tenant"} & set(labels(other))
