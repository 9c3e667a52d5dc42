"""`Store`: the listener that keeps every run in SQLite or PostgreSQL, and reads them back.

A batch is one transaction. SQLite runs in WAL mode with synchronous=NORMAL: what `flush()`
acknowledged survives `kill -9`; only a power cut may take the last moments.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._clock import current_clock
from ._events import Event, OutcomeRecorded
from ._record import RunRecord, Source
from ._store_lines import Line
from ._store_query import Query
from ._store_spool import Spool
from ._store_write import Writer, newest, write_or_halve
from .errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["DEFAULT_PATH", "Store"]

log = logging.getLogger("coord_plugins.store")
DEFAULT_PATH = Path(".coord") / "outcomes.db"
"""Where runs are kept when nobody says otherwise, under the current directory."""
_SOURCES = ("measured", "late", "self_reported")


class Store:
    """Runs, their steps and their labels, in one database.

    A `Listener`: give it to `attach(store=)` or `configure(store=)`. Safe to use from several
    threads, and by several processes at once.
    """

    run_events_only = True
    """A store has no use for `StepSettled`: the record carries the tallies."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Open a store, and bring its schema up to date.

        Args:
            url: An SQLAlchemy URL of SQLite or PostgreSQL.
            create: Whether a missing SQLite file is made.

        Raises:
            StoreError: It cannot be opened, or a newer version wrote it.
        """
        from ._store_engine import open_engine, prepare, shown, spool_directory

        self._engine = open_engine(url)
        # whoever drops a store need not close it: its connections go with it
        weakref.finalize(self, self._engine.dispose).atexit = False  # the last flush comes later
        self.dialect: str = self._engine.dialect.name
        self.url = shown(self._engine)
        """The URL, its password hidden."""
        self.in_memory = self.dialect == "sqlite" and not self._engine.url.database
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._writer = Writer(self.dialect)
        self._spooled = False
        self.refused = 0
        """Events that the database would not take; each was logged."""
        self.waiting = Spool(spool_directory(self._engine))
        """Events that the database could not take when they came."""
        prepare(self._engine, self.url, create=create)
        self._replay()

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        if not self.in_memory:
            self._engine.dispose()

    # --- writing -------------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Store one event."""
        self.on_events([event])

    def on_events(self, events: list[Event]) -> None:
        """Store a batch of events in one transaction; a run in it is written once."""
        self.refused += write_or_halve(self._write, events)
        if self._spooled:
            self._replay()

    def spool(self, events: list[Event]) -> None:
        """Keep events on disk that the database could not take; replayed when it can."""
        self.waiting.write(events)
        self._spooled = True

    def _replay(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        self._spooled = False
        for path, events in self.waiting.claim():
            try:
                self.refused += write_or_halve(self._write, events)
            except SQLAlchemyError as error:  # the spool waits for a better moment
                log.warning("%d spooled event(s) still wait in %s: %s", len(events), path, error)
                self._spooled = True
                return
            path.unlink(missing_ok=True)
            log.info("stored %d spooled event(s) of %s", len(events), path)

    def _write(self, events: Iterable[Event]) -> None:
        records, labels = newest(events)
        if records or labels:
            with self._lock:
                with self._begin() as connection:
                    self._writer.write(connection, records, labels)
                self._writer.committed()

    def record_outcome(
        self,
        *,
        run_id: str | None = None,
        task: str | None = None,
        pipeline: str | None = None,
        passed: bool | None,
        source: str = "late",
        explanation: str | None = None,
        at: float | None = None,
    ) -> str:
        """Label a run that ended, from any process.

        Args:
            run_id: The run. A label may come before its run's row; it is kept.
            task: Instead of `run_id`: the latest run of this task,
            pipeline: in this pipeline.
            passed: Whether the goal was met; None: no label could be given.
            source: "late", "self_reported", or in free words where the label comes from.
            explanation: Why.
            at: Unix seconds; the latest label by this time counts. Default: now.

        Returns:
            The labelled run's id.

        Raises:
            StoreError: No run of that task, or neither `run_id` nor `task` was given.
        """
        if run_id is None:
            if task is None:
                raise StoreError("record_outcome: give run_id=, or task= and pipeline=")
            run_id = self.find_run(task=task, pipeline=pipeline)
            if run_id is None:
                among = f" in pipeline {pipeline!r}" if pipeline else ""
                raise StoreError(f"the store {self.url} has no run of task {task!r}{among}")
        if source not in _SOURCES:
            explanation = f"{source}: {explanation}" if explanation else source
        kind: Source = source if source in _SOURCES else "late"  # type: ignore[assignment]  # checked
        moment = current_clock().time() if at is None else at
        self.on_event(OutcomeRecorded(run_id, passed, moment, kind, explanation))
        return run_id

    def prune(self, before: float) -> int:
        """Delete the runs that started before a time, with their labels.

        Args:
            before: Unix seconds.

        Returns:
            How many runs were deleted.
        """
        import sqlalchemy as sa

        from ._store_schema import outcomes, runs

        old = sa.select(runs.c.run_id).where(runs.c.started_at < before)
        with self._begin() as connection:
            connection.execute(sa.delete(outcomes).where(outcomes.c.run_id.in_(old)))
            # Shapes stay: they are few, and other processes rely on those they wrote.
            return connection.execute(sa.delete(runs).where(runs.c.started_at < before)).rowcount

    # --- reading -------------------------------------------------------------------------

    def iter_records(self, query: Query | None = None) -> Iterator[RunRecord]:
        """The runs that match, oldest first, one at a time."""
        from ._store_read import iter_records

        with self._connect() as connection:
            found = iter_records(connection, query or Query())
            yield from list(found) if self.in_memory else found

    def iter_lines(self, query: Query, by: str | None, unit: str) -> Iterator[Line]:
        """What a report needs: equal runs as one line."""
        from ._store_read import iter_lines

        with self._connect() as connection:
            found = iter_lines(connection, query, by, unit)
            yield from list(found) if self.in_memory else found

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection on which all reads see the same moment, whoever writes meanwhile."""
        with self._connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            elif not self.in_memory:  # there its lock, which is held, keeps writers out
                connection.exec_driver_sql("BEGIN")
            yield connection

    def find_run(
        self, run_id: str | None = None, *, task: str | None = None, pipeline: str | None = None
    ) -> str | None:
        """The id of a run, or of the latest run of a task; None: there is none."""
        from ._store_read import latest

        with self._connect() as connection:
            return latest(connection, run_id=run_id, task=task, pipeline=pipeline)

    def get_run(self, run_id: str) -> RunRecord | None:
        """One run's record; None: there is none."""
        found = list(self.iter_records(Query(run_id=run_id, include_nested=True)))
        return found[0] if found else None

    def policies(self, pipeline: str | None = None) -> list[dict[str, Any]]:
        """What was attached: edges, their validators and where their code is, per policy.

        Args:
            pipeline: Only the policies of this pipeline.

        Returns:
            One mapping per pipeline and policy: `pipeline`, `policy_id`, `host`, `goal_id`,
            `labelled` and `edges`; a policy that an older version recorded is missing.
        """
        from ._store_read import policies_of

        with self._connect() as connection:
            return policies_of(connection, pipeline)

    def labels(self, run_id: str) -> Sequence[OutcomeRecorded]:
        """The label history of a run, in order of time."""
        from ._store_labels import labels_of

        with self._connect() as connection:
            return labels_of(connection, run_id)

    def describe(self) -> dict[str, Any]:
        """Schema version and row counts, for `coord doctor`."""
        import sqlalchemy as sa

        from ._store_schema import outcomes, runs, schema_version, shapes

        with self._connect() as connection:
            counts = {
                t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar()
                for t in (runs, outcomes, shapes)
            }
            return {
                "url": self.url,
                "schema_version": schema_version(connection),
                "runs": counts["coord_runs"],
                "labels": counts["coord_outcomes"],
                "shapes": counts["coord_shapes"],
                "spooled": self.waiting.count(),
            }

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        self._check_fork()
        with self._lock, self._engine.begin() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # waits, where an upgrade would fail
            yield connection

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        self._check_fork()
        if self.in_memory:  # one connection for all threads
            with self._lock, self._engine.connect() as connection:
                yield connection
        else:
            with self._engine.connect() as connection:
                yield connection

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.RLock()
            if not self.in_memory:
                self._engine.dispose(close=False)  # the parent's connections are the parent's
