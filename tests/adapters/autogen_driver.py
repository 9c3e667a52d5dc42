"""Runs the conformance suite on AutoGen: one agent per step, in each kind of team."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import FunctionalTermination, HandoffTermination
from autogen_agentchat.messages import (
    BaseChatMessage,
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    TextMessage,
)
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_core import CancellationToken
from autogen_core.models import ChatCompletionClient, CreateResult, RequestUsage
from coord_autogen import attach, decide
from coord_autogen._host import HOST
from coord_autogen._messages import CANDIDATE, FEEDBACK_HEAD, NOTE, is_note, neutral

from coord_plugins import CoordWarning, collect_runs, current_step, use_clock
from coord_plugins.testing import Script
from coord_plugins.testing.conformance import Case, Killed, Observed, Ran
from coord_plugins.testing.conformance._validation import Reply

Kind = Literal["roundrobin", "selector", "swarm", "graph", "magentic"]


class Paused(Exception):
    """Raised by a script to hand over to a person, as AutoGen's agents do: by a message."""


class LimitReached(Exception):
    """AutoGen's way to say that a limit ended a run is the reason of a normal return."""


class StepAgent(BaseChatAgent):
    """One step of a case as an agent that keeps what it heard, as AutoGen asks of agents."""

    def __init__(self, case: Case, name: str, is_async: bool, kind: str) -> None:
        super().__init__(name, f"does {name}")
        self.case, self.is_async, self.kind = case, is_async, kind
        self.latest: dict[str, Any] = {}

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (HandoffMessage, TextMessage)

    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[Any, None]:
        feedback = None
        for message in messages:
            assert not is_note(message)
            if "Orchestrator" in message.source and message.content == "go on":
                continue
            if message.source == NOTE:
                feedback = message.content.removeprefix(f"{FEEDBACK_HEAD}\n")
            else:
                self.latest[message.source] = neutral(message)
        case = self.case
        before = case.before(self.name)
        received = self._read(self.latest, before)
        try:
            if self.is_async:
                said = await case.acall(self.name, received, feedback)
            else:
                said = case.call(self.name, received, feedback)
        except Paused:
            waits = "A person is asked."
            yield Response(
                chat_message=HandoffMessage(content=waits, source=self.name, target="user")
            )
            return
        yield ModelClientStreamingChunkEvent(content=str(said), source=self.name)
        yield Response(chat_message=self.message(said))

    def _read(self, latest: Mapping[str, Any], before: str | None) -> Any:
        if before is None and self.kind == "magentic":  # the task stands in the ledger
            ledger = next(v for k, v in latest.items() if "Orchestrator" in k)
            return re.search(r"request:\s+(.*?)\n", ledger)[1]  # type: ignore[index]  # it is there
        received = latest["user" if before is None else before]
        if self.kind in ("swarm", "magentic") and str(received).startswith('{"amount"'):
            return Reply.model_validate_json(received)  # handoffs and MagenticOne carry text
        return received

    async def on_messages(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> Response:
        raise AssertionError("a team calls on_messages_stream")

    def message(self, said: Any) -> BaseChatMessage:
        following = self.case.after(self.name)
        text = said if isinstance(said, str) else json.dumps(said)
        if self.kind == "swarm" and following is not None:
            return HandoffMessage(
                content=text, source=self.name, target=following, metadata={CANDIDATE: "true"}
            )
        return TextMessage(content=text, source=self.name)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        self.latest = {}

    async def save_state(self) -> Mapping[str, Any]:
        return {"latest": dict(self.latest)}  # given back in this process

    async def load_state(self, state: Mapping[str, Any]) -> None:
        self.latest = dict(state["latest"])


class Idle(BaseChatAgent):
    """A participant that never has the word."""

    def __init__(self) -> None:
        super().__init__("idle", "says nothing")

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Any, cancellation_token: Any) -> Response:
        raise AssertionError("nobody asks it")

    async def on_reset(self, cancellation_token: CancellationToken) -> None: ...


