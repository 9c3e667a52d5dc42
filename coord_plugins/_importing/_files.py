"""Reading tables a chunk at a time: CSV, JSON lines, Parquet. Memory stays flat."""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import importlib.util
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from ..errors import PolicyError, StoreError

ROWS = 10_000
"""Rows of one chunk."""
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""Formats by suffix; all but Parquet also with `.gz` behind it."""
_MOST_COLUMNS = 2_000
_LONGEST_CELL = 1 << 27
"""Characters; a quotation mark that nothing closes must not take the whole file into memory."""
_NEWLINE = re.compile("\r\n|\r|\n")


class BrokenFileError(StoreError):
    """A file that cannot be read to its end; what came before was good."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, as columns."""

    lines: Sequence[int]
    """Where each row stands: lines of a text, rows of a Parquet file; from 1."""
    columns: dict[str, list[Any]]
    """Per column the cells of all these rows; None: the row has no such cell."""
    contents: Callable[[], list[str]]
    """The rows as texts, for the ids of rows that have none."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Lines that are no rows, each with the reason; they are not in `lines`."""
    texts: bool = False
    """Whether every cell is a text."""


def format_of(path: str) -> str | None:
    """The format that a file's name tells of; None: none that is known."""
    name = Path(path).name.lower()
    if name == "-":
        return "jsonl"
    packed = name.endswith(".gz")
    found = FORMATS.get(Path(name.removesuffix(".gz")).suffix)
    return None if packed and found == "parquet" else found


def stem_of(path: str) -> str:
    """A file's name without its directory and suffixes."""
    name = Path(path).name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def read_chunks(path: str, encoding: str = "utf-8") -> Iterator[Chunk]:
    """A file's rows, chunk by chunk; at least one chunk, if only of columns.

    Raises:
        PolicyError: No format that is known, a file that is not there, or is no table.
        BrokenFileError: It breaks off; the chunks before are what came before that.
    """
    kind = format_of(path)
    if kind is None:
        raise PolicyError(
            f"{path!r} has no suffix .csv, .tsv, .jsonl or .parquet (or one of the first three "
            "with .gz); - is JSON lines on stdin"
        )
    if kind == "parquet":
        yield from _parquet(path)
        return
    with _opened(path, encoding) as stream:
        chunks = _json_lines(stream) if kind == "jsonl" else _separated(stream, path, kind)
        yield from _named(chunks, path, encoding)


@contextmanager
def _opened(path: str, encoding: str) -> Iterator[IO[str]]:
    wide = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    if path == "-":
        buffer = getattr(sys.stdin, "buffer", None)
        if buffer is None:  # a stand-in for stdin
            yield sys.stdin
            return
        stream = io.TextIOWrapper(buffer, encoding=wide, newline="")
        try:
            yield stream
        finally:
            stream.detach()
        return
    try:
        codecs.lookup(wide)
    except LookupError:
        raise PolicyError(f"there is no encoding {encoding!r}") from None
    try:
        raw = gzip.open(path, "rb") if path.lower().endswith(".gz") else open(path, "rb")  # noqa: SIM115  # closed by the wrapper
        with io.TextIOWrapper(raw, encoding=wide, newline="") as stream:
            yield stream
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise PolicyError(f"cannot read {path}: {error.strerror}") from error


def _named(chunks: Iterator[Chunk], path: str, encoding: str) -> Iterator[Chunk]:
    """The chunks; what goes wrong on the way is said in words, with the place."""
    last = 0
    try:
        for chunk in chunks:
            last = max([last, *chunk.lines[-1:], *(line for line, _ in chunk.bad)])
            yield chunk
    except UnicodeDecodeError as error:
        reason = f"it is no {encoding} (byte 0x{error.object[error.start]:02x}); name its encoding"
    except (EOFError, OSError, zlib.error, csv.Error) as error:
        reason = str(error)
    else:
        return
    raise BrokenFileError(f"{path} cannot be read after line {last:,}: {reason}")


