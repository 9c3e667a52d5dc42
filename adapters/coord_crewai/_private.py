"""Every private part of CrewAI that the adapter relies on, and the check that it is there.

Why each is needed:

- `Crew._execute_tasks`, `_aexecute_tasks` with `start_index`: the only way to go back to an
  earlier task within one kickoff; CrewAI's own `replay` uses it.
- `Crew._process_async_tasks`, `_aprocess_async_tasks`: all parallel tasks must have ended before
  one of them goes back, or the next pass meets an agent that is still at work.
- `Crew._create_crew_output`: ends a kickoff that stops early as CrewAI ends any other.
- `crews.utils.prepare_task_execution`: agent and tools of a task that stands in.
- `stream_context._stream_sinks`: hears the events of this kickoff alone, in order and before they
  go on to a user's stream.
- `hooks.dispatch.scoped_hooks`, `get_scoped_hooks`: budgets stop a model call before it is made.
- `llms.retry._active_llm_rate_limit_retry` (from 1.15.20 on): switches CrewAI's own retry of rate
  limits off for steps under a `Retry`; it would hide failed calls.

A name that is gone is noted at import and reported by `attach`, not by an `ImportError`.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

from crewai import Agent, Crew, Task

from coord_plugins.host import PrivateParts

PARTS = PrivateParts("coord_crewai", "CrewAI", "crewai", tested=("1.15.16", "1.15.24", "1.15.30"))
_name = PARTS.name

stream_sinks = _name("crewai.events.stream_context", "_stream_sinks")
scoped_hooks = _name("crewai.hooks.dispatch", "scoped_hooks")
get_scoped_hooks = _name("crewai.hooks.dispatch", "get_scoped_hooks")
prepare_task_execution = _name("crewai.crews.utils", "prepare_task_execution")
# The module came in 1.15.20; before it there was no such retry to switch off.
rate_limit_retry: ContextVar[bool] | None = (
    _name("crewai.llms.retry", "_active_llm_rate_limit_retry")
    if find_spec("crewai.llms.retry") is not None
    else None
)

_SIGNATURES = {
    (Crew, "_execute_tasks"): ("self", "tasks", "start_index", "was_replayed"),
    (Crew, "_aexecute_tasks"): ("self", "tasks", "start_index", "was_replayed"),
    (Crew, "_process_async_tasks"): ("self", "futures", "was_replayed"),
    (Crew, "_aprocess_async_tasks"): ("self", "pending_tasks", "was_replayed"),
    (Crew, "_create_crew_output"): ("self", "task_outputs"),
    (Task, "execute_sync"): ("self", "agent", "context", "tools"),
    (Task, "aexecute_sync"): ("self", "agent", "context", "tools"),
    (Task, "execute_async"): ("self", "agent", "context", "tools"),
}
_FIELDS: dict[Any, set[str]] = {
    Task: {"name", "callback", "output", "async_execution", "agent", "tools"},
    Agent: {"max_retry_limit", "llm", "allow_delegation"},
    Crew: {"tasks", "agents", "stream", "security_config", "checkpoint_kickoff_event_id"},
}


def assert_shape() -> None:
    """Check every private shape that the adapter relies on.

    Raises:
        UnsupportedHostError: One of them changed; names it and the last good version.
    """
    PARTS.check()
    for (kind, name), wanted in _SIGNATURES.items():
        function = getattr(kind, name, None)
        found = tuple(inspect.signature(function).parameters) if function is not None else None
        if found != wanted:
            PARTS.refuse(f"{kind.__name__}.{name} is no longer called with {', '.join(wanted)}")
    for model, fields in _FIELDS.items():
        missing = fields - set(model.model_fields)
        if missing:
            PARTS.refuse(f"{model.__name__} lost {', '.join(sorted(missing))}")
    if not isinstance(stream_sinks.get(), tuple):
        PARTS.refuse("crewai.events.stream_context._stream_sinks is no tuple of sinks")
    if rate_limit_retry is not None and not isinstance(rate_limit_retry, ContextVar):
        PARTS.refuse("crewai.llms.retry._active_llm_rate_limit_retry is no context variable")
