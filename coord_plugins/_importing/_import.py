"""`import_runs` and `read_runs`: the outcomes of any pipeline, from a table."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from .._record import RunRecord
from ..errors import PolicyError, StoreError
from ._batches import Batch, Options, batches
from ._files import BrokenFileError
from ._seen import Seen

if TYPE_CHECKING:
    from .._store import Store

__all__ = ["BadRow", "Imported", "import_runs", "read_runs"]

Missing = Literal["failure", "unlabelled"]
MOST_BAD = 1_000
"""Bad rows that `Imported` keeps; all are counted, and all go to `on_bad`."""


@dataclass(frozen=True)
class BadRow:
    """A row that is no run."""

    line: int
    """Its line in a text, its row in a Parquet file, from 1."""
    reason: str
    """What is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did."""

    new: int
    """Runs that the store did not have."""
    updated: int
    """Runs that it had, and that changed."""
    unchanged: int
    """Runs that it had already."""
    bad_rows: int
    """Rows that are no runs."""
    bad: tuple[BadRow, ...]
    """The first of these, at most 1,000."""
    columns: Mapping[str, str]
    """Per field of a run the column it was taken from; empty for an export of this library."""
    metadata: tuple[str, ...]
    """The columns that became metadata."""
    ignored: tuple[str, ...]
    """The columns that were left out."""

    @property
    def runs(self) -> int:
        """Runs that the store has of this file now."""
        return self.new + self.updated + self.unchanged

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "columns": dict(self.columns), "bad": [asdict(b) for b in self.bad]}


def read_runs(
    path: str | os.PathLike[str],
    *,
    map: Mapping[str, str] | None = None,  # as the command's option
    ignore: Iterable[str] = (),
    pipeline: str | None = None,
    source: str = "late",
    missing: Missing = "failure",
    threshold: float | None = None,
    at: str | float | dt.datetime | None = None,
    name: str | None = None,
    encoding: str = "utf-8",
    on_bad: Callable[[BadRow], None] | None = None,
) -> Iterator[RunRecord]:
    """The runs of a file, one at a time, without a store; the arguments are those of `import_runs`.

    Args:
        path: As in `import_runs`.
        map: As in `import_runs`.
        ignore: As in `import_runs`.
        pipeline: As in `import_runs`.
        source: As in `import_runs`.
        missing: As in `import_runs`.
        threshold: As in `import_runs`.
        at: As in `import_runs`.
        name: As in `import_runs`.
        encoding: As in `import_runs`.
        on_bad: Called with each row that is no run. Default: the first one is an error.

    Raises:
        PolicyError: As in `import_runs`, and a bad row without `on_bad`.
        StoreError: The file cannot be read to its end.
    """
    options = make_options(map, ignore, pipeline, source, missing, threshold, at, name, encoding)
    for batch in _once(batches(os.fspath(path), options)):
        for line, reason in batch.bad:
            if on_bad is None:
                raise PolicyError(f"{os.fspath(path)}, line {line:,}: {reason}")
            on_bad(BadRow(line, reason))
        yield from batch.records()


def _once(found: Iterator[Batch]) -> Iterator[Batch]:
    """Batches without the runs that came in an earlier one."""
    seen = Seen()
    try:
        for batch in found:
            batch.leave_out(seen.add(batch.run_ids()))
            yield batch
    finally:
        seen.close()


def import_runs(
    path: str | os.PathLike[str],
    store: Store | str | os.PathLike[str] | None = None,
    *,
    map: Mapping[str, str] | None = None,  # as the command's option
    ignore: Iterable[str] = (),
    pipeline: str | None = None,
    source: str = "late",
    missing: Missing = "failure",
    threshold: float | None = None,
    at: str | float | dt.datetime | None = None,
    name: str | None = None,
    encoding: str = "utf-8",
    strict: bool = False,
    on_bad: Callable[[BadRow], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Put the runs of a file into a store. Doing it twice changes nothing.

    Memory does not grow with the file. Rows that are no runs are left out and listed; the others
    are imported.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file, the first three also with .gz; "-" is JSON
            lines on stdin. Exports of this library come back as they were.
        store: A store, its URL or path. Default: the configured store.
        map: Columns by field, where a column's name does not say what it is:
            `{"task": "case", "passed": "judge.verdict"}`.
        ignore: Columns to leave out; "*" is every one that is no field of a run.
        pipeline: The pipeline of these runs. Default: the file's column of that name, else the
            file's name without suffixes.
        source: Who said whether the runs did their job: "late", "self_reported" or "measured".
        missing: What a run without an outcome is: a "failure" (error.crash), or "unlabelled".
        threshold: The lowest score that passes. Default: only 0 and 1 are understood.
        at: When runs started that do not say so: Unix seconds, a datetime or an ISO date.
            Default: the beginning of 1970.
        name: The log's name, which is part of the ids of rows without a run id and without task
            and trial. Default: the file's name without suffixes.
        encoding: Of a text file.
        strict: Whether one bad row keeps all others out.
        on_bad: Called with each row that is no run.
        progress: Called with the number of rows read so far.

    Raises:
        PolicyError: No file of these kinds, a column that is missing or could be two things, or
            an option that cannot be.
        StoreError: The store cannot be opened or written, or the file breaks off. What came
            before is imported then, unless `strict`; a second import completes it.
    """
    options = make_options(map, ignore, pipeline, source, missing, threshold, at, name, encoding)
    return _imported(os.fspath(path), _store(store), options, strict, on_bad, progress)


