"""Tables, views and migrations of a store. Imported only when a store opens.

Tables (prefixed, for a store may live in a database that has other tables):
`coord_runs`, one row a run; `coord_shapes`, the distinct integers of runs' tallies, one row a
step; `coord_outcomes`, the history of labels; `coord_policies`, what was attached, as JSON;
`coord_meta`, the schema's version.

Views are the stable interface for SQL, columns are only ever added:
`runs_v1`, one row a run, and `steps_v1`, one row a run and step.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from ._store_rows import AMOUNTS, COUNTS, FLAGS, RUN_COLUMNS, SHAPE_COLUMNS
from .errors import StoreError

_TYPES: dict[str, type] = {
    **dict.fromkeys(("started_at", "finished_at", "elapsed", "label_at"), sa.Double),
    **dict.fromkeys(AMOUNTS[:5], sa.Double),
    **dict.fromkeys((*AMOUNTS[5:], "shape_id", "kind_id"), sa.BigInteger),
    **dict.fromkeys(("passed", *FLAGS), sa.Boolean),
    **dict.fromkeys(("position", *COUNTS), sa.Integer),
}
_REQUIRED = {
    *(
        "pipeline policy_id status mode started_at elapsed outcome source shape_id kind_id amounts"
    ).split(),
    *("cost_first cost_retry cost_validation cost_fallback input_tokens output_tokens").split(),
    *("unknown_tokens unknown_cost tags metadata notes position step validators").split(),
    *COUNTS,
}
meta_data = sa.MetaData()


def _columns(names: tuple[str, ...] | list[str], keys: tuple[str, ...]) -> list[sa.Column]:  # type: ignore[type-arg]  # columns of several types
    return [
        sa.Column(
            name,
            _TYPES.get(name, sa.Text)(),
            primary_key=name in keys,
            autoincrement=False,
            nullable=name not in _REQUIRED and name not in keys,
        )
        for name in names
    ]


runs = sa.Table(
    "coord_runs",
    meta_data,
    *_columns(RUN_COLUMNS, ("run_id",)),
    sa.Index("coord_runs_started", "pipeline", "started_at"),
    sa.Index("coord_runs_task", "task", sqlite_where=sa.text("task IS NOT NULL")),
)
shapes = sa.Table("coord_shapes", meta_data, *_columns(SHAPE_COLUMNS, ("shape_id", "position")))
outcomes = sa.Table(
    "coord_outcomes",
    meta_data,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("passed", sa.Boolean),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("explanation", sa.Text),
    sa.Column("goal_error", sa.Text),
)
policies = sa.Table(
    "coord_policies",
    meta_data,
    sa.Column("pipeline", sa.Text, primary_key=True),
    sa.Column("policy_id", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
)
meta = sa.Table("coord_meta", meta_data, sa.Column("schema_version", sa.Integer, nullable=False))

_RUN_VIEW = [name for name in RUN_COLUMNS if name not in ("shape_id", "kind_id", "amounts")]


def _create(connection: sa.Connection) -> None:
    """Make every table and view as they are now."""
    meta_data.create_all(connection)
    _make_views(connection)


def _make_views(connection: sa.Connection) -> None:
    quote = connection.dialect.identifier_preparer.quote
    listed = ", ".join(quote(name) for name in _RUN_VIEW)
    total = "cost_first + cost_retry + cost_validation + cost_fallback"
    view = f"SELECT {listed}, {total} AS cost FROM coord_runs"  # noqa: S608  # names only
    connection.execute(sa.text(f"CREATE VIEW runs_v1 AS {view}"))
    step_columns = [f"s.{name}" for name in (*COUNTS, *FLAGS, "validators")]
    amounts = [_amount(connection, i, name) for i, name in enumerate(AMOUNTS)]
    context = "r.run_id, r.pipeline, r.policy_id, r.started_at, r.outcome, s.position, s.step"
    joined = "coord_runs r JOIN coord_shapes s ON s.shape_id = r.shape_id"
    listed = ", ".join([context, *step_columns, *amounts])
    connection.execute(sa.text(f"CREATE VIEW steps_v1 AS SELECT {listed} FROM {joined}"))  # noqa: S608  # names only


def _amount(connection: sa.Connection, index: int, name: str) -> str:
    """The SQL of one step's amount, out of its run's `amounts`."""
    kind = "BIGINT" if _TYPES[name] is sa.BigInteger else "DOUBLE PRECISION"
    if connection.dialect.name == "sqlite":
        found = f"json_extract(r.amounts, '$[' || s.position || '][{index}]')"
    else:
        found = f"CAST(r.amounts AS json) -> s.position ->> {index}"
    return f"CAST({found} AS {kind}) AS {name}"


def _second_schema(connection: sa.Connection) -> None:
    """Goals of runs, repeats of steps, and what was attached."""
    for view in ("steps_v1", "runs_v1"):
        connection.execute(sa.text(f"DROP VIEW {view}"))
    connection.execute(sa.text("ALTER TABLE coord_runs ADD COLUMN goal_id TEXT"))
    for name in ("repeat_right", "repeat_wrong"):
        added = f"ALTER TABLE coord_shapes ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0"
        connection.execute(sa.text(added))
    policies.create(connection)
    _make_views(connection)


MIGRATIONS: list[Callable[[sa.Connection], None]] = [_create, _second_schema]
"""The n-th function brings a schema from version n to n + 1; the first makes the newest."""
VERSION = len(MIGRATIONS)


def schema_version(connection: sa.Connection) -> int:
    """The schema's version; 0: there is none yet."""
    if not sa.inspect(connection).has_table("coord_meta"):
        return 0
    return int(connection.execute(sa.select(sa.func.max(meta.c.schema_version))).scalar() or 0)


