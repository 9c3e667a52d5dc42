"""`report` and `iter_runs`: what the recorded runs say."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from .._record import RunRecord
from .._store import Store
from .._store_lines import TaskLine
from .._store_query import Query, make_query
from .._value import Value, runs_per_month
from ..errors import PolicyError
from ._fold import Accumulator
from ._measures import Rate
from ._source import Source, latest_of_units, reading, reading_lines
from ._types import Group, Report

__all__ = ["Group", "Rate", "Report", "iter_runs", "reading", "report"]

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
    value: Value | None = None,
    volume: str | float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """How often the pipelines did their job, what a success cost, where the rest was lost.

    One pass over the runs; memory does not grow with them (it does with the number of tasks or
    threads where these are the unit, and of records' tasks). Where a task has several runs,
    intervals count tasks: runs of one task resemble each other.

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
            its latest run; its cost and seconds are those of all its runs.
        settle: Only runs at least this old (seconds, or "7d"), so that labels had time to come.
        value: What outcomes are worth; then `Group.worth` says what the runs earn.
        volume: With `value`: runs per month, or "10000/month", "300/day", "50/hour".
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
    monthly = runs_per_month(volume)
    with reading_lines(store, query, unit) as source:
        folded, wholes = _fold(source, by, unit, progress)
    given = {"pipeline": list(query.pipelines), "since": query.since, "until": query.until}
    filters = {**given, "where": dict(query.where), "settle": query.settle}
    return Report(
        unit=unit,
        by=by,
        groups=_groups(folded, wholes, value, monthly),
        filters={name: value for name, value in filters.items() if value},
    )


def _fold(
    source: Source, by: str | None, unit: str, progress: Callable[[int], None] | None
) -> tuple[dict[tuple[str, str | None], Accumulator], dict[str, Accumulator]]:
    """The runs of each part, and of each pipeline as a whole."""
    folded: dict[tuple[str, str | None], Accumulator] = {}
    seen = 0
    lines = source.lines(by)
    for line in lines if unit == "run" else latest_of_units(lines):
        key = line.pipeline, line.by
        if key not in folded:
            folded[key] = Accumulator()
        folded[key].add(line)
        seen += line.n
        if progress is not None:
            progress(seen)
    if unit != "run":  # what the goal had said is known per run
        for part in folded.values():
            part.late.clear()
    for audit in source.audits(by):
        folded[audit.pipeline, audit.by].audits.append(audit)
    for key, tasks in _by_key(source.tasks(by)).items():
        folded[key].take_tasks(tasks)
    if by is None:
        return {}, {pipeline: folded[pipeline, None] for pipeline, _ in folded}
    wholes: dict[str, Accumulator] = {}
    for (pipeline, _), part in folded.items():
        wholes.setdefault(pipeline, Accumulator()).merge(part)
    for (pipeline, _), tasks in _by_key(source.tasks(None)).items():
        wholes[pipeline].take_tasks(tasks)
    return folded, wholes


def _by_key(lines: Iterable[TaskLine]) -> dict[tuple[str, str | None], list[TaskLine]]:
    found: dict[tuple[str, str | None], list[TaskLine]] = {}
    for line in lines:
        found.setdefault((line.pipeline, line.by), []).append(line)
    return found


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


def _groups(
    folded: Mapping[tuple[str, str | None], Accumulator],
    wholes: Mapping[str, Accumulator],
    value: Value | None,
    monthly: float | None,
) -> tuple[Group, ...]:
    groups = []
    for pipeline in sorted(wholes):
        names = [name for owner, name in folded if owner == pipeline]
        names.sort(key=lambda name: (name is None, name or ""))
        parts = tuple(
            folded[pipeline, name].group(pipeline, name, (), value, monthly) for name in names
        )
        groups.append(wholes[pipeline].group(pipeline, None, parts, value, monthly))
    return tuple(groups)
