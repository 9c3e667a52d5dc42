"""The one place for LangGraph's private names, and the check that they still have their shape.

Why each is needed, and no public way exists:

- `PregelNode.bound` and `.writers`: a node's work and its out-edges on a compiled graph; a public
  gate node would let rejected output into the state first.
- `ChannelWrite`, `ChannelWriteEntry`, `ChannelWriteTupleEntry`, `SKIP_WRITE`, `PASSTHROUGH`: to
  hold back the out-edges of a rejected node.
- `RunnableCallable`, `coerce_to_runnable`: the only wrapper that keeps sync, async and subgraph
  detection as they are.
- the configurable keys `__pregel_*`: writing the hidden channel from inside a node, the steps
  that are left, and the stream that is held until a verdict.
- `PregelScratchpad`'s counters: a repeated node must find the answers to its interrupts again.
- `StreamMessagesHandler`, `StreamProtocol`: what sends a node's tokens and chunks to a user.

A name that is gone is noted at import and reported by `attach`, not by an `ImportError`.
"""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

from coord_plugins.host import PrivateParts

PARTS = PrivateParts(
    "coord_langgraph",
    "LangGraph",
    "langgraph",
    tested=("1.0.10", "1.1.10", "1.2.0", "1.2.17", "1.2.24"),
)
_name = PARTS.name

ChannelWrite = _name("langgraph.pregel._write", "ChannelWrite")
ChannelWriteEntry = _name("langgraph.pregel._write", "ChannelWriteEntry")
ChannelWriteTupleEntry = _name("langgraph.pregel._write", "ChannelWriteTupleEntry")
PASSTHROUGH = _name("langgraph.pregel._write", "PASSTHROUGH")
SKIP_WRITE = _name("langgraph.pregel._write", "SKIP_WRITE")
RunnableCallable = _name("langgraph._internal._runnable", "RunnableCallable")
coerce_to_runnable = _name("langgraph._internal._runnable", "coerce_to_runnable")
patch_configurable = _name("langgraph._internal._config", "patch_configurable")
PregelScratchpad = _name("langgraph._internal._scratchpad", "PregelScratchpad")
StreamProtocol = _name("langgraph.pregel.protocol", "StreamProtocol")
StreamMessagesHandler = _name("langgraph.pregel._messages", "StreamMessagesHandler")
var_child_runnable_config = _name("langchain_core.runnables.config", "var_child_runnable_config")

SEND = "__pregel_send"
SCRATCHPAD, RUNTIME, STREAM = "__pregel_scratchpad", "__pregel_runtime", "__pregel_stream"
RESUMING, CHECKPOINTER = "__pregel_resuming", "__pregel_checkpointer"
TASK_ID = "__pregel_task_id"
_KEYS = {
    "CONFIG_KEY_SEND": SEND,
    "CONFIG_KEY_SCRATCHPAD": SCRATCHPAD,
    "CONFIG_KEY_RUNTIME": RUNTIME,
    "CONFIG_KEY_STREAM": STREAM,
    "CONFIG_KEY_RESUMING": RESUMING,
    "CONFIG_KEY_CHECKPOINTER": CHECKPOINTER,
    "CONFIG_KEY_TASK_ID": TASK_ID,
}
PUSH_TRIGGER = ("__pregel_push",)
"""`metadata["langgraph_triggers"]` of a task that was made by a `Send`."""
CHANNEL = "__coord__"
"""The hidden channel."""
_COUNTERS = {"step", "stop", "interrupt_counter", "subgraph_counter"}


def is_stream_handler(handler: Any) -> bool:
    """Whether a callback handler sends tokens or tool calls to a user's stream."""
    if isinstance(handler, StreamMessagesHandler):
        return True
    host_made = type(handler).__module__.startswith("langgraph.pregel.")
    return host_made and callable(getattr(handler, "stream", None))


def assert_shape(graph: Any) -> None:
    """Check every private shape that the adapter relies on.

    Args:
        graph: A compiled graph.

    Raises:
        UnsupportedHostError: One of them changed; names it and the last good version.
    """
    PARTS.check()
    fields = {f.name for f in dataclasses.fields(PregelScratchpad)}
    if not fields >= _COUNTERS:
        PARTS.refuse(f"PregelScratchpad lost {', '.join(sorted(_COUNTERS - fields))}")
    constants = import_module("langgraph._internal._constants")
    for name, key in _KEYS.items():
        if getattr(constants, name, None) != key:
            PARTS.refuse(f"{name} is no longer {key!r}")
    for name, node in graph.nodes.items():
        first = node.writers[0] if node.writers else None
        writes = first.writes if isinstance(first, ChannelWrite) else []
        if len(writes) != 2 or not all(isinstance(w, ChannelWriteTupleEntry) for w in writes):
            PARTS.refuse(f"the first writer of node {name!r} is {first!r}")
        for writer in node.writers[1:]:
            if not ChannelWrite.is_writer(writer):
                PARTS.refuse(f"a writer of node {name!r} is {writer!r}")
