"""Labels of runs: their history, and the one that counts.

The latest label by time counts, of equal times the one that came later. A goal that failed
gives no label, so it never hides one. A label may come before its run's row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ._events import OutcomeRecorded
from ._outcome import lost_at, outcome_of
from ._store_read import ShapeReader
from ._store_rows import kind_number, tallies_of, text
from ._store_schema import outcomes, runs

_KEY = "pipeline policy_id goal_id mode outcome source".split()
_CHUNK = 500  # old SQLite takes 999 parameters a statement


def add_labels(connection: sa.Connection, labels: Sequence[OutcomeRecorded]) -> None:
    """Write labels into the history."""
    values = [
        {
            "run_id": text(label.run_id),
            "at": label.at,
            "passed": label.passed,
            "source": label.source,
            "explanation": text(label.explanation),
            "goal_error": text(label.goal_error),
        }
        for label in labels
    ]
    if values:
        connection.execute(sa.insert(outcomes), values)


def apply_labels(connection: sa.Connection, run_ids: Iterable[str]) -> None:
    """Give each of these runs the label that counts, where the history has one."""
    for chunk in _chunks(run_ids):
        chosen = sa.select(outcomes).where(outcomes.c.run_id.in_(chunk))
        counts: dict[str, Any] = {}
        for row in connection.execute(chosen.order_by(outcomes.c.id)).mappings():
            best = counts.get(row["run_id"])
            if best is None or _rank(row) >= _rank(best):
                counts[row["run_id"]] = row
        if counts:
            _apply(connection, counts)


def _apply(connection: sa.Connection, counts: dict[str, Any]) -> None:
    chosen = sa.select(runs).where(runs.c.run_id.in_(list(counts)))
    shape = ShapeReader(connection)
    for run in connection.execute(chosen).mappings().all():
        label = counts[run["run_id"]]
        own = {"passed": run["passed"], "at": run["label_at"], "source": run["source"]}
        if run["label_at"] is not None and _rank(label) < _rank(own):
            continue
        if run["source"] == "measured" and run["label_at"] is not None:
            _remember_measured(connection, run)
        passed = None if label["passed"] is None else bool(label["passed"])
        changed = {
            "passed": passed,
            "source": label["source"],
            "explanation": label["explanation"],
            "goal_error": label["goal_error"],
            "label_at": label["at"],
        }
        if run["ending"] == "delivered":
            changed["outcome"] = outcome_of("delivered", run["detail"] or "", passed)
            steps = tallies_of(shape(run["shape_id"]), ())
            changed["lost_at"] = lost_at(steps, None, passed) if passed is False else None
        new = {**run, **changed}
        key = (new[name] for name in _KEY)
        nested = run["parent_id"] is not None
        changed["kind_id"] = kind_number(*key, new["lost_at"], nested, run["shape_id"])
        connection.execute(sa.update(runs).where(runs.c.run_id == run["run_id"]).values(**changed))


def _remember_measured(connection: sa.Connection, run: Any) -> None:
    """Keep the goal's own word in the history before another label replaces it."""
    same = sa.and_(outcomes.c.run_id == run["run_id"], outcomes.c.at == run["label_at"])
    known = sa.select(outcomes.c.id).where(same, outcomes.c.source == "measured")
    if connection.execute(known).first() is None:
        names = ("run_id", "passed", "source", "explanation", "goal_error")
        values = {name: run[name] for name in names} | {"at": run["label_at"]}
        connection.execute(sa.insert(outcomes).values(**values))


def _rank(label: Any) -> tuple[bool, float, bool]:
    return label["passed"] is not None, label["at"], label["source"] != "measured"


def _chunks(run_ids: Iterable[str]) -> Iterator[list[str]]:
    source = iter(run_ids)
    while chunk := list(islice(source, _CHUNK)):
        yield chunk


def labels_of(connection: sa.Connection, run_id: str) -> list[OutcomeRecorded]:
    """The label history of a run, in order of time."""
    chosen = sa.select(outcomes).where(outcomes.c.run_id == run_id)
    rows = connection.execute(chosen.order_by(outcomes.c.at, outcomes.c.id)).mappings()
    return [
        OutcomeRecorded(
            row["run_id"],
            None if row["passed"] is None else bool(row["passed"]),
            row["at"],
            row["source"],
            row["explanation"],
            row["goal_error"],
        )
        for row in rows
    ]
