"""A file as batches of runs, whatever its format: bad rows apart, no run twice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._record import RunRecord
from .._store_rows import RUN_COLUMNS, Shape, run_row
from ..errors import PolicyError
from ._cells import Rules
from ._columns import Columns, checked_map, resolve
from ._files import Chunk, format_of, read_chunks, stem_of
from ._own import Label, is_own, label_of, labels_of, record_of
from ._rows import Flat, flatten, leave_out
from ._runs import Block, blocks_of, records_of
from ._seen import repeated
from ._values import ABSENT, UNLABELLED

_SOURCES = ("late", "self_reported", "measured")
TWICE = "the file has this run twice; the first one counts"


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a file is to be read, as `import_runs` was told."""

    map: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    pipeline: str | None = None
    source: str = "late"
    missing: str = "failure"
    threshold: float | None = None
    at: float | None = None
    name: str | None = None
    encoding: str = "utf-8"


@dataclass
class Batch:
    """Some runs of a file."""

    lines: list[int]
    """Where each run stands."""
    bad: list[tuple[int, str]]
    """Lines that could not be read, each with the reason."""
    columns: Columns | None
    """What was made of the columns; None: the file is one of our exports."""
    flat: Flat | None = None
    own: list[RunRecord] = field(default_factory=list)
    labels: dict[str, list[Label]] = field(default_factory=dict)
    """The history of labels of some of these runs."""

    def run_ids(self) -> list[str]:
        """The ids of the runs."""
        if self.flat is None:
            return [record.run_id for record in self.own]
        return self.flat.values["run_id"]

    def leave_out(self, run_ids: set[str]) -> None:
        """Take out runs that came earlier in the file: they are bad rows."""
        if not run_ids:
            return
        at = [i for i, run_id in enumerate(self.run_ids()) if run_id in run_ids]
        self.bad = sorted([*self.bad, *((self.lines[i], TWICE) for i in at)])
        if self.flat is not None:
            leave_out(self.flat, at)
            self.lines = self.flat.lines
        else:
            kept = [i for i in range(len(self.lines)) if i not in set(at)]
            self.lines, self.own = [self.lines[i] for i in kept], [self.own[i] for i in kept]

    def records(self) -> Iterator[RunRecord]:
        """The runs as records."""
        return iter(self.own) if self.flat is None else records_of(self.flat)

    def blocks(self, number_of: Callable[[Shape], int]) -> list[Block]:
        """The runs as rows of the store; what no store takes is bad."""
        if not self.lines:
            return []
        if self.flat is not None:
            return blocks_of(self.flat, number_of)
        rows, lines = [], []
        for record, line in zip(self.own, self.lines, strict=True):
            try:
                rows.append(run_row(record, number_of))
                lines.append(line)
            except (TypeError, ValueError, AttributeError) as error:
                self.bad.append((line, f"this is no exported run: {error}"))
        return [Block(tuple(RUN_COLUMNS), rows, {}, lines)] if rows else []


def batches(path: str, options: Options) -> Generator[Batch, None, None]:
    """A file's runs, batch by batch; an id that comes twice in one batch is bad.

    Raises:
        PolicyError: Options or columns that cannot be.
        BrokenFileError: The file breaks off.
    """
    rules, given = _rules(path, options), checked_map(options.map)
    columns: Columns | None = None
    known: list[str] = []
    for chunk in read_chunks(path, options.encoding):
        if not given and is_own(chunk.columns):
            yield _own(chunk, options)
            continue
        names = list(chunk.columns)
        if columns is None or names != known:
            columns, known = _resolved(names, given, options, rules), names
        flat = flatten(chunk, columns, rules)
        if not flat.unique and (twice := repeated(flat.values["run_id"])):
            flat.bad += [(flat.lines[at], TWICE) for at in twice]
            leave_out(flat, twice)
        yield Batch(flat.lines, sorted(flat.bad), columns, flat)


def _rules(path: str, options: Options) -> Rules:
    if options.missing not in ("failure", "unlabelled"):
        raise PolicyError(f"missing={options.missing!r}; it is 'failure' or 'unlabelled'")
    if options.source not in _SOURCES:
        raise PolicyError(f"source={options.source!r}; it is one of {', '.join(_SOURCES)}")
    pipeline = options.pipeline or ("" if path == "-" else stem_of(path))
    return Rules(
        pipeline=pipeline,
        log=options.name or ("stdin" if path == "-" else stem_of(path)),
        source=options.source,
        threshold=options.threshold,
        missing=ABSENT if options.missing == "failure" else UNLABELLED,
        started_at=options.at or 0.0,
    )


def _resolved(
    names: Sequence[str], given: Mapping[str, str], options: Options, rules: Rules
) -> Columns:
    columns = resolve(
        names,
        given,
        options.ignore,
        constant=("pipeline",) if options.pipeline else (),
        needs_outcome=options.missing == "failure",
    )
    if not rules.pipeline and "pipeline" not in columns.fields:
        raise PolicyError("no column names the pipeline of these runs; give one: --pipeline NAME")
    return columns


def _own(chunk: Chunk, options: Options) -> Batch:
    names = list(chunk.columns)
    records, lines, bad = [], [], list(chunk.bad)
    labels: dict[str, list[Label]] = {}
    rows = zip(*chunk.columns.values(), strict=True)
    for line, cells in zip(chunk.lines, rows, strict=True):
        try:
            row = dict(zip(names, cells, strict=True))
            record = record_of(row, texts=chunk.texts)
            if history := labels_of(row):
                labels.setdefault(record.run_id, [label_of(label) for label in history])
        except (TypeError, ValueError) as error:
            bad.append((line, str(error)))
            continue
        records.append(replace(record, pipeline=options.pipeline) if options.pipeline else record)
        lines.append(line)
    batch = Batch(lines, sorted(bad), None, own=records, labels=labels)
    twice = repeated(batch.run_ids())
    batch.bad = sorted([*batch.bad, *((lines[i], TWICE) for i in twice)])
    batch.lines = [line for i, line in enumerate(lines) if i not in twice]
    batch.own = [record for i, record in enumerate(records) if i not in twice]
    return batch


def readable(path: str) -> bool:
    """Whether a path looks like a table that `read_runs` reads, and not like a store."""
    return path == "-" or (format_of(path) is not None and Path(path).is_file())