def _separated(stream: IO[str], path: str, kind: str) -> Iterator[Chunk]:
    first = stream.readline()
    while first and not first.strip():
        first = stream.readline()
    if not first:
        raise PolicyError(f"{path} is empty")
    delimiter = "\t" if kind == "tsv" else _delimiter(first)
    reader = csv.reader(chain([first], stream), delimiter=delimiter)
    kept = csv.field_size_limit(_LONGEST_CELL)
    try:
        head = [name.strip() for name in next(reader)]
        double = {name for name in head if name and head.count(name) > 1}
        if double:
            raise PolicyError(f"{path} has the column {min(double)!r} twice; rename one")
        before, some = reader.line_num, False
        while rows := list(islice(reader, ROWS)):
            yield _csv_chunk(head, rows, before, reader.line_num)
            before, some = reader.line_num, True
        if not some:
            yield Chunk((), {name: [] for name in head}, list, texts=True)
    finally:
        csv.field_size_limit(kept)


def _delimiter(head: str) -> str:
    """A comma, unless the head has none and has another one."""
    if "," in head:
        return ","
    return max(";\t|", key=head.count) if any(c in head for c in ";\t|") else ","


def _csv_chunk(head: list[str], rows: list[list[str]], before: int, after: int) -> Chunk:
    lines: Sequence[int] = range(before + 1, after + 1)
    if len(lines) != len(rows):  # cells with line breaks in them
        lines = _starts(rows, before)
    bad: list[tuple[int, str]] = []
    width = len(head)
    if set(map(len, rows)) != {width}:
        kept = []
        for line, row in zip(lines, rows, strict=True):
            if len(row) == width:
                kept.append((line, row))
            elif row:  # an empty line is none
                bad.append((line, f"{len(row)} cells instead of {width}"))
        lines, rows = [line for line, _ in kept], [row for _, row in kept]
    cells = zip(*rows, strict=True) if rows else ([] for _ in head)
    columns = {name: list(column) for name, column in zip(head, cells, strict=True)}
    return Chunk(lines, columns, lambda: list(map("\x1f".join, rows)), bad, texts=True)


def _starts(rows: list[list[str]], before: int) -> list[int]:
    found, line = [], before + 1
    for row in rows:
        found.append(line)
        line += 1 + sum(len(_NEWLINE.findall(cell)) for cell in row if "\n" in cell or "\r" in cell)
    return found


def _json_lines(stream: IO[str]) -> Iterator[Chunk]:
    names: dict[str, None] = {}
    done, some = 0, False
    while texts := list(islice(stream, ROWS)):
        lines, kept, rows, bad = [], [], [], []
        for line, text in enumerate(texts, done + 1):
            try:
                row = json.loads(text) if text.strip() else None
            except (ValueError, RecursionError) as error:
                bad.append((line, f"this is no JSON: {error}"))
                continue
            if isinstance(row, dict):
                lines.append(line)
                rows.append(row)
                kept.append(text.strip())
                names.update(dict.fromkeys(row))
            elif text.strip():
                bad.append((line, "this is no JSON object"))
        done += len(texts)
        if len(names) > _MOST_COLUMNS:
            raise PolicyError(f"line {done:,}: over {_MOST_COLUMNS:,} different keys are no table")
        columns = {name: [row.get(name) for row in rows] for name in names}
        yield Chunk(lines, columns, lambda kept=kept: kept, bad)  # type: ignore[misc]  # bound now
        some = True
    if not some:
        yield Chunk((), {}, list)


def _parquet(path: str) -> Iterator[Chunk]:
    if importlib.util.find_spec("pyarrow") is None:
        raise PolicyError(f"{path} needs pyarrow; pip install 'coord-plugins[parquet]'")
    # By name: pyarrow is optional and carries no types.
    parquet: Any = importlib.import_module("pyarrow.parquet")
    if path == "-" or not Path(path).is_file():
        raise PolicyError(f"cannot read {path}: there is no such file")
    done = 0
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=ROWS):
                columns = {name: batch.column(i).to_pylist() for i, name in enumerate(names)}
                rows = range(done + 1, done + batch.num_rows + 1)
                yield Chunk(rows, columns, lambda columns=columns: _as_texts(columns))  # type: ignore[misc]  # bound now
                done += batch.num_rows
            if not done:
                yield Chunk((), {name: [] for name in names}, list)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        if isinstance(error, PolicyError):
            raise
        raise BrokenFileError(f"{path} cannot be read after row {done:,}: {error}") from error


def _as_texts(columns: dict[str, list[Any]]) -> list[str]:
    return [repr(row) for row in zip(*columns.values(), strict=True)]
