"""What a report asks of a store about the trials of tasks, and about labels that came late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ._store_lines import COUNTED, PAIRS, VARIABLES, Audit, TaskLine
from ._store_query import Query
from ._store_read import by_value, conditions, plain_by
from ._store_schema import outcomes, runs

_COST = runs.c.cost_first + runs.c.cost_retry + runs.c.cost_validation + runs.c.cost_fallback
_TOKENS = runs.c.input_tokens + runs.c.output_tokens


def has_trials(connection: sa.Connection) -> bool:
    """Whether any task has several runs; a quick look at an index."""
    several = sa.select(runs.c.task).where(runs.c.task.is_not(None)).group_by(runs.c.task)
    found = several.having(sa.func.count() > 1).limit(1)
    return connection.execute(found).first() is not None


def iter_task_lines(connection: sa.Connection, query: Query, by: str | None) -> Iterator[TaskLine]:
    """The runs that match, by task; equal tasks come as one line."""
    by_column = by_value(connection, by)
    task = sa.func.coalesce(runs.c.task, runs.c.run_id)
    both = zip(_variables(), VARIABLES, strict=True)
    named = [sa.func.sum(column).label(name) for column, name in both]
    chosen = sa.select(runs.c.pipeline, by_column, *named).where(
        *conditions(connection, query), runs.c.parent_id.is_(None), runs.c.ending.is_not(None)
    )
    each = chosen.group_by(runs.c.pipeline, task, *([] if by is None else [by_column])).subquery()
    key = [each.c[name] for name in ("pipeline", "by_value", "labelled", "success")]
    whole: Any = sa.select(
        *key,
        sa.func.count(),
        *(sa.func.sum(each.c[name]) for name in VARIABLES),
        *(sa.func.sum(each.c[VARIABLES[i]] * each.c[VARIABLES[j]]) for i, j in PAIRS),
    )
    for row in connection.execute(whole.group_by(*key)):
        value = plain_by(connection, by, row[1])
        sums = [float(x) for x in row[5:]]  # PostgreSQL gives decimals
        first = len(VARIABLES)
        yield TaskLine(
            row[0],
            value,
            int(row[2]),
            int(row[3]),
            row[4],
            tuple(sums[:first]),
            tuple(sums[first:]),
        )


def _variables() -> list[Any]:
    """A run's counts and amounts, in the order of `VARIABLES`; a run in flight is not asked."""
    ending, passed = runs.c.ending, runs.c.passed

    def counts(holds: Any) -> Any:
        return sa.case((holds, 1), else_=0)

    delivered = ending == "delivered"
    outcomes_of = {
        "finished": sa.literal(1),
        "labelled": sa.case((sa.and_(delivered, passed.is_(None)), 0), else_=1),
        "success": counts(sa.and_(delivered, passed.is_(sa.true()))),
        "silent_failure": counts(sa.and_(delivered, passed.is_(sa.false()))),
        "escalated": counts(ending == "escalated"),
        "error": counts(ending == "error"),
    }
    # as floats: the squares of a task's tokens may not fit into an integer
    tokens = sa.cast(_TOKENS, sa.Double)
    return [*(outcomes_of[name] for name in COUNTED), _COST, tokens, runs.c.elapsed]


def iter_audits(connection: sa.Connection, query: Query, by: str | None) -> Iterator[Audit]:
    """Delivered runs with a late label of which the goal had said something before."""
    by_column = by_value(connection, by)
    words = (
        sa.select(
            outcomes.c.run_id, sa.func.max(sa.cast(outcomes.c.passed, sa.Integer)).label("said")
        )
        .where(outcomes.c.source == "measured", outcomes.c.passed.is_not(None))
        .group_by(outcomes.c.run_id)
        .subquery()
    )
    said = words.c.said
    chosen: Any = sa.select(runs.c.pipeline, by_column, said, runs.c.passed, sa.func.count())
    chosen = chosen.select_from(words.join(runs, words.c.run_id == runs.c.run_id)).where(
        *conditions(connection, query),
        runs.c.parent_id.is_(None),
        runs.c.ending == "delivered",
        runs.c.source == "late",
        runs.c.passed.is_not(None),
    )
    key = [runs.c.pipeline, said, runs.c.passed, *([] if by is None else [by_column])]
    for pipeline, value, word, passed, n in connection.execute(chosen.group_by(*key)):
        yield Audit(pipeline, plain_by(connection, by, value), bool(word), bool(passed), n)
