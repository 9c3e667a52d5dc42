"""Memory writes are held until the verdict: a rejected draft is no memory.

CrewAI saves a task's result to memory as soon as its agent has finished, before any guardrail or
validator sees it. The writes of an attached crew's memory objects therefore wait while a task is
being judged. What would be extracted for them by a model waits too, so that a rejected draft costs
no extraction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from crewai.hooks.dispatch import HookAborted
from crewai.memory.types import MemoryRecord

log = logging.getLogger("coord_plugins.crewai")
held_writes: ContextVar[list[Callable[[], Any]] | None] = ContextVar(
    "coord_crewai_memory", default=None
)
"""The writes of the execution under way here that wait for its verdict; None: none wait."""


class _Unextracted(str):
    """A text whose memories are extracted when it is written."""

    __slots__ = ()


class Held:
    """The three methods of a memory object that write, held while a task is being judged."""

    def __init__(self, memory: Any) -> None:
        self._extract = memory.extract_memories
        self._many = memory.remember_many
        self._one = memory.remember

    def extract_memories(self, content: str) -> Any:
        """Extract later, when the task's output is accepted."""
        return self._extract(content) if held_writes.get() is None else [_Unextracted(content)]

    def remember_many(self, contents: list[str], *args: Any, **kwargs: Any) -> Any:
        """Write later, when the task's output is accepted."""
        held = held_writes.get()
        if held is None:
            return self._many(self._extracted(contents), *args, **kwargs)
        held.append(lambda: self.remember_many(contents, *args, **kwargs))
        return []

    def remember(self, content: str, *args: Any, **kwargs: Any) -> Any:
        """Write later; the agent's tool is told at once that it will be."""
        held = held_writes.get()
        if held is None:
            return self._one(content, *args, **kwargs)
        held.append(lambda: self.remember(content, *args, **kwargs))
        return MemoryRecord(content=content, scope=kwargs.get("scope") or "/")

    def _extracted(self, contents: list[str]) -> list[str]:
        """The contents, with what was to be extracted later extracted now."""
        found: list[str] = []
        for text in contents:
            found += self._extract(str(text)) if type(text) is _Unextracted else [text]
        return found


@contextmanager
def holding() -> Iterator[list[Callable[[], Any]]]:
    """Hold the memory writes made inside; the caller writes them or lets them go."""
    writes: list[Callable[[], Any]] = []
    token = held_writes.set(writes)
    try:
        yield writes
    finally:
        held_writes.reset(token)


def write(writes: list[Callable[[], Any]]) -> None:
    """Make the writes that were held, in their order.

    A memory that fails does not fail the task: CrewAI logs it and goes on, and so does this.
    """
    token = held_writes.set(None)
    try:
        while writes:
            try:
                writes.pop(0)()
            except HookAborted:
                raise
            except Exception as error:  # noqa: BLE001 - as CrewAI's own save of a result
                log.warning("saving to memory failed: %s: %s", type(error).__name__, error)
    finally:
        held_writes.reset(token)


def memories_of(crew: Any) -> list[Any]:
    """Every memory object that a crew's agents may write to, each once."""
    agents = [*crew.agents, crew.manager_agent, *(t.agent for t in crew.tasks)]
    places = [getattr(crew, "_memory", None), crew.memory]
    places += [getattr(agent, "memory", None) for agent in agents]
    found = {id(m): m for m in places if m is not None and hasattr(type(m), "remember_many")}
    return list(found.values())


def install(crew: Any) -> None:
    """Make the crew's memories hold their writes; again without effect.

    Its own methods stand in the object's `__dict__`: another class would not be serialised as a
    memory. They stay there after a detach, where they hold nothing.
    """
    for memory in memories_of(crew):
        if "remember_many" not in memory.__dict__:
            held = Held(memory)
            for name in ("extract_memories", "remember_many", "remember"):
                memory.__dict__[name] = getattr(held, name)
