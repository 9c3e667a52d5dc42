"""What attaching costs an AutoGen turn: chats of ten turns, the bare team beside the attached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    ModelFamily,
    RequestUsage,
    UserMessage,
)
from coord_autogen import attach
from measure import (
    Batch,
    Size,
    difference,
    interleaved,
    medians,
    spread,
    table,
    verdict,
)

from coord_plugins import Retry, ValidationEdge, check

TURNS = 10
LIMIT_US, LIMIT_SHARE = 40.0, 0.10
"""The target per turn: microseconds, or a share of the bare turn, whichever is larger."""
HISTORY = 200
"""Messages that each agent of a long chat has in its history before the first turn."""


class Speaker(BaseChatAgent):
    """Answers at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "speaks")

    @property
    def produced_message_types(self) -> tuple[type[TextMessage], ...]:
        return (TextMessage,)

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        return Response(chat_message=TextMessage(content="done", source=self.name))

    async def on_reset(self, cancellation_token: Any) -> None: ...


class Model(ChatCompletionClient):
    """Answers at once, with the usage of a model client."""

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        usage = RequestUsage(prompt_tokens=10, completion_tokens=2)
        return CreateResult(finish_reason="stop", content="done", usage=usage, cached=False)

    async def create_stream(self, messages: Any, **options: Any) -> Any:
        yield await self.create(messages)

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(prompt_tokens=0, completion_tokens=0)

    total_usage = actual_usage

    def count_tokens(self, messages: Any, **options: Any) -> int:
        return 0

    remaining_tokens = count_tokens

    @property
    def model_info(self) -> Any:
        return {
            "vision": False,
            "function_calling": True,
            "json_output": True,
            "structured_output": True,
            "family": ModelFamily.UNKNOWN,
        }

    capabilities = model_info


class Clock:
    """CPU time of the process, without what is done while the clock stands."""

    def __init__(self) -> None:
        self.left_out = 0

    def __call__(self) -> int:
        return time.process_time_ns() - self.left_out

    @contextmanager
    def standing(self) -> Iterator[None]:
        """What is done inside is not measured."""
        began = time.process_time_ns()
        yield
        self.left_out += time.process_time_ns() - began


def is_text(output: Any) -> bool:
    """A check that passes."""
    return type(output) is str


# ---------------------------------------------------------------------- the teams


def names(count: int) -> list[str]:
    """The agents of a team."""
    return [f"a{i}" for i in range(count)]


def round_robin(count: int) -> Any:
    """A chat of trivial agents, in turn."""
    return RoundRobinGroupChat([Speaker(name) for name in names(count)], max_turns=TURNS)


def selector() -> Any:
    """Two trivial agents, and a function that gives the other one the word."""
    return SelectorGroupChat(
        [Speaker(name) for name in names(2)],
        model_client=Model(),
        selector_func=lambda thread: "a1" if thread[-1].source == "a0" else "a0",
        max_turns=TURNS,
    )


def assistants() -> Any:
    """Two of AutoGen's own agents, which share a model client."""
    model = Model()
    agents = [AssistantAgent(name, model_client=model) for name in names(2)]
    return RoundRobinGroupChat(agents, max_turns=TURNS)


TEAMS: dict[str, tuple[int, Callable[[], Any]]] = {
    "round robin, 2 trivial agents": (2, lambda: round_robin(2)),
    "round robin, 5 trivial agents": (5, lambda: round_robin(5)),
    "selector_func, 2 trivial agents": (2, selector),
    "2 AssistantAgents, scripted model": (2, assistants),
}
"""How many agents a kind of team has, and how one is made."""
EDGES, AND_RETRY = "attached, an edge on every agent", "attached, an edge and a retry on each"
POLICIES: dict[str, dict[str, Any]] = {
    "attached, no edges": {"edges": False},
    EDGES: {"edges": True},
    AND_RETRY: {"edges": True, "retry": Retry(max_attempts=3)},
    "attached, the same, observe": {
        "edges": True,
        "retry": Retry(max_attempts=3),
        "mode": "observe",
    },
}


def policy(count: int, *, edges: bool, **more: Any) -> Callable[[Any], Any]:
    """What puts a policy on a team of so many agents."""
    judged = [ValidationEdge(n, check(is_text), max_attempts=3) for n in names(count)]

    def put(team: Any) -> Any:
        return attach(team, *(judged if edges else ()), pipeline="bench", store="off", **more)

    return put


