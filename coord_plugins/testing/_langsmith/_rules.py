"""What a client may not do: at arrival, and what only the end can tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ._state import Json, State

SEGMENT = re.compile(r"\d{8}T\d{12}Z[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""One level of a `dotted_order`: when a run started, and its id."""


def label(run: Json) -> str:
    """How a problem names a run."""
    return f"run {run.get('name') or '?'} ({run['id']})"


def broken_at_arrival(run: Json, *, is_post: bool) -> str | None:
    """Why the API refuses a run, or None: what the run says about itself does not agree."""
    run_id, trace_id = str(run["id"]), str(run.get("trace_id") or "")
    dotted, parent = run.get("dotted_order") or "", run.get("parent_run_id")
    if not trace_id or not dotted:
        return f"{label(run)}: sent in a batch without trace_id and dotted_order"
    levels = dotted.split(".")
    if not all(SEGMENT.fullmatch(level) for level in levels):
        return f"{label(run)}: bad dotted_order {dotted!r}"
    ids = [level[-36:] for level in levels]
    if ids[-1] != run_id:
        return f"{label(run)}: bad dotted_order, it ends with {ids[-1]}"
    if len(ids) == 1 and trace_id != run_id:
        return f"{label(run)}: a root whose trace_id {trace_id} differs from its id"
    if ids[0] != trace_id:
        return f"{label(run)}: trace_id {trace_id} is not the root's in its dotted_order"
    above = ids[-2] if len(ids) > 1 else None
    # a patch need not repeat the parent
    if (is_post or parent) and above != (str(parent) if parent else None):
        return f"{label(run)}: bad dotted_order, its parent is {parent} and not {above}"
    return None


def broken_at_the_end(state: State, *, pending: bool, repeated_keys: bool) -> Iterator[str]:
    """What is wrong when nothing more is sent.

    Args:
        state: What arrived.
        pending: Whether a run without an end is a problem.
        repeated_keys: Whether two feedback records of one key on one run are.
    """
    runs = {run["id"]: run for run in state.runs()}
    for run_id, run in runs.items():
        if not state.entries[run_id].posts:
            yield f"{label(run)}: patched, but never posted"
        elif pending and not run.get("end_time"):
            yield f"{label(run)}: never ended"
        if run.get("parent_run_id"):
            yield from _against_parent(run, runs.get(str(run["parent_run_id"])))
    keys: Counter[tuple[str, str]] = Counter()
    for record in state.feedback.values():
        if not record.get("run_id"):
            continue
        run_id, key = str(record["run_id"]), str(record["key"])
        if run_id not in runs:
            yield f"feedback {key!r} on run {run_id}, which never arrived"
        keys[run_id, key] += 1
    for (run_id, key), count in keys.items():
        if repeated_keys and count > 1:
            named = label(runs.get(run_id, {"id": run_id}))
            yield f"{named}: {count} feedback records with the key {key!r}"


def _against_parent(run: Json, parent: Json | None) -> Iterator[str]:
    if parent is None:
        yield f"{label(run)}: its parent {run['parent_run_id']} never arrived"
    elif run.get("trace_id") != parent.get("trace_id"):
        yield f"{label(run)}: not in the trace of its parent {label(parent)}"
    elif str(run.get("dotted_order")).rpartition(".")[0] != parent.get("dotted_order"):
        yield f"{label(run)}: its dotted_order does not extend that of its parent {label(parent)}"
