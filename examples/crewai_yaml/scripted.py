"""A model that plays a script, behind CrewAI's own model interface: no key, no network.

It answers from its prompt alone, as a model would: the task's description, what the earlier
tasks said, and the words of a reviewer. It emits the events that CrewAI's own models emit.
"""

import re
from typing import Any

from crewai import BaseLLM
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import llm_call_context
from pydantic import PrivateAttr

BOOKS = {"T-1": "INV-71 line 3", "T-2": "INV-72 line 1", "T-3": "INV-73 line 2"}
"""The lines of July. The customer of T-4 has no invoice."""
LAST_MONTH = {"T-3": "INV-63 line 2"}
"""Where the researcher looks at June first."""


class ScriptedLLM(BaseLLM):
    """Three tasks, and what goes wrong in them."""

    # private, so that copies of the crew share it and checkpoints leave it out
    _timeouts: dict[str, int] = PrivateAttr(default_factory=lambda: {"T-2": 1})

    def call(
        self,
        messages: Any,
        *args: Any,
        from_task: Any = None,
        from_agent: Any = None,
        **kwargs: Any,
    ) -> str:
        """Reply to one prompt."""
        prompt = "\n".join(message["content"] for message in messages)
        told = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, **told)
            try:
                reply = self._reply(from_task.name, prompt)
            except TimeoutError as error:
                self._emit_call_failed_event(error=str(error), **told)
                raise
            usage = {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240}
            self._track_token_usage_internal(usage)  # CrewAI's own counter of this object
            self._emit_call_completed_event(
                response=reply, call_type=LLMCallType.LLM_CALL, usage=usage, **told
            )
        return reply

    def _reply(self, task: str, prompt: str) -> str:
        ticket = re.search(r"T-\d", prompt)[0]
        if task == "research":
            return self._research(ticket, told_of_july="an invoice of July" in prompt)
        if task == "write":
            line = re.search(r"INV-\d+ line \d", prompt)
            return f"The amount is {line[0]}." if line else "We found no invoice of yours."
        return re.search(r"(The amount is|We found) .*\.", prompt)[0]

    def _research(self, ticket: str, *, told_of_july: bool) -> str:
        if self._timeouts.get(ticket):
            self._timeouts[ticket] -= 1
            raise TimeoutError("the model did not answer")
        if ticket in LAST_MONTH and not told_of_july:
            return LAST_MONTH[ticket]
        return BOOKS.get(ticket, "nothing")

    def supports_function_calling(self) -> bool:
        """The tasks have no tools."""
        return False

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        """The prompts fit into any window."""
        return 1
