"""Configuring one attempt: its tags, its second try, and the stream that waits for a verdict."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ._callbacks import RunHandler
from ._private import (
    RESUMING,
    RUNTIME,
    SCRATCHPAD,
    STREAM,
    StreamProtocol,
    is_stream_handler,
    patch_configurable,
    var_child_runnable_config,
)

JUDGE_TAG = "coord:validate"
"""On every event of a validator, so that a consumer of a trace can tell it from the answer."""
ATTEMPT_TAG = "coord:attempt:"
"""With the attempt's number, on every event inside a validated step."""
HOST_SETS_CONFIG = sys.version_info >= (3, 11)
"""Whether LangGraph itself gives async nodes their config; before 3.11 `interrupt()` and
`get_stream_writer()` do not work in them, but in an attached graph they do."""
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

    def handler(self, handler: Any) -> Any:
        """A stream handler that keeps; what a rejected attempt has shown was never seen."""
        held = copy.copy(handler)
        held.stream = self.keeping(handler.stream)
        seen = getattr(handler, "seen", None)
        if isinstance(seen, set):
            held.seen = set(seen)
            self._kept.append(lambda: seen.update(held.seen))
        return held

    def release(self) -> None:
        """The candidate was accepted: stream what it said."""
        kept, self._kept = self._kept, []
        for emit in kept:
            emit()


def watched(config: Any) -> bool:
    """Whether anybody but the run's own handler listens to this node."""
    handlers = getattr(config.get("callbacks"), "handlers", ())
    others = [h for h in handlers if type(h) is not RunHandler and not _is_langsmith(h)]
    return STREAM in config["configurable"] or bool(others)


def _is_langsmith(handler: Any) -> bool:
    """Whether it is LangSmith's own tracer, whose traces stay as they are.

    By name: importing it takes longer than LangGraph does.
    """
    kind = type(handler)
    named = f"{kind.__module__}.{kind.__name__}"
    return named == "langchain_core.tracers.langchain.LangChainTracer"


def held_config(config: Any, held: Held) -> Any:
    """The config with every way to a user's stream leading into `held`."""
    config = _with_handlers(config, lambda h: held.handler(h) if is_stream_handler(h) else h)
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
    config = _with_handlers(config, lambda h: None if is_stream_handler(h) else h)
    found = config["configurable"]
    changes: dict[str, Any] = {}
    runtime = found.get(RUNTIME)
    if runtime is not None:
        changes[RUNTIME] = dataclasses.replace(runtime, stream_writer=_nobody)
    if STREAM in found:
        changes[STREAM] = StreamProtocol(_nobody, set())
    return tagged(patch_configurable(config, changes), JUDGE_TAG, NO_STREAM)


def _nobody(chunk: Any) -> None:
    """Where a validator's chunks go."""


def tagged(config: Any, *tags: str) -> Any:
    """The config with tags that every event inside it carries.

    They are on the callback manager alone: tags of the config itself would show in a subgraph's
    `tasks` and `debug` chunks.
    """
    manager = config.get("callbacks")
    if not hasattr(manager, "add_tags"):
        return config
    manager = manager.copy()
    manager.add_tags(list(tags), inherit=True)
    return {**config, "callbacks": manager}


def _with_handlers(config: Any, turn: Callable[[Any], Any]) -> Any:
    """A copy of the config whose callback manager has other handlers; each is turned once."""
    manager = config.get("callbacks")
    if manager is None or not hasattr(manager, "handlers"):
        return config
    manager = manager.copy()
    turned: dict[int, Any] = {}
    for name in ("handlers", "inheritable_handlers"):
        for handler in getattr(manager, name):
            if id(handler) not in turned:
                turned[id(handler)] = turn(handler)
        kept = [turned[id(h)] for h in getattr(manager, name)]
        setattr(manager, name, [h for h in kept if h is not None])
    return {**config, "callbacks": manager}


def again_config(config: Any, *, resume_subgraph: bool, runs_before: int) -> Any:
    """The config of a repeated attempt in the same task.

    Interrupts are counted from the first again, so that they find the answers that the task
    already has. After an error a subgraph resumes at its failing inner node; after a rejection
    it starts afresh.

    Args:
        config: The node's own config.
        resume_subgraph: Whether the last attempt's subgraph goes on.
        runs_before: Subgraph runs in this task before the one that goes on.
    """
    scratchpad = config["configurable"].get(SCRATCHPAD)
    if scratchpad is None:
        return config
    changes: dict[str, Any] = {"interrupt_counter": type(scratchpad.interrupt_counter)()}
    patch: dict[str, Any] = {}
    if resume_subgraph:
        counter = changes["subgraph_counter"] = type(scratchpad.subgraph_counter)()
        for _ in range(runs_before):
            counter()
        patch[RESUMING] = True
    patch[SCRATCHPAD] = dataclasses.replace(scratchpad, **changes)
    return patch_configurable(config, patch)


def count_subgraph_runs(config: Any) -> int:
    """How many subgraph runs this task has numbered; the next one gets a higher number."""
    scratchpad = config["configurable"].get(SCRATCHPAD)
    return 0 if scratchpad is None else scratchpad.subgraph_counter() + 1


@contextmanager
def configured(config: Any) -> Iterator[None]:
    """Make `config` the one that `get_config()`, `interrupt()` and child calls see."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
