"""What a comparison keeps of each run, from records or from a store."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .._record import RunRecord
from .._store_query import Query, as_text
from ._moments import OUTCOMES

if TYPE_CHECKING:
    from .._store import Store

TRIAL = "trial"
"""The metadata key that tells the runs of one task apart."""
_CODES = {name: code for code, name in enumerate(OUTCOMES)}


class Kind(NamedTuple):
    """What must not be pooled unnoticed."""

    pipeline: str
    policy_id: str
    mode: str
    goal_id: str
    """"" where the run does not say."""


class Tally(NamedTuple):
    """What is counted of some runs."""

    n: int
    counts: tuple[int, ...]
    """By outcome, in the order of `OUTCOMES`."""
    cost: float
    """US dollars."""
    tasks: int
    """Tasks that they name."""


class Runs:
    """One side's runs; the labelled ones column by column, for there may be millions."""

    def __init__(self, name: str, self_reported: bool = False) -> None:
        """Make a side without runs.

        Args:
            name: How it was selected.
            self_reported: Whether labels that an agent gave itself count as labels.
        """
        self.name = name
        self.tasks: list[str | None] = []
        """Of each labelled run, and so the next three."""
        self.trials: list[str | None] = []
        self.outcomes = bytearray()
        """Indices into `OUTCOMES`."""
        self.costs = array("d")
        """US dollars."""
        self.kinds: Counter[Kind] = Counter()
        self.ids: set[int] = set()
        """Hashes of the runs' ids: enough to notice that two sides share runs."""
        self.own_labels: Counter[int] = Counter()
        """Self-reported outcomes, by code."""
        self.started = 0
        self.unlabelled = 0
        self.in_flight = 0
        self.cost_unknown = 0
        self._takes_own = self_reported

    def add(
        self,
        run_id: str,
        kind: Kind,
        outcome: str,
        source: str,
        task: str | None,
        trial: str | None,
        cost: float,
        cost_unknown: int,
    ) -> None:
        """Add a run; what has no label is only counted."""
        self.started += 1
        self.ids.add(hash(run_id))
        self.kinds[kind] += 1
        code = code_of(outcome)
        if code is None:
            if outcome == "unlabelled":
                self.unlabelled += 1
            else:
                self.in_flight += 1
            return
        if source == "self_reported" and not self._takes_own:
            self.own_labels[code] += 1
            return
        self.cost_unknown += cost_unknown
        self.tasks.append(task)
        self.trials.append(trial)
        self.outcomes.append(code)
        self.costs.append(cost)

    def tally(self, chosen: Iterable[int] | None = None) -> Tally:
        """Count runs, by their places in the columns; None: all labelled ones."""
        if chosen is None:
            chosen = range(len(self.outcomes))
        places = list(chosen)
        outcomes = bytes(map(self.outcomes.__getitem__, places))
        return Tally(
            n=len(places),
            counts=tuple(outcomes.count(k) for k in range(len(OUTCOMES))),
            cost=sum(map(self.costs.__getitem__, places)),
            tasks=len(set(map(self.tasks.__getitem__, places)) - {None}),
        )


@lru_cache(maxsize=64)
def code_of(outcome: str) -> int | None:
    """An outcome's family as an index into `OUTCOMES`; None: it is none of them."""
    return _CODES.get(outcome.partition(".")[0])


def fold_records(
    into: Runs, records: Iterable[RunRecord], query: Query, progress: Callable[[int], None]
) -> None:
    """Add the records that match."""
    for record in records:
        if not query.matches(record):
            continue
        trial = record.metadata.get(TRIAL)
        goal = getattr(record, "goal_id", None) or ""
        into.add(
            record.run_id,
            Kind(record.pipeline, record.policy_id, record.mode, goal),
            record.outcome,
            record.source,
            record.task,
            None if trial is None else as_text(trial),
            record.cost,
            record.cost_unknown,
        )
        progress(into.started)


def fold_store(into: Runs, store: Store, query: Query, progress: Callable[[int], None]) -> None:
    """Add a store's runs that match; no record is made of a row."""
    import sqlalchemy as sa

    from .._store_read import CHUNK, conditions
    from .._store_schema import runs

    goal: Any = runs.c.goal_id if "goal_id" in runs.c else sa.null()
    costs = ("cost_first", "cost_retry", "cost_validation", "cost_fallback")
    cost: Any = sum((runs.c[name] for name in costs[1:]), runs.c[costs[0]])
    plain = "run_id pipeline policy_id mode outcome source task metadata unknown_cost".split()
    chosen = sa.select(*(runs.c[name] for name in plain), cost, goal)
    kinds: dict[tuple[Any, ...], Kind] = {}
    with store._connect() as connection:
        chosen = chosen.where(*conditions(connection, query))
        found = connection.execute(chosen, execution_options={"yield_per": CHUNK})
        with found:
            for row in found:
                (
                    run_id,
                    pipeline,
                    policy,
                    mode,
                    outcome,
                    source,
                    task,
                    data,
                    unknown,
                    spent,
                    goal,
                ) = row
                key = (pipeline, policy, mode, goal)
                kind = kinds.get(key)
                if kind is None:
                    kind = kinds[key] = Kind(pipeline, policy, mode, goal or "")
                trial = _trial(data)
                into.add(run_id, kind, outcome, source, task, trial, spent, unknown)
                progress(into.started)


@lru_cache(maxsize=4_096)  # many runs carry the same few metadata
def _trial(metadata: str) -> str | None:
    """The trial in a row's metadata, as text."""
    if f'"{TRIAL}"' not in metadata:
        return None
    value = json.loads(metadata).get(TRIAL)
    return None if value is None else as_text(value)
