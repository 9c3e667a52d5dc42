"""Between LangGraph's node values and the core's host-neutral ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.messages import HumanMessage
from langgraph.types import Command

FEEDBACK_ID = "coord-feedback-"
"""Prefix of the ids of feedback messages: they never enter the state."""


def neutral(raw: Any) -> Any:
    """A node's output as validators see it: its state update; of a `Command`, its `update`."""
    if isinstance(raw, Command):
        update = raw.update
        pairs = isinstance(update, (list, tuple)) and all(
            isinstance(t, tuple) and len(t) == 2 for t in update
        )
        return dict(update) if pairs else update  # type: ignore[arg-type]  # checked above
    if _has_commands(raw):
        merged: dict[str, Any] = {}
        for part in raw:
            update = neutral(part)
            if isinstance(update, Mapping):
                merged.update(update)
        return merged
    return raw


def with_update(raw: Any, update: Any) -> Any:
    """The node's output with another state update in it; where it goes stays."""
    if isinstance(raw, Command):
        return dataclasses.replace(raw, update=update)
    if _has_commands(raw):
        commands = [dataclasses.replace(c, update=None) for c in raw if isinstance(c, Command)]
        return [dataclasses.replace(commands[0], update=update), *commands[1:]]
    return update


def _has_commands(raw: Any) -> bool:
    return isinstance(raw, (list, tuple)) and any(isinstance(x, Command) for x in raw)


def feedback_message(text: str) -> HumanMessage:
    """The user message that carries feedback, recognisable by its id."""
    return HumanMessage(content=text, id=f"{FEEDBACK_ID}{uuid4()}")


def without_feedback(raw: Any) -> Any:
    """The output without our own feedback messages: a subgraph hands back all it was given."""
    update = neutral(raw)
    messages = update.get("messages") if isinstance(update, Mapping) else None
    if not isinstance(messages, list):
        return raw
    kept = [m for m in messages if not str(getattr(m, "id", "")).startswith(FEEDBACK_ID)]
    if len(kept) == len(messages):
        return raw
    return with_update(raw, {**update, "messages": kept})


def as_fields(value: Any) -> Any:
    """A state object as a mapping of its fields, to be stored in a checkpoint."""
    if hasattr(type(value), "model_fields"):
        return {k: getattr(value, k) for k in type(value).model_fields}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return value
