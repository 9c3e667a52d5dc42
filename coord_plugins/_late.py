"""Goals that ask a model run after the call has returned, on a worker, as late outcomes."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pending: set[Future[None]] = set()


def judge_later(job: Callable[[], None]) -> None:
    """Run `job` on the goals' worker with this context copied."""
    global _pool
    context = contextvars.copy_context()
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="coord-goal")
        future = _pool.submit(context.run, job)
        _pending.add(future)
    future.add_done_callback(_pending.discard)


def wait_for_goals(timeout: float) -> bool:
    """Wait for pending goals, at most `timeout` seconds; whether all are done."""
    limit = time.monotonic() + timeout
    for future in list(_pending):
        try:
            future.result(max(0.0, limit - time.monotonic()))
        except FutureTimeoutError:
            return False
    return True
