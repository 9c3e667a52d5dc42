"""`report` and `iter_runs`: what the recorded runs say."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from ._record import RunRecord
from ._report_fold import Accumulator
from ._report_types import Group, Rate, Report
from ._store import Store
from ._store_lines import Line, line_of
from ._store_query import Query, make_query, value_of
from .errors import PolicyError, StoreError

__all__ = ["Group", "Rate", "Report", "iter_runs", "report"]

Unit = Literal["run", "task", "thread"]
Runs: TypeAlias = "Store | str | os.PathLike[str] | Iterable[RunRecord] | None"
Moment: TypeAlias = "str | float | dt.datetime | None"


def report(
    store: Runs = None,
    *,
    pipeline: str | Iterable[str] | None = None,
    since: Moment = None,
    until: Moment = None,
    where: Mapping[str, Any] | None = None,
    by: str | None = None,
    unit: Unit = "run",
    settle: str | float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """How often the pipelines did their job, what a success cost, where the rest was lost.

    One pass over the runs; memory does not grow with them (it does with the number of tasks or
    threads where these are the unit).

    Args:
        store: A store, its URL or path, or records. Default: the configured store.
        pipeline: Only this pipeline, or these.
        since: Only runs that started at this time or later: Unix seconds, a datetime, an ISO
            date, or an age like "7d".
        until: Only runs that started before this time.
        where: Values of metadata keys, or of task, thread, release, environment, policy_id,
            mode, outcome, pipeline.
        by: A metadata key or such a column, by whose values each pipeline is split.
        unit: What counts as one. A task's or thread's outcome and step counts are those of
            its latest run; its cost and seconds are those of all its runs. Intervals take units
            as independent.
        settle: Only runs at least this old (seconds, or "7d"), so that labels had time to come.
        progress: Called with the number of runs read so far.

    Raises:
        StoreError: The store cannot be opened.
        PolicyError: A filter that cannot be read.
        CoordError: The numbers do not add up; the message names the identity.
    """
    if unit not in ("run", "task", "thread"):
        raise PolicyError(f"unit={unit!r}; it is 'run', 'task' or 'thread'")
    query = make_query(pipeline=pipeline, since=since, until=until, where=where, settle=settle)
    query = replace(query, include_nested=True)  # counted, though in no denominator
    folded: dict[tuple[str, str | None], Accumulator] = {}
    seen = 0
    lines = _lines(store, query, by, unit)
    for line in lines if unit == "run" else _latest_of_units(lines):
        key = line.pipeline, line.by
        if key not in folded:
            folded[key] = Accumulator()
        folded[key].add(line)
        seen += line.n
        if progress is not None:
            progress(seen)
    given = {"pipeline": list(query.pipelines), "since": query.since, "until": query.until}
    filters = {**given, "where": dict(query.where), "settle": query.settle}
    return Report(
        unit=unit,
        by=by,
        groups=_groups(folded, by),
        filters={name: value for name, value in filters.items() if value},
    )


def iter_runs(
    store: Runs = None,
    *,
    pipeline: str | Iterable[str] | None = None,
    since: Moment = None,
    until: Moment = None,
    where: Mapping[str, Any] | None = None,
    settle: str | float | None = None,
    include_nested: bool = False,
) -> Iterator[RunRecord]:
    """The recorded runs that match, oldest first, one at a time.

    Args:
        store: As in `report`; of records, in their own order.
        pipeline: As in `report`.
        since: As in `report`.
        until: As in `report`.
        where: As in `report`.
        settle: As in `report`.
        include_nested: Whether runs inside a run are included.

    Raises:
        StoreError: The store cannot be opened.
        PolicyError: A filter that cannot be read.
    """
    query = make_query(
        pipeline=pipeline,
        since=since,
        until=until,
        where=where,
        settle=settle,
        include_nested=include_nested,
    )
    return _records(store, query)


def _records(runs: Runs, query: Query) -> Iterator[RunRecord]:
    if runs is None or isinstance(runs, (Store, str, os.PathLike)):
        with reading(runs) as opened:
            yield from opened.iter_records(query)
        return
    yield from (record for record in runs if query.matches(record))


def _lines(runs: Runs, query: Query, by: str | None, unit: str) -> Iterator[Line]:
    if runs is None or isinstance(runs, (Store, str, os.PathLike)):
        with reading(runs) as opened:
            yield from opened.iter_lines(query, by, unit)
        return
    for record in runs:
        if query.matches(record):
            name = None if unit == "run" else getattr(record, unit) or record.run_id
            yield line_of(record, None if by is None else value_of(record, by), name)


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


def _latest_of_units(lines: Iterable[Line]) -> Iterator[Line]:
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
    return newer._replace(amounts=sums, elapsed=one.elapsed + other.elapsed)


def _groups(
    folded: Mapping[tuple[str, str | None], Accumulator], by: str | None
) -> tuple[Group, ...]:
    groups = []
    for pipeline in sorted({pipeline for pipeline, _ in folded}):
        values = [value for name, value in folded if name == pipeline]
        values.sort(key=lambda value: (value is None, value or ""))
        if by is None:
            groups.append(folded[pipeline, None].group(pipeline, None))
            continue
        whole = Accumulator()
        for value in values:
            whole.merge(folded[pipeline, value])
        parts = tuple(folded[pipeline, value].group(pipeline, value) for value in values)
        groups.append(whole.group(pipeline, None, parts))
    return tuple(groups)
