"""The history of labels, on its way out of one store and into another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import sqlalchemy as sa

from .._events import OutcomeRecorded
from .._store_labels import add_labels
from .._store_schema import outcomes
from ._own import Label

if TYPE_CHECKING:
    from .._record import RunRecord
    from .._store import Store

_CHUNK = 500  # old SQLite takes 999 parameters a statement


def with_labels(
    store: Store, records: Iterable[RunRecord]
) -> Iterator[tuple[RunRecord, list[Label]]]:
    """Each run with its history of labels, in the order in which they came."""
    with store._connect() as connection:
        none = connection.execute(sa.select(outcomes.c.id).limit(1)).first() is None
    if none:
        yield from ((record, []) for record in records)
        return
    source = iter(records)
    while chunk := list(islice(source, _CHUNK)):
        with store._connect() as connection:
            found = _histories(connection, [record.run_id for record in chunk])
        yield from ((record, found.get(record.run_id, [])) for record in chunk)


def add_missing(connection: sa.Connection, given: Mapping[str, Sequence[Label]]) -> set[str]:
    """Write the labels that the store does not have; the runs that got one."""
    touched: set[str] = set()
    source = iter(given)
    while chunk := list(islice(source, _CHUNK)):
        known = _histories(connection, chunk)
        new = []
        for run_id in chunk:
            have = list(known.get(run_id, ()))
            for label in given[run_id]:
                if label in have:
                    have.remove(label)
                else:
                    new.append(_event(run_id, label))
        add_labels(connection, new)
        touched.update(label.run_id for label in new)
    return touched


def _event(run_id: str, label: Label) -> OutcomeRecorded:
    at, passed, source, explanation, goal_error = label
    return OutcomeRecorded(run_id, passed, at, source, explanation, goal_error)  # type: ignore[arg-type]  # as it was stored


def _histories(connection: sa.Connection, run_ids: list[str]) -> dict[str, list[Label]]:
    names = ("at", "passed", "source", "explanation", "goal_error")
    columns = [outcomes.c[name] for name in names]
    chosen = sa.select(outcomes.c.run_id, *columns).where(outcomes.c.run_id.in_(run_ids))
    found: dict[str, list[Label]] = {}
    for run_id, at, passed, source, explanation, goal_error in connection.execute(
        chosen.order_by(outcomes.c.id)
    ):
        word = None if passed is None else bool(passed)
        found.setdefault(run_id, []).append((at, word, source, explanation, goal_error))
    return found
