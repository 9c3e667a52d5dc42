"""What the rows of somebody's file mean: the one definition, as columns of values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import compress, repeat
from typing import Any

from ._cells import Reading, Rules, add_times, endings_of, numbers_of, said_of
from ._columns import Columns
from ._files import Chunk
from ._values import Ending, count, number, tags

_NAMES = "run_id pipeline task trial thread release environment policy_id goal_id lost_at".split()
_ID_PARTS = ("release", "environment", "policy_id")


@dataclass
class Flat:
    """Rows as columns of values, bad ones taken out."""

    lines: list[int]
    """Where each row stands."""
    endings: list[Ending]
    """How each run ended."""
    values: dict[str, list[Any]]
    """Fields of a `RunRecord`, and `cost`, `input_tokens`, `output_tokens`; what is the same for
    all rows is not here."""
    rules: Rules
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Lines that could not be read, each with the reason."""
    unique: bool = False
    """Whether the ids come from lines, and so cannot occur twice."""


def flatten(chunk: Chunk, columns: Columns, rules: Rules) -> Flat:
    """Read the cells of a chunk."""
    reading = Reading(chunk, columns)
    values: dict[str, list[Any]] = {}
    for field_name in _NAMES:
        if (found := reading.names(field_name)) is not None:
            values[field_name] = found
    # a total of tokens that is not split counts as input
    for column, field_name, convert in (
        ("cost", "cost", number),
        ("tokens", "input_tokens", count),
        ("input_tokens", "input_tokens", count),
        ("output_tokens", "output_tokens", count),
    ):
        if (found := reading.convert(column, convert, numbers_of(convert))) is not None:
            values[field_name] = found
    for field_name in ("error", "explanation"):
        if (found := reading.convert(field_name, said_of)) is not None:
            values[field_name] = found
    if (found := reading.convert("tags", tags)) is not None:
        values["tags"] = found
    add_times(reading, values, rules)
    endings = endings_of(reading, values.get("error"), rules)
    _add_metadata(reading, values)
    unique = _add_ids(reading, values, rules)
    return _without_bad(reading, endings, values, rules, unique)


def _add_metadata(reading: Reading, values: dict[str, list[Any]]) -> None:
    trial = values.pop("trial", None)
    others = reading.columns.metadata
    if trial is None and not others:
        return
    if not others and trial is not None:
        one = {value: {} if value is None else {"trial": value} for value in set(trial)}
        found = [one[value] for value in trial]  # equal ones are one: they are written once
    else:
        cells = [reading.cells(column) for column in others]
        rows = zip(*cells, strict=True)
        found = [
            {k: v for k, v in zip(others, row, strict=True) if v is not None and v != ""}
            for row in rows
        ]
        if trial is not None:
            found = [
                row if value is None else {"trial": value, **row}
                for row, value in zip(found, trial, strict=True)
            ]
    values["metadata"] = found
    if trial is not None:
        values["trial"] = trial


def _add_ids(reading: Reading, values: dict[str, list[Any]], rules: Rules) -> bool:
    """Give every run its id; whether it comes from its line."""
    trial = values.pop("trial", None)
    pipelines = values.get("pipeline")
    if pipelines is not None and None in pipelines:
        values["pipeline"] = [value or rules.pipeline for value in pipelines]
    if "run_id" in values:
        for at, value in enumerate(values["run_id"]):
            if value is None:
                reading.bad.setdefault(at, f"{reading.columns.fields['run_id']}: no run id")
        return False
    tasks = values.get("task")
    if trial is None or tasks is None:
        values["run_id"] = _line_ids(reading, values, rules)
        return True
    if None not in trial and None not in tasks:
        values["run_id"] = _ids(values, tasks, trial, rules)
        return False
    ids = _ids(values, [task or "" for task in tasks], [again or "" for again in trial], rules)
    rows = zip(tasks, trial, ids, _line_ids(reading, values, rules), strict=True)
    values["run_id"] = [line if None in (task, again) else run for task, again, run, line in rows]
    return False


def _ids(
    values: dict[str, list[Any]], tasks: list[Any], trial: list[Any], rules: Rules
) -> list[str]:
    """Ids of pipeline, version, task and trial: the same for the same trial in any file."""
    parts: list[Iterable[Any]] = [values.get("pipeline") or repeat(rules.pipeline)]
    parts += [values[part] for part in _ID_PARTS if part in values]
    parts += [tasks, trial]
    try:
        found = list(map("/".join, zip(*parts, strict=False)))  # the first may be endless
    except TypeError:  # a version that not every row has
        found = ["/".join([part or "" for part in row]) for row in zip(*parts, strict=False)]
    whole = "".join(found)
    if "%" in whole or whole.count("/") != (len(parts) - 1) * len(found):
        rows = zip(*parts, strict=False)
        found = ["/".join([_quoted(part or "") for part in row]) for row in rows]
    return found


def _quoted(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


def _line_ids(reading: Reading, values: dict[str, list[Any]], rules: Rules) -> list[str]:
    """Ids of the log's name, line and content: a longer version of a log keeps them."""
    pipelines: Iterable[str] = values.get("pipeline") or repeat(rules.pipeline, reading.n)
    contents = reading.chunk.contents()
    return [
        f"{rules.log}:{line:09}:"
        + blake2b(f"{pipe}\x1e{said}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        for line, pipe, said in zip(reading.chunk.lines, pipelines, contents, strict=True)
    ]


def _without_bad(
    reading: Reading,
    endings: list[Ending],
    values: dict[str, list[Any]],
    rules: Rules,
    unique: bool,
) -> Flat:
    lines: Sequence[int] = reading.chunk.lines
    bad = [*reading.chunk.bad, *((lines[at], reason) for at, reason in reading.bad.items())]
    flat = Flat(list(lines), endings, values, rules, sorted(bad), unique)
    if reading.bad:
        leave_out(flat, reading.bad)
    return flat


def leave_out(flat: Flat, positions: Iterable[int]) -> None:
    """Take rows out."""
    kept = [True] * len(flat.lines)
    for at in positions:
        kept[at] = False
    flat.lines = list(compress(flat.lines, kept))
    flat.endings = list(compress(flat.endings, kept))
    flat.values = {k: list(compress(v, kept)) for k, v in flat.values.items()}
