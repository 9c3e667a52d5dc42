"""How feedback reaches a step: the routes that work on any host."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ._step import Step

Message = Callable[[str], Any]


def user_message(text: str) -> dict[str, str]:
    """A user message as a plain mapping; hosts have their own classes."""
    return {"role": "user", "content": text}


def route_feedback(
    step: Step,
    input: Any,
    message: Message = user_message,
    *,
    text: Callable[[Any, str], Any] | None = None,
) -> Any:
    """Put the waiting feedback into a copy of the step's input, where a route exists.

    `feedback_to` of the edge that waits comes first, also for its earlier target; else, where the
    input has `messages`, one user message is appended. The input itself is never changed.

    Args:
        step: The step that is about to execute.
        input: Its input.
        message: Makes the host's own user message.
        text: On a host whose steps work on text: puts the words into it. A `feedback_to` that
            names a state key is that host's default route as well, so that one policy serves
            both kinds of hosts.

    Returns:
        The input with the feedback, or `input` itself when there is no feedback or no route.
    """
    if step.feedback is None:
        return input
    route = _route(step)
    if callable(route):
        return route(input, step.deliver() or "")
    if text is not None:
        return text(input, step.deliver() or "")
    if route is not None:
        return with_field(input, route, step.deliver() or "")
    messages = get_field(input, "messages")
    if isinstance(messages, list):
        return with_field(input, "messages", [*messages, message(step.deliver() or "")])
    return input


def _route(step: Step) -> Any:
    """`feedback_to` of the step's own edge, else of one whose rejection came back to this step."""
    if step.edge is not None and step.edge.feedback_to is not None:
        return step.edge.feedback_to
    edges = step.run.policy.edges
    waiting = (n for n, state in step.run.edges.items() if step.name in state.targets)
    routes = (edges[n].feedback_to for n in waiting if n in edges)
    return next((route for route in routes if route is not None), None)


def get_field(value: Any, name: str) -> Any:
    """A key of a mapping or an attribute of an object; None where it has none."""
    if isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None)


def with_field(value: Any, name: str, new: Any) -> Any:
    """A copy of a mapping, pydantic model or dataclass with one field changed."""
    if isinstance(value, Mapping):
        return {**value, name: new}
    if hasattr(value, "model_copy"):
        return value.model_copy(update={name: new})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{name: new})
    raise TypeError(f"cannot put feedback into {type(value).__name__}; use feedback_to=callable")
