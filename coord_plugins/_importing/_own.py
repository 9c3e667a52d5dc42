"""The flat form of a record: what `coord export` writes to a table, and its way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

from .._outcome import OUTCOMES
from .._record import Note, RunRecord
from .._tally import StepTally
from ._values import ending, outcome

Label: TypeAlias = "tuple[float, bool | None, str, str | None, str | None]"
"""When, whether the goal was met, the source, an explanation, an error of the goal."""
FLAT = (
    "run_id pipeline policy_id status mode task thread parent_id environment release started_at "
    "finished_at elapsed outcome passed source explanation goal_error error lost_at would_stop "
    "cost cost_unknown tokens tags metadata steps end detail goal_id notes payload empty labels"
).split()
"""The columns of an exported table, in order; new ones come last."""
NUMBERS = ("started_at", "finished_at", "elapsed", "cost")
COUNTS = ("cost_unknown", "tokens")
_OURS = frozenset("run_id pipeline policy_id status mode outcome source steps metadata".split())
_DERIVED = ("outcome", "cost", "cost_unknown", "tokens", "empty", "labels")
_NESTED = ("tags", "metadata", "steps", "notes", "payload")
_PASSED = {"True": True, "False": False, "": None}
_NEEDED = ("run_id", "pipeline", "policy_id", "status", "mode", "source")
_TEXTS = [f for f in FLAT if f not in (*NUMBERS, *COUNTS, *_DERIVED, *_NESTED, *_NEEDED, "passed")]


def is_own(columns: Mapping[str, Any]) -> bool:
    """Whether a table with these columns is one of our exports."""
    return columns.keys() >= _OURS


def flat_of(record: RunRecord, labels: Sequence[Any] = ()) -> dict[str, Any]:
    """A record and its history of labels as one row; what has parts is JSON.

    A table of texts cannot tell an empty text from none: `empty` lists the columns that hold an
    empty one.
    """
    row = {name: getattr(record, name) for name in FLAT if name not in (*_NESTED, *_DERIVED[4:])}
    row["tags"] = json.dumps(list(record.tags))
    row["metadata"] = json.dumps(dict(record.metadata), default=str)
    row["steps"] = json.dumps({name: tally.to_dict() for name, tally in record.steps.items()})
    row["notes"] = json.dumps([_of(note) for note in record.notes])
    row["payload"] = None if record.payload is None else json.dumps(record.payload, default=str)
    row["empty"] = " ".join(name for name in _TEXTS if row[name] == "") or None
    row["labels"] = json.dumps(labels) if labels else None
    return row


def _of(note: Note) -> list[Any]:
    return [getattr(note, f.name) for f in fields(Note)]


def record_of(row: Mapping[str, Any], *, texts: bool) -> RunRecord:
    """The inverse of `flat_of`, and of `RunRecord.to_dict`.

    Args:
        row: The cells by column; columns that an older version did not write may be missing.
        texts: Whether each cell is a text, as in a CSV file.

    Raises:
        ValueError: It is no such row; the message says why.
    """
    try:
        record = _record_of(row, texts)
        known = record.outcome in OUTCOMES
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"this is no exported run: {type(error).__name__}: {error}") from error
    if not record.run_id or not known:
        raise ValueError(f"this is no exported run: its outcome is {record.outcome!r}")
    if record.source not in ("measured", "late", "self_reported"):
        raise ValueError(f"this is no exported run: its source is {record.source!r}")
    return record


def labels_of(row: Mapping[str, Any]) -> list[Any]:
    """The history of labels of an exported row, as it was written.

    Raises:
        ValueError: It is none.
    """
    found = _loaded(row.get("labels")) or []
    if not isinstance(found, list):
        raise ValueError("its labels are no list")
    return found


def _record_of(row: Mapping[str, Any], texts: bool) -> RunRecord:
    empty = (row.get("empty") or "").split()
    values: dict[str, Any] = {name: row[name] for name in _NEEDED}
    for name in _TEXTS:
        cell = row.get(name)
        values[name] = None if cell is None or (texts and not cell and name not in empty) else cell
    for name in NUMBERS[:3]:
        cell = row.get(name)
        values[name] = None if cell is None or cell == "" else float(cell)
    values["started_at"] = values["started_at"] or 0.0
    values["elapsed"] = values["elapsed"] or 0.0
    passed = row.get("passed")
    values["passed"] = _PASSED[str(passed or "")] if texts else passed
    parts = {name: _loaded(row.get(name)) for name in _NESTED}
    values["tags"] = tuple(parts["tags"] or ())
    values["metadata"] = dict(parts["metadata"] or {})
    values["steps"] = {n: StepTally.from_dict(t) for n, t in (parts["steps"] or {}).items()}
    values["notes"] = tuple(_note(n) for n in parts["notes"] or ())
    values["payload"] = parts["payload"]
    if "end" not in row:  # exported by 0.1
        said = outcome(row["outcome"], None)
        assert said is not None
        kept = ending(said, None, None, missing=said)
        values |= {"end": kept.end, "detail": kept.detail}
    return RunRecord(**values)


def _loaded(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    return json.loads(cell) if cell else None


def _note(written: Any) -> Note:
    if isinstance(written, Mapping):
        return Note(**written)
    step, execution, kind, text = written
    return Note(step=step, execution=execution, kind=kind, text=text)


def label_of(written: Any) -> Label:
    """A label as an export has it.

    Raises:
        ValueError: It is none.
        TypeError: It is none.
    """
    at, passed, source, explanation, goal_error = written
    if source not in ("measured", "late", "self_reported") or passed not in (True, False, None):
        raise ValueError(f"{written!r} is no label")
    return float(at), passed, source, explanation, goal_error