class NoModel(ChatCompletionClient):
    """A client that nobody may ask; MagenticOne's ledger comes from the case."""

    def __init__(self, order: Sequence[str] = ()) -> None:
        self.order = order
        self.done: list[str] = []

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        assert self.order, "the model was asked to select"
        return CreateResult(
            finish_reason="stop",
            content=self._reply(messages),
            usage=RequestUsage(0, 0),
            cached=True,
        )

    def _reply(self, messages: Any) -> str:
        prompt = messages[-1].content
        if prompt == "end":
            said = [m.content for m in messages if getattr(m, "source", "") == self.order[-1]]
            return str(said[-1]) if said else "nothing"
        if "is_request_satisfied" not in prompt:
            return "words"
        left = [name for name in self.order if name not in self.done]
        speaker = left[0] if left else self.order[-1]
        self.done.append(speaker)
        said = {
            "is_request_satisfied": not left,
            "is_progress_being_made": True,
            "is_in_loop": False,
            "instruction_or_question": "go on",
            "next_speaker": speaker,
        }
        return json.dumps({k: {"reason": "r", "answer": v} for k, v in said.items()})

    async def create_stream(self, messages: Any, **options: Any) -> Any:
        raise AssertionError("nobody streams")
        yield

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return RequestUsage(0, 0)

    total_usage = actual_usage

    def count_tokens(self, *args: Any, **kwargs: Any) -> int:
        return 0

    remaining_tokens = count_tokens

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> Any:
        keys = ("vision", "function_calling", "json_output", "structured_output")
        return {"family": "unknown"} | dict.fromkeys(keys, False)


class TeamDriver:
    """One kind of team."""

    host = HOST

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def run(self, case: Case, *, is_async: bool) -> Observed:
        runs = []
        with warnings.catch_warnings(record=True) as warned, use_clock(case.clock):
            warnings.simplefilter("always", CoordWarning)
            for given in case.inputs:
                team = self.attached(case, is_async)
                runs.append(self._ran(case, team, given))
        said = [str(w.message) for w in warned if issubclass(w.category, CoordWarning)]
        return Observed(runs=runs, log=case.log, warnings=said)

    def _ran(self, case: Case, team: Any, given: Any) -> Ran:
        seen = Seen()
        with collect_runs() as records:
            try:
                asyncio.run(self._once(case, team, given, seen))
            except BaseException as raised:
                seen.error = raised
        return seen.ran(case, team, records)

    async def _once(self, case: Case, team: Any, given: Any, seen: Seen) -> None:
        case.task = asyncio.current_task()
        async for item in team.run_stream(task=given):
            seen.take(item)

    def resume(self, case: Case, *, is_async: bool) -> Observed:
        """Each turn is a `run` of its own, after which the state is saved; as often as it dies,
        another process goes on from the state that was saved last."""
        runs: list[Ran] = []
        saved: list[Any] = [None, case.inputs[0]]
        with warnings.catch_warnings(), use_clock(case.clock):
            warnings.simplefilter("ignore", CoordWarning)
            while not runs or (runs[-1].record is None and len(runs) < 6):
                runs.append(self._life(case, is_async, saved))
        return Observed(runs=runs, log=case.log)

    def _life(self, case: Case, is_async: bool, saved: list[Any]) -> Ran:
        """One process: it goes on until it dies, waits for a person, or is done."""
        seen = Seen()
        team = self.attached(case, is_async, each_turn=True)

        async def main() -> None:
            case.task = asyncio.current_task()
            state, task = saved
            if state is not None:
                await team.load_state(json.loads(json.dumps(state)))
            while True:
                seen.items = []
                async for item in team.run_stream(task=task):
                    seen.take(item)
                saved[:] = [await team.save_state(), None]
                task = None
                last = seen.result.messages[-1]
                if isinstance(last, HandoffMessage) and last.target == "user":
                    saved[1] = self._answer(case, seen.result, last)
                    return
                if last.source == case.last or is_note(last) and "coord.goto" not in last.metadata:
                    seen.over = True
                    return

        with collect_runs() as records:
            try:
                asyncio.run(main())
            except BaseException as raised:
                seen.error = raised
                seen.over = not isinstance(raised, Killed)
        return seen.ran(case, team, records if seen.over else [])

    def _answer(self, case: Case, result: TaskResult, last: HandoffMessage) -> Any:
        if case.decision is not None:
            return decide(result, case.decision["type"], message=case.decision.get("message"))
        if self.kind == "graph":
            return None
        return HandoffMessage(content="go on", source="person", target=last.source)

    def pause(self) -> None:
        raise Paused

    # ------------------------------------------------------------------ the team

    def attached(self, case: Case, is_async: bool, *, each_turn: bool = False) -> Any:
        return attach(
            self.team(case, is_async, each_turn),
            *case.edges,
            pipeline="conformance",
            goal=case.goal,
            retry=case.retries(lambda script: fallback(case, script, is_async)),
            budget=case.budget,
            **case.settings,
        )

    def team(self, case: Case, is_async: bool, each_turn: bool) -> Any:
        agents = [StepAgent(case, name, is_async, self.kind) for name in case.scripts]
        order = case.order

        def over(messages: Sequence[Any]) -> bool:
            said = [m for m in messages if m.source in case.scripts]
            if each_turn:
                return bool(said) or any(is_note(m) and m.source == NOTE for m in messages)
            return any(m.source == case.last for m in said if isinstance(m, BaseChatMessage))

        ends = FunctionalTermination(over) | HandoffTermination("user")
        more: dict[str, Any] = {"max_turns": case.host_steps, "termination_condition": ends}
        if self.kind == "roundrobin":
            return RoundRobinGroupChat(agents, **more)
        if self.kind == "swarm":
            return Swarm(agents, **more)
        if self.kind == "selector":
            if len(agents) == 1:  # a selector asks for two
                agents.append(Idle())

            def select(thread: Sequence[Any]) -> str:
                last = thread[-1].source
                if last in case.scripts:
                    return case.after(last) or order[0]
                return thread[-1].target if last == "person" else order[0]

            return SelectorGroupChat(agents, NoModel(), selector_func=select, **more)
        if self.kind == "graph":
            return self.graph(agents, order, more, each_turn)
        if case.host_steps is None:
            more.pop("max_turns")
        more.pop("termination_condition")
        return MagenticOneGroupChat(agents, NoModel(order), final_answer_prompt="end", **more)

    def graph(self, agents: Any, order: Any, more: Any, each_turn: bool) -> GraphFlow:
        builder = DiGraphBuilder()
        by_name = {agent.name: agent for agent in agents}
        for name in order:
            builder.add_node(by_name[name])
        for one, other in zip(order, order[1:], strict=False):
            builder.add_edge(one, other)
        builder.set_entry_point(order[0])
        if not each_turn:
            more.pop("termination_condition")
        return GraphFlow(agents, builder.build(), **more)


