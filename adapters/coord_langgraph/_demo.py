"""The billing desk on LangGraph: six nodes, one model call each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph

from coord_plugins import PolicyError
from coord_plugins.demo import STEPS, Desk, SimulatedModel, prompt_for

from ._attach import attach


class State(TypedDict, total=False):
    """The ticket, and each step's artefact under its name."""

    ticket_id: str
    ticket: str
    triage: dict[str, Any]
    retrieve: dict[str, Any]
    reconcile: dict[str, Any]
    draft: dict[str, Any]
    review: dict[str, Any]
    send: dict[str, Any]


class SimulatedChat(BaseChatModel):
    """The demo's simulated model behind LangChain's own chat model interface."""

    simulated: Any
    """The simulated model."""
    step: str
    """The step whose prompts it answers."""

    @property
    def _llm_type(self) -> str:
        return "simulated"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        model: SimulatedModel = self.simulated
        reply = model.reply(str(messages[-1].content), self.step)
        usage = UsageMetadata(
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            total_tokens=reply.input_tokens + reply.output_tokens,
        )
        message = AIMessage(
            content=reply.text,
            usage_metadata=usage,
            response_metadata={"model_name": model.name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def build_graph(desk: Desk, model: str | None = None) -> Any:
    """The billing desk as a plain LangGraph graph that knows nothing of this library.

    Args:
        desk: The job.
        model: "PROVIDER:NAME" of a real chat model; None: the simulated one.
    """
    real = None if model is None else real_chat(model)
    builder = StateGraph(State)
    for before, step in zip((START, *STEPS), STEPS):  # noqa: B905 - one shorter by design
        chat = real or SimulatedChat(simulated=desk.model, step=step)
        builder.add_node(step, _node(desk, step, chat))
        builder.add_edge(before, step)
    builder.add_edge(STEPS[-1], END)
    return builder.compile()


def _node(desk: Desk, step: str, chat: BaseChatModel) -> Any:
    def node(state: State, feedback: str | None = None) -> dict[str, Any]:
        reply = chat.invoke(prompt_for(step, state, feedback))
        return {step: desk.work(step, str(reply.text), state)}

    return node


def real_chat(model: str) -> BaseChatModel:
    """A real chat model by LangChain's `init_chat_model`.

    Raises:
        PolicyError: The name has no provider, or its package or key is missing.
    """
    if ":" not in model:
        raise PolicyError(f"--model {model!r}; write PROVIDER:NAME, for example openai:gpt-4o-mini")
    try:
        from langchain.chat_models import init_chat_model

        chat: BaseChatModel = init_chat_model(model, max_retries=0, timeout=60)
    except ImportError as error:
        raise PolicyError(f"--model {model}: install the provider's package ({error})") from error
    except Exception as error:
        raise PolicyError(
            f"--model {model}: the model could not be made; is its key set? ({error})"
        ) from error
    return chat


class LangGraphWiring:
    """How the demo runs on LangGraph."""

    default_runs = 1_000
    rate_limit_tries = 1

    def build(self, desk: Desk, model: str | None) -> Any:
        """The graph."""
        return build_graph(desk, model)

    def attach(self, host: Any, *edges: Any, **settings: Any) -> Any:
        """The adapter's `attach`."""
        return attach(host, *edges, **settings)

    def run(self, host: Any, inputs: Mapping[str, Any]) -> None:
        """Invoke the graph."""
        host.invoke(dict(inputs))


def wiring() -> LangGraphWiring:
    """The entry point `coord_plugins.demo`."""
    return LangGraphWiring()
