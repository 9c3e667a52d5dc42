"""`Line`: what a report needs of a run, from a record or a store."""

from __future__ import annotations

from typing import NamedTuple

from ._record import RunRecord
from ._store_rows import Shape, amounts_of, shape_of


class Line(NamedTuple):
    """What a report needs of a run, or of `n` runs that agree in all but amounts."""

    pipeline: str
    by: str | None
    """The value of the key that the report is split by."""
    policy_id: str
    mode: str
    outcome: str
    source: str
    lost_at: str | None
    nested: bool
    shape: Shape
    n: int
    """How many runs."""
    started_at: float
    """Unix seconds; of the latest run."""
    elapsed: float
    """Seconds, added up."""
    amounts: tuple[float, ...]
    """Added up, in the order of `RUN_AMOUNTS`."""
    unit: str | None = None
    """The task or thread, where that is the unit."""


def line_of(record: RunRecord, by: str | None, unit: str | None) -> Line:
    """One run as a line."""
    return Line(
        record.pipeline,
        by,
        record.policy_id,
        record.mode,
        record.outcome,
        record.source,
        record.lost_at,
        record.parent_id is not None,
        shape_of(record.steps),
        1,
        record.started_at,
        record.elapsed,
        amounts_of(record.steps)[1],
        unit,
    )
