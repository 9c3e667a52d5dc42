"""Work that reports while it goes on: an async generator over a task of its own.

The task has a context of its own, so nothing that the work sets there leaks to the consumer; and
the consumer's cancellation stops the work at once, whatever the work is waiting for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from autogen_core import CancellationToken


async def pumped(
    work: Callable[[Callable[[Any], None]], Coroutine[Any, Any, None]],
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
    loop = asyncio.get_running_loop()
    items: deque[Any] = deque()
    waiter: asyncio.Future[None] | None = None

    def wake(_: Any = None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def emit(item: Any) -> None:
        items.append(item)
        wake()

    task: asyncio.Task[None] = loop.create_task(work(emit))
    if token is not None:
        token.link_future(task)
    task.add_done_callback(wake)
    try:
        while items or not task.done():
            while items:
                yield items.popleft()
            if not task.done():
                waiter = loop.create_future()
                await waiter
        task.result()
    finally:
        if not task.done():
            stop(task)
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # the consumer is gone: what it raised is in the run's record
