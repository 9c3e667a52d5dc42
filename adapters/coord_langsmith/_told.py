"""What a run's root says of it, as metadata."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from coord_plugins import RunRecord

from ._feedback import PREFIX, attempts_of

VERSION = metadata.version("coord-plugins")


def told(record: RunRecord) -> dict[str, Any]:
    """The metadata of a run's root: the run context's own, and what is known at its end."""
    given = {k: v for k, v in record.metadata.items() if not k.startswith(PREFIX)}
    ours = {
        "run_id": record.run_id,
        "pipeline": record.pipeline,
        "policy_id": record.policy_id,
        "mode": record.mode,
        "outcome": record.outcome,
        "attempts": attempts_of(record),
        "lost_at": record.lost_at,
        "would_stop": record.would_stop,
        "task": record.task,
        "tokens": record.tokens,
        "cost_usd": record.cost,
        "environment": record.environment,
        "release": record.release,
        "version": VERSION,
    }
    found = {f"coord.{k}": v for k, v in ours.items() if v is not None}
    thread = {} if record.thread is None else {"thread_id": record.thread}
    return {**thread, **given, **found}
