"""`coord import`: the outcomes of any pipeline, from a table."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coord_plugins.errors import PolicyError

from ._common import JsonOption, StoreOption, counting, print_json, print_rich

if TYPE_CHECKING:
    from coord_plugins._importing._import import BadRow, Imported
    from coord_plugins._importing._preview import Preview

_SHOWN = 20
"""Bad rows that people are shown."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_command)


def import_command(  # typer reads options from parameters
    file: Annotated[
        str,
        typer.Argument(help="A .csv, .tsv, .jsonl (all also .gz) or .parquet file; - is stdin."),
    ],
    store: StoreOption = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="task=case,passed=reward; repeatable."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="Leave it out; * is all that is no field."),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="Default: the column, else the file's name.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="The lowest score that passes.")
    ] = None,
    missing: Annotated[
        str, typer.Option("--missing", help="What no outcome means: failure or unlabelled.")
    ] = "failure",
    source: Annotated[
        str, typer.Option("--source", help="Who labelled: late, self_reported or measured.")
    ] = "late",
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="When runs without a time began.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The log's name in the ids of its lines.")
    ] = None,
    encoding: Annotated[str, typer.Option("--encoding", help="Of a text file.")] = "utf-8",
    strict: Annotated[
        bool, typer.Option("--strict", help="Import nothing if any row is bad.")
    ] = False,
    bad_rows: Annotated[
        str | None, typer.Option("--bad-rows", metavar="FILE", help="All bad rows, as JSON lines.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is what, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the runs of a file into the store; twice changes nothing. Exit code 1: bad rows."""
    options: dict[str, Any] = {
        "map": _map(columns),
        "ignore": ignore or (),
        "pipeline": pipeline,
        "threshold": threshold,
        "missing": missing,
        "source": source,
        "at": at,
        "name": name,
        "encoding": encoding,
    }
    if dry_run:
        from coord_plugins._importing._preview import preview

        _show(preview(file, **options), as_json)
        return
    from coord_plugins._importing._import import import_runs

    with _told(bad_rows) as on_bad, counting(f"reading {file}", "rows") as progress, _quick():
        done = import_runs(file, store, **options, strict=strict, on_bad=on_bad, progress=progress)
    if as_json:
        print_json({"file": file, "strict": strict, **done.to_dict()})
    else:
        _report(file, done, strict, bad_rows)
    if done.bad_rows:
        raise typer.Exit(1)


def _map(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in (part for option in given or () for part in option.split(",")):
        field, equals, column = pair.partition("=")
        if not equals or not field.strip() or not column.strip():
            raise PolicyError(f"--map {pair!r}; write FIELD=COLUMN, for example passed=reward")
        if field.strip() in found:
            raise PolicyError(f"--map names {field.strip()!r} twice")
        found[field.strip()] = column.strip()
    return found


@contextmanager
def _quick() -> Iterator[None]:
    """Without the search for circles, of which rows make none and which takes a fifth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _told(path: str | None) -> Iterator[Callable[[BadRow], None] | None]:
    """What bad rows are told to: a file, if one is wanted."""
    if path is None:
        yield None
        return
    try:
        stream = Path(path).open("w", encoding="utf-8")  # noqa: SIM115  # closed below
    except OSError as error:
        raise PolicyError(f"coord import: cannot write {path}: {error.strerror}") from error
    with stream:
        yield lambda row: print(json.dumps({"line": row.line, "reason": row.reason}), file=stream)


def _report(file: str, done: Imported, strict: bool, bad_rows: str | None) -> None:
    for row in done.bad[:_SHOWN]:
        typer.echo(f"line {row.line:,}: {row.reason}", err=True)
    left = done.bad_rows - _SHOWN
    if left > 0:
        where = bad_rows or "--bad-rows FILE"
        typer.echo(f"... and {left:,} more bad rows; {where} has all", err=True)
    counts = f"{done.new:,} new, {done.updated:,} updated, {done.unchanged:,} unchanged"
    said = f"{file}: {_many(done.runs, 'run')} ({counts})"
    if done.bad_rows and strict:
        said = f"{file}: nothing is imported: {_many(done.bad_rows, 'bad row')}"
    elif done.bad_rows:
        said += f"; {_many(done.bad_rows, 'bad row')} left out"
    typer.echo(said)
    _advise(done)
    if done.updated:
        typer.echo(
            f"{_many(done.updated, 'run')} had other values before; if they are not the same runs, "
            "give this file a --pipeline of its own",
            err=True,
        )


def _advise(done: Imported) -> None:
    """What was made of the columns, in a line."""
    if done.columns:
        typer.echo("columns: " + ", ".join(f"{f} from {c}" for f, c in done.columns.items()))


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _show(found: Preview, as_json: bool) -> None:
    """The mapping and the first runs, of which nothing was written."""
    if as_json:
        print_json({"dry_run": True, **found.to_dict()})
        return
    from coord_plugins._reporting._tables import pairs_table as pairs
    from coord_plugins._reporting._text import section

    fields = dict(found.columns)
    fields["metadata"] = ", ".join(found.metadata) or "-"
    if found.ignored:
        fields["ignored"] = ", ".join(found.ignored)
    if not found.columns:
        fields = {"format": "an export of this library; runs come back as they were"}
    print_rich(*section("What is what", pairs(fields)))
    for record in found.records:
        shown = {
            "run": record.run_id,
            "pipeline": record.pipeline,
            "task": record.task or "-",
            "outcome": record.outcome,
            "cost": "unknown" if record.cost_unknown else f"{record.cost:g}",
            "seconds": f"{record.elapsed:g}",
        }
        print_rich(*section(f"Run {record.run_id}", pairs(shown)))
    for row in found.bad:
        typer.echo(f"line {row.line:,}: {row.reason}", err=True)
    typer.echo("nothing was written")
