"""What a report needs of runs, from records or a store: `Line`, `TaskLine`, `Audit`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ._record import RunRecord
from ._store_rows import Shape, amounts_of, shape_of


class Line(NamedTuple):
    """What a report needs of a run, or of `n` runs that agree in all but amounts."""

    pipeline: str
    by: str | None
    """The value of the key that the report is split by."""
    policy_id: str
    goal_id: str | None
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
    squares: tuple[float, float, float]
    """Sums of the squares of the runs' costs, tokens and seconds."""
    unit: str | None = None
    """The task or thread, where that is the unit."""


COUNTED = ("finished", "labelled", "success", "silent_failure", "escalated", "error")
"""What is counted in a task's runs, in this order; then come cost, tokens and seconds."""
MEASURED = ("cost", "tokens", "seconds")
VARIABLES = (*COUNTED, *MEASURED)


def _pairs() -> Iterator[tuple[int, int]]:
    counted = range(len(COUNTED))
    yield from ((i, j) for i in counted for j in range(i, len(VARIABLES)))
    yield from ((i, i) for i in range(len(COUNTED), len(VARIABLES)))


PAIRS = tuple(_pairs())
"""The pairs of variables of which a report needs the products: all but those of two amounts."""


class TaskLine(NamedTuple):
    """Tasks that agree in how many labelled runs they have and how many of them succeeded."""

    pipeline: str
    by: str | None
    labelled: int
    """Labelled runs of each task."""
    success: int
    """Successes of each task."""
    tasks: int
    """How many tasks."""
    sums: tuple[float, ...]
    """Over the tasks, in the order of `VARIABLES`."""
    products: tuple[float, ...]
    """Sums over the tasks of products of two variables, in the order of `PAIRS`."""


class Audit(NamedTuple):
    """Delivered runs with a late label of which the goal had said something before."""

    pipeline: str
    by: str | None
    said: bool
    """The goal's own word."""
    passed: bool
    """The late label."""
    runs: int


def amounts_squared(elapsed: float, amounts: Sequence[float]) -> tuple[float, float, float]:
    """The squares of a run's cost, tokens and seconds."""
    cost, tokens = sum(amounts[:4]), amounts[4] + amounts[5]
    return cost * cost, float(tokens * tokens), elapsed * elapsed


def line_of(record: RunRecord, by: str | None, unit: str | None) -> Line:
    """One run as a line."""
    amounts = amounts_of(record.steps)[1]
    return Line(
        record.pipeline,
        by,
        record.policy_id,
        record.goal_id,
        record.mode,
        record.outcome,
        record.source,
        record.lost_at,
        record.parent_id is not None,
        shape_of(record.steps),
        1,
        record.started_at,
        record.elapsed,
        amounts,
        amounts_squared(record.elapsed, amounts),
        unit,
    )


def counted(outcome: str) -> tuple[int, ...]:
    """What one run with this outcome adds to the counts, in the order of `COUNTED`."""
    family = outcome.partition(".")[0]
    if family == "in_flight":
        return (0,) * len(COUNTED)
    return (1, int(family != "unlabelled"), *(int(family == name) for name in COUNTED[2:]))


def task_lines(
    tasks: Mapping[tuple[str, str | None, str], Sequence[float]],
) -> Iterator[TaskLine]:
    """Put equal tasks together.

    Args:
        tasks: Per pipeline, value and task the sums over its runs, in the order of `VARIABLES`.
    """
    grouped: dict[tuple[str, str | None, int, int], list[Sequence[float]]] = {}
    for (pipeline, by, _), sums in tasks.items():
        grouped.setdefault((pipeline, by, int(sums[1]), int(sums[2])), []).append(sums)
    for key, members in grouped.items():
        sums = tuple(sum(column) for column in zip(*members, strict=True))
        products = tuple(sum(x[i] * x[j] for x in members) for i, j in PAIRS)
        yield TaskLine(*key, len(members), sums, products)


def add_run(tasks: dict[tuple[str, str | None, str], list[float]], line: Line) -> None:
    """Add one run to its task; runs inside runs and runs in flight are in no task."""
    if line.nested or line.outcome.startswith("in_flight"):
        return
    cost, tokens = sum(line.amounts[:4]), line.amounts[4] + line.amounts[5]
    values = (*counted(line.outcome), cost, tokens, line.elapsed)
    key = line.pipeline, line.by, str(line.unit)
    known = tasks.get(key)
    tasks[key] = (
        list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]
    )