def migrate(connection: sa.Connection, where: str) -> None:
    """Bring the schema up to date, inside the caller's transaction.

    Raises:
        StoreError: The schema was written by a newer version of the library.
    """
    found = schema_version(connection)
    if found > VERSION:
        raise StoreError(
            f"the store {where} has schema version {found}, this version of coord-plugins knows "
            f"{VERSION}; upgrade coord-plugins, or name another store"
        )
    if found == VERSION:
        return
    for step in MIGRATIONS[found:] if found else MIGRATIONS[:1]:
        step(connection)
    connection.execute(sa.delete(meta))
    connection.execute(sa.insert(meta).values(schema_version=VERSION))


def run_upsert(dialect: str) -> str:
    """Insert or replace runs; a late start or pause never hides what is known already."""
    changed = ", ".join(f'"{n}" = excluded."{n}"' for n in RUN_COLUMNS if n != "run_id")
    return (
        f"{_insert('coord_runs', RUN_COLUMNS, dialect)} ON CONFLICT (run_id) DO UPDATE "
        f"SET {changed} WHERE excluded.status = 'finished' "
        "OR excluded.elapsed > coord_runs.elapsed "
        "OR (coord_runs.status = 'running' AND excluded.elapsed = coord_runs.elapsed)"
    )


def shape_insert(dialect: str) -> str:
    """Insert shapes that are not there yet."""
    return f"{_insert('coord_shapes', SHAPE_COLUMNS, dialect)} ON CONFLICT DO NOTHING"


def policy_upsert(dialect: str) -> str:
    """Insert or replace what was attached: its validators may have moved."""
    names = ("pipeline", "policy_id", "description")
    return (
        f"{_insert('coord_policies', names, dialect)} ON CONFLICT (pipeline, policy_id) "
        "DO UPDATE SET description = excluded.description"
    )


def _insert(table: str, names: tuple[str, ...] | list[str], dialect: str) -> str:
    mark = "?" if dialect == "sqlite" else "%s"
    listed = ", ".join(f'"{n}"' for n in names)
    values = ", ".join([mark] * len(names))
    return f"INSERT INTO {table} ({listed}) VALUES ({values})"  # noqa: S608  # names only
