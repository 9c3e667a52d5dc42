"""The user's functions inside LangGraph's runnables."""

from __future__ import annotations

from typing import Any

from coord_plugins.host import declares

from ._private import coerce_to_runnable


def as_runnable(fn: Any) -> Any:
    """A callable as LangGraph itself would take it as a node."""
    return coerce_to_runnable(fn, name=None, trace=False)


def function_of(runnable: Any) -> Any:
    """The user's function inside a node's runnable, or None."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None)


def declares_feedback(runnable: Any) -> bool:
    """Whether the node's function has a parameter `feedback`."""
    fn = function_of(runnable)
    return fn is not None and declares(fn, "feedback")


def is_decorated(runnable: Any) -> bool:
    """Whether the node's function carries `validated` or `retrying`, which record it."""
    return getattr(function_of(runnable), "__coord__", None) is not None
