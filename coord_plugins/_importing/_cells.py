"""The cells of a chunk as values, column by column; rows that cannot be read are noted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from .._config import clean
from .._store_rows import text
from ._columns import Columns
from ._files import Chunk
from ._values import (
    ABSENT,
    LATEST,
    Ending,
    count,
    ending,
    error_class,
    is_missing,
    moment,
    name,
    number,
    outcome,
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the rows of one file are to be read."""

    pipeline: str
    """The pipeline of rows that name none."""
    log: str
    """The file's name, as it goes into the ids of rows that have none."""
    source: str = "late"
    """Who said whether the goal was met."""
    threshold: float | None = None
    """The lowest score that passes."""
    missing: Ending = ABSENT
    """What a run is that nothing is said of."""
    started_at: float = 0.0
    """When runs started that do not say so; Unix seconds."""


class Reading:
    """One chunk's cells, and which of its rows turned out bad."""

    def __init__(self, chunk: Chunk, columns: Columns) -> None:
        self.chunk = chunk
        self.columns = columns
        self.n = len(chunk.lines)
        self.bad: dict[int, str] = {}

    def cells(self, column: str) -> list[Any]:
        """A column's cells; of "a.b" the parts "b" of the objects in "a"."""
        found = self.chunk.columns.get(column)
        if found is not None:
            return found
        head, _, rest = column.partition(".")
        return [_dug(cell, rest) for cell in self.chunk.columns.get(head, [None] * self.n)]

    def names(self, field_name: str) -> list[Any] | None:
        """A field that is text."""
        column = self.columns.fields.get(field_name)
        if column is None:
            return None
        cells = self.cells(column)
        if not self.chunk.texts:
            return [text(name(cell)) for cell in cells]
        found: list[Any] = list(map(str.strip, cells))
        whole = "".join(found)
        if not whole.isascii() or "\x00" in whole:
            found = list(map(text, found))
        return [value or None for value in found] if "" in found else found

    def convert(
        self,
        field_name: str,
        one: Callable[[Any], Any],
        quick: Callable[[list[str]], list[Any]] | None = None,
    ) -> list[Any] | None:
        """A field by its function; rows for which it raises are bad.

        Args:
            field_name: The field.
            one: Makes a value of a cell.
            quick: Makes the same values of a whole column of texts, or raises.
        """
        column = self.columns.fields.get(field_name)
        if column is None:
            return None
        cells = self.cells(column)
        if quick is not None and self.chunk.texts:
            try:
                return quick(cells)
            except ValueError:
                pass
        found = []
        for at, cell in enumerate(cells):
            try:
                found.append(one(cell))
            except ValueError as error:
                self.bad.setdefault(at, f"{column}: {error}")
                found.append(None)
        return found


def _dug(cell: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(cell, dict):
            return None
        cell = cell.get(key)
    return cell


def numbers_of(convert: Callable[[Any], Any]) -> Callable[[list[str]], list[Any]]:
    """`number`, `count` or `moment` of a whole column at once, if it is as simple as that."""
    kind: Callable[[str], Any] = int if convert is count else float

    def quick(cells: list[str]) -> list[Any]:
        found = list(map(kind, cells))
        top = LATEST if convert is moment else 2**63
        if found and not (min(found) >= 0 and max(found) < top and math.isfinite(sum(found))):
            raise ValueError
        return found

    return quick


def said_of(cell: Any) -> str | None:
    """An error or an explanation, as records keep it."""
    return None if is_missing(cell) else text(clean(name(cell)))


def add_times(reading: Reading, values: dict[str, list[Any]], rules: Rules) -> None:
    quick = numbers_of(moment)
    started = reading.convert("started_at", moment, quick)
    finished = reading.convert("finished_at", moment, quick)
    elapsed = reading.convert("seconds", number, numbers_of(number))
    if elapsed is None:
        found = reading.convert("milliseconds", number, numbers_of(number))
        elapsed = found and [None if value is None else value / 1_000 for value in found]
    if started is None and finished is None and elapsed is None:
        return
    if started is not None and finished is None and None not in started:
        elapsed = elapsed or [0.0] * reading.n
        if None not in elapsed:
            values["started_at"], values["elapsed"] = started, elapsed
            values["finished_at"] = [a + b for a, b in zip(started, elapsed, strict=True)]
            return
    nothing = [None] * reading.n
    rows = zip(started or nothing, finished or nothing, elapsed or nothing, strict=True)
    times = []
    for at, row in enumerate(rows):
        try:
            times.append(_times(*row, rules.started_at))
        except ValueError as error:
            reading.bad.setdefault(at, str(error))
            times.append((0.0, 0.0, 0.0))
    for at, field_name in enumerate(("started_at", "finished_at", "elapsed")):
        values[field_name] = [row[at] for row in times]


def _times(
    started: float | None, finished: float | None, elapsed: float | None, default: float
) -> tuple[float, float, float]:
    """Start, end and running time of a run, from those of the three that are known."""
    if started is None:
        started = default if finished is None else max(0.0, finished - (elapsed or 0.0))
    if elapsed is None:
        elapsed = 0.0 if finished is None else finished - started
        if elapsed < 0:
            raise ValueError("the run ended before it started")
    return started, started + elapsed if finished is None else finished, elapsed


def endings_of(reading: Reading, errors: list[Any] | None, rules: Rules) -> list[Ending]:
    """How each run ended; equal cells are judged once."""
    fields = reading.columns.fields
    said = reading.cells(fields["outcome"]) if "outcome" in fields else None
    if errors is None and "status" not in fields and said is not None and reading.chunk.texts:
        keys: list[Any] = said
        judged = {cell: _judge(cell, None, None, reading, rules) for cell in set(said)}
    else:
        stated = reading.cells(fields["status"]) if "status" in fields else None
        classes = errors and [None if e is None else error_class(e) for e in errors]
        sources = ((x or repeat(None, reading.n)) for x in (said, stated, classes))
        keys = [
            (_key(a), _key(b), c, type(a))  # 1 and True are not the same
            for a, b, c in zip(*sources, strict=True)
        ]
        judged = {key: _judge(key[0], key[1], key[2], reading, rules) for key in set(keys)}
    found = []
    if not any(isinstance(value, str) for value in judged.values()):
        return [judged[key] for key in keys]  # type: ignore[misc]  # no text among them
    for at, key in enumerate(keys):
        value = judged[key]
        if isinstance(value, str):
            reading.bad.setdefault(at, value)
            value = rules.missing
        found.append(value)
    return found


def _key(cell: Any) -> Any:
    return repr(cell) if isinstance(cell, (list, dict)) else cell


def _judge(said: Any, stated: Any, error: Any, reading: Reading, rules: Rules) -> Ending | str:
    """How a run ended, or why its cells do not say so."""
    fields = reading.columns.fields
    try:
        found = outcome(said, rules.threshold)
    except ValueError as problem:
        return f"{fields['outcome']}: {problem}"
    try:
        return ending(found, stated, error, missing=rules.missing)
    except ValueError as problem:
        return f"{fields['status']}: {problem}"
