"""Guarding a node's out-edges: a rejected node writes nothing and goes where it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from ._private import (
    PASSTHROUGH,
    SKIP_WRITE,
    ChannelWrite,
    ChannelWriteEntry,
    ChannelWriteTupleEntry,
    RunnableCallable,
)


class Diverted(Command):  # type: ignore[type-arg]  # LangGraph's type parameter names nodes
    """What a node returns instead of a rejected output: go there, and nowhere else."""


def guard(writer: Any) -> Any:
    """An out-edge (or branch) that a diverted node does not take."""
    if isinstance(writer, ChannelWrite):
        # It stays a ChannelWrite, so that LangGraph still merges and draws it.
        return ChannelWrite(tuple(_guard_entry(w) for w in writer.writes))

    def branch(value: Any, config: RunnableConfig) -> Any:
        return value if isinstance(value, Diverted) else writer.invoke(value, config)

    async def abranch(value: Any, config: RunnableConfig) -> Any:
        return value if isinstance(value, Diverted) else await writer.ainvoke(value, config)

    guarded = RunnableCallable(branch, abranch, name=None, trace=False, recurse=False)
    return ChannelWrite.register_writer(guarded, getattr(writer, "_is_channel_writer", None))


def _guard_entry(entry: Any) -> Any:
    if not isinstance(entry, ChannelWriteEntry):
        return entry

    def unless_diverted(value: Any) -> Any:
        if isinstance(value, Diverted):
            return SKIP_WRITE
        given = value if entry.value is PASSTHROUGH else entry.value
        return given if entry.mapper is None else entry.mapper(given)

    return ChannelWriteEntry(entry.channel, PASSTHROUGH, entry.skip_none, unless_diverted)


def declare(first: Any, targets: Iterable[tuple[str, str]]) -> Any:
    """The node's first writer, with its loop-backs declared for `get_graph()`.

    Args:
        first: The state and control writer.
        targets: Pairs of node and label, for example ("researcher", "rejected").
    """
    state, control = first.writes
    assert isinstance(control, ChannelWriteTupleEntry)
    static = list(control.static or ())
    for target, label in targets:
        channel = target if target == "__end__" else f"branch:to:{target}"
        static.append((channel, None, label))
    return ChannelWrite((state, control._replace(static=static or None)))
