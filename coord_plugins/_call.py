"""How a validator, a goal or a step is called: which optional parameters it declares.

Signatures are read once, when a policy is built, so that a mistake is found there and
the hot path only tests flags.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from .errors import PolicyError

OPTIONAL = ("inputs", "ctx")
"""Parameters that a validator may declare by name beside its output."""


class Binding(NamedTuple):
    """Which optional parameters a callable declares."""

    inputs: bool
    ctx: bool
    is_async: bool


def is_async_callable(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` gives a coroutine, also for objects with an async `__call__`."""
    while hasattr(fn, "func") and not inspect.isfunction(fn):
        fn = fn.func  # functools.partial
    call = getattr(type(fn), "__call__", None)  # noqa: B004 - whether it is async, not whether it is
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(call)


def bind(fn: Callable[..., Any], what: str) -> Binding:
    """Read how `fn(output, *, inputs, ctx)` may be called.

    Args:
        fn: A validator, goal or judge.
        what: How the error names it, for example "validator 'cites_line'".

    Raises:
        PolicyError: `fn` is not callable, takes no output, or requires other parameters.
    """
    if not callable(fn):
        raise PolicyError(f"{what} is not callable: {fn!r}")
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature take the output alone
        return Binding(False, False, is_async_callable(fn))
    names = {p.name for p in parameters}
    positional = [
        p
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    required = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    first = positional[0].name if positional else None
    extra = [n for n in required if n != first and n not in OPTIONAL]
    if first is None or extra:
        needs = f"requires {', '.join(extra)}" if extra else "takes no output"
        raise PolicyError(
            f"{what} has the wrong signature: it {needs}; "
            "it is called as v(output), with `inputs` and `ctx` by name where it declares them"
        )
    return Binding("inputs" in names and first != "inputs", "ctx" in names, is_async_callable(fn))


def declares(fn: Callable[..., Any], name: str) -> bool:
    """Whether `fn` declares a parameter `name` (a plain `**kwargs` does not count)."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters
