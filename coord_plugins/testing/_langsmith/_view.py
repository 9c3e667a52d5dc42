"""Runs and feedback as the API shows them, and traces as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._state import TENANT, Entry, Json, State, now
from ._stats import feedback_stats, latency, short, status


def is_root(run: Json) -> bool:
    """Whether a run has no parent."""
    return not run.get("parent_run_id")


def ancestors(run: Json) -> list[str]:
    """The ids from the root down to the direct parent, by the `dotted_order`."""
    return [level[-36:] for level in str(run.get("dotted_order") or "").split(".")[:-1]]


def run_v1(state: State, entry: Entry, base: str) -> Json:
    """A run as `GET /runs/{id}` and `POST /runs/query` show it."""
    run = entry.merged()
    files = run.pop("attachments", {})
    return {
        **run,
        "inputs": run.get("inputs") or {},
        "status": status(run),
        "feedback_stats": feedback_stats(state.feedback_on(entry.id)),
        "parent_run_ids": ancestors(run),
        "app_path": f"/o/{TENANT}/projects/p/{entry.project}/r/{entry.id}",
        "s3_urls": {f"attachment.{name}": file_link(base, entry.id, name) for name in files},
    }


def run_v2(state: State, entry: Entry, base: str, selects: Iterable[str]) -> Json:
    """A run as the `/v2` endpoints show it: only the selected fields, or its id."""
    run = run_v1(state, entry, base)
    extra = run.get("extra") or {}
    shown = {
        **run,
        "project_id": entry.project,
        "run_type": str(run.get("run_type") or "chain").upper(),
        "status": status(run).upper(),
        "is_root": is_root(run),
        "metadata": extra.get("metadata") or {},
        "latency_seconds": latency(run),
        "thread_id": (extra.get("metadata") or {}).get("thread_id"),
        "attachments": {
            name.removeprefix("attachment."): link["presigned_url"]
            for name, link in run["s3_urls"].items()
        },
    }
    names = [name.lower() for name in selects] or ["id"]
    return {name: shown[name] for name in names if name in shown}


def file_link(base: str, owner: str, name: str) -> Json:
    """Where an attachment can be downloaded, without a key."""
    return {"presigned_url": f"{base}/files/{owner}/{name}"}


def feedback_view(state: State, record: Json) -> Json:
    """A feedback record with the fields that the SDK's model wants to be there."""
    entry = state.entries.get(str(record.get("run_id")))
    trace_id = entry.merged().get("trace_id") if entry else None
    return {
        "run_id": None,
        "trace_id": trace_id,
        "created_at": now(),
        "modified_at": now(),
        **record,
    }


def tree(state: State, trace_id: str | None) -> str:
    """Traces as indented text, in order of their start; no ids and no times."""
    traces: dict[str, list[Json]] = {}
    for run in sorted(state.runs(), key=dotted):
        traces.setdefault(str(run.get("trace_id") or run["id"]), []).append(run)
    lines: list[str] = []
    for trace, runs in traces.items():
        if trace_id is None or trace == str(trace_id):
            lines += [_line(state, r) for r in runs]
    return "\n".join(lines)


def dotted(run: Json) -> str:
    """The order of runs in a trace."""
    return str(run.get("dotted_order") or "")


def _line(state: State, run: Json) -> str:
    head = f"{'  ' * len(ancestors(run))}{run.get('name')} [{run.get('run_type')}] {status(run)}"
    tags = [f"#{tag}" for tag in run.get("tags") or []]
    marks = sorted(_mark(record) for record in state.feedback_on(run["id"]))
    return " ".join([head, *tags, *marks])


def _mark(record: Json) -> str:
    """`key=score`, `key=score(value)` or `key=(value)`."""
    score: Any = record.get("score")
    value = f"({record['value']})" if record.get("value") is not None else ""
    failed = "!" if record.get("error") else ""
    return f"{record['key']}={'' if score is None else short(score)}{value}{failed}"
