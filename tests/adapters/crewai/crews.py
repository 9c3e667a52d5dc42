"""Crews for the adapter's tests: a scripted model behind CrewAI's own interface."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import pytest

pytest.importorskip("crewai")

from crewai import Agent, BaseLLM, Crew, Task
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.events.types.llm_events import LLMCallType, LLMStreamChunkEvent
from crewai.llms.base_llm import llm_call_context
from pydantic import PrivateAttr

from coord_plugins import RunRecord

TOKENS_IN, TOKENS_OUT = 14, 6
"""What each call of `Model` says that it used."""
AT_LEAST_1_15_24 = tuple(int(n) for n in version("crewai").split(".")[:3]) >= (1, 15, 24)
"""Older releases turn a hook's abort of a model call into a ValueError, for one."""
FORMS = ("kickoff", "kickoff_async", "akickoff")
"""The ways to kick a crew off once."""


class Model(BaseLLM):
    """Plays a list per task, and remembers every prompt.

    An entry is a text, an error, or a callable `(prompt, task) -> text`; the last one repeats.
    `tells`: whether it emits CrewAI's events with its usage, as CrewAI's own models do.
    """

    tells: bool = True
    _scripts: dict[str, list[Any]] = PrivateAttr(default_factory=dict)
    _prompts: dict[str, list[str]] = PrivateAttr(default_factory=lambda: defaultdict(list))
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    @property
    def prompts(self) -> dict[str, list[str]]:
        """Every prompt, by task."""
        return self._prompts

    @property
    def calls(self) -> int:
        """How often it was called."""
        return sum(len(found) for found in self._prompts.values())

    def call(
        self, messages: Any, *args: Any, from_task: Any = None, from_agent: Any = None, **kw: Any
    ) -> Any:
        prompt = (
            messages if isinstance(messages, str) else "\n".join(m["content"] for m in messages)
        )
        name = from_task.name if from_task is not None else "?"
        with self._lock:
            self._prompts[name].append(prompt)
            script = self._scripts.get(name) or self._scripts["*"]
            entry = script.pop(0) if len(script) > 1 else script[0]
        told = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            if self.tells:
                self._emit_call_started_event(messages=messages, **told)
            try:
                text = entry(prompt, from_task) if callable(entry) else entry
                if isinstance(text, BaseException):
                    raise text
            except Exception as error:
                if self.tells:
                    self._emit_call_failed_event(error=str(error), **told)
                raise
            if self.stream:
                for word in text.split(" "):
                    self._say(word, told)
            used = self.usage()
            if self.tells:
                self._emit_call_completed_event(
                    response=text,
                    call_type=LLMCallType.LLM_CALL,
                    messages=messages,
                    usage=used,
                    **told,
                )
        return text

    def usage(self) -> Any:
        """What a call says that it used; CrewAI's own counters are kept as its models keep them."""
        used = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT}
        self._track_token_usage_internal(used)
        return used

    def _say(self, word: str, told: Mapping[str, Any]) -> None:
        from crewai.events.event_bus import crewai_event_bus

        chunk = LLMStreamChunkEvent(chunk=f"{word} ", call_id="call", **told)
        crewai_event_bus.emit(self, chunk)

    def supports_function_calling(self) -> bool:
        return False

    def get_context_window_size(self) -> int:
        return 100_000

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        return 1


class Silent(Model):
    """A model of the user's own that emits no event."""

    tells: bool = False

    def usage(self) -> Any:
        return None


def model_of(scripts: Mapping[str, Any], kind: type[Model] = Model) -> Model:
    """A model that plays these scripts."""
    model = kind(model="fake-model")
    model._scripts = {n: list(s) if isinstance(s, list) else [s] for n, s in scripts.items()}
    return model


def crew_of(
    scripts: Mapping[str, Any],
    *,
    model: Model | None = None,
    kind: type[Crew] = Crew,
    task: type[Task] = Task,
    tasks: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> tuple[Any, Model]:
    """A crew with one agent and one task per script, in that order.

    Args:
        scripts: What the model says, by task.
        model: The model; default a `Model`.
        kind: The crew's class.
        task: The tasks' class.
        tasks: More arguments of a task, by its name.
        **settings: Of the crew.
    """
    model = model or model_of(scripts)
    more = tasks or {}
    agents = {n: Agent(role=f"{n} agent", goal="g", backstory="b", llm=model) for n in scripts}
    made = []
    for name in scripts:
        given = {
            "name": name,
            "description": f"{name} {{ticket}}",
            "expected_output": "text",
            "agent": agents[name],
            **more.get(name, {}),
        }
        made.append(given.pop("class", task)(**given))
    return kind(agents=list(agents.values()), tasks=made, **settings), model


def run_crew(crew: Any, form: str, inputs: Any = None) -> Any:
    """Kick a crew off in one of its forms."""
    inputs = {"ticket": "T-1"} if inputs is None else inputs
    if form == "kickoff":
        return crew.kickoff(inputs=inputs)
    return asyncio.run(getattr(crew, form)(inputs=inputs))


@contextmanager
def events() -> Iterator[list[Any]]:
    """Every event that CrewAI emits in this context, in order."""
    found: list[Any] = []
    token = add_stream_sink(lambda source, event: found.append(event))
    try:
        yield found
    finally:
        reset_stream_sinks(token)


def counts(record: RunRecord) -> dict[str, tuple[int, int]]:
    """Executions and rejections of each task."""
    return {name: (t.executions, t.rejects) for name, t in record.steps.items()}


def no_bad(output: Any) -> bool:
    """Reject what is bad."""
    return "bad" not in str(output)


Entry = Callable[[str, Any], str]
