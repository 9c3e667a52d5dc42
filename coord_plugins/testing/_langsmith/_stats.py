"""Numbers over runs and feedback: this server's own aggregation, in the API's shapes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ._state import Json, State, moment


def feedback_stats(records: Iterable[Json]) -> dict[str, Json]:
    """Per key: n, avg, stdev (of a sample), min, max, median, errors, values.

    Records without a score count in `n` and nowhere else; string values are counted in `values`.
    """
    per_key: dict[str, list[Json]] = {}
    for record in records:
        per_key.setdefault(record["key"], []).append(record)
    return {key: _key_stats(found) for key, found in sorted(per_key.items())}


def _key_stats(records: list[Json]) -> Json:
    scores = [float(r["score"]) for r in records if r.get("score") is not None]
    values = Counter(r["value"] for r in records if isinstance(r.get("value"), str))
    sources = {(r.get("feedback_source") or {}).get("type", "api") for r in records}
    return {
        "n": len(records),
        "avg": statistics.fmean(scores) if scores else None,
        "stdev": statistics.stdev(scores) if len(scores) > 1 else None,
        "min": min(scores, default=None),
        "max": max(scores, default=None),
        "median": statistics.median(scores) if scores else None,
        "errors": sum(bool(r.get("error")) for r in records),
        "values": dict(values),
        "comments": [r["comment"] for r in records if r.get("comment")][:3],
        "sources": sorted(sources),
        "contains_thread_feedback": False,
        "type": "PRIMARY",
    }


def run_stats(state: State, runs: list[Json]) -> Json:
    """The answer of `/runs/stats`."""
    ids = {run["id"] for run in runs}
    seconds = [s for run in runs if (s := latency(run)) is not None]
    return {
        "run_count": len(runs),
        "error_rate": error_rate(runs),
        "latency_p50": statistics.median(seconds) if seconds else None,
        "latency_p99": max(seconds, default=None),
        "last_run_start_time": max(
            (r["start_time"] for r in runs if "start_time" in r), default=None
        ),
        "feedback_stats": feedback_stats(
            f for f in state.feedback.values() if str(f.get("run_id")) in ids
        ),
    }


def project_stats(state: State, project: Json) -> Json:
    """What `include_stats` adds: counts of the roots, feedback of all runs and of the project."""
    runs = [run for run in state.runs() if run["session_id"] == project["id"]]
    roots = run_stats(state, [run for run in runs if not run.get("parent_run_id")])
    own = (
        f
        for f in state.feedback.values()
        if not f.get("run_id") and str(f.get("session_id")) == project["id"]
    )
    return {
        **roots,
        "feedback_stats": run_stats(state, runs)["feedback_stats"],
        "session_feedback_stats": feedback_stats(own),
    }


def error_rate(runs: list[Json]) -> float | None:
    """The part of the runs that has an error; None without runs."""
    return sum(bool(run.get("error")) for run in runs) / len(runs) if runs else None


def latency(run: Json) -> float | None:
    """Seconds from start to end; None while the run is pending."""
    if not run.get("start_time") or not run.get("end_time"):
        return None
    return (moment(run["end_time"]) - moment(run["start_time"])).total_seconds()


def status(run: Json) -> str:
    """`error`, `success` or `pending`."""
    return "error" if run.get("error") else "success" if run.get("end_time") else "pending"


def short(value: Any) -> str:
    """A number without a tail of zeros."""
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
