"""`Query`: which runs a report, an export or a label is about."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._clock import current_clock
from ._record import RunRecord
from .errors import PolicyError

COLUMNS = (
    "pipeline policy_id goal_id mode task thread environment release outcome source status lost_at"
).split()
"""What `where` and `by` take from the run itself; every other key is one of its metadata."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


@dataclass(frozen=True, kw_only=True)
class Query:
    """A filter over runs; every given part must hold. The empty query is every run."""

    run_id: str | None = None
    """Only this run."""
    pipelines: tuple[str, ...] = ()
    """Only these pipelines; empty: all."""
    since: float | None = None
    """Runs that started at this time or later; Unix seconds."""
    until: float | None = None
    """Runs that started before this time; Unix seconds."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Values of columns (`COLUMNS`) or of metadata keys; "success" also matches an outcome's
    sub-classes."""
    release: str | None = None
    """Only this version of the user's own code."""
    environment: str | None = None
    """Only this environment."""
    policy_id: str | None = None
    """Only this policy."""
    settle: float | None = None
    """Only runs at least this many seconds old, so that late labels had time to arrive."""
    include_nested: bool = False
    """Whether runs inside a run are included."""

    def columns(self) -> dict[str, str]:
        """Every condition on a column, `where` included."""
        named = {
            "release": self.release,
            "environment": self.environment,
            "policy_id": self.policy_id,
        }
        found = {k: v for k, v in named.items() if v is not None}
        return found | {k: v for k, v in self.where.items() if k in COLUMNS}

    def metadata(self) -> dict[str, str]:
        """Every condition on a metadata key."""
        return {k: v for k, v in self.where.items() if k not in COLUMNS}

    def before(self) -> float | None:
        """The earlier of `until` and the settling time."""
        if self.settle is None:
            return self.until
        settled = current_clock().time() - self.settle
        return settled if self.until is None else min(self.until, settled)

    def matches(self, record: RunRecord) -> bool:
        """Whether a record is one of the runs asked for."""
        before = self.before()
        return (
            (self.include_nested or record.parent_id is None)
            and (self.run_id is None or record.run_id == self.run_id)
            and (not self.pipelines or record.pipeline in self.pipelines)
            and (self.since is None or record.started_at >= self.since)
            and (before is None or record.started_at < before)
            and all(_column_is(record, k, v) for k, v in self.columns().items())
            and all(value_of(record, k) == v for k, v in self.metadata().items())
        )


def make_query(
    *,
    pipeline: str | Iterable[str] | None = None,
    since: str | float | dt.datetime | None = None,
    until: str | float | dt.datetime | None = None,
    where: Mapping[str, Any] | None = None,
    settle: str | float | None = None,
    include_nested: bool = False,
) -> Query:
    """A query from what people write.

    Args:
        pipeline: One name or several.
        since: Unix seconds, a datetime, an ISO date ("2026-11-01", UTC where it has no zone) or
            an age ("7d", "12h", "30m").
        until: Like `since`; a date is its first moment.
        where: Values of columns or metadata keys.
        settle: Seconds, or a duration ("7d").
        include_nested: Whether runs inside a run are included.

    Raises:
        PolicyError: A time or duration that cannot be read.
    """
    names = (pipeline,) if isinstance(pipeline, str) else tuple(pipeline or ())
    return Query(
        pipelines=names,
        since=when(since, "since"),
        until=when(until, "until"),
        where={k: v if isinstance(v, str) else as_text(v) for k, v in (where or {}).items()},
        settle=seconds(settle, "settle") if isinstance(settle, str) else settle,
        include_nested=include_nested,
    )


def when(value: str | float | dt.datetime | None, name: str) -> float | None:
    """A moment as Unix seconds; see `make_query`."""
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        if _DURATION.fullmatch(value.strip()):
            return current_clock().time() - seconds(value, name)
        try:  # Python 3.10 does not read "Z"
            value = dt.datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise PolicyError(
                f"{name}={value!r}; write a date like 2026-11-01 or an age like 7d or 12h"
            ) from None
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.timezone.utc)
    return value.timestamp()


def seconds(value: str, name: str) -> float:
    """A duration like "7d", "12h", "30m", "45s" or "2w" in seconds."""
    found = _DURATION.fullmatch(value.strip())
    if not found:
        raise PolicyError(f"{name}={value!r}; write a duration like 7d, 12h or 30m")
    return float(found[1]) * _SECONDS[found[2]]


def as_text(value: Any) -> str:
    """A metadata value as one writes it: a string as it is, else its JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def value_of(record: RunRecord, key: str) -> str | None:
    """A run's value of a column or metadata key, as text; None: it has none."""
    if key in COLUMNS:
        found = getattr(record, key)
        return None if found is None else str(found)
    value = record.metadata.get(key)
    return None if value is None else as_text(value)


def _column_is(record: RunRecord, key: str, value: str) -> bool:
    found = value_of(record, key)
    if found == value:
        return True
    return key == "outcome" and found is not None and found.startswith(f"{value}.")
