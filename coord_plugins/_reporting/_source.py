"""Where a report's lines come from: a store, or records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from .._record import RunRecord
from .._store import Store
from .._store_lines import Audit, Line, TaskLine, add_run, amounts_squared, line_of, task_lines
from .._store_query import Query, value_of
from ..errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Source(Protocol):
    """What a report reads, in this order."""

    def lines(self, by: str | None) -> Iterator[Line]:
        """The runs; equal ones may come as one line."""

    def audits(self, by: str | None) -> Iterable[Audit]:
        """Late labels of delivered runs of which the goal had spoken."""

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        """The runs by task, where some task may have several and a run is the unit."""


@contextmanager
def reading_lines(runs: Any, query: Query, unit: str) -> Iterator[Source]:
    """What a report reads of a store, a place, or records."""
    if runs is None or isinstance(runs, (Store, str, os.PathLike)):
        # in one snapshot: runs that end meanwhile would be in some numbers and not in others
        with reading(runs) as opened, opened.snapshot() as connection:
            yield _FromStore(connection, query, unit)
        return
    yield _FromRecords(runs, query, unit)


class _FromStore:
    def __init__(self, connection: Connection, query: Query, unit: str) -> None:
        self._connection = connection
        self._query = query
        self._unit = unit

    def lines(self, by: str | None) -> Iterator[Line]:
        from .._store_read import iter_lines

        return iter_lines(self._connection, self._query, by, self._unit)

    def audits(self, by: str | None) -> Iterable[Audit]:
        from .._store_tasks import iter_audits

        return iter_audits(self._connection, self._query, by) if self._unit == "run" else ()

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        from .._store_tasks import has_trials, iter_task_lines

        if self._unit != "run" or not has_trials(self._connection):
            return ()
        return iter_task_lines(self._connection, self._query, by)


class _FromRecords:
    """Records are read once; what their tasks and labels say is kept on the way."""

    def __init__(self, records: Iterable[RunRecord], query: Query, unit: str) -> None:
        self._records = records
        self._query = query
        self._unit = unit
        self._tasks: dict[tuple[str, str | None, str], list[float]] = {}

    def lines(self, by: str | None) -> Iterator[Line]:
        for record in self._records:
            if not self._query.matches(record):
                continue
            value = None if by is None else value_of(record, by)
            name = None if self._unit == "run" else getattr(record, self._unit) or record.run_id
            line = line_of(record, value, name)
            if self._unit == "run":
                add_run(self._tasks, line._replace(unit=record.task or record.run_id))
            yield line

    def audits(self, by: str | None) -> Iterable[Audit]:
        return ()  # what a goal had said of a run that was labelled later is in a store alone

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        if by is not None:
            return task_lines(self._tasks)
        whole: dict[tuple[str, str | None, str], list[float]] = {}
        for (pipeline, _, task), sums in self._tasks.items():
            known = whole.get((pipeline, None, task), [0.0] * len(sums))
            whole[pipeline, None, task] = [a + b for a, b in zip(known, sums, strict=True)]
        return task_lines(whole)


@contextmanager
def reading(place: Store | str | os.PathLike[str] | None) -> Iterator[Store]:
    """A store to read from, everything that this process queued for it written.

    Raises:
        StoreError: There is none, or it cannot be opened. None is made.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from .. import _stores
    from .._bus import flush
    from .._config import configured
    from .._store_engine import url_of

    spec: Store | str | os.PathLike[str] | None = place
    if spec is None:
        spec = configured("store")
    known: Store | None
    if isinstance(spec, Store):
        known = spec
    else:
        known = _stores._opened.get(None if spec is None else str(spec))
    if known is None and spec == "off":
        raise StoreError("the store is off (COORD_STORE or configure); name one to read from")
    if known is not None:
        flush()
    store = known or Store(url_of(spec), create=False)  # type: ignore[arg-type]  # no Store here
    try:
        yield store
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise StoreError(f"the store {store.url} cannot be used: {reason}") from error
    finally:
        if known is None:
            store.close()


def latest_of_units(lines: Iterable[Line]) -> Iterator[Line]:
    """One line per task or thread: its latest run, with the amounts of all its runs."""
    units: dict[tuple[str, str | None], Line] = {}
    for line in lines:
        if line.nested:
            yield line
            continue
        key = line.pipeline, line.unit
        known = units.get(key)
        units[key] = line if known is None else _joined(known, line)
    yield from units.values()


def _joined(one: Line, other: Line) -> Line:
    """The later of two runs of a unit, with the amounts of both."""
    newer = other if other.started_at >= one.started_at else one
    sums = tuple(a + b for a, b in zip(one.amounts, other.amounts, strict=True))
    elapsed = one.elapsed + other.elapsed
    return newer._replace(amounts=sums, elapsed=elapsed, squares=amounts_squared(elapsed, sums))
