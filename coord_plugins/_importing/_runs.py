"""Flat rows as records, and as rows of the store without a record for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .._record import RunRecord
from .._store_rows import RUN_COLUMNS, Shape, run_row, to_json
from .._tally import StepTally
from ._rows import Flat

WHOLE = "(whole run)"
"""What stands for the steps of a run of which only the sums are known."""
_TEXTS = "task thread release environment explanation".split()
_KEYS = "pipeline policy_id goal_id lost_at".split()
_AMOUNTS = ("cost", "input_tokens", "output_tokens")
_MOST_BLOCKS = 50
"""Statements that are worth preparing for one chunk."""


@dataclass(frozen=True)
class Block:
    """Rows of the store that agree in all but some columns."""

    names: tuple[str, ...]
    """The columns in which they differ, the run's id among them."""
    rows: list[tuple[Any, ...]]
    """The values of these columns."""
    same: dict[str, Any]
    """The values of all the others."""
    lines: list[int]
    """Where each row stands in its file."""

    def run_ids(self) -> list[str]:
        """The ids of the runs."""
        return [row[0] for row in self.rows]  # the id comes first, here and in `RUN_COLUMNS`

    def whole(self) -> list[tuple[Any, ...]]:
        """The rows as `run_row` makes them."""
        at = {name: i for i, name in enumerate(self.names)}
        picks = [(at.get(name, -1), self.same.get(name)) for name in RUN_COLUMNS]
        return [tuple([row[i] if i >= 0 else v for i, v in picks]) for row in self.rows]


def records_of(flat: Flat) -> Iterator[RunRecord]:
    """The rows as records."""
    return (_record(flat, at) for at in range(len(flat.lines)))


def _record(flat: Flat, at: int) -> RunRecord:
    values, rules, end = flat.values, flat.rules, flat.endings[at]

    def of(name: str, default: Any = None) -> Any:
        found = values.get(name)
        return default if found is None else found[at]

    started = of("started_at", rules.started_at)
    finished = end.status == "finished"
    return RunRecord(
        run_id=of("run_id"),
        pipeline=of("pipeline", rules.pipeline),
        policy_id=of("policy_id") or "",
        goal_id=of("goal_id"),
        status=end.status,  # type: ignore[arg-type]  # one of the three
        task=of("task"),
        thread=of("thread"),
        release=of("release"),
        environment=of("environment"),
        tags=of("tags", ()),
        metadata=dict(of("metadata", {})),
        started_at=started,
        finished_at=of("finished_at", started) if finished else None,
        elapsed=of("elapsed", 0.0),
        end=end.end,
        detail=end.detail,
        passed=end.passed,
        source=rules.source,  # type: ignore[arg-type]  # checked
        explanation=of("explanation"),
        error=of("error") or end.error,
        lost_at=_lost_at(flat, at),
        steps={WHOLE: _tally(*(of(name) for name in _AMOUNTS))},
    )


def _lost_at(flat: Flat, at: int) -> str | None:
    end = flat.endings[at]
    if end.end is None or (end.end == "delivered" and end.passed is not False):
        return None
    named = flat.values.get("lost_at")
    found: str | None = named[at] if named is not None else None
    return found or ("goal" if end.end == "delivered" else None)


def _tally(cost: float | None, read: int | None, written: int | None) -> StepTally:
    """What a file says of a run's cost; what it does not say is unknown, and not nothing."""
    return StepTally(
        cost_first=cost or 0.0,
        input_tokens=read or 0,
        output_tokens=written or 0,
        unknown_tokens=int(read is None and written is None),
        unknown_cost=int(cost is None),
    )


def blocks_of(flat: Flat, number_of: Callable[[Shape], int]) -> list[Block]:
    """The rows as the store keeps them: what `run_row` makes of `records_of`, but faster.

    Rows that ended alike agree in most columns; these are made once, from the first record.
    """
    keys: list[Any] = list(flat.endings)
    named = [flat.values[name] for name in _KEYS if name in flat.values]
    if named:
        keys = list(zip(keys, *named, strict=True))
    kinds = dict.fromkeys(keys)
    if len(kinds) == 1:
        return [_block(flat, range(len(keys)), number_of)]
    if len(kinds) > _MOST_BLOCKS:
        rows = [run_row(record, number_of) for record in records_of(flat)]
        return [Block(tuple(RUN_COLUMNS), rows, {}, flat.lines)]
    found: dict[Any, list[int]] = {kind: [] for kind in kinds}
    for at, key in enumerate(keys):
        found[key].append(at)
    return [_block(flat, chosen, number_of) for chosen in found.values()]


