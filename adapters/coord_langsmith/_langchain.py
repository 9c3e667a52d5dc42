"""LangChain's own tracer, where the host is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langsmith.run_trees import RunTree


def live_run(run_id: str | None) -> RunTree | None:
    """The run of this id that LangChain's tracer has under way here; None where it has none."""
    from langchain_core.runnables.config import ensure_config
    from langchain_core.tracers.langchain import LangChainTracer

    callbacks: Any = ensure_config().get("callbacks")
    for handler in getattr(callbacks, "handlers", ()):
        if isinstance(handler, LangChainTracer) and run_id is not None:
            found: RunTree | None = handler.run_map.get(run_id)
            return found
    return None
