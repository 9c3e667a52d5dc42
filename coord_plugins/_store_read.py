"""Reading a store: records one by one, and lines for reports. Memory stays flat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ._record import RunRecord
from ._store_lines import Line
from ._store_query import COLUMNS, Query, as_text
from ._store_rows import RUN_AMOUNTS, Shape, record_of, shape_from_rows
from ._store_schema import policies, runs, shapes
from .errors import PolicyError

CHUNK = 1_000
"""Rows fetched at once."""
_KEPT = 50_000
"""Shapes kept in memory; most stores have a few hundred."""
_SAME = [
    runs.c[name]
    for name in "pipeline policy_id goal_id mode outcome source lost_at parent_id shape_id".split()
]
_SUMS = [runs.c.elapsed, *(runs.c[name] for name in RUN_AMOUNTS)]


def _squares() -> list[Any]:
    """The squares of a run's cost, tokens and seconds."""
    cost = runs.c.cost_first + runs.c.cost_retry + runs.c.cost_validation + runs.c.cost_fallback
    tokens = sa.cast(runs.c.input_tokens + runs.c.output_tokens, sa.Double)
    return [value * value for value in (cost, tokens, runs.c.elapsed)]


def iter_records(connection: sa.Connection, query: Query) -> Iterator[RunRecord]:
    """The runs that match, oldest first."""
    shape = ShapeReader(connection)
    chosen = sa.select(runs).where(*conditions(connection, query)).order_by(runs.c.started_at)
    with _stream(connection, chosen) as rows:
        for row in rows.mappings():
            yield record_of(row, shape(row["shape_id"]))


def iter_lines(
    connection: sa.Connection, query: Query, by: str | None, unit: str
) -> Iterator[Line]:
    """What a report needs of the runs that match; equal runs come as one line."""
    shape = ShapeReader(connection)
    split = by_value(connection, by)
    chosen: Any
    if unit == "run":
        # Runs of one kind agree in these; SQLite takes any row's value, others need to be told.
        pick = _itself if connection.dialect.name == "sqlite" else sa.func.min
        sums = [sa.func.sum(column) for column in (*_SUMS, *_squares())]
        same = [pick(column) for column in _SAME]
        chosen = sa.select(*same, split, sa.func.count(), sa.func.max(runs.c.started_at), *sums)
        chosen = chosen.group_by(runs.c.kind_id, *([] if by is None else [split]))
    else:
        unit_id = sa.func.coalesce(runs.c[unit], runs.c.run_id)
        one = sa.literal(1)
        chosen = sa.select(*_SAME, split, one, runs.c.started_at, *_SUMS, *_squares(), unit_id)
    chosen = chosen.where(*conditions(connection, query))
    with _stream(connection, chosen) as rows:
        yield from (_line(connection, shape, by, row) for row in rows)


def _itself(column: Any) -> Any:
    return column


def _line(connection: sa.Connection, shape: ShapeReader, by: str | None, row: Any) -> Line:
    return Line(
        pipeline=row[0],
        policy_id=row[1],
        goal_id=row[2],
        mode=row[3],
        outcome=row[4],
        source=row[5],
        lost_at=row[6],
        nested=row[7] is not None,
        shape=shape(row[8]),
        by=plain_by(connection, by, row[9]),
        n=row[10],
        started_at=row[11],
        elapsed=row[12],
        amounts=tuple(float(amount) for amount in row[13:21]),
        squares=(float(row[21]), float(row[22]), float(row[23])),
        unit=row[24] if len(row) > 24 else None,
    )


def by_value(connection: sa.Connection, by: str | None) -> Any:
    """The column that a report is split by, as "by_value"."""
    return (sa.null() if by is None else _value(connection, by)).label("by_value")


def conditions(connection: sa.Connection, query: Query) -> list[sa.ColumnElement[bool]]:
    """A query as conditions on the runs' table."""
    found: list[sa.ColumnElement[bool]] = []
    if query.run_id is not None:
        found.append(runs.c.run_id == query.run_id)
    if query.pipelines:
        found.append(runs.c.pipeline.in_(query.pipelines))
    if query.since is not None:
        found.append(runs.c.started_at >= query.since)
    before = query.before()
    if before is not None:
        found.append(runs.c.started_at < before)
    if not query.include_nested:
        found.append(runs.c.parent_id.is_(None))
    for name, value in query.columns().items():
        is_it = runs.c[name] == value
        if name == "outcome":
            is_it = sa.or_(is_it, runs.c.outcome.startswith(f"{value}.", autoescape=True))
        found.append(is_it)
    for name, value in query.metadata().items():
        written = [json.dumps(value, ensure_ascii=False), value]
        if connection.dialect.name == "sqlite":
            written = [f"[{w},{w}]" for w in written]
        found.append(_value(connection, name).in_(written))
    return found


def _value(connection: sa.Connection, key: str) -> sa.ColumnElement[Any]:
    """A column, or a metadata key's value as JSON text."""
    if key in COLUMNS:
        return runs.c[key]
    if connection.dialect.name == "sqlite":
        if '"' in key:
            raise PolicyError(f"metadata key {key!r}: a key with a quotation mark cannot be used")
        path = f'$."{key}"'
        # Two paths make SQLite answer in JSON: with one, true and 1 would be the same.
        return sa.func.json_extract(runs.c.metadata, path, path)
    value = sa.cast(runs.c.metadata, sa.JSON).op("->")(sa.cast(key, sa.Text))
    return sa.cast(value, sa.Text)


def plain_by(connection: sa.Connection, key: str | None, value: str | None) -> str | None:
    """What `by_value` found, as people write it."""
    if value is None or key is None or key in COLUMNS:
        return value
    found = json.loads(value)
    if connection.dialect.name == "sqlite":
        found = found[0]
    return None if found is None else as_text(found)


def _stream(connection: sa.Connection, statement: Any) -> Any:
    """Rows in chunks; on PostgreSQL with a cursor on the server."""
    return connection.execute(statement, execution_options={"yield_per": CHUNK})


class ShapeReader:
    """Shapes by number, each read once."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._known: dict[int, Shape] = {0: ()}

    def __call__(self, number: int) -> Shape:
        """The shape with this number."""
        found = self._known.get(number)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._read(number)
            self._known[number] = found
        return found

    def _read(self, number: int) -> Shape:
        chosen = sa.select(shapes).where(shapes.c.shape_id == number)
        rows = self._connection.execute(chosen.order_by(shapes.c.position)).mappings()
        return shape_from_rows([{**row} for row in rows])


def policies_of(connection: sa.Connection, pipeline: str | None) -> list[dict[str, Any]]:
    """The descriptions of what was attached, by pipeline and policy."""
    chosen = sa.select(policies.c.description)
    if pipeline is not None:
        chosen = chosen.where(policies.c.pipeline == pipeline)
    rows = connection.execute(chosen.order_by(policies.c.pipeline, policies.c.policy_id))
    return [json.loads(said) for (said,) in rows]


def latest(
    connection: sa.Connection, *, run_id: str | None, task: str | None, pipeline: str | None
) -> str | None:
    """The id of the latest run that matches."""
    wanted = {"run_id": run_id, "task": task, "pipeline": pipeline}
    chosen = sa.select(runs.c.run_id).where(
        *(runs.c[k] == v for k, v in wanted.items() if v is not None)
    )
    found: str | None = connection.execute(
        chosen.order_by(runs.c.started_at.desc()).limit(1)
    ).scalar()
    return found
