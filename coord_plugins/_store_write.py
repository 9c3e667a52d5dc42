"""Writing a batch of events: which record of a run counts, and the statements."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from ._events import Event, OutcomeRecorded, RunFinished, RunPaused, RunStarted
from ._record import RunRecord
from ._store_rows import Shape, run_row, shape_number, shape_rows, text, to_json

if TYPE_CHECKING:
    import sqlalchemy as sa

log = logging.getLogger("coord_plugins.store")
_KNOWN_SHAPES = 50_000


def newest(events: Iterable[Event]) -> tuple[dict[str, RunRecord], list[OutcomeRecorded]]:
    """The record of each run in a batch that counts, and every label."""
    records: dict[str, RunRecord] = {}
    labels: list[OutcomeRecorded] = []
    for event in events:
        if isinstance(event, OutcomeRecorded):
            labels.append(event)
        elif isinstance(event, (RunFinished, RunPaused, RunStarted)):
            record = event.record
            known = records.get(record.run_id)
            if known is None or _replaces(record, known):
                records[record.run_id] = record
    return records, labels


def _replaces(new: RunRecord, known: RunRecord) -> bool:
    """The rule of `run_upsert`: a late start or pause hides nothing that is known already."""
    if new.end is not None or new.elapsed > known.elapsed:
        return True
    return known.status == "running" and new.elapsed == known.elapsed


def write_or_halve(write: Callable[[Sequence[Event]], None], events: Sequence[Event]) -> int:
    """Write a batch; an event that the database refuses does not take the others with it.

    Returns:
        How many events were refused; each is logged.

    Raises:
        sqlalchemy.exc.OperationalError: The database cannot be reached or is locked.
    """
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        write(events)
    except OperationalError:
        raise
    except (SQLAlchemyError, TypeError, ValueError, OverflowError) as error:
        if len(events) == 1:
            run_id = getattr(events[0], "record", events[0]).run_id  # type: ignore[union-attr]  # a record has it
            log.error("an event of run %s is refused and lost: %s", run_id, error)
            return 1
        half = len(events) // 2
        return write_or_halve(write, events[:half]) + write_or_halve(write, events[half:])
    return 0


class Writer:
    """Writes batches; remembers which shapes the database has."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._known: dict[Shape, int] = {}
        self._fresh: dict[Shape, int] = {}
        self._described: dict[tuple[str, str], object] = {}
        self._new_policies: dict[tuple[str, str], object] = {}

    def write(
        self,
        connection: sa.Connection,
        records: Mapping[str, RunRecord],
        labels: Sequence[OutcomeRecorded],
    ) -> None:
        """Write a batch inside the caller's transaction; `committed` follows when it holds."""
        from ._store_labels import add_labels, apply_labels
        from ._store_schema import run_upsert, shape_insert

        self._fresh = {}
        self._write_policies(connection, records)
        rows = [run_row(record, self._number) for record in records.values()]
        # In one order everywhere, so that two writers cannot wait for each other.
        fresh = sorted(self._fresh.items(), key=itemgetter(1))
        shapes = [row for shape, number in fresh for row in shape_rows(number, shape)]
        if shapes:
            connection.exec_driver_sql(shape_insert(self._dialect), shapes)
        if rows:
            rows.sort(key=itemgetter(0))
            connection.exec_driver_sql(run_upsert(self._dialect), rows)
        add_labels(connection, labels)
        apply_labels(connection, dict.fromkeys((*records, *(x.run_id for x in labels))))

    def committed(self) -> None:
        """Remember the shapes of the last batch: only now are they there for others."""
        if len(self._known) > _KNOWN_SHAPES:
            self._known.clear()
        self._known.update(self._fresh)
        self._described |= self._new_policies
        self._new_policies = {}

    def _write_policies(self, connection: sa.Connection, records: Mapping[str, RunRecord]) -> None:
        """Write what was attached, where this process has not written it as it is now."""
        from ._describe import remembered
        from ._store_schema import policy_upsert

        found = {(r.pipeline, r.policy_id): None for r in records.values()}
        said = {key: remembered(*key) for key in sorted(found)}
        new = {k: v for k, v in said.items() if v is not None and self._described.get(k) is not v}
        if new:
            rows = [(text(k[0]), k[1], to_json(v)) for k, v in new.items()]
            connection.exec_driver_sql(policy_upsert(self._dialect), rows)
        self._new_policies = dict(new)

    def _number(self, shape: Shape) -> int:
        found = self._known.get(shape)
        if found is None:
            found = self._fresh.get(shape)
        if found is None:
            found = self._fresh[shape] = shape_number(shape)
        return found
