"""Work that reports while it goes on: an async generator over a task of its own.

The task has a context of its own, so nothing that the work sets there leaks to the consumer; and
the consumer's cancellation stops the work at once, whatever the work is waiting for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from autogen_core import CancellationToken

_DONE: Any = object()


async def pumped(
    work: Callable[[Callable[[Any], None]], Awaitable[None]],
    stop: Callable[[asyncio.Task[None]], Any],
    token: CancellationToken | None = None,
) -> AsyncGenerator[Any, None]:
    """Yield what the work emits, in order; then raise what it raised.

    Args:
        work: Called with `emit`.
        stop: Stops the work's task when the consumer is cancelled or turns away.
        token: Cancels the work at once, also where AutoGen's own code would wait for ever (a
            tool call that is cancelled).
    """
    queue: asyncio.Queue[Any] = asyncio.Queue()
    task: asyncio.Task[None] = asyncio.ensure_future(work(queue.put_nowait))
    if token is not None:
        token.link_future(task)
    task.add_done_callback(lambda _: queue.put_nowait(_DONE))
    try:
        while True:
            item = await queue.get()
            if item is _DONE:
                break
            yield item
        task.result()
    finally:
        if not task.done():
            stop(task)
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # the consumer is gone: what it raised is in the run's record
