"""The one place for LangGraph's private names, and the check that they still have their shape.

Why each is needed, and no public way exists:

- `PregelNode.bound` and `.writers`: a node's work and its out-edges on a compiled graph; a public
  gate node would let rejected output into the state first.
- `ChannelWrite`, `ChannelWriteEntry`, `ChannelWriteTupleEntry`, `SKIP_WRITE`, `PASSTHROUGH`: to
  hold back the out-edges of a rejected node.
- `RunnableCallable`: the only wrapper that keeps sync, async and subgraph detection as they are.
- the configurable keys `__pregel_*`: reading and writing the hidden channel from inside a node,
  the steps that are left, and the stream that is held until a verdict.
- the scratchpad's counters: a repeated node must find the answers to its interrupts again.
"""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import Any

from coord_plugins import UnsupportedHostError
from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal._runnable import RunnableCallable
from langgraph._internal._scratchpad import PregelScratchpad
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._write import (
    PASSTHROUGH,
    SKIP_WRITE,
    ChannelWrite,
    ChannelWriteEntry,
    ChannelWriteTupleEntry,
)

LAST_GOOD = "1.2.22"
"""The newest LangGraph version that the suite passed on."""
TESTED = ("1.0.10", "1.1.10", "1.2.0", "1.2.17", "1.2.22")

READ, SEND = "__pregel_read", "__pregel_send"
SCRATCHPAD, RUNTIME, STREAM = "__pregel_scratchpad", "__pregel_runtime", "__pregel_stream"
RESUMING, CHECKPOINTER = "__pregel_resuming", "__pregel_checkpointer"
TASK_ID = "__pregel_task_id"
PUSH_TRIGGER = ("__pregel_push",)
"""`metadata["langgraph_triggers"]` of a task that was made by a `Send`."""
CHANNEL = "__coord__"
"""The hidden channel."""

__all__ = [
    "CHANNEL",
    "CHECKPOINTER",
    "LAST_GOOD",
    "PASSTHROUGH",
    "PUSH_TRIGGER",
    "READ",
    "RESUMING",
    "RUNTIME",
    "SCRATCHPAD",
    "SEND",
    "SKIP_WRITE",
    "STREAM",
    "TASK_ID",
    "TESTED",
    "BinaryOperatorAggregate",
    "ChannelWrite",
    "ChannelWriteEntry",
    "ChannelWriteTupleEntry",
    "PregelScratchpad",
    "RunnableCallable",
    "assert_shape",
    "var_child_runnable_config",
]


def assert_shape(graph: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Check every private shape that the adapter relies on.

    Raises:
        UnsupportedHostError: One of them changed; names it and the last good version.
    """
    fields = {f.name for f in dataclasses.fields(PregelScratchpad)}
    needed = {"step", "stop", "interrupt_counter", "subgraph_counter"}
    if not needed <= fields:
        _unsupported(f"PregelScratchpad lost {', '.join(sorted(needed - fields))}")
    for name, node in graph.nodes.items():
        first = node.writers[0] if node.writers else None
        writes = first.writes if isinstance(first, ChannelWrite) else []
        if len(writes) != 2 or not all(isinstance(w, ChannelWriteTupleEntry) for w in writes):
            _unsupported(f"the first writer of node {name!r} is {first!r}")
        for writer in node.writers[1:]:
            if not ChannelWrite.is_writer(writer):
                _unsupported(f"a writer of node {name!r} is {writer!r}")


def _unsupported(what: str) -> None:
    raise UnsupportedHostError(
        f"LangGraph {version('langgraph')} has changed a part that coord_langgraph relies on "
        f"({what}); the last version that is known to work is {LAST_GOOD}"
    )
