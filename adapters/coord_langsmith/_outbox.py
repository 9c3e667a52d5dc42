"""Delivery of outcomes: a bounded queue, a few workers, few tries, and a spool on disk.

It never runs in a run's own thread. What LangSmith cannot take now waits on disk and is sent again
when it can; what not even the disk takes is counted.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from coord_plugins import RunFinished, RunRecord
from coord_plugins.host import Spool

from ._disk import note_lost
from ._errors import NotYetError, RefusedError, UnavailableError

log = logging.getLogger("coord_plugins.langsmith")
LIMIT = 10_000
"""Outcomes that may wait in memory; later ones wait on disk."""
WORKERS = 4
"""Threads that send; each sends one outcome at a time."""
UNAVAILABLE_DELAYS = (0.5, 2.0)
"""Seconds before an outcome is tried again while LangSmith does not answer; then it is spooled."""
NOT_YET_DELAYS = (0.1, 0.3, 1.0, 3.0, 6.0)
"""Seconds before an outcome is tried again whose root LangSmith does not know yet."""
LINGER = 0.2
"""Seconds without work after which a thread ends."""
BEHIND = 0.05
"""Seconds before an outcome is looked at again that must wait for an earlier one of its run."""
COOLDOWN = (5.0, 60.0)
"""Seconds in which nothing is tried after a failure, and their most: they double."""


class Entry:
    """One run's outcome on its way."""

    __slots__ = ("not_yet", "path", "record", "tries")

    def __init__(self, record: RunRecord, *, tries: int = 0) -> None:
        self.record = record
        self.tries = tries
        """Tries that failed in a way that may still have delivered it."""
        self.not_yet = 0
        """Tries that found no root."""


REPLAY = Entry(RunRecord(run_id="", pipeline=""))
"""Stands for: send what waits on disk."""


