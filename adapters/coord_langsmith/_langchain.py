"""LangChain's own tracer, where the host is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langsmith.run_trees import RunTree


def live_run(run_id: str | None) -> RunTree | None:
    """The run of this id that LangChain's tracer has under way here; None where it has none."""
    return _found(run_id, _callbacks())


def node_run() -> RunTree | None:
    """The run of the node that works here, where LangSmith's own context does not say it.

    LangGraph sets no context in async nodes before Python 3.11.
    """
    callbacks = _callbacks()
    return _found(getattr(callbacks, "parent_run_id", None), callbacks)


def _callbacks() -> Any:
    from langchain_core.runnables.config import ensure_config

    return ensure_config().get("callbacks")


def _found(run_id: object, callbacks: Any) -> RunTree | None:
    from langchain_core.tracers.langchain import LangChainTracer

    for handler in getattr(callbacks, "handlers", ()):
        if isinstance(handler, LangChainTracer) and run_id is not None:
            found: RunTree | None = handler.run_map.get(str(run_id))
            return found
    return None