class Seen:
    """What a caller saw of a run."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self.over = False

    def take(self, item: Any) -> None:
        if isinstance(item, TaskResult):
            self.result = item
        else:
            self.items.append(item)

    def ran(self, case: Case, team: Any, records: Sequence[Any]) -> Ran:
        record = records[-1] if records else None
        error, output = self.error, None
        chat = [m for m in self.items if isinstance(m, BaseChatMessage)]
        last = case.last if "Magentic" not in type(team).__name__ else "MagenticOneOrchestrator"
        answers = [m for m in chat if m.source == last]
        stopped = bool(chat) and is_note(chat[-1])
        if error is None and answers and not stopped:
            output = neutral(answers[-1])
        if error is None and record is not None and record.outcome == "error.recursion_limit":
            error = LimitReached(self.result.stop_reason)
        state = (
            [
                (name, getattr(agent, "latest", None))
                for name, agent in team.__dict__["_coord_tree"].agents.items()
            ]
            if "_coord_tree" in team.__dict__
            else []
        )
        manager = [neutral(m) for m in chat]
        return Ran(
            record=record,
            output=output,
            error=error,
            state=[state, manager],
            streamed=[str(neutral(m)) for m in self.items],
        )


def fallback(case: Case, script: Script, is_async: bool) -> Any:
    """A script as a callable that stands in for an agent."""

    def received(messages: Sequence[Any]) -> Any:
        before = case.before(current_step().name)
        said = {m.source: neutral(m) for m in messages}
        return case.inputs[0] if before is None else said[before]

    async def awaited(messages: Sequence[Any], feedback: str | None = None) -> str:
        return str(await case.acall(script, received(messages), feedback))

    def called(messages: Sequence[Any], feedback: str | None = None) -> str:
        return str(case.call(script, received(messages), feedback))

    made = awaited if is_async else called
    made.__name__ = script.__name__
    return made
