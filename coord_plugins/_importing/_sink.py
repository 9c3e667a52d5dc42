"""`Importer`: batches of imported runs into one store, in large transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._store_rows import Shape, shape_number, shape_rows
from .._store_schema import shape_insert
from ._batches import Batch
from ._labels import add_missing
from ._seen import Seen
from ._write import last_row, newer, write_block

if TYPE_CHECKING:
    import sqlalchemy as sa

    from .._store import Store

_ROWS = 100_000
"""Rows of one transaction: a second in which other writers wait."""
_KNOWN_SHAPES = 50_000
_SETTINGS = {"cache_size": -64 * 1024, "wal_autocheckpoint": 20_000}
"""SQLite's, while it imports: 64 MiB of pages, since its indexes grow in many places at once, and
fewer checkpoints."""


class Importer:
    """Writes batch after batch into one store, and counts.

    `commit` keeps what was written, `undo` takes it back, `close` ends it.
    """

    def __init__(self, store: Store, *, rows: int | None = _ROWS) -> None:
        """Write to a store.

        Args:
            store: The store.
            rows: Rows of one transaction; 0: one per batch, None: one for all.
        """
        self._store = store
        self._rows = rows
        self._sqlite = store.dialect == "sqlite"
        self._open: Any = None
        self._connection: sa.Connection | None = None
        self._waiting = 0
        self._usual: dict[str, int] = {}
        self._start = 0
        self._seen = Seen()
        self._twice: set[str] = set()
        self._fresh: dict[Shape, int] = {}
        self._written: set[int] = set()
        self._counts = [0, 0, 0]
        self._kept = [0, 0, 0]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Runs that are new, updated and unchanged, as far as they are committed."""
        new, updated, unchanged = self._kept
        return new, updated, unchanged

    def write(self, batch: Batch) -> list[tuple[int, str]]:
        """Write the runs of one batch.

        Returns:
            Lines of rows that were refused, each with the reason.
        """
        blocks = batch.blocks(self._number_of)
        if not blocks:
            return []
        connection = self._begun()
        fresh = {n: shape for shape, n in self._fresh.items() if n not in self._written}
        shapes = [row for n, shape in sorted(fresh.items()) for row in shape_rows(n, shape)]
        if shapes:
            connection.exec_driver_sql(shape_insert(self._store.dialect), shapes)
            self._written.update(fresh)
        if len(self._fresh) > _KNOWN_SHAPES:
            self._fresh.clear()
        touched = add_missing(connection, batch.labels) if batch.labels else set()
        refused: list[tuple[int, str]] = []
        unique = batch.flat is not None and batch.flat.unique
        for block in blocks:
            if not self._sqlite:
                self._twice = set() if unique else self._seen.add(block.run_ids())
            done = write_block(connection, block, self._doubles, touched)
            self._counts = [a + b for a, b in zip(self._counts, done[:3], strict=True)]
            refused += done.refused
            self._waiting += len(block.rows)
        if self._rows is not None and self._waiting >= self._rows:
            self.commit()
        return sorted(refused)

    def commit(self) -> None:
        """Keep what was written so far."""
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = self._connection = None
            self._waiting = 0
        self._kept = list(self._counts)

    def undo(self) -> None:
        """Take back what was written since the last commit."""
        if self._open is not None:
            undone = _UndoneError()
            self._open.__exit__(_UndoneError, undone, None)
            self._open = self._connection = None
            self._waiting = 0
        self._counts = list(self._kept)

    def close(self) -> None:
        """Take back what is not committed, and leave the store's settings as they were."""
        self.undo()
        self._seen.close()
        if self._usual:
            with self._store._connect() as connection:
                for name, value in self._usual.items():
                    connection.exec_driver_sql(f"PRAGMA {name} = {value}")

    def _number_of(self, shape: Shape) -> int:
        """The number of a shape; one that the store may not have is written with the batch."""
        found = self._fresh.get(shape)
        if found is None:
            found = self._fresh[shape] = shape_number(shape)
        return found

    def _begun(self) -> sa.Connection:
        if self._connection is None:
            if self._sqlite and not self._usual:
                with self._store._connect() as connection:
                    for name, value in _SETTINGS.items():
                        usual = connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                        self._usual[name] = int(usual or 0)
                        connection.exec_driver_sql(f"PRAGMA {name} = {value}")
                    self._start = last_row(connection)
            self._open = self._store._begin()
            self._connection = self._open.__enter__()
        return self._connection

    def _doubles(self, run_ids: Sequence[str], new: int) -> set[str]:
        """Which of these ids came earlier in the same file; so many of them are new.

        Only runs that the store had before the import need to be remembered: SQLite numbers its
        rows in order, so that the others are known by their rows.
        """
        if not self._sqlite or self._connection is None:
            return self._twice
        since_start = newer(self._connection, run_ids, self._start)
        just_now = newer(self._connection, run_ids, last_row(self._connection) - new)
        old = [run_id for run_id in run_ids if run_id not in since_start]
        return (since_start - just_now) | self._seen.add(old)


class _UndoneError(Exception):
    """Makes the store's transaction roll back."""
