"""Run records as rows, and back; plain Python without a database.

Nearly all runs of a pipeline share the integers of their tallies (one execution, one pass, ...).
So these integers, the run's *shape*, are stored once per distinct value, and a run is one row
with its shape's number and its own amounts (seconds, costs, tokens). That makes a run one
atomic write, and a report a GROUP BY over runs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from ._record import Note, RunRecord
from ._tally import StepTally

COUNTS = (
    "executions completed errors retries fallbacks human calls passes rejects loops exhausted "
    "validator_errors would_reject rejects_right rejects_wrong exhausted_right exhausted_wrong "
    "escalations delivered undelivered pass_right pass_own pass_upstream reject_right reject_own "
    "reject_upstream repeat_right repeat_wrong"
).split()
"""The integers of a `StepTally` that make up a shape, in the order of columns."""
FLAGS = "first_ok first_given_right accepted accepted_given_right".split()
"""The labels of a `StepTally` that make up a shape."""
AMOUNTS = (
    "duration cost_first cost_retry cost_validation cost_fallback input_tokens output_tokens "
    "unknown_tokens unknown_cost"
).split()
"""What differs from run to run, per step, in the order of the `amounts` column."""
RUN_AMOUNTS = AMOUNTS[1:]
"""The amounts that a run's row carries as sums over its steps."""


class StepShape(NamedTuple):
    """The shape of one step in one run."""

    step: str
    """The step's name."""
    counts: tuple[int, ...]
    """In the order of `COUNTS`."""
    flags: tuple[bool | None, ...]
    """In the order of `FLAGS`."""
    validators: tuple[tuple[Any, ...], ...]
    """Per validator its name and its eight counts, as in `StepTally.validators`."""


Shape = tuple[StepShape, ...]
_counts = attrgetter(*COUNTS)
_flags = attrgetter(*FLAGS)
_amounts = attrgetter(*AMOUNTS)


def shape_of(steps: Mapping[str, StepTally]) -> Shape:
    """The integers of a run's tallies, without its amounts."""
    return tuple(
        StepShape(
            name,
            _counts(tally),
            _flags(tally),
            tuple((v, *n) for v, n in tally.validators.items()) if tally.validators else (),
        )
        for name, tally in steps.items()
    )


def amounts_of(
    steps: Mapping[str, StepTally],
) -> tuple[list[tuple[float, ...]], tuple[float, ...]]:
    """A run's amounts per step, and their sums in the order of `RUN_AMOUNTS`."""
    amounts = [_amounts(tally) for tally in steps.values()]
    if not amounts:
        return [], (0,) * len(RUN_AMOUNTS)
    return amounts, tuple(sum(column) for column in zip(*amounts, strict=True))[1:]


