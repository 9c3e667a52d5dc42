"""Delivery of outcomes: a bounded queue, a few workers, few tries, and a spool on disk.

It never runs in a run's own thread. What LangSmith cannot take now waits on disk and is sent again
when it can; what not even the disk takes is counted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from coord_plugins import RunFinished, RunRecord
from coord_plugins.host import Spool

from ._disk import note_lost
from ._errors import NotYetError, RefusedError, UnavailableError
from ._queue import Other, Piece, Queue

log = logging.getLogger("coord_plugins.langsmith")
LIMIT = 10_000
"""Outcomes that may wait in memory; later ones wait on disk."""
UNAVAILABLE_DELAYS = (0.5, 2.0)
"""Seconds before an outcome is tried again while LangSmith does not answer; then it is spooled."""
NOT_YET_DELAYS = (0.1, 0.3, 1.0, 3.0, 6.0)
"""Seconds before an outcome is tried again whose root LangSmith does not know yet."""
COOLDOWN = (5.0, 60.0)
"""Seconds in which nothing is tried after a failure, and their most: they double."""


class Entry:
    """One run's outcome on its way."""

    __slots__ = ("not_yet", "record", "run_id", "since", "tries")

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self.run_id = record.run_id
        self.since = time.monotonic()
        self.tries = 0
        """Tries that failed in a way that may still have delivered it."""
        self.not_yet = 0
        """Tries that found no root."""


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
            send: `send(record, since=, again=, restore=)`: delivers one outcome, or raises one of
                the errors of `_errors`. `since`: when it was given to this outbox. `again`: an
                earlier try may have been taken. `restore`: the root was not found in many tries,
                so it is made again.
            spool: Where outcomes wait on disk.
        """
        self._send = send
        self.spool = spool
        self.sent = self.spooled = self.refused = self.dropped = 0
        self._queue = Queue(self._try, Other(self._next_replay, self._begin_replay, self._replay))
        self._newest: dict[str, Entry] = {}
        self._closed_until = 0.0
        self._cooldown = COOLDOWN[0]
        self._waiting = spool.count() > 0
        self._replaying = False

    # ------------------------------------------------------------------ in

    def put(self, record: RunRecord) -> None:
        """Take an outcome; a newer one of the same run replaces one that still waits."""
        with self._queue.ready:
            if len(self._queue) >= LIMIT or self._is_closed() or self._queue.ended:
                self._keep([record])
                self._queue.start()
                return
            self._newest[record.run_id] = entry = Entry(record)
            self._queue.push(entry)

    def keep(self, records: Sequence[RunRecord]) -> None:
        """Put outcomes on disk at once; they are sent from there."""
        with self._queue.ready:
            if records:
                self._keep(records)
                self._queue.start()

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

    def _try(self, entry: Piece) -> None:
        assert isinstance(entry, Entry)
        record = entry.record
        with self._queue.ready:
            if self._newest.get(record.run_id) is not entry:
                return  # a newer outcome of the run is on its way
            if self._is_closed():
                self._keep([record])
                del self._newest[record.run_id]
                return
        restore = entry.not_yet >= len(NOT_YET_DELAYS)
        try:
            self._send(record, since=entry.since, again=entry.tries > 0, restore=restore)
        except NotYetError as error:
            entry.not_yet += 1
            self._again(entry, NOT_YET_DELAYS[entry.not_yet - 1 :], error)
        except UnavailableError as error:
            entry.tries += 1
            delays = () if error.is_final else UNAVAILABLE_DELAYS[entry.tries - 1 :]
            self._again(entry, delays, error)
        except RefusedError as error:
            self._refuse(record, error)
            self._done(entry)
        except Exception as error:  # the worker must live; the outcome waits for a better version
            self._again(entry, (), error)
        else:
            self._delivered()
            self._done(entry)

    def _delivered(self) -> None:
        self.sent += 1
        self._cooldown = COOLDOWN[0]

    def _again(self, entry: Entry, delays: Sequence[float], error: Exception) -> None:
        """Try later, or put it on disk and try nothing for a while."""
        with self._queue.ready:
            if delays:
                self._queue.push(entry, delays[0])
                return
            if not self._is_closed():
                self._close(error)
            self._keep([entry.record])
        self._done(entry)

    def _done(self, entry: Entry) -> None:
        with self._queue.ready:
            if self._newest.get(entry.run_id) is entry:
                del self._newest[entry.run_id]

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

    def _is_closed(self) -> bool:
        return time.monotonic() < self._closed_until

    # ------------------------------------------------------------------ from disk

    def _next_replay(self) -> float | None:
        """When what waits on disk is tried; None: nothing waits, or somebody is at it."""
        return self._closed_until if self._waiting and not self._replaying else None

    def _begin_replay(self) -> None:
        self._replaying = True

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
            with self._queue.ready:
                self._close(error)
        with self._queue.ready:
            self._replaying = False
            self._waiting = left
            self._queue.ready.notify_all()

    def _resend(self, record: RunRecord) -> bool:
        """Send one outcome from disk; whether it need not be kept."""
        with self._queue.ready:
            if record.run_id in self._newest:
                return True  # a newer outcome of the run is on its way
        try:
            self._send(record, since=time.monotonic(), again=True, restore=True)
        except RefusedError as error:
            self._refuse(record, error)
        except (UnavailableError, NotYetError) as error:
            with self._queue.ready:
                self._close(error)
            return False
        else:
            self._delivered()
        return True

    # ------------------------------------------------------------------ life

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is under way; whether all of it is in LangSmith.

        After `close` there is nothing to wait for: what is on disk is another's to send.

        Args:
            timeout: Seconds.
        """
        if self._queue.ended:
            return True
        return self._queue.wait(self._is_idle, timeout) and not self._waiting

    def _is_idle(self) -> bool:
        resends = self._replaying or (self._waiting and not self._is_closed())
        return self._queue.is_idle() and not resends

    def replay(self) -> None:
        """Try what waits on disk now, whatever failed before."""
        with self._queue.ready:
            self._closed_until = 0.0
            self._waiting = self._waiting or self.spool.count() > 0
            self._queue.start()
            self._queue.ready.notify_all()

    def rescue(self) -> None:
        """The process ends: what is under way goes to disk. Twice sent is sent once."""
        with self._queue.ready:
            waits = {id(piece) for piece in self._queue.take_all()}
            newest = [e.record for e in self._newest.values() if id(e) in waits]
            self._newest.clear()
            if newest:
                self._keep(newest)

    def close(self) -> None:
        """End the threads; what is under way, and what still comes, goes to disk."""
        with self._queue.ready:
            self._queue.ended = True  # first: no thread takes up what goes to disk
            self.rescue()
            self._queue.ready.notify_all()

    def after_fork(self) -> None:
        """Begin empty in a child: the parent sends what it has."""
        self._queue.after_fork()
        self._newest, self._replaying = {}, False
        self.sent = self.spooled = self.refused = self.dropped = 0

    def stats(self) -> dict[str, Any]:
        """Counts of this process, and what waits on disk from any."""
        names = ("sent", "spooled", "refused", "dropped")
        return {**{n: getattr(self, n) for n in names}, "waiting": self.spool.count()}
