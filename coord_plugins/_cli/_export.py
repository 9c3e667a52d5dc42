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
from typing import IO, Annotated, Any

import typer

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
    print_json,
)

Progress = Callable[[int], None]
_FLAT = (
    "run_id pipeline policy_id status mode task thread parent_id environment release started_at "
    "finished_at elapsed outcome passed source explanation goal_error error lost_at would_stop "
    "cost cost_unknown tokens"
).split()
_NESTED = ("tags", "metadata", "steps")
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
    from coord_plugins._report import iter_runs

    writer = _writer_for(file)
    chosen = filters(pipeline, since, until, where, settle)
    records = iter_runs(store, **chosen, include_nested=True)
    if file == "-":
        _write_jsonl(records, sys.stdout, lambda _: None)
        return
    with counting(f"writing {file}") as progress, _atomic(Path(file)) as temporary:
        count = writer(records, temporary, progress)
    if as_json:
        print_json({"file": file, "runs": count})
    else:
        typer.echo(f"{count:,} runs in {file}")


def _writer_for(file: str) -> Callable[[Iterator[RunRecord], Path, Progress], int]:
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


def _jsonl(records: Iterator[RunRecord], path: Path, progress: Progress) -> int:
    with path.open("w", encoding="utf-8") as stream:
        return _write_jsonl(records, stream, progress)


def _write_jsonl(records: Iterator[RunRecord], stream: IO[str], progress: Progress) -> int:
    count = 0
    for count, record in enumerate(records, 1):
        stream.write(json.dumps(record.to_dict(), default=str) + "\n")
        progress(count)
    return count


def _csv(records: Iterator[RunRecord], path: Path, progress: Progress) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [*_FLAT, *_NESTED])
        writer.writeheader()
        for count, record in enumerate(records, 1):
            writer.writerow(_flat(record))
            progress(count)
    return count


def _parquet(records: Iterator[RunRecord], path: Path, progress: Progress) -> int:
    # By name: pyarrow is optional and carries no types.
    pa = importlib.import_module("pyarrow")
    pq = importlib.import_module("pyarrow.parquet")
    kinds = dict.fromkeys(("started_at", "finished_at", "elapsed", "cost"), pa.float64())
    kinds |= {"passed": pa.bool_(), "cost_unknown": pa.int64(), "tokens": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*_FLAT, *_NESTED)])
    count, batch = 0, []
    with pq.ParquetWriter(path, schema) as writer:
        for count, record in enumerate(records, 1):
            batch.append(_flat(record))
            if len(batch) >= _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
                progress(count)
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))
    return count


def _flat(record: RunRecord) -> dict[str, Any]:
    """One row; what has parts is JSON."""
    row = {name: getattr(record, name) for name in _FLAT}
    row["tags"] = json.dumps(list(record.tags))
    row["metadata"] = json.dumps(dict(record.metadata), default=str)
    row["steps"] = json.dumps({name: tally.to_dict() for name, tally in record.steps.items()})
    return row
