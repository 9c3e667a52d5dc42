"""`Thread`: where a call's thread is kept, and what an earlier part of its run left there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from langchain_core.runnables.config import ensure_config
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Command

from ._memory import merge
from ._private import CHANNEL, CHECKPOINTER, RESUMING, TASK_ID


class Kept(NamedTuple):
    """What the hidden channel holds for a call that resumes; empty for a new run."""

    values: Mapping[str, Any] = {}
    forked: bool = False
    """Whether the call begins at an old checkpoint: another run, on that state."""


class Thread:
    """A call's checkpointer and thread, read before the run begins."""

    def __init__(self, graph: Any, input: Any, config: Any) -> None:
        found = ensure_config(config)["configurable"]
        saver = found.get(CHECKPOINTER, graph.checkpointer)
        usable = isinstance(saver, BaseCheckpointSaver) and graph.checkpointer is not False
        self.saver: Any = saver if usable else None
        self.nested = TASK_ID in found
        if self.nested:
            resumes = bool(found.get(RESUMING))
        else:
            resumes = input is None or (isinstance(input, Command) and input.resume is not None)
        self._resumes = resumes and self.saver is not None and "thread_id" in found
        self._place = {"thread_id": str(found.get("thread_id")), "checkpoint_ns": ""}
        if self.nested:
            self._place["checkpoint_ns"] = found.get("checkpoint_ns", "")
        self._at = None if self.nested else found.get("checkpoint_id")

    def read(self) -> Kept:
        """What an earlier part of this run left."""
        if not self._resumes:
            return Kept()
        latest = self.saver.get_tuple(self._config())
        chosen = latest if self._at is None else self.saver.get_tuple(self._config(self._at))
        return _read(latest, chosen)

    async def aread(self) -> Kept:
        """The async form of `read`."""
        if not self._resumes:
            return Kept()
        latest = await self.saver.aget_tuple(self._config())
        if self._at is None:
            return _read(latest, latest)
        return _read(latest, await self.saver.aget_tuple(self._config(self._at)))

    def _config(self, checkpoint_id: str | None = None) -> Any:
        at = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
        return {"configurable": {**self._place, **at}}


def _read(latest: CheckpointTuple | None, chosen: CheckpointTuple | None) -> Kept:
    if latest is None or chosen is None:
        return Kept()
    kept = chosen.checkpoint["channel_values"].get(CHANNEL) or {}
    if latest.checkpoint["id"] != chosen.checkpoint["id"]:
        return Kept(kept, forked=True)
    for _, channel, value in chosen.pending_writes or ():
        if channel == CHANNEL:  # nodes that were done when another one stopped the superstep
            kept = merge(kept, value)
    return Kept(kept)
