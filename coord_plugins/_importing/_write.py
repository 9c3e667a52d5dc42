"""Imported rows in the store: new ones, changed ones, and those that stay. Plain statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from .._store_labels import apply_labels
from .._store_rows import RUN_COLUMNS
from .._store_schema import outcomes, run_upsert
from ._batches import TWICE
from ._runs import Block

_CHUNK = 500  # old SQLite takes 999 parameters a statement
_SAFE = re.compile(r'[\w .,:/+()\[\]{}"-]*', re.ASCII)
_POLICY = RUN_COLUMNS.index("policy_id")
_RECORDED = "this run was recorded here; an import does not replace it, `coord outcome` labels it"


class Written(NamedTuple):
    """What became of some rows."""

    new: int
    updated: int
    unchanged: int
    refused: list[tuple[int, str]]
    """Lines, each with the reason."""


def write_block(
    connection: sa.Connection,
    block: Block,
    doubles: Callable[[Sequence[str], int], set[str]],
    touched: Container[str],
) -> Written:
    """Write rows inside the caller's transaction.

    A run that was recorded by this library is never replaced by an imported one. A late label
    that the store knows of a run survives its import.

    Args:
        connection: Where to.
        block: The rows, no id twice.
        doubles: Which of these ids, of which so many were new, came earlier in the same file.
        touched: Runs that have just got a label.
    """
    dialect = connection.dialect.name
    names, rows = _varying(block)
    statement = _insert(dialect, names, block.same)
    new: int = connection.exec_driver_sql(statement, rows).rowcount
    labelled = connection.execute(sa.select(outcomes.c.id).limit(1)).first() is not None
    if new < len(rows):
        twice = doubles(block.run_ids(), new)
        return _reconcile(connection, block, new, twice, touched, labelled)
    if labelled:
        apply_labels(connection, block.run_ids())
    return Written(new, 0, 0, [])


def _reconcile(
    connection: sa.Connection,
    block: Block,
    new: int,
    twice: set[str],
    touched: Container[str],
    labelled: bool,
) -> Written:
    """The rows of which the store had some already, and has all now."""
    whole = block.whole()
    stored = _stored(connection, block.run_ids())
    same, changed, refused = [], [], []
    for row, line in zip(whole, block.lines, strict=True):
        old = stored[row[0]]
        if row[0] in twice:
            refused.append((line, TWICE))
        elif old == row and row[0] not in touched:
            same.append(row[0])
        elif old[_POLICY] and not row[_POLICY]:
            refused.append((line, _RECORDED))
        else:
            changed.append(row)
    if changed:
        connection.exec_driver_sql(
            run_upsert(connection.dialect.name), sorted(changed, key=itemgetter(0))
        )
    if labelled:  # among those that are the same are the new ones
        apply_labels(connection, [*same, *(row[0] for row in changed)])
    now = _stored(connection, [row[0] for row in changed])
    updated = sum(now[row[0]] != stored[row[0]] for row in changed)
    return Written(new, updated, len(whole) - new - updated - len(refused), refused)


def _stored(connection: sa.Connection, run_ids: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """The store's rows of these runs, in the order of `RUN_COLUMNS`."""
    found: dict[str, tuple[Any, ...]] = {}
    listed = ", ".join(f'"{name}"' for name in RUN_COLUMNS)
    for chunk in _chunks(run_ids):
        marks = ", ".join([_mark(connection)] * len(chunk))
        asked = f"SELECT {listed} FROM coord_runs WHERE run_id IN ({marks})"  # noqa: S608  # names only
        rows = connection.exec_driver_sql(asked, tuple(chunk))
        found.update((row[0], tuple(row)) for row in rows)
    return found


def newer(connection: sa.Connection, run_ids: Iterable[str], row: int) -> set[str]:
    """Which of these runs have a row that SQLite made after another one."""
    found: set[str] = set()
    for chunk in _chunks(run_ids):
        marks = ", ".join("?" * len(chunk))
        asked = f"SELECT run_id FROM coord_runs WHERE rowid > ? AND run_id IN ({marks})"  # noqa: S608  # marks only
        found.update(row[0] for row in connection.exec_driver_sql(asked, (row, *chunk)))
    return found


def last_row(connection: sa.Connection) -> int:
    """The number of SQLite's newest row of runs."""
    found = connection.exec_driver_sql("SELECT max(rowid) FROM coord_runs").scalar()
    return int(found or 0)


def _chunks(run_ids: Iterable[str]) -> Iterator[list[str]]:
    source = iter(run_ids)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def _varying(block: Block) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The columns that are bound, sorted so that two writers cannot wait for each other.

    What is the same for all rows stands in the statement, which makes it a third faster; a text
    that would need quoting is bound all the same.
    """
    unsafe = {k: v for k, v in block.same.items() if isinstance(v, str) and not _SAFE.fullmatch(v)}
    names, rows = block.names, block.rows
    if unsafe:
        names = (*names, *unsafe)
        rows = [(*row, *unsafe.values()) for row in rows]
    return names, sorted(rows, key=itemgetter(0))


def _insert(dialect: str, bound: Sequence[str], same: dict[str, Any]) -> str:
    others = [name for name in same if name not in bound]
    listed = ", ".join(f'"{name}"' for name in (*bound, *others))
    marks = ["?" if dialect == "sqlite" else "%s"] * len(bound)
    values = ", ".join([*marks, *(_literal(same[name]) for name in others)])
    return (
        f"INSERT INTO coord_runs ({listed}) VALUES ({values}) "  # noqa: S608  # checked texts only
        "ON CONFLICT (run_id) DO NOTHING"
    )


def _mark(connection: sa.Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return f"'{value}'" if isinstance(value, str) else repr(value)