# ---------------------------------------------------------------------- what is measured

Loop = asyncio.AbstractEventLoop
Before = Callable[[Any], Awaitable[None]]


async def afresh(team: Any) -> None:
    """Begin a new chat."""
    if team._initialized:
        await team.reset()


async def long_ago(team: Any) -> None:
    """Begin a new chat with agents that remember a long one."""
    await afresh(team)
    for agent in team._participants:
        for i in range(HISTORY):
            await agent._model_context.add_message(UserMessage(content=f"m{i}", source="user"))


def batch(team: Any, loop: Loop, clock: Clock, before: Before = afresh) -> Batch:
    """Run a chat n times on one event loop: AutoGen's queues belong to it."""

    def work(n: int) -> None:
        async def many() -> None:
            for _ in range(n):
                with clock.standing():
                    await before(team)
                await team.run(task="go")

        loop.run_until_complete(many())

    return work


def autogen(size: Size) -> None:
    """Overhead per turn, by kind of team; then what it costs to attach one."""
    loop = asyncio.new_event_loop()
    try:
        for kind, (count, make) in TEAMS.items():
            turns(kind, count, make, size, loop)
        title = f"2 AssistantAgents that remember {HISTORY} messages"
        turns(title, 2, assistants, size, loop, long_ago)
        for kind, (count, make) in TEAMS.items():
            requests(kind, count, make, size, loop)
    finally:
        loop.close()


def turns(
    kind: str,
    count: int,
    make: Callable[[], Any],
    size: Size,
    loop: Loop,
    before: Before = afresh,
) -> None:
    """Overhead per turn of one kind of team."""
    teams = {"bare": make(), "bare again (A/A)": make()}
    teams |= {name: policy(count, **said)(make()) for name, said in POLICIES.items()}
    clock = Clock()
    cases = {name: (batch(team, loop, clock, before), 20) for name, team in teams.items()}
    samples = interleaved(cases, size, clock)
    samples = {name: [x / TURNS for x in found] for name, found in samples.items()}
    middle = medians(samples)
    limit = max(LIMIT_US, LIMIT_SHARE * middle["bare"])
    rows = []
    for name, value in middle.items():
        over = difference(samples[name], samples["bare"])
        said = verdict(over <= limit) if name.startswith("attached") else ""
        cells = f"{value:.0f}", f"{spread(samples[name]):.0f}", f"{over:+.0f}"
        rows.append((name, *cells, f"{over / middle['bare']:+.1%}", said))
    head = ("", "us/turn", "+-", "over bare", "share", "target")
    title = f"{kind}: CPU time per turn, target +{limit:.0f} us, median of {size.rounds}"
    table(title, head, rows)


def requests(kind: str, count: int, make: Callable[[], Any], size: Size, loop: Loop) -> None:
    """What one request costs that makes a team, attaches it, and runs it once."""
    clock = Clock()
    puts = {name: policy(count, **POLICIES[name]) for name in (EDGES, AND_RETRY)}

    def attaching(put: Callable[[Any], Any]) -> Batch:
        def work(n: int) -> None:
            for _ in range(n):
                with clock.standing():
                    team = make()
                put(team)

        return work

    def whole(put: Callable[[Any], Any] = lambda team: team) -> Batch:
        def work(n: int) -> None:
            async def many() -> None:
                for _ in range(n):
                    await put(make()).run(task="go")

            loop.run_until_complete(many())

        return work

    cases: dict[str, tuple[Batch, int]] = {
        "make a team": (lambda n: [make() for _ in range(n)], 40),
        "attach() alone, an edge on every agent": (attaching(puts[EDGES]), 40),
        "attach() alone, an edge and a retry on each": (attaching(puts[AND_RETRY]), 40),
        f"make, run {TURNS} turns": (whole(), 10),
        f"make, attach with edges and retry, run {TURNS} turns": (whole(puts[AND_RETRY]), 10),
    }
    middle = medians(interleaved(cases, size, clock))
    rows = [(name, f"{value:.0f}") for name, value in middle.items()]
    table(f"{kind}: CPU time per request, no target", ("", "us"), rows)