class Outbox:
    """Outcomes on their way to LangSmith.

    Attributes:
        sent: Outcomes that LangSmith took.
        spooled: Outcomes that were put on disk; they may have been sent since.
        refused: Outcomes that LangSmith will never take; each was logged.
        dropped: Outcomes that were lost: neither memory nor disk took them.
    """

    def __init__(self, send: Callable[..., None], spool: Spool) -> None:
        """Prepare it; threads start with the first outcome.

        Args:
            send: `send(record, again=, restore=)`: delivers one outcome, or raises one of the
                errors of `_errors`. `again`: an earlier try may have been taken. `restore`: the
                root was not found in many tries, so it is made again.
            spool: Where outcomes wait on disk.
        """
        self._send = send
        self.spool = spool
        self.sent = self.spooled = self.refused = self.dropped = 0
        self._ready = threading.Condition()
        self._heap: list[tuple[float, int, Entry]] = []
        self._order = itertools.count()
        self._newest: dict[str, Entry] = {}
        self._active: list[Entry] = []
        self._threads: list[threading.Thread] = []
        self._closed_until = 0.0
        self._cooldown = COOLDOWN[0]
        self._waiting = spool.count() > 0
        self._replaying = self._ended = False
        self._pid = os.getpid()

    # ------------------------------------------------------------------ in

    def put(self, record: RunRecord) -> None:
        """Take an outcome; a newer one of the same run replaces one that still waits."""
        self._check_fork()
        with self._ready:
            if len(self._heap) >= LIMIT or self._is_closed():
                self._keep([record])
                self._start()
                return
            entry = Entry(record)
            self._newest[record.run_id] = entry
            self._push(entry, 0.0)
            self._start()

    def _push(self, entry: Entry, delay: float) -> None:
        heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), entry))
        self._ready.notify()

    def _keep(self, records: Sequence[RunRecord]) -> None:
        """Put outcomes on disk."""
        try:
            self.spool.write([RunFinished(record) for record in records])
        except OSError as error:
            self.dropped += len(records)
            for record in records:
                note_lost(self.spool, "dropped", record, error)
        else:
            self.spooled += len(records)
            self._waiting = True

    def _refuse(self, record: RunRecord, error: RefusedError) -> None:
        self.refused += 1
        note_lost(self.spool, "refused", record, error)

    # ------------------------------------------------------------------ out

    def _start(self) -> None:
        wanted = min(WORKERS, len(self._heap) + 1)
        for number in range(len(self._threads), wanted):
            name = f"coord-langsmith-{number}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            entry = self._next()
            if entry is None:
                return
            if entry is REPLAY:
                self._replay()
                continue
            try:
                self._try(entry)
            finally:
                with self._ready:
                    self._active.remove(entry)
                    self._ready.notify_all()

    def _next(self) -> Entry | None:
        """The next outcome that is due, or `REPLAY`; None: nothing has come for a while."""
        with self._ready:
            idle = time.monotonic() + LINGER
            while True:
                now = time.monotonic()
                if self._ended:
                    self._leave()
                    return None
                if self._waiting and not self._replaying and not self._is_closed(now):
                    self._replaying = True
                    return REPLAY
                entry = self._due(now)
                if entry is not None:
                    self._active.append(entry)
                    return entry
                later = self._later()
                # one thread is enough to wait for what comes later
                if now >= idle and (not later or len(self._threads) > 1):
                    self._leave()
                    return None
                self._ready.wait(max(0.001, min([*later, max(idle, now + 0.001)]) - now))

    def _leave(self) -> None:
        self._threads.remove(threading.current_thread())

    def _later(self) -> list[float]:
        """When there is something to do again."""
        found = [self._heap[0][0]] if self._heap else []
        return found + ([self._closed_until] if self._waiting and not self._replaying else [])

    def _due(self, now: float) -> Entry | None:
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)[2]
            if all(a.record.run_id != entry.record.run_id for a in self._active):
                return entry
            # an earlier word on the same run is under way
            heapq.heappush(self._heap, (now + BEHIND, next(self._order), entry))
        return None

    def _try(self, entry: Entry) -> None:
        record = entry.record
        with self._ready:
            if self._newest.get(record.run_id) is not entry:
                return  # a newer outcome of the run is on its way
            if self._is_closed():
                self._keep([record])
                del self._newest[record.run_id]
                return
        restore = entry.not_yet >= len(NOT_YET_DELAYS)
        try:
            self._send(record, again=entry.tries > 0, restore=restore)
        except NotYetError as error:
            self._again(entry, NOT_YET_DELAYS, entry.not_yet, error)
            entry.not_yet += 1
        except UnavailableError as error:
            entry.tries += 1
            if error.is_final:
                self._close(error)
            self._again(entry, () if error.is_final else UNAVAILABLE_DELAYS, entry.tries - 1, error)
        except RefusedError as error:
            self._refuse(record, error)
            self._done(entry)
        except Exception as error:  # the worker must live; the outcome waits for a better version
            self._again(entry, (), 0, error)
        else:
            self.sent += 1
            self._cooldown = COOLDOWN[0]
            self._done(entry)

    def _again(self, entry: Entry, delays: Sequence[float], tried: int, error: Exception) -> None:
        """Try later, or put it on disk."""
        with self._ready:
            if tried < len(delays):
                self._push(entry, delays[tried])
                return
            if not self._is_closed():
                self._close(error)
            self._keep([entry.record])
        self._done(entry)

    def _close(self, error: Exception) -> None:
        """Try nothing for a while."""
        self._closed_until = time.monotonic() + self._cooldown
        log.warning(
            "LangSmith takes no outcomes (%s); they wait in %s, next try in %.0f s",
            error,
            self.spool.directory,
            self._cooldown,
        )
        self._cooldown = min(self._cooldown * 2, COOLDOWN[1])

    def _is_closed(self, now: float | None = None) -> bool:
        return (time.monotonic() if now is None else now) < self._closed_until

    def _done(self, entry: Entry) -> None:
        with self._ready:
            if self._newest.get(entry.record.run_id) is entry:
                del self._newest[entry.record.run_id]

    # ------------------------------------------------------------------ from disk

    def _replay(self) -> None:
        """Send what waits on disk, a file at a time."""
        left = False
        try:
            for path, events in self.spool.claim():
                records = {e.record.run_id: e.record for e in events if isinstance(e, RunFinished)}
                left = not all(self._resend(r) for r in records.values())
                if left:
                    break
                path.unlink(missing_ok=True)
                log.info("%d outcome(s) that waited are in LangSmith", len(records))
        except Exception as error:  # the worker must live
            left = True
            log.warning("sending what waits in %s failed: %s", self.spool.directory, error)
        with self._ready:
            self._replaying = False
            self._waiting = left
            self._ready.notify_all()

    def _resend(self, record: RunRecord) -> bool:
        """Send one outcome from disk; whether it need not be kept."""
        with self._ready:
            if record.run_id in self._newest:
                return True  # a newer outcome of the run is on its way
        try:
            self._send(record, again=True, restore=True)
        except RefusedError as error:
            self._refuse(record, error)
        except (UnavailableError, NotYetError) as error:
            with self._ready:
                self._close(error)
            return False
        else:
            self.sent += 1
            self._cooldown = COOLDOWN[0]
        return True

    # ------------------------------------------------------------------ life

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is under way; whether all of it is in LangSmith.

        Args:
            timeout: Seconds.
        """
        limit = time.monotonic() + timeout
        with self._ready:
            while self._is_busy():
                left = limit - time.monotonic()
                if left <= 0 or not self._threads:
                    return False
                self._ready.wait(min(left, 0.05))
            return not self._waiting

    def _is_busy(self) -> bool:
        resends = self._replaying or (self._waiting and not self._is_closed())
        return bool(self._heap or self._active or resends)

    def close(self) -> None:
        """End the threads; what is under way goes to disk."""
        self.rescue()
        with self._ready:
            self._ended = True
            self._ready.notify_all()

    def replay(self) -> None:
        """Try what waits on disk now, whatever failed before."""
        self._check_fork()
        with self._ready:
            self._closed_until = 0.0
            self._waiting = self._waiting or self.spool.count() > 0
            self._start()
            self._ready.notify_all()

    def rescue(self) -> None:
        """The process ends: what is under way goes to disk. Twice sent is sent once."""
        with self._ready:
            entries = {id(e): e for e in (*self._active, *(e for *_, e in self._heap))}
            self._heap.clear()
            self._newest.clear()
            if entries:
                self._keep([e.record for e in entries.values()])

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()

    def after_fork(self) -> None:
        """A child begins empty: the parent delivers what it has."""
        self._pid = os.getpid()
        self._ready = threading.Condition()
        self._heap, self._newest, self._active, self._threads = [], {}, [], []
        self._replaying = False

    def stats(self) -> dict[str, Any]:
        """Counts of this process, and what waits on disk from any."""
        names = ("sent", "spooled", "refused", "dropped")
        return {**{n: getattr(self, n) for n in names}, "waiting": self.spool.count()}
