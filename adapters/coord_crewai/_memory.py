"""Memory writes are held until the verdict: a rejected draft is no memory.

CrewAI saves a task's result to memory as soon as its agent has finished, before any guardrail or
validator sees it. The memory objects of an attached crew therefore get a class whose writes wait
while a task is being judged. What would be extracted for them by a model waits too, so that a
rejected draft costs no extraction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from crewai.hooks.dispatch import HookAborted
from crewai.memory.types import MemoryRecord

from ._classes import attached_class

log = logging.getLogger("coord_plugins.crewai")
_held: ContextVar[list[Callable[[], Any]] | None] = ContextVar("coord_crewai_memory", default=None)


class _Unextracted(str):
    """A text whose memories are extracted when it is written."""

    __slots__ = ()


class HeldMemory:
    """Mixed into the class of a memory object; without effect outside of a judged task."""

    def extract_memories(self, content: str) -> list[str]:
        """Extract later, when the task's output is accepted."""
        if _held.get() is None:
            return super().extract_memories(content)  # type: ignore[misc,no-any-return]  # the mixin's other base
        return [_Unextracted(content)]

    def remember_many(self, contents: list[str], *args: Any, **kwargs: Any) -> list[Any]:
        """Write later, when the task's output is accepted."""
        held = _held.get()
        if held is None:
            return super().remember_many(_extracted(self, contents), *args, **kwargs)  # type: ignore[misc,no-any-return]  # the mixin's other base
        held.append(lambda: self.remember_many(contents, *args, **kwargs))
        return []

    def remember(self, content: str, *args: Any, **kwargs: Any) -> Any:
        """Write later; the agent's tool is told at once that it will be."""
        held = _held.get()
        if held is None:
            return super().remember(content, *args, **kwargs)  # type: ignore[misc]  # the mixin's other base
        held.append(lambda: self.remember(content, *args, **kwargs))
        return MemoryRecord(content=content, scope=kwargs.get("scope") or "/")


def _extracted(memory: Any, contents: list[str]) -> list[str]:
    """The contents, with what was to be extracted later extracted now."""
    found: list[str] = []
    for text in contents:
        found += memory.extract_memories(str(text)) if type(text) is _Unextracted else [text]
    return found


@contextmanager
def holding() -> Iterator[list[Callable[[], Any]]]:
    """Hold the memory writes made inside; the caller writes them or lets them go."""
    writes: list[Callable[[], Any]] = []
    token = _held.set(writes)
    try:
        yield writes
    finally:
        _held.reset(token)


def write(writes: list[Callable[[], Any]]) -> None:
    """Make the writes that were held, in their order.

    A memory that fails does not fail the task: CrewAI logs it and goes on, and so does this.
    """
    token = _held.set(None)
    try:
        while writes:
            try:
                writes.pop(0)()
            except HookAborted:
                raise
            except Exception as error:  # noqa: BLE001 - as CrewAI's own save of a result
                log.warning("saving to memory failed: %s: %s", type(error).__name__, error)
    finally:
        _held.reset(token)


def memories_of(crew: Any) -> list[Any]:
    """Every memory object that a crew's agents may write to, each once."""
    agents = [*crew.agents, crew.manager_agent, *(t.agent for t in crew.tasks)]
    places = [getattr(crew, "_memory", None), crew.memory]
    places += [getattr(agent, "memory", None) for agent in agents]
    found = {id(m): m for m in places if m is not None and hasattr(type(m), "remember_many")}
    return list(found.values())


def install(crew: Any) -> None:
    """Make the crew's memories hold their writes; again without effect."""
    for memory in memories_of(crew):
        if not isinstance(memory, HeldMemory):
            memory.__class__ = attached_class(HeldMemory, type(memory))