def make_options(
    map: Mapping[str, str] | None,
    ignore: Iterable[str],
    pipeline: str | None,
    source: str,
    missing: str,
    threshold: float | None,
    at: str | float | dt.datetime | None,
    name: str | None,
    encoding: str,
) -> Options:
    """The arguments of `import_runs` that say how a file is to be read.

    Raises:
        PolicyError: A time that cannot be read.
    """
    from .._store_query import when

    moment = when(at, "at")
    if moment is not None and moment < 0:
        raise PolicyError(f"at={at!r} is before 1970")
    return Options(
        map=dict(map or {}),
        ignore=(ignore,) if isinstance(ignore, str) else tuple(ignore),
        pipeline=pipeline,
        source=source,
        missing=missing,
        threshold=threshold,
        at=moment,
        name=name,
        encoding=encoding,
    )


def _store(given: Store | str | os.PathLike[str] | None) -> Store:
    from .._bus import flush
    from .._config import configured
    from .._stores import shared_store

    spec = configured("store") if given is None else given
    store = shared_store(spec)
    if store is None:
        raise StoreError("the store is off (COORD_STORE or configure); name one to import into")
    if spec is None and store.in_memory:
        raise StoreError("the default store cannot be written; name one to import into")
    flush()
    return store


def _imported(
    path: str,
    store: Store,
    options: Options,
    strict: bool,
    on_bad: Callable[[BadRow], None] | None,
    progress: Callable[[int], None] | None,
) -> Imported:
    from sqlalchemy.exc import SQLAlchemyError

    from ._sink import Importer

    bad, seen = _Bad(on_bad), 0
    batch: Batch | None = None
    # a pipe may pause for long, and must not keep other writers from the store meanwhile
    size = {"rows": None} if strict else {"rows": 0} if path == "-" else {}
    importer = Importer(store, **size)
    try:
        for batch in batches(path, options):
            bad.add(batch.bad + importer.write(batch))
            seen += len(batch.lines) + len(batch.bad)
            if progress is not None:
                progress(seen)
        if strict and bad.count:
            importer.undo()
        importer.commit()
    except BrokenFileError as error:
        if not strict:
            importer.commit()
        raise StoreError(f"{error}; {_so_far(importer.counts)}") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        said = f"the store {store.url} cannot be written: {reason}; {_so_far(importer.counts)}"
        raise StoreError(said) from error
    finally:
        importer.close()
    new, updated, unchanged = importer.counts
    columns = None if batch is None else batch.columns
    return Imported(
        new=new,
        updated=updated,
        unchanged=unchanged,
        bad_rows=bad.count,
        bad=tuple(bad.kept),
        columns={} if columns is None else dict(columns.fields),
        metadata=() if columns is None else columns.metadata,
        ignored=() if columns is None else columns.ignored,
    )


def _so_far(counts: tuple[int, int, int]) -> str:
    if not sum(counts):
        return "nothing is imported"
    return f"{sum(counts):,} runs are imported; import it again to complete it, once it is mended"


class _Bad:
    """Bad rows: all are counted and told, the first are kept."""

    def __init__(self, told: Callable[[BadRow], None] | None) -> None:
        self._told = told
        self.count = 0
        self.kept: list[BadRow] = []

    def add(self, rows: Iterable[tuple[int, str]]) -> None:
        for line, reason in rows:
            row = BadRow(line, reason)
            self.count += 1
            if len(self.kept) < MOST_BAD:
                self.kept.append(row)
            if self._told is not None:
                self._told(row)
