"""Configuring one attempt: its tags, its second try, and the stream that waits for a verdict."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langgraph._internal._config import patch_configurable
from langgraph.pregel.protocol import StreamProtocol

from ._callbacks import RunHandler
from ._private import RESUMING, RUNTIME, SCRATCHPAD, STREAM, var_child_runnable_config

JUDGE_TAG = "coord:validate"
"""On every event of a validator, so that a consumer of a trace can tell it from the answer."""
ATTEMPT_TAG = "coord:attempt:"
"""With the attempt's number, on every event inside a validated step."""
NO_STREAM = "nostream"


class Held:
    """What an attempt wanted to stream, kept until its verdict, in order."""

    def __init__(self) -> None:
        self._kept: list[Callable[[], Any]] = []

    def keeping(self, emit: Callable[[Any], Any]) -> Callable[[Any], None]:
        """An `emit` that keeps instead; the context is kept too, as emitters read it."""

        def keep(chunk: Any) -> None:
            context = contextvars.copy_context()
            self._kept.append(lambda: context.run(emit, chunk))

        return keep

    def release(self) -> None:
        """The candidate was accepted: stream what it said."""
        kept, self._kept = self._kept, []
        for emit in kept:
            emit()

    def drop(self) -> None:
        """The candidate was rejected: nobody hears it."""
        self._kept = []


def streams(handlers: list[Any]) -> bool:
    """Whether one of the handlers sends tokens or tool calls to a user's stream."""
    return any(_is_stream(h) for h in handlers)


def _is_stream(handler: Any) -> bool:
    return type(handler).__module__.startswith("langgraph.pregel._") and hasattr(handler, "stream")


def watched(config: Any) -> bool:
    """Whether anybody but the run's own handler listens to this node's callbacks."""
    return any(type(h) is not RunHandler for h in handlers_of(config))


def handlers_of(config: Any) -> list[Any]:
    """The callback handlers of a node's config."""
    return list(getattr(config.get("callbacks"), "handlers", ()))


def held_config(config: Any, held: Held) -> Any:
    """The config with every way to a user's stream leading into `held`."""

    def keep(handler: Any) -> Any:
        if not _is_stream(handler):
            return handler
        kept = copy.copy(handler)  # it shares what it has seen with the original
        kept.stream = held.keeping(handler.stream)
        return kept

    config = _with_handlers(config, keep)
    found = config["configurable"]
    changes: dict[str, Any] = {}
    runtime = found.get(RUNTIME)
    if runtime is not None:
        writer = held.keeping(runtime.stream_writer)
        changes[RUNTIME] = dataclasses.replace(runtime, stream_writer=writer)
    if STREAM in found:
        inner = found[STREAM]
        changes[STREAM] = StreamProtocol(held.keeping(inner), inner.modes)
    return patch_configurable(config, changes) if changes else config


def judge_config(config: Any) -> Any:
    """The config in which validators run: no way to a user's stream, and a tag of their own."""
    config = _with_handlers(config, lambda h: None if _is_stream(h) else h)
    runtime = config["configurable"].get(RUNTIME)
    if runtime is not None:
        silent = dataclasses.replace(runtime, stream_writer=lambda chunk: None)
        config = patch_configurable(config, {RUNTIME: silent})
    return tagged(config, JUDGE_TAG, NO_STREAM)


def tagged(config: Any, *tags: str) -> Any:
    """The config with tags that every event inside it carries."""
    return {**config, "tags": [*(config.get("tags") or ()), *tags]}


def _with_handlers(config: Any, turn: Callable[[Any], Any]) -> Any:
    """A copy of the config whose callback manager has other handlers."""
    manager = config.get("callbacks")
    if manager is None or not hasattr(manager, "handlers"):
        return config
    manager = manager.copy()
    manager.handlers = [x for h in manager.handlers if (x := turn(h)) is not None]
    manager.inheritable_handlers = [
        x for h in manager.inheritable_handlers if (x := turn(h)) is not None
    ]
    return {**config, "callbacks": manager}


def again_config(config: Any, *, resume_subgraph: bool) -> Any:
    """The config of a repeated attempt in the same task.

    Interrupts are counted from the first again, so that they find the answers that the task
    already has. After an error a subgraph resumes at its failing inner node; after a rejection
    it starts afresh.
    """
    scratchpad = config["configurable"].get(SCRATCHPAD)
    if scratchpad is None:
        return config
    changes: dict[str, Any] = {"interrupt_counter": _counter(scratchpad.interrupt_counter)}
    patch: dict[str, Any] = {}
    if resume_subgraph:
        changes["subgraph_counter"] = _counter(scratchpad.subgraph_counter)
        patch[RESUMING] = True
    patch[SCRATCHPAD] = dataclasses.replace(scratchpad, **changes)
    return patch_configurable(config, patch)


def _counter(used: Any) -> Any:
    """A fresh counter of the kind that LangGraph uses."""
    return type(used)()


@contextmanager
def configured(config: Any) -> Iterator[None]:
    """Make `config` the one that `get_config()`, `interrupt()` and child calls see."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
