"""What LangSmith is told of a run: its feedback, from its record alone.

A record says where its trace is (metadata under `langsmith.`), so another process that has the
record from a store can correct the same feedback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from coord_plugins import RunRecord

PREFIX = "langsmith."
"""Of the keys in a record's metadata that say where the run's trace is."""
SUB = ".sub"
"""Ends the keys of a run inside a trace that has its outcome already."""
_NAMESPACE = UUID("0f3b8c52-6f0f-5c38-9d0a-2b7c6e1a7d11")
"""Ours alone, so that an id never meets somebody else's."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where a run stands in LangSmith."""

    trace_id: str
    """The root run's id."""
    target: str
    """The run that gets the feedback: the root, or the run's own where the trace has another."""
    project: str
    """The project's name."""
    key: str
    """The outcome's key: `outcome`, or `outcome.sub` beside another outcome of the trace."""
    name: str
    """The root's name, should it have to be made again."""
    start: str
    """The root's start, ISO 8601."""
    sampled: bool = True
    """Whether LangSmith's client sends this trace."""
    corrected: bool = False
    """Whether a label came after the run's end: it replaces what LangSmith has."""

    foreign: bool = False
    """Whether that label's run is known from a store alone: the trace may be elsewhere."""

    def to_metadata(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {f"{PREFIX}{name}": value for name, value in vars(self).items()}

    @classmethod
    def of(cls, record: RunRecord) -> Reference | None:
        """Read it from a record; None: the run was not traced."""
        names = cls.__dataclass_fields__
        found: dict[str, Any] = {n: record.metadata.get(f"{PREFIX}{n}") for n in names}
        return None if found["trace_id"] is None else cls(**found)


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One feedback, complete."""

    id: str
    """The same for the same run, target and key, whoever sends it: a repeat is no second one."""
    key: str
    """Its key in LangSmith."""
    score: float | None
    """The number that LangSmith averages."""
    value: str | None = None
    """The outcome's class."""
    comment: str | None = None
    """Why; redacted and truncated."""


def feedback_id(target: str, run_id: str, key: str) -> str:
    """The id of a run's feedback.

    Args:
        target: The LangSmith run that gets it.
        run_id: The run of ours.
        key: The feedback's key.
    """
    return str(uuid5(_NAMESPACE, f"{target}:{run_id}:{key}"))


def attempts_of(record: RunRecord) -> int:
    """1, and one more for every repeat: a loop-back, a retry, a fallback."""
    return 1 + sum(t.loops + t.retries + t.fallbacks for t in record.steps.values())


def feedback_of(record: RunRecord, reference: Reference) -> list[Feedback]:
    """All feedback of a run that ended.

    A run without a label has no `outcome`, and neither has one that waits; an error, a timeout and
    an escalation count as 0 whatever a goal says.

    Args:
        record: The run.
        reference: Where it stands in LangSmith.
    """
    if record.status != "finished":
        return []
    key, found = reference.key, []

    def add(name: str, score: float, value: str | None = None, comment: str | None = None) -> None:
        made = feedback_id(reference.target, record.run_id, name)
        found.append(Feedback(id=made, key=name, score=score, value=value, comment=comment))

    if record.outcome != "unlabelled":
        add(key, int(record.succeeded), record.outcome, _comment(record))
        add(f"{key}.first_try", int(record.outcome == "success.first_pass"))
    suffix = SUB if key.endswith(SUB) else ""
    add(f"attempts{suffix}", attempts_of(record))
    if record.cost or not record.cost_unknown:  # unknown is not 0
        bound = f"a lower bound: {record.cost_unknown} model call(s) without a price"
        add(f"cost_usd{suffix}", record.cost, None, bound if record.cost_unknown else None)
    return found


def _comment(record: RunRecord) -> str | None:
    """Why a run did not succeed; the record's texts are redacted already."""
    if record.succeeded:
        return None
    why = record.explanation or record.error or ""
    lost = f"lost at {record.lost_at}" if record.lost_at else ""
    return ": ".join(part for part in (lost, why) if part) or None


def source_info(record: RunRecord) -> dict[str, Any]:
    """What stands beside the feedback for whoever looks closer."""
    found = {
        "run_id": record.run_id,
        "pipeline": record.pipeline,
        "policy_id": record.policy_id,
        "task": record.task,
        "lost_at": record.lost_at,
        "source": record.source,
        "environment": record.environment,
        "release": record.release,
    }
    return {"coord": {k: v for k, v in found.items() if v}}
