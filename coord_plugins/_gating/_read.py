"""What a gate reads of runs: one small tuple each, from a store, a file or records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .._comparing._select import Chosen
from .._record import RunRecord
from .._reporting._report import reading
from .._store_query import Query
from ..errors import PolicyError

if TYPE_CHECKING:
    from .._store import Store

Progress = Callable[[int], None]


class Kind(NamedTuple):
    """What must not be pooled unnoticed."""

    pipeline: str
    policy_id: str
    mode: str
    goal_id: str | None


class Ran(NamedTuple):
    """One run."""

    started_at: float
    """Unix seconds."""
    outcome: str
    """One of `OUTCOMES`."""
    source: str
    """Who gave the label."""
    task: str | None
    kind: Kind


def read(chosen: Chosen, query: Query, progress: Progress) -> Iterator[Ran]:
    """The runs that match, oldest first from a store, else in their own order.

    Raises:
        PolicyError: The selector and the filters want different things.
        StoreError: The store or file cannot be read.
    """
    for key, value in chosen.where.items():
        if query.where.get(key, value) != value:
            raise PolicyError(
                f"{chosen.name!r} and where want two values of {key!r}; drop one of them"
            )
    own = replace(query, where={**query.where, **chosen.where})
    if chosen.is_records:
        return _from_records(chosen.place, own, progress)
    if chosen.is_file:
        from .._importing._import import read_runs

        # what has no result is the gate's own question, see `missing`
        return _from_records(read_runs(chosen.place, missing="unlabelled"), own, progress)
    return _from_store(chosen.place, own, progress)


def _from_records(records: Iterable[RunRecord], query: Query, progress: Progress) -> Iterator[Ran]:
    for seen, record in enumerate(records, 1):
        progress(seen)
        if query.matches(record):
            kind = Kind(record.pipeline, record.policy_id, record.mode, record.goal_id)
            yield Ran(record.started_at, record.outcome, record.source, record.task, kind)


def _from_store(place: Store | str | None, query: Query, progress: Progress) -> Iterator[Ran]:
    """Rows as they are: no record is made of them."""
    import sqlalchemy as sa

    from .._store_read import CHUNK, conditions
    from .._store_schema import runs

    names = "started_at outcome source task pipeline policy_id mode goal_id".split()
    chosen = sa.select(*(runs.c[name] for name in names))
    kinds: dict[tuple[Any, ...], Kind] = {}
    with reading(place) as store, store._connect() as connection:
        chosen = chosen.where(*conditions(connection, query))
        chosen = chosen.order_by(runs.c.started_at, runs.c.run_id)
        with connection.execute(chosen, execution_options={"yield_per": CHUNK}) as rows:
            for seen, row in enumerate(rows, 1):
                progress(seen)
                started_at, outcome, source, task, *rest = row
                key = tuple(rest)
                kind = kinds.get(key)
                if kind is None:
                    kind = kinds[key] = Kind(*rest)
                yield Ran(started_at, outcome, source, task, kind)
