"""`GraphRun`: what one run of a graph remembers beside the core's `Run`, and its hidden channel.

Keys of the channel beside the core's: "i:NODE" (the inputs of a node that is an earlier target),
"g:NODE" (the superstep after which the node runs again on them), "h:NODE" (a candidate that waits
for a person). "run" is in every write: a write of another run makes the channel forget the one
before, in whatever order parallel nodes write.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from coord_plugins.host import Run, Step, merge_durable

from ._private import CHANNEL, SEND

FORK = "fork"
"""In a write: what a run that begins at an old checkpoint takes over from it."""


def merge(kept: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """The channel's reducer: the core's merge; parallel inputs of one node and step add up."""
    old, change = dict(kept or {}), dict(new or {})
    taken_over = change.pop(FORK, {})
    if run_id_of(old) != run_id_of(change):
        old = taken_over
    for key, value in change.items():
        before = old.get(key) if key.startswith("i:") and value is not None else None
        if before and before["push"] and value["push"] and before["step"] == value["step"]:
            change[key] = {**value, "args": [*before["args"], *value["args"]]}
    return merge_durable(old, change)


def run_id_of(kept: Mapping[str, Any]) -> str | None:
    """The run that a channel's content belongs to."""
    found: str | None = (kept.get("run") or {}).get("id")
    return found


class GraphRun:
    """One invoke, stream or resume of an attached graph.

    Attributes:
        run: The core's run.
        live: Whether the caller consumes what nodes stream while they work.
        wants_outputs: Whether validators look at the outputs of other nodes.
        inputs: Per earlier target, the inputs it last ran on: {"step", "push", "args"}.
        again: Per earlier target, the superstep after which it runs again on its stored input.
        waiting: Candidates that wait for a person, per node.
        under_way: Steps of nodes that LangGraph may time out, per node, oldest first.
        going_on: Steps that LangGraph timed out and that its next visit goes on with, per node.
    """

    def __init__(
        self, run: Run, *, kept: Mapping[str, Any], resumable: bool, forked: bool, live: bool
    ) -> None:
        self.run = run
        self.live = live
        self.wants_outputs = run.policy.wants_outputs()
        self.inputs: dict[str, dict[str, Any]] = {}
        self.again: dict[str, int] = {}
        self.waiting: dict[str, Any] = {}
        self.under_way: dict[str, list[Step]] = {}
        self.going_on: dict[str, list[Step]] = {}
        self._lock = threading.Lock()
        if forked:  # another run, on the same state: it counts what it does itself
            kept = {k: v for k, v in kept.items() if k != "run" and not k.startswith("t:")}
        self._taken_over = {FORK: kept} if forked else {}
        run.resumable = resumable
        if not kept:
            return
        run.restore(kept)
        parts = {"i": self.inputs, "g": self.again, "h": self.waiting}
        for key, value in kept.items():
            kind, _, name = key.partition(":")
            if kind in parts:
                parts[kind][name] = value  # type: ignore[index]  # three dicts of three kinds

    def keep(self, config: Any, change: Mapping[str, Any]) -> None:
        """Write a change into the hidden channel, together with the node's own writes."""
        if self.run.resumable:
            config["configurable"][SEND]([(CHANNEL, {**self.begin(), **change})])

    def begin(self) -> dict[str, Any]:
        """What says whose write it is; START writes it alone when a run begins."""
        identity = {**self.run.identity(), "elapsed": self.run.elapsed}
        return {"run": identity, **self._taken_over}

    def remember(self, node: str, argument: Any, step: int, push: bool) -> dict[str, Any]:
        """Store the input of an earlier target; returns the change to keep."""
        entry = {"step": step, "push": push, "args": [argument]}
        with self._lock:  # parallel `Send` tasks run in threads
            kept = self.inputs.get(node)
            if kept is not None and push and kept["push"] and kept["step"] == step:
                kept["args"].append(argument)
            else:
                self.inputs[node] = {**entry, "args": [argument]}
        return {f"i:{node}": entry}
