"""One inline callback handler per run: the run's output, its tokens, and its budget."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphInterrupt

from coord_plugins import Run, current_run

from ._memory import GraphRun


class RunHandler(BaseCallbackHandler):
    """Hears the callbacks of one run.

    It runs inline: on the event loop anything else costs a thread hop per node. Its errors are
    raised, because the only ones are a spent budget and usage that cannot be measured.

    Attributes:
        output: The graph's final output, whatever was streamed; None when it did not end.
        interrupted: Whether a node of the graph asked a person.
    """

    run_inline = True
    raise_error = True

    ignore_chain = False
    """Whether the graph's and its nodes' own events are of no interest."""

    def __init__(self, run: Run, graph_run: GraphRun) -> None:
        self.run = run
        self.graph_run = graph_run
        self.output: Any = None
        self.interrupted = False
        self._root: UUID | None = None
        self._models: dict[UUID, str | None] = {}

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The first chain that starts under this handler is the graph itself."""
        if self._root is None:
            self._root = run_id
            self.run.host_run_id = str(run_id)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Keep the graph's final output."""
        if run_id == self._root:
            self.output = outputs

    def on_chain_error(
        self, error: BaseException, *, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """A node of the graph was interrupted; deeper ones may be answered on their way up."""
        if parent_run_id == self._root and isinstance(error, GraphInterrupt):
            self.interrupted = True

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A chat model is called: the budget may forbid it."""
        self._start(run_id, kwargs)

    def on_llm_start(self, serialized: Any, prompts: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A text model is called: the budget may forbid it."""
        self._start(run_id, kwargs)

    def _start(self, run_id: UUID, kwargs: dict[str, Any]) -> None:
        if not self._mine():
            return
        error = self.run.check_budget(under_way=True)
        if error is not None:
            raise error
        self._models[run_id] = (kwargs.get("metadata") or {}).get("ls_model_name")

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A failed call carries no usage."""
        self._models.pop(run_id, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count the call's tokens, also those of attempts that are rejected later."""
        if run_id not in self._models:
            return
        named = self._models.pop(run_id)
        told = response.llm_output or {}
        model, usage = told.get("model_name"), told.get("token_usage")
        counts = usage if isinstance(usage, Mapping) else {}
        tokens = counts.get("prompt_tokens"), counts.get("completion_tokens")
        for message in _messages(response):
            model = message.response_metadata.get("model_name") or model
            found: Mapping[str, Any] = message.usage_metadata or {}
            if found:
                tokens = found.get("input_tokens"), found.get("output_tokens")
        self.run.add_usage(model=model or named, input_tokens=tokens[0], output_tokens=tokens[1])

    def _mine(self) -> bool:
        """Whether the call belongs to this run and not to one inside it, which rolls it up."""
        try:
            return current_run() is self.run
        except LookupError:  # a thread of the user's own, without the context
            return True


def _messages(response: LLMResult) -> list[AIMessage]:
    found = (getattr(g, "message", None) for gs in response.generations for g in gs)
    return [message for message in found if isinstance(message, AIMessage)]


handler: contextvars.ContextVar[RunHandler | None] = contextvars.ContextVar(
    "coord_langgraph_handler", default=None
)
register_configure_hook(handler, inheritable=True)
