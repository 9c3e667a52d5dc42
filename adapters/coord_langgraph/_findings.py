"""What a user should know before the first run; errors for what cannot work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from langchain_core.language_models import BaseLanguageModel

from coord_plugins import HUMAN, START, PolicyError, ValidationEdge
from coord_plugins.host import Policy

from ._functions import declares_feedback, function_of, is_decorated
from ._private import PARTS
from ._topology import Topology


def check(graph: Any, policy: Policy) -> None:
    """Refuse what this host cannot do.

    Raises:
        PolicyError: It names the thing and the mend.
    """
    for step, retry in policy.retry.items():
        for fallback in retry.fallbacks if retry else ():
            if isinstance(fallback, BaseLanguageModel):
                raise PolicyError(
                    f"retry of {step!r}: LangGraph cannot exchange the model inside a node; give "
                    "a node's name or a function like the node as the fallback"
                )
    named = [(f"edge {e.step!r}", e.step) for e in policy.edges.values()]
    named += [(f"retry of {s!r}", s) for s, r in policy.retry.items() if r is not None]
    for where, step in named:
        if step in graph.nodes and is_decorated(graph.nodes[step].bound):
            raise PolicyError(
                f"{where}: the node's function is decorated with `validated` or `retrying`; "
                "use the decorator or the policy of attach"
            )


def findings(graph: Any, policy: Policy, topology: Topology) -> Iterable[str]:
    """One sentence for each thing that works otherwise than a user may expect."""
    untested = PARTS.finding()
    if untested is not None:
        yield untested
    for edge in policy.edges.values():
        if graph.nodes[edge.step].cache_policy is not None:
            yield (
                f"edge {edge.step!r}: the node's cache is switched off, since a cached rejection "
                "would come back for ever"
            )
        if edge.otherwise == HUMAN and not graph.checkpointer:
            yield f"edge {edge.step!r}: otherwise=HUMAN needs a checkpointer when the graph runs"
        yield from topology.findings(edge)
        if edge.max_attempts == 1:
            continue  # it never loops, so that there is no feedback
        for name in dict.fromkeys((edge.step, *edge.back_to)):
            for step in topology.entries if name == START else (name,):
                if not _has_route(graph, step, edge):
                    yield (
                        f"edge {edge.step!r}: feedback has no route to {step!r}; give the node a "
                        "parameter `feedback`, call current_feedback() in it, or set feedback_to="
                    )


def _has_route(graph: Any, step: str, edge: ValidationEdge) -> bool:
    """Whether feedback can reach a node."""
    pregel = graph.nodes[step]
    if edge.feedback_to is not None or declares_feedback(pregel.bound):
        return True
    code = getattr(function_of(pregel.bound), "__code__", None)
    return "messages" in pregel.channels or (
        code is not None and "current_feedback" in code.co_names
    )
