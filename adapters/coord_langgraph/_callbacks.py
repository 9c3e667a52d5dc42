"""One inline callback handler per run: the run's output, its tokens, and its budget."""

from __future__ import annotations

import contextvars
from typing import Any
from uuid import UUID

from coord_plugins import Run, current_run
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook

UNSET: Any = object()


class RunHandler(BaseCallbackHandler):
    """Hears the callbacks of one run.

    It runs inline: on the event loop anything else costs a thread hop per node. Its errors are
    raised, because the only ones are a spent budget and usage that cannot be measured.
    """

    run_inline = True
    raise_error = True

    def __init__(self, run: Run) -> None:
        self.run = run
        self.output: Any = UNSET
        self._root: UUID | None = None
        self._models: dict[UUID, str | None] = {}

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """The first chain that starts under this handler is the graph itself."""
        if self._root is None:
            self._root = run_id

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Keep the graph's final output, whatever the stream mode."""
        if run_id == self._root:
            self.output = outputs

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
        self._models[run_id] = (kwargs.get("metadata") or {}).get("ls_model_name")
        error = self.run.check_budget()
        if error is not None:
            self._models.pop(run_id)
            raise error

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A failed call carries no usage."""
        self._models.pop(run_id, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count the call's tokens, also those of attempts that are rejected later."""
        if run_id not in self._models:
            return
        named = self._models.pop(run_id)
        usage: Any = None
        model = None
        for generation in (g for gs in response.generations for g in gs):
            message = getattr(generation, "message", None)
            if isinstance(message, AIMessage):
                usage = usage or message.usage_metadata
                model = model or message.response_metadata.get("model_name")
        told = (response.llm_output or {}).get("token_usage") or {}
        self.run.add_usage(
            model=model or (response.llm_output or {}).get("model_name") or named,
            input_tokens=usage["input_tokens"] if usage else told.get("prompt_tokens"),
            output_tokens=usage["output_tokens"] if usage else told.get("completion_tokens"),
        )

    def _mine(self) -> bool:
        """Whether the call belongs to this run and not to one inside it, which rolls it up."""
        try:
            return current_run() is self.run
        except LookupError:  # a thread of the user's own, without the context
            return True


handler: contextvars.ContextVar[RunHandler | None] = contextvars.ContextVar(
    "coord_langgraph_handler", default=None
)
register_configure_hook(handler, inheritable=True)
