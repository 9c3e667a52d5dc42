"""`GraphRun`: what one run of a graph remembers beside the core's `Run`, and its hidden channel.

Keys of the channel beside the core's: "i:NODE" (the inputs of a node that is an earlier target),
"g:NODE" (the node runs again on them), "h:NODE" (a candidate that waits for a person).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coord_plugins.host import Run, merge_durable

from ._private import CHANNEL, CHECKPOINTER, READ, SEND


def merge(kept: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """The channel's reducer: the core's merge; parallel inputs of one node and step add up."""
    new = dict(new or {})
    for key, value in new.items():
        old = (kept or {}).get(key) if "*" not in new else None
        if key.startswith("i:") and old is not None and value is not None:
            if old["push"] and value["push"] and old["step"] == value["step"]:
                new[key] = {**value, "args": [*old["args"], *value["args"]]}
    return merge_durable(kept, new)


class GraphRun:
    """One invoke, stream or resume of an attached graph.

    Attributes:
        run: The core's run.
        modes: The stream modes that the caller consumes.
        inputs: Per earlier target, the inputs it last ran on: {"step", "push", "args"}.
        again: Earlier targets that run again on their stored input, with the superstep that said so.
        waiting: Candidates that wait for a person, per node.
        interrupted: Whether a node interrupted.
    """

    def __init__(self, run: Run, *, fresh: bool, live: bool, wants_outputs: bool) -> None:
        self.run = run
        self.fresh = fresh
        self.live = live
        self.wants_outputs = wants_outputs
        self.inputs: dict[str, dict[str, Any]] = {}
        self.again: dict[str, int] = {}
        self.waiting: dict[str, Any] = {}
        self.interrupted = False
        self._bound = False
        self._began = False
        self._reset = False

    def bind(self, config: Any) -> None:
        """Before the first node: continue the run that the thread's checkpoint remembers.

        New input begins a new run, and its first write forgets what an earlier one left behind.
        """
        if self._bound:
            return
        self._bound = True
        found = config["configurable"]
        self.run.resumable = found.get(CHECKPOINTER) not in (None, False)
        if not self.run.resumable:
            return
        if self.fresh:
            self._reset = not self._began
            return
        kept = found[READ](CHANNEL, False) or {}
        self.run.restore(kept)
        for key, value in kept.items():
            kind, _, name = key.partition(":")
            if kind == "i":
                self.inputs[name] = value
            elif kind == "g":
                self.again[name] = value
            elif kind == "h":
                self.waiting[name] = value

    def keep(self, config: Any, change: Mapping[str, Any]) -> None:
        """Write a change into the hidden channel, together with the node's own writes."""
        if not self.run.resumable:
            return
        identity = {"run": {**self.run.identity(), "elapsed": self.run.elapsed}}
        if self._reset:
            self._reset = False
            identity["*"] = None  # type: ignore[assignment]  # the mark that forgets all
        config["configurable"][SEND]([(CHANNEL, {**identity, **change})])

    def begin(self, value: Any) -> dict[str, Any]:
        """What START writes: forget an earlier run of this thread, remember this one."""
        self._began = True
        change: dict[str, Any] = {"*": None, "run": self.run.identity()}
        if "__start__" in self.inputs:
            change["i:__start__"] = self.inputs["__start__"]
        return change

    def remember(self, node: str, argument: Any, step: int, push: bool) -> None:
        """Store the input of an earlier target."""
        kept = self.inputs.get(node)
        if kept is not None and push and kept["push"] and kept["step"] == step:
            kept["args"].append(argument)
        else:
            self.inputs[node] = {"step": step, "push": push, "args": [argument]}
