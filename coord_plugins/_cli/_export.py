"""`coord export`: the recorded runs as a file for other tools."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from coord_plugins._importing._own import COUNTS, FLAT, NUMBERS, Label, flat_of
from coord_plugins._record import RunRecord
from coord_plugins.errors import PolicyError

from ._common import (
    JsonOption,
    PipelineOption,
    SettleOption,
    SinceOption,
    StoreOption,
    UntilOption,
    WhereOption,
    counting,
    filters,
    place_to_read,
    print_json,
)

Progress = Callable[[int], None]
Found = Iterator[tuple[RunRecord, list[Label]]]
_BATCH = 5_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_command)


def export_command(  # typer reads options from parameters
    file: Annotated[
        str, typer.Argument(help="A .jsonl, .csv or .parquet file; - is JSON lines on stdout.")
    ],
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: WhereOption = None,
    settle: SettleOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the runs that match, runs inside runs included; the file appears when complete."""
    from coord_plugins._importing._labels import with_labels
    from coord_plugins._reporting._report import reading
    from coord_plugins._store_query import make_query

    writer = _writer_for(file)
    query = make_query(**filters(pipeline, since, until, where, settle), include_nested=True)
    with reading(place_to_read(store)) as opened:
        found = with_labels(opened, opened.iter_records(query))
        if file == "-":
            _write_jsonl(found, sys.stdout, lambda _: None)
            return
        with counting(f"writing {file}") as progress, _atomic(Path(file)) as temporary:
            count = writer(found, temporary, progress)
    if as_json:
        print_json({"file": file, "runs": count})
    else:
        typer.echo(f"{count:,} runs in {file}")


def _writer_for(file: str) -> Callable[[Found, Path, Progress], int]:
    suffix = Path(file).suffix.lower()
    if file == "-" or suffix in (".jsonl", ".ndjson"):
        return _jsonl
    if suffix == ".csv":
        return _csv
    if suffix == ".parquet":
        if importlib.util.find_spec("pyarrow") is None:
            raise PolicyError(
                "coord export: a .parquet file needs pyarrow; pip install 'coord-plugins[parquet]'"
            )
        return _parquet
    raise PolicyError(f"coord export: {file!r} has no suffix .jsonl, .csv or .parquet")


@contextmanager
def _atomic(target: Path) -> Iterator[Path]:
    """A temporary file beside the target that takes its place when all went well."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
    except OSError as error:
        raise PolicyError(f"coord export: cannot write {target}: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp gives the file to its maker alone
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _jsonl(found: Found, path: Path, progress: Progress) -> int:
    with path.open("w", encoding="utf-8") as stream:
        return _write_jsonl(found, stream, progress)


def _write_jsonl(found: Found, stream: IO[str], progress: Progress) -> int:
    count = 0
    for count, (record, labels) in enumerate(found, 1):
        row = record.to_dict() | ({"labels": labels} if labels else {})
        stream.write(json.dumps(row, default=str) + "\n")
        progress(count)
    return count


def _csv(found: Found, path: Path, progress: Progress) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, FLAT)
        writer.writeheader()
        for count, (record, labels) in enumerate(found, 1):
            writer.writerow(flat_of(record, labels))
            progress(count)
    return count


def _parquet(found: Found, path: Path, progress: Progress) -> int:
    # By name: pyarrow is optional and carries no types.
    pa = importlib.import_module("pyarrow")
    pq = importlib.import_module("pyarrow.parquet")
    kinds = dict.fromkeys(NUMBERS, pa.float64()) | dict.fromkeys(COUNTS, pa.int64())
    kinds |= {"passed": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in FLAT])
    count, batch = 0, []
    with pq.ParquetWriter(path, schema) as writer:
        for count, (record, labels) in enumerate(found, 1):
            batch.append(flat_of(record, labels))
            if len(batch) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
                progress(count)
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))
    return count
