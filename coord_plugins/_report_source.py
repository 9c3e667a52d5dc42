"""Where a report's lines come from: a store, or records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ._record import RunRecord
from ._store import Store
from ._store_lines import Audit, Line, TaskLine, add_run, amounts_squared, line_of, task_lines
from ._store_query import Query, value_of
from .errors import StoreError


class Source(Protocol):
    """What a report reads, in this order."""

    def lines(self, by: str | None) -> Iterator[Line]:
        """The runs; equal ones may come as one line."""

    def audits(self, by: str | None) -> Iterable[Audit]:
        """Late labels of delivered runs, by what the goal had said."""

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        """The runs by task, where some task may have several and a run is the unit."""


@contextmanager
def reading_lines(runs: Any, query: Query, unit: str) -> Iterator[Source]:
    """What a report reads of a store, a place, or records."""
    if runs is None or isinstance(runs, (Store, str, os.PathLike)):
        with reading(runs) as opened:
            yield _FromStore(opened, query, unit)
        return
    yield _FromRecords(runs, query, unit)


class _FromStore:
    def __init__(self, store: Store, query: Query, unit: str) -> None:
        self._store = store
        self._query = query
        self._unit = unit

    def lines(self, by: str | None) -> Iterator[Line]:
        return self._store.iter_lines(self._query, by, self._unit)

    def audits(self, by: str | None) -> Iterable[Audit]:
        return self._store.iter_audits(self._query, by) if self._unit == "run" else ()

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        return self._store.iter_task_lines(self._query, by) if self._unit == "run" else ()


class _FromRecords:
    """Records are read once; what their tasks and labels say is kept on the way."""

    def __init__(self, records: Iterable[RunRecord], query: Query, unit: str) -> None:
        self._records = records
        self._query = query
        self._unit = unit
        self._tasks: dict[tuple[str, str | None, str], list[float]] = {}
        self._audits: list[Audit] = []

    def lines(self, by: str | None) -> Iterator[Line]:
        for record in self._records:
            if not self._query.matches(record):
                continue
            value = None if by is None else value_of(record, by)
            name = None if self._unit == "run" else getattr(record, self._unit) or record.run_id
            line = line_of(record, value, name)
            if self._unit == "run":
                add_run(self._tasks, line._replace(unit=record.task or record.run_id))
            if self._unit == "run" and _is_audit(
                record
            ):  # what the goal had said is in a store alone
                self._audits.append(Audit(record.pipeline, value, None, bool(record.passed), 1))
            yield line

    def audits(self, by: str | None) -> Iterable[Audit]:
        return self._audits

    def tasks(self, by: str | None) -> Iterable[TaskLine]:
        if by is not None:
            return task_lines(self._tasks)
        whole: dict[tuple[str, str | None, str], list[float]] = {}
        for (pipeline, _, task), sums in self._tasks.items():
            known = whole.get((pipeline, None, task), [0.0] * len(sums))
            whole[pipeline, None, task] = [a + b for a, b in zip(known, sums, strict=True)]
        return task_lines(whole)


def _is_audit(record: RunRecord) -> bool:
    late = record.source == "late" and record.passed is not None
    return late and record.end == "delivered" and record.parent_id is None


@contextmanager
def reading(place: Store | str | os.PathLike[str] | None) -> Iterator[Store]:
    """A store to read from, everything that this process queued for it written.

    Raises:
        StoreError: There is none, or it cannot be opened. None is made.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from . import _stores
    from ._bus import flush
    from ._config import configured
    from ._store_engine import url_of

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
