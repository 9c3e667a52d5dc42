"""Which column of somebody's file is what: found by its name, or told with a map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import PolicyError

NAMES: dict[str, tuple[str, ...]] = {
    "run_id": ("run_id", "run_uuid", "trace_id"),
    "pipeline": ("pipeline", "pipeline_name"),
    "task": tuple(
        "task task_id task_name problem problem_id question_id example_id instance_id case_id "
        "test_case ticket ticket_id item_id".split()
    ),
    "trial": tuple(
        "trial trial_id trial_no trial_number repetition repeat rep replicate sample_index "
        "epoch".split()
    ),
    "outcome": tuple(
        "outcome passed pass success succeeded successful correct is_correct reward score label "
        "resolved solved".split()
    ),
    "status": ("status", "end_status", "exit_status"),
    "error": ("error", "error_message", "exception"),
    "explanation": ("explanation", "reason", "rationale"),
    "lost_at": ("lost_at", "failed_step", "failing_step"),
    "cost": tuple("cost cost_usd usd total_cost total_cost_usd price dollars".split()),
    "tokens": ("tokens", "total_tokens", "n_tokens"),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_in"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_out"),
    "seconds": tuple(
        "seconds elapsed elapsed_s elapsed_seconds duration duration_s duration_seconds latency "
        "latency_s latency_seconds runtime wall_time".split()
    ),
    "milliseconds": ("milliseconds", "elapsed_ms", "duration_ms", "latency_ms", "runtime_ms"),
    "started_at": tuple(
        "started_at start_time started timestamp ts date datetime created_at".split()
    ),
    "finished_at": ("finished_at", "end_time", "ended_at", "completed_at"),
    "release": ("release", "version", "app_version"),
    "environment": ("environment", "env"),
    "thread": ("thread", "thread_id", "session", "session_id", "conversation_id"),
    "policy_id": ("policy_id",),
    "goal_id": ("goal_id",),
    "tags": ("tags",),
}
"""What a column can be, and the names by which it is known; the first is the field's own."""
_FIELD = {name: field for field, names in NAMES.items() for name in names}
_SEVERAL = (("tokens", "input_tokens"), ("tokens", "output_tokens"), ("milliseconds", "seconds"))


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What was made of a file's columns."""

    fields: Mapping[str, str]
    """Per field of `NAMES` its column."""
    metadata: tuple[str, ...]
    """Columns that become metadata."""
    ignored: tuple[str, ...]
    """Columns that are left out."""


def field_of(name: str) -> str | None:
    """The field that a name means, in any spelling: "taskId", "Task ID", "task_id"."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _FIELD.get(re.sub(r"[^a-z0-9]+", "_", parts.lower()).strip("_"))


def checked_map(given: Mapping[str, str]) -> dict[str, str]:
    """A map from fields to columns, its fields by their own names.

    Raises:
        PolicyError: A field that does not exist, or one that is given twice.
    """
    found: dict[str, str] = {}
    for name, column in given.items():
        field = field_of(name)
        if field is None:
            known = ", ".join(n for n in NAMES if n != "milliseconds")
            raise PolicyError(f"map {name}={column}: there is no field {name!r}; they are {known}")
        if found.get(field, column) != column:
            raise PolicyError(f"map: {field} is given twice, as {found[field]!r} and as {column!r}")
        found[field] = column
    return found


def resolve(
    columns: Sequence[str],
    given: Mapping[str, str],
    ignore: Iterable[str],
    *,
    constant: Iterable[str] = (),
    needs_outcome: bool = True,
) -> Columns:
    """Decide what each column is.

    Args:
        columns: The file's columns. An empty name, as an index has, is left out.
        given: Columns by field, from `checked_map`.
        ignore: Columns to leave out; "*" is every one that is no field.
        constant: Fields that are the same for the whole file: no column is looked for.
        needs_outcome: Whether a file without any word on success is an error.

    Raises:
        PolicyError: A column that does not exist, two that could be the same field, or none
            that says how the runs ended.
    """
    left_out = {name for name in columns if not name.strip()} | set(ignore)
    _check_named(columns, [*given.values(), *(c for c in left_out if c.strip() and c != "*")])
    fields = dict(given)
    taken = {*given.values(), *left_out}
    candidates: dict[str, list[str]] = {}
    for column in columns:
        field = None if column in taken else field_of(column)
        if field is not None and field not in given and field not in constant:
            candidates.setdefault(field, []).append(column)
    for field, found in candidates.items():
        fields[field] = _one(field, found)
    for whole, part in _SEVERAL:  # two columns of which one is part of the other, or the same
        if whole in fields and part in fields:
            del fields[part if whole in given else whole]
    if needs_outcome and not {"outcome", "status"} & set(fields):
        raise PolicyError(
            f"no column says whether a run did its job; the columns are {_listed(columns)}; "
            "name one: --map passed=COLUMN"
        )
    used = set(fields.values())
    others = [c for c in columns if c not in used and c not in left_out]
    dropped = [c for c in columns if c in left_out and c.strip()]
    if "*" in left_out:
        dropped, others = [*dropped, *others], []
    fields = {field: fields[field] for field in NAMES if field in fields}
    return Columns(fields=fields, metadata=tuple(others), ignored=tuple(dropped))


def _one(field: str, found: list[str]) -> str:
    """The one column of a field; a field's own name wins, but of outcomes none is first."""
    if len(found) == 1:
        return found[0]
    exact = [column for column in found if column.lower() == field]
    if len(exact) == 1 and field != "outcome":
        return exact[0]
    named = " and ".join(repr(column) for column in found)
    said = "passed" if field == "outcome" else field
    raise PolicyError(f"{named} could each be the {field}; say which: --map {said}={found[0]}")


def _check_named(columns: Sequence[str], named: Iterable[str]) -> None:
    known = set(columns)
    for column in named:
        # "info.task" is a part of a column that holds objects
        if column not in known and column.partition(".")[0] not in known:
            raise PolicyError(f"there is no column {column!r}; the columns are {_listed(columns)}")


def _listed(columns: Sequence[str]) -> str:
    shown = [repr(column) for column in columns[:20]]
    return ", ".join(shown) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")
