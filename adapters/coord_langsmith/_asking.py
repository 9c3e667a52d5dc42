"""Calling the user's code, with and without an event loop, from one piece of work."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from coord_plugins import PolicyError

T = TypeVar("T")


class Ask(NamedTuple):
    """One call of the user's code."""

    what: str
    """How errors name it."""
    call: Callable[[], Any]
    """The call where nothing can be awaited."""
    acall: Callable[[], Any] | None = None
    """The call under an event loop where it is another one."""


class Reply(NamedTuple):
    """What a call returned or raised."""

    value: Any = None
    error: Exception | None = None


Work = Generator[Ask, Reply, T]
"""Work that yields the calls to make: one loop serves the sync and the async form."""


def drive(work: Work[T], mend: str) -> T:
    """Do the work without an event loop.

    Args:
        work: What is to be done.
        mend: What to use for code that must be awaited.

    Raises:
        PolicyError: A call gave something to await.
    """
    try:
        ask = next(work)
        while True:
            reply = _caught(ask.call)
            if inspect.isawaitable(reply.value):
                if inspect.iscoroutine(reply.value):
                    reply.value.close()
                raise PolicyError(f"{ask.what} is async, and here nothing is awaited: use {mend}")
            ask = work.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


async def adrive(work: Work[T]) -> T:
    """Do the work under an event loop: synchronous calls in a thread, with the context copied."""
    try:
        ask = next(work)
        while True:
            # caught in the thread: a StopIteration cannot pass through a future
            reply = await asyncio.to_thread(_caught, ask.acall or ask.call)
            if inspect.isawaitable(reply.value):
                try:
                    reply = Reply(await reply.value)
                except Exception as error:  # noqa: BLE001 - handed to the work, which judges it
                    reply = Reply(error=error)
            ask = work.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


def _caught(call: Callable[[], Any]) -> Reply:
    try:
        return Reply(call())
    except Exception as error:  # noqa: BLE001 - handed to the work, which judges it
        return Reply(error=error)