def shape_number(shape: Shape) -> int:
    """A 63-bit number that is the same in every process; 0: a run without steps."""
    if not shape:
        return 0
    plain = [[s.step, [int(n) for n in s.counts], s.flags, s.validators] for s in shape]
    digest = hashlib.blake2b(json.dumps(plain).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


_FIELDS = [f.name for f in fields(StepTally)]
_AT = [_FIELDS.index(name) for name in AMOUNTS]
_VALIDATORS = _FIELDS.index("validators")


def tallies_of(shape: Shape, amounts: Sequence[Sequence[float]]) -> dict[str, StepTally]:
    """The inverse of `shape_of`, with the run's own amounts."""
    tallies = {}
    for position, step in enumerate(shape):
        values = list(_template(step))
        if position < len(amounts):
            for at, amount in zip(_AT, amounts[position], strict=True):
                values[at] = amount
        values[_VALIDATORS] = {v[0]: list(v[1:]) for v in step.validators}
        tallies[step.step] = StepTally(*values)
    return tallies


@lru_cache(maxsize=4_096)
def _template(step: StepShape) -> tuple[Any, ...]:
    """The fields of a `StepTally` in order, its amounts still missing."""
    known = dict(zip((*COUNTS, *FLAGS), (*step.counts, *step.flags), strict=True))
    return tuple(known.get(name, 0) for name in _FIELDS)


@lru_cache(maxsize=4_096)
def kind_number(*key: Any) -> int:
    """One number for what a report tells apart, so that it groups by a single integer.

    Args:
        key: pipeline, policy_id, goal_id, mode, outcome, source, lost_at, whether nested,
            shape_id.
    """
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


RUN_COLUMNS = (
    "run_id pipeline policy_id status mode task thread parent_id environment release started_at "
    "finished_at elapsed ending detail outcome passed source explanation goal_error error lost_at "
    "would_stop label_at shape_id kind_id amounts cost_first cost_retry cost_validation "
    "cost_fallback input_tokens output_tokens unknown_tokens unknown_cost tags metadata notes "
    "payload goal_id"
).split()
"""The columns of a run's row, in the order of `run_row`."""


def run_row(record: RunRecord, number_of: Callable[[Shape], int]) -> tuple[Any, ...]:
    """A record as the values of `RUN_COLUMNS`."""
    steps = record.steps
    amounts, sums = amounts_of(steps)
    labelled = record.passed is not None or record.goal_error is not None
    shape_id, outcome = number_of(shape_of(steps)), record.outcome
    pipeline, goal_id = text(record.pipeline), text(record.goal_id)
    blamed, nested = text(record.lost_at), record.parent_id is not None
    key = (pipeline, record.policy_id, goal_id, record.mode, outcome, record.source, blamed, nested)
    return (
        text(record.run_id),
        pipeline,
        record.policy_id,
        record.status,
        record.mode,
        text(record.task),
        text(record.thread),
        text(record.parent_id),
        text(record.environment),
        text(record.release),
        record.started_at,
        record.finished_at,
        record.elapsed,
        record.end,
        record.detail,
        outcome,
        record.passed,
        record.source,
        text(record.explanation),
        text(record.goal_error),
        text(record.error),
        blamed,
        text(record.would_stop),
        (record.finished_at or record.started_at) if labelled else None,
        shape_id,
        kind_number(*key, shape_id),
        json.dumps(amounts) if amounts else "[]",
        *sums,
        to_json(record.tags) if record.tags else "[]",
        to_json(record.metadata) if record.metadata else "{}",
        to_json([[n.step, n.execution, n.kind, n.text] for n in record.notes] or ()),
        None if record.payload is None else to_json(record.payload),
        goal_id,
    )


_PLAIN = (
    "run_id pipeline policy_id status mode task thread parent_id environment release started_at "
    "finished_at elapsed detail source explanation goal_error error lost_at would_stop goal_id"
).split()


def record_of(row: Mapping[str, Any], shape: Shape) -> RunRecord:
    """The inverse of `run_row`."""
    passed = row["passed"]
    return RunRecord(
        **{name: row[name] for name in _PLAIN},
        end=row["ending"],
        passed=None if passed is None else bool(passed),
        tags=tuple(json.loads(row["tags"])),
        metadata=json.loads(row["metadata"]),
        steps=tallies_of(shape, json.loads(row["amounts"])),
        notes=tuple(
            Note(step=n[0], execution=n[1], kind=n[2], text=n[3]) for n in json.loads(row["notes"])
        ),
        payload=None if row["payload"] is None else json.loads(row["payload"]),
    )


SHAPE_COLUMNS = ("shape_id", "position", "step", *COUNTS, *FLAGS, "validators")


def shape_rows(number: int, shape: Shape) -> list[tuple[Any, ...]]:
    """A shape as rows of `SHAPE_COLUMNS`, one a step."""
    return [
        (
            number,
            position,
            text(step.step),
            *(int(n) for n in step.counts),
            *step.flags,
            to_json([list(v) for v in step.validators]),
        )
        for position, step in enumerate(shape)
    ]


def shape_from_rows(rows: Iterable[Mapping[str, Any]]) -> Shape:
    """The inverse of `shape_rows`; the rows come in order of position."""
    return tuple(
        StepShape(
            row["step"],
            tuple(row[name] for name in COUNTS),
            tuple(None if row[name] is None else bool(row[name]) for name in FLAGS),
            tuple(tuple(v) for v in json.loads(row["validators"])),
        )
        for row in rows
    )


def text(value: str | None) -> str | None:
    """A text that every database takes: no NUL, no lone surrogates."""
    if value is None:
        return None
    value = str(value)  # a task id may have come as a number
    if value.isascii() and "\x00" not in value:
        return value
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


_strict = json.JSONEncoder(default=str, allow_nan=False, ensure_ascii=False).encode


def to_json(value: Any) -> str:
    """Strict JSON; what JSON does not know is stored as its text."""
    try:
        written = _strict(value)
    except (ValueError, TypeError, RecursionError):  # NaN, a circle, keys that are no strings
        written = json.dumps(_tame(value, 0), default=str, ensure_ascii=False)
    return written if written.isascii() else str(text(written))


def _tame(value: Any, depth: int) -> Any:
    if depth > 20:
        return "..."
    if isinstance(value, Mapping):
        return {str(k): _tame(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tame(v, depth + 1) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
