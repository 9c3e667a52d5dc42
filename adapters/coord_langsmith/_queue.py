"""Work that is due now or later, one piece per run at a time, and the threads that do it."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

WORKERS = 8
"""Threads that work; each does one thing at a time."""
LINGER = 0.2
"""Seconds without work after which a thread ends."""
BEHIND = 0.05
"""Seconds before a piece is looked at again that must wait for an earlier one of its run."""


class Piece(Protocol):
    """A piece of work."""

    @property
    def run_id(self) -> str:
        """Pieces of one run are done one after another, in their order."""


class Other(NamedTuple):
    """Other work than pieces, for one thread at a time."""

    due: Callable[[], float | None]
    """When (monotonic seconds) it is to be done; None: there is none. `ready` is held."""
    begin: Callable[[], None]
    """Somebody takes it: from now on it is due for nobody else. `ready` is held."""
    work: Callable[[], None]
    """Does it."""


class Queue:
    """Pieces of work and the threads that do them.

    All of it is guarded by `ready`, whose methods' callers hold it where a docstring says so.
    """

    def __init__(self, work: Callable[[Piece], None], other: Other) -> None:
        """Prepare it; threads start with the first piece.

        Args:
            work: Does one piece.
            other: What there is to do beside pieces.
        """
        self.ready = threading.Condition()
        self.ended = False
        self._work = work
        self._other = other
        self._heap: list[tuple[float, int, Piece]] = []
        self._order = itertools.count()
        self._active: list[Piece] = []
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, piece: Piece, delay: float = 0.0) -> None:
        """Add a piece that is due in `delay` seconds; `ready` is held."""
        heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), piece))
        self.start()
        self.ready.notify()

    def start(self) -> None:
        """Have threads for what there is to do; `ready` is held."""
        wanted = min(WORKERS, len(self._heap) + 1)
        for number in range(len(self._threads), wanted):
            name = f"coord-langsmith-{number}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends: `wait` does the work itself
                return
            self._threads.append(thread)

    def take_all(self) -> list[Piece]:
        """Everything that is not done, taken out where it is not begun; `ready` is held."""
        pieces = [*self._active, *(piece for *_, piece in self._heap)]
        self._heap.clear()
        return pieces

    def is_idle(self) -> bool:
        """Whether nothing is due or under way; `ready` is held."""
        return not self._heap and not self._active

    def wait(self, is_done: Callable[[], bool], timeout: float) -> bool:
        """Wait until `is_done` or time is up; whether it is done.

        Where no thread works (none can be started while the interpreter ends), this one does.
        """
        limit = time.monotonic() + timeout
        while True:
            with self.ready:
                if is_done():
                    return True
                left = limit - time.monotonic()
                if left <= 0:
                    return False
                piece = None if self._threads else self._take(time.monotonic())
                if piece is None:
                    self.ready.wait(min(left, 0.05))
            if piece is not None:
                self._do(piece)

    def after_fork(self) -> None:
        """Begin empty in a child: the parent does what it has."""
        self.ready = threading.Condition()
        self._heap, self._active, self._threads = [], [], []

    # ------------------------------------------------------------------ a thread

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            self._do(piece)

    def _do(self, piece: Piece | Queue) -> None:
        if isinstance(piece, Queue):
            self._other.work()
            return
        try:
            self._work(piece)
        finally:
            with self.ready:
                self._active.remove(piece)
                self.ready.notify_all()

    def _next(self) -> Piece | Queue | None:
        """What is due; None: the thread may end."""
        with self.ready:
            idle = time.monotonic() + LINGER
            while not self.ended:
                now = time.monotonic()
                piece = self._take(now)
                if piece is not None:
                    return piece
                ends = (self._other.due(), self._heap[0][0] if self._heap else None)
                later = [end for end in ends if end is not None]
                # one thread is enough to wait for what comes later
                if now >= idle and (not later or len(self._threads) > 1):
                    break
                self.ready.wait(max(0.001, min([*later, max(idle, now + 0.001)]) - now))
            self._threads.remove(threading.current_thread())
            return None

    def _take(self, now: float) -> Piece | Queue | None:
        """What is due; the queue itself stands for the other work."""
        other = self._other.due()
        if other is not None and other <= now:
            self._other.begin()
            return self
        piece = self._due(now)
        if piece is not None:
            self._active.append(piece)
        return piece

    def _due(self, now: float) -> Piece | None:
        while self._heap and self._heap[0][0] <= now:
            piece = heapq.heappop(self._heap)[2]
            if all(a.run_id != piece.run_id for a in self._active):
                return piece
            heapq.heappush(self._heap, (now + BEHIND, next(self._order), piece))
        return None
