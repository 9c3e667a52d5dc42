"""Delivery of events to listeners: one queue and one worker per listener, never the run's.

A listener that raises, blocks or is slow costs the run nothing. What a store could not take is
spooled to disk and replayed; everything that is lost is counted.
"""

from __future__ import annotations

import atexit
import collections
import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from ._events import Event
from ._tally import StepSettled

log = logging.getLogger("coord_plugins.delivery")
QUEUE_LIMIT = 100_000
"""Events that may wait for one listener; beyond it the newest are spooled or dropped."""
BATCH = 2_000
"""Events handed to `on_events` at once."""
EXIT_SECONDS = 5.0
"""How long the interpreter's exit waits for listeners."""


class Delivery:
    """The queue and worker of one listener."""

    def __init__(self, listener: Any) -> None:
        self.listener = listener
        self.run_events_only = bool(getattr(listener, "run_events_only", False))
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        self._queue: collections.deque[Event] = collections.deque()
        self._ready = threading.Condition()
        self._busy = False
        self._under_way: list[Event] = []
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def put(self, events: Iterable[Event]) -> None:
        """Queue events; never blocks on the listener and never raises."""
        with self._ready:
            for event in events:
                if self.run_events_only and type(event) is StepSettled:
                    continue
                if len(self._queue) >= QUEUE_LIMIT:
                    self.dropped += 1
                    self._spool([event])
                    continue
                self._queue.append(event)
            if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                self._start()
            self._ready.notify()

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was queued is handed over.

        Returns:
            Whether it was, within `timeout` seconds.
        """
        limit = time.monotonic() + timeout
        with self._ready:
            while self._queue or self._busy:
                left = limit - time.monotonic()
                if left <= 0 or self._thread is None:
                    return False
                self._ready.wait(min(left, 0.05))
        own = getattr(self.listener, "flush", None)  # it may deliver further, as a tracer does
        return own is None or bool(own(max(0.0, limit - time.monotonic())))

    def rescue(self) -> None:
        """The process ends: keep on disk what was not delivered, where the listener can."""
        with self._ready:
            left = [*self._under_way, *self._queue]
            self._queue.clear()
        if left and not self._spool(left):
            self.dropped += len(left)
        own = getattr(self.listener, "rescue", None)
        if own is not None:
            own()

    def _start(self) -> None:
        self._pid = os.getpid()
        name = f"coord-{type(self.listener).__name__}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            with self._ready:
                self._busy, self._under_way = False, []
                self._ready.notify_all()
                while not self._queue:
                    self._ready.wait()
                count = min(BATCH, len(self._queue))
                batch = [self._queue.popleft() for _ in range(count)]
                self._busy, self._under_way = True, batch
            self._deliver(batch)

    def _deliver(self, batch: list[Event]) -> None:
        take = getattr(self.listener, "on_events", None)
        if take is not None:
            self._attempt(take, batch, batch)
        else:
            for event in batch:
                self._attempt(self.listener.on_event, event, [event])

    def _attempt(self, take: Any, argument: Any, events: list[Event]) -> None:
        try:
            take(argument)
            self.delivered += len(events)
        except Exception as error:  # a listener may fail in any way, and the worker must live
            self.failed += len(events)
            kept = self._spool(events)
            log.warning(
                "%s could not take %d event(s), %s: %s: %s",
                type(self.listener).__name__,
                len(events),
                "spooled" if kept else "lost",
                type(error).__name__,
                error,
            )

    def _spool(self, events: list[Event]) -> bool:
        spool = getattr(self.listener, "spool", None)
        if spool is None:
            return False
        try:
            spool(events)
        except Exception as error:  # a full disk must not end the worker
            log.warning("spooling failed: %s: %s", type(error).__name__, error)
            return False
        return True

    def after_fork(self) -> None:
        """A child starts with an empty queue: the parent delivers what it queued."""
        self._ready = threading.Condition()
        self._queue.clear()
        self._busy, self._under_way = False, []
        self._thread = None
        own = getattr(self.listener, "after_fork", None)
        if own is not None:
            own()


_lock = threading.Lock()
_kept: dict[int, Delivery] = {}  # listeners are few and live as long as the process


def delivery_of(listener: Any) -> Delivery:
    """The one delivery of a listener in this process."""
    with _lock:
        found = _kept.get(id(listener))
        if found is None or found.listener is not listener:
            found = _kept[id(listener)] = Delivery(listener)
        return found


def deliveries() -> list[Delivery]:
    """Every delivery of this process, for `doctor` and `flush`."""
    with _lock:
        return list(_kept.values())


def flush(timeout: float = 10.0) -> bool:
    """Wait until every queued event is handed to its listener, late goals included.

    Args:
        timeout: Seconds for all listeners together.

    Returns:
        Whether all was delivered. A finished run is then safe against `kill -9`.
    """
    from ._late import wait_for_goals

    limit = time.monotonic() + timeout
    done = wait_for_goals(timeout)
    for delivery in deliveries():
        done = delivery.flush(max(0.0, limit - time.monotonic())) and done
    return done


def _at_exit() -> None:
    if flush(EXIT_SECONDS):
        return
    log.warning("the interpreter ends with undelivered events; what can be kept on disk is")
    for delivery in deliveries():
        try:
            delivery.rescue()
        except Exception as error:  # the next listener's events may still be saved
            log.warning("rescuing events failed: %s: %s", type(error).__name__, error)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for delivery in list(_kept.values()):
        delivery.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
