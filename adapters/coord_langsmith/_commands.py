"""What the commands of `coord` ask of LangSmith; the entry point `coord_plugins.listeners`."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from langsmith.utils import get_env_var, get_tracer_project, tracing_is_enabled

from coord_plugins import OutcomeRecorded, Report, RunRecord

from ._disk import lost, open_spool
from ._feedback import Reference
from ._listener import LangSmith
from ._reading import langsmith_report
from ._send import UNKNOWN

HOSTED = "https://api.smith.langchain.com"
SECONDS = 20.0
"""How long a command waits for LangSmith."""


def tracer(project: str) -> LangSmith:
    """A listener that traces to a project.

    Args:
        project: Its name.
    """
    return LangSmith(project)


def has_traced(record: RunRecord) -> bool:
    """Whether a run's trace is in LangSmith.

    Args:
        record: The run.
    """
    reference = Reference.of(record)
    return reference is not None and reference.sampled


def correct(record: RunRecord) -> str:
    """Send what a record says now, in place of what LangSmith has; what became of it.

    Args:
        record: The run, with its latest label.
    """
    at = record.finished_at or 0.0
    words = record.explanation, record.goal_error
    label = OutcomeRecorded(record.run_id, record.passed, at, record.source, *words, record)
    with closing(LangSmith()) as listener:
        listener.on_event(label)
        sent = listener.flush(SECONDS)
        if listener.stats()["refused"]:
            return f"not corrected: {UNKNOWN}"
        if sent:
            return "corrected"
        return f"not corrected yet; it waits in {listener.waiting_in}"


def describe() -> dict[str, Any]:
    """What `coord doctor` says: the environment's settings, and what waits or was lost."""
    spool = open_spool(None)
    return {
        "tracing": tracing_is_enabled() is True,
        "endpoint": get_env_var("ENDPOINT") or HOSTED,
        "project": get_tracer_project() or "default",
        "api_key": bool(get_env_var("API_KEY")),
        "spool": str(spool.directory),
        "waiting": spool.count(),
        **lost(spool),
    }


def read_back(listener: LangSmith, stored: Report, since: float) -> dict[str, Any]:
    """What LangSmith says of runs that were just traced, beside what their records say.

    Args:
        listener: It traced them.
        stored: The report over their records.
        since: When they began, Unix seconds.
    """
    listener.flush(SECONDS)
    listener.client.flush(SECONDS)
    found = langsmith_report(listener.project, since=since, key=listener.key)
    rate = stored.groups[0].success_rate
    return {
        "project": found.project,
        "runs": found.runs,
        "labelled": found.labelled,
        "accuracy": None if found.accuracy is None else found.accuracy.value,
        "interval": None if found.accuracy is None else list(found.accuracy.interval),
        "withheld": found.withheld,
        "first_try": None if found.first_try is None else found.first_try.value,
        "successes": found.successes,
        "node_success": found.node_success.value,
        "node_interval": list(found.node_success.interval),
        "node_runs": found.node_success.n,
        "store_accuracy": rate.value,
        "delivery": listener.stats(),
    }
