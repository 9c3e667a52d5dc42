"""The billing desk on CrewAI: six tasks, one model call each, plain text between them."""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from coord_plugins import PolicyError
from coord_plugins.demo import INSTRUCTIONS, STEPS, Desk, SimulatedModel, prompt_for


def _quiet() -> None:
    """For the demo alone, before CrewAI is imported: no telemetry, and a folder that goes away.

    What the user has set stays. CrewAI logs each failed call as an error; the demo's are simulated
    and counted in its report.
    """
    logging.getLogger("crewai.flow.runtime").setLevel(logging.CRITICAL)
    os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")
    if "CREWAI_STORAGE_DIR" not in os.environ:
        place = tempfile.mkdtemp(prefix="coord-demo-")
        os.environ["CREWAI_STORAGE_DIR"] = place
        atexit.register(shutil.rmtree, place, ignore_errors=True)


_quiet()

from crewai import LLM, Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402
from pydantic import PrivateAttr  # noqa: E402

from ._attach import attach  # noqa: E402
from ._private import rate_limit_retry  # noqa: E402
from ._values import FEEDBACK_HEAD  # noqa: E402

_ROLES = {
    "triage": "Ticket reader",
    "retrieve": "Billing clerk",
    "reconcile": "Accountant",
    "draft": "Writer",
    "review": "Editor",
    "send": "Dispatcher",
}
_TICKET = "\nTicket {ticket_id}:\n<<<\n{ticket}\n>>>\n"
"""Stands in each task's description; CrewAI fills in the kickoff's inputs."""


class SimulatedLLM(BaseLLM):
    """The demo's simulated model behind CrewAI's own model interface, events and usage included.

    It answers from what CrewAI has brought it, and from nothing else: the ticket in the task's
    description, the earlier tasks' outputs and the feedback in the task's context.
    """

    _simulated: SimulatedModel = PrivateAttr()

    def call(
        self,
        messages: Any,
        tools: Any = None,
        callbacks: Any = None,
        available_functions: Any = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: Any = None,
    ) -> Any:
        """Reply to one prompt, with the events that CrewAI's own models emit."""
        told = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, **told)
            try:
                reply = self._simulated.reply(_prompt(messages, from_task), from_task.name)
            except Exception as error:
                self._emit_call_failed_event(error=str(error), **told)
                # a simulated rate limit asks CrewAI's own retry not to wait, where that is on
                if rate_limit_retry is not None and hasattr(error, "retry_after"):
                    error.headers = {**error.headers, "retry-after": "0"}  # type: ignore[attr-defined]  # a simulated one has them
                raise
            self._emit_call_completed_event(
                response=reply.text,
                call_type=LLMCallType.LLM_CALL,
                messages=messages,
                usage={
                    "prompt_tokens": reply.input_tokens,
                    "completion_tokens": reply.output_tokens,
                },
                **told,
            )
        return reply.text

    def supports_function_calling(self) -> bool:
        """The desk's tasks have no tools."""
        return False

    def get_input_tokens_count(self, *args: Any, **kwargs: Any) -> int:
        """Its prompts fit into any window."""
        return 1


def _prompt(messages: Any, task: Any) -> str:
    """The simulated model's own form of a prompt, read off what CrewAI sends."""
    parts = [messages] if isinstance(messages, str) else [str(m["content"]) for m in messages]
    whole = "\n".join(parts)
    context, found, feedback = (task.prompt_context or "").partition(f"{FEEDBACK_HEAD}\n")
    for part in (task.description, task.prompt_context or ""):
        if part not in whole:
            raise RuntimeError(f"CrewAI did not bring {part!r} to the model")
    _, _, ticket = task.description.rpartition("\nTicket ")
    ticket_id, _, text = ticket.partition(":\n<<<\n")
    state: dict[str, Any] = {"ticket_id": ticket_id, "ticket": text.removesuffix("\n>>>\n")}
    state.update(zip(STEPS, _objects(context), strict=False))
    return prompt_for(task.name, state, feedback if found else None)


def _objects(text: str) -> list[Any]:
    """The JSON objects in a context: what the earlier tasks made, in their order."""
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        value, end = decoder.raw_decode(text, at)
        found.append(value)
        at = text.find("{", end)
    return found


def build_crew(desk: Desk, model: str | None = None) -> Crew:
    """The billing desk as a plain crew that knows nothing of this library.

    Args:
        desk: The job.
        model: "PROVIDER:NAME" of a real chat model; None: the simulated one.
    """
    llm = _simulated(desk) if model is None else real_llm(model)
    agents = {
        step: Agent(
            role=_ROLES[step],
            goal="Do your part of answering a billing ticket without an error.",
            backstory="You work at the billing desk of a software company.",
            llm=llm,
        )
        for step in STEPS
    }
    tasks = [
        Task(
            name=step,
            description=INSTRUCTIONS[step] + _TICKET,
            expected_output="One JSON object and nothing else.",
            agent=agents[step],
            guardrail=_worker(desk, step),
        )
        for step in STEPS
    ]
    return Crew(name="billing-desk", agents=list(agents.values()), tasks=tasks)


def _worker(desk: Desk, step: str) -> Any:
    """A step's own work with the model's reply, where CrewAI has a place for it: a guardrail."""

    def work(output):  # type: ignore[no-untyped-def]  # CrewAI refuses annotations written as text
        return True, json.dumps(desk.work(step, output.raw, {}), ensure_ascii=False)

    return work


def _simulated(desk: Desk) -> SimulatedLLM:
    llm = SimulatedLLM(model=desk.model.name)
    llm._simulated = desk.model
    return llm


def real_llm(model: str) -> Any:
    """A real chat model, by CrewAI's own `LLM`.

    Raises:
        PolicyError: The name has no provider, or its package or key is missing.
    """
    provider, found, name = model.partition(":")
    if not found:
        raise PolicyError(f"--model {model!r}; write PROVIDER:NAME, for example openai:gpt-4o-mini")
    try:
        return LLM(model=f"{provider}/{name}", timeout=60)
    except Exception as error:
        raise PolicyError(
            f"--model {model}: the model could not be made; are its package and key there? "
            f"({error})"
        ) from error


class CrewAIWiring:
    """How the demo runs on CrewAI."""

    default_runs = 240
    """Each ticket once: CrewAI takes some 20 ms a task."""

    rate_limit_tries = 1 if rate_limit_retry is None else 3
    """`crewai.llms.retry` makes up to three calls of a rate-limited model."""

    def build(self, desk: Desk, model: str | None) -> Any:
        """The crew."""
        return build_crew(desk, model)

    def attach(self, host: Any, *edges: Any, **settings: Any) -> Any:
        """The adapter's `attach`."""
        return attach(host, *edges, **settings)

    def run(self, host: Any, inputs: Mapping[str, Any]) -> None:
        """Kick the crew off."""
        host.kickoff(inputs=dict(inputs))


def wiring() -> CrewAIWiring:
    """The entry point `coord_plugins.demo`."""
    return CrewAIWiring()