def _block(flat: Flat, chosen: range | list[int], number_of: Callable[[Shape], int]) -> Block:
    first = chosen[0]
    same = dict(zip(RUN_COLUMNS, run_row(_record(flat, first), number_of), strict=True))
    end = flat.endings[first]

    def of(name: str) -> list[Any] | None:
        values = flat.values.get(name)
        return values and ([values[at] for at in chosen] if isinstance(chosen, list) else values)

    columns: dict[str, list[Any]] = {"run_id": of("run_id") or []}
    for name in (*_TEXTS, "started_at", "elapsed"):
        if (values := of(name)) is not None:
            columns[name] = values
    if end.status == "finished" and (values := of("finished_at")) is not None:
        columns["finished_at"] = values
        if same["label_at"] is not None:
            columns["label_at"] = values
    if (values := of("error")) is not None:
        columns["error"] = [value or end.error for value in values]
    if (values := of("tags")) is not None:
        columns["tags"] = [to_json(value) if value else "[]" for value in values]
    if (values := of("metadata")) is not None:
        columns["metadata"] = _as_json(values)
    columns |= _amounts({name: of(name) for name in _AMOUNTS})
    for name in columns:
        del same[name]
    rows = list(zip(*columns.values(), strict=True))
    lines = flat.lines if isinstance(chosen, range) else [flat.lines[at] for at in chosen]
    return Block(tuple(columns), rows, same, lines)


def _as_json(values: list[Any]) -> list[str]:
    """Metadata as the store keeps them; each mapping is written once."""
    distinct = {id(value): value for value in values}
    if len(distinct) == len(values):
        return [to_json(value) if value else "{}" for value in values]
    written = {key: to_json(value) if value else "{}" for key, value in distinct.items()}
    return [written[id(value)] for value in values]


def _amounts(given: dict[str, list[Any] | None]) -> dict[str, list[Any]]:
    """The columns about cost and tokens, as far as the file has them."""
    known = {name: values for name, values in given.items() if values is not None}
    if not known:
        return {}
    found: dict[str, list[Any]] = {}
    unknown: list[Any] | int = int("cost" not in known)
    cost, read, written = (given[name] for name in _AMOUNTS)
    if cost is not None:
        if None in cost:
            found["unknown_cost"] = unknown = [int(value is None) for value in cost]
        found["cost_first"] = cost = [value or 0.0 for value in cost] if None in cost else cost
    if read is None and written is None and cost is not None and unknown == 0:
        found["amounts"] = [f"[[0.0, {c!r}, 0.0, 0.0, 0.0, 0, 0, 1, 0]]" for c in cost]
        return found
    return found | _all_amounts(len(next(iter(known.values()))), cost, read, written, unknown)


def _all_amounts(
    n: int,
    cost: list[Any] | None,
    read: list[Any] | None,
    written: list[Any] | None,
    unknown: list[Any] | int,
) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    nothing = [None] * n
    counts = list(zip(read or nothing, written or nothing, strict=True))
    if read is not None:
        found["input_tokens"] = [a or 0 for a in read]
    if written is not None:
        found["output_tokens"] = [b or 0 for b in written]
    silent = [int(a is None and b is None) for a, b in counts]
    found["unknown_tokens"] = silent
    costs = cost or [0.0] * n
    unpriced = unknown if isinstance(unknown, list) else [unknown] * n
    found["amounts"] = [
        f"[[0.0, {c!r}, 0.0, 0.0, 0.0, {a or 0}, {b or 0}, {s}, {u}]]"
        for c, (a, b), s, u in zip(costs, counts, silent, unpriced, strict=True)
    ]
    return found
