"""GraphFlow: what a loop-back runs again, and a saved state that AutoGen cannot go on from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autogen_agentchat.base import ChatAgent
from autogen_agentchat.teams import DiGraph, DiGraphBuilder

from coord_plugins import START, PolicyError, ValidationEdge

from ._validator import ValidatorAgent, passed


def between(graph: DiGraph, targets: Iterable[str], step: str) -> set[str]:
    """The nodes that run again when `step` goes back to its targets, `step` included."""
    forward = {name: {e.target for e in node.edges} for name, node in graph.nodes.items()}
    backward: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for name, children in forward.items():
        for child in children:
            backward[child].add(name)
    ahead = _reach(forward, targets)
    return (ahead & _reach(backward, [step])) | set(targets)


def _reach(links: Mapping[str, set[str]], roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(links[name])
    return found


def starts(graph: DiGraph) -> list[str]:
    """The nodes with which a graph begins."""
    return sorted(graph.get_start_nodes())


def check_loop(graph: DiGraph, edge: ValidationEdge) -> None:
    """Refuse a loop-back that a graph cannot make.

    Raises:
        PolicyError: The target does not lead to the step, or other branches would run again.
    """
    for target in edge.back_to:
        if target == edge.step:
            continue
        roots = starts(graph) if target == START else [target]
        where = f"edge {edge.step!r}: back_to {'START' if target == START else repr(target)}"
        again = between(graph, roots, edge.step)
        if edge.step not in again:
            raise PolicyError(f"{where}: the graph has no way from it to {edge.step!r}")
        for name in sorted(again - {edge.step}):
            for out in graph.nodes[name].edges:
                conditional = out.condition is not None or out.condition_function is not None
                if out.target not in again and not conditional:
                    raise PolicyError(
                        f"{where}: {name!r} would start {out.target!r} again, which runs beside "
                        f"{edge.step!r}; go back to a step inside the same branch"
                    )


def reopen(manager: Any, step: str | None, targets: Sequence[str]) -> None:
    """Make the targets ready, and let each node on the way wait for those that run again alone.

    A join on the way would else wait for a branch that has done its work.
    """
    graph: DiGraph = manager._graph
    again = between(graph, targets, step) if step is not None else set(targets)
    waits: dict[str, Counter[str]] = {}
    for name in again:
        for edge in graph.nodes[name].edges:
            if edge.target in again:
                waits.setdefault(edge.target, Counter())[edge.activation_group] += 1
    for name, groups in waits.items():
        if name not in targets:
            for group, count in groups.items():
                manager._remaining[name][group] = count
    for target in targets:
        if target not in manager._ready:
            manager._ready.append(target)


def resumable(state: Mapping[str, Any], graph: DiGraph, manager_name: str) -> dict[str, Any]:
    """A saved state with which a graph goes on.

    AutoGen does not save which activation groups had fired, so that a loaded graph never starts
    a node twice and ends at once (its issue 7043). Those of the nodes that are ready are reset.
    """
    states = dict(state["agent_states"])
    if "ready" not in states.get(manager_name, {}):
        return dict(state)  # AutoGen says what is wrong with it
    manager = dict(states[manager_name])
    remaining = {name: dict(groups) for name, groups in manager["remaining"].items()}
    queued = {name: dict(groups) for name, groups in manager["enqueued_any"].items()}
    first = graph.get_remaining_map()
    for name in manager["ready"]:
        for group, count in remaining.get(name, {}).items():
            if count <= 0:
                remaining[name][group] = first[name][group]
        queued[name] = dict.fromkeys(queued.get(name, {}), False)
    manager |= {"remaining": remaining, "enqueued_any": queued}
    return {**state, "agent_states": {**states, manager_name: manager}}


def add_validator(
    builder: DiGraphBuilder,
    validator: ValidatorAgent,
    worker: str | ChatAgent,
    then: str | ChatAgent | None = None,
) -> DiGraphBuilder:
    """Put a validator behind a worker: what passes goes on to `then`, what fails goes back.

    Args:
        builder: The graph that is being built; the worker is a node of it.
        validator: The validator; it becomes a node.
        worker: The node whose answers it judges.
        then: The node that works on what passed; None: the graph ends there.

    Returns:
        The builder.

    Raises:
        PolicyError: The validator does not watch the worker.
    """
    name = worker if isinstance(worker, str) else worker.name
    if name not in validator.watches:
        raise PolicyError(f"add_validator: {validator.name!r} does not watch {name!r}")
    builder.add_node(validator)
    builder.add_edge(worker, validator, activation_group=f"{name}->{validator.name}")
    if then is not None:
        builder.add_edge(validator, then, condition=passed)
    return builder
