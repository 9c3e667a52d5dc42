"""`attach`: put a policy on a clone of a compiled graph; the graph itself stays as it is."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langgraph.channels import BinaryOperatorAggregate
from langgraph.errors import (
    EmptyInputError,
    GraphBubbleUp,
    GraphRecursionError,
    InvalidUpdateError,
    TaskNotFound,
)
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from coord_plugins import (
    START,
    AlreadyAttachedError,
    Budget,
    CoordWarning,
    PolicyError,
    ValidationEdge,
)
from coord_plugins.host import Coord, Host, make_policy

from ._findings import check, findings
from ._functions import is_decorated
from ._graph import Attached
from ._host_retry import policies_of
from ._memory import merge
from ._node import Node
from ._private import CHANNEL, SKIP_WRITE, ChannelWrite, ChannelWriteEntry, assert_shape
from ._session import current_graph_run
from ._topology import Topology, edge_targets
from ._writers import declare, guard

HOST = Host(
    name="langgraph",
    # A wrong input, update or limit is LangGraph's own word about the graph: no repeat mends it,
    # and a subgraph's GraphRecursionError must not look like a step that failed.
    control_flow=(
        GraphBubbleUp,
        GraphRecursionError,
        InvalidUpdateError,
        EmptyInputError,
        TaskNotFound,
    ),
    buffers_stream=True,
    earlier_step=True,
    human=True,
    traces_itself=True,
)


def attach(
    host: Any,
    *edges: ValidationEdge,
    pipeline: str,
    goal: Any = None,
    retry: Any = None,
    budget: Budget | None = None,
    label: Callable[[Any, str], bool | None] | None = None,
    task: str | Callable[[Any], Any] | None = None,
    output: str | Callable[[Any], Any] | None = None,
    mode: Any = None,
    store: Any = None,
    listeners: Iterable[Any] = (),
    prices: Any = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Attach validation edges, retries and an end-to-end outcome to a compiled graph.

    Args:
        host: Any `CompiledStateGraph`, also a prebuilt agent. It is not changed.
        *edges: At most one per node.
        pipeline: The pipeline's name in records and reports.
        goal: A validator of the final state, or LATER.
        retry: A `Retry` for every node, or a mapping of nodes ("*": all others) to `Retry`, a
            LangGraph `RetryPolicy`, or None.
        budget: Limits of one run.
        label: `f(value, step) -> bool or None`: whether an output was right; recorded only.
        task: A key of the input, or `callable(input)`: what a run is to get done.
        output: A key of the final state, or a callable: what the goal sees.
        mode: "enforce", "observe" or "off".
        store: Where records go; default see `configure`.
        listeners: Hear this pipeline's events.
        prices: US dollars per model call, see `coord_plugins.configure`.
        tags: Labels of every run.
        metadata: Keys and values of every run.

    Returns:
        A graph of the same kind, with `.coord`. `invoke`, `stream` and their async forms work
        as before.

    Raises:
        PolicyError: The policy cannot hold on this graph; the message names the thing and the
            mend.
        AlreadyAttachedError: The graph carries another policy.
        UnsupportedHostError: This LangGraph has changed a part that the adapter relies on.
    """
    graph = _compiled(host)
    policy = make_policy(
        *edges,
        pipeline=pipeline,
        goal=goal,
        retry=retry,
        budget=budget,
        label=label,
        task=task,
        output=output,
        mode=mode,
        store=store,
        listeners=listeners,
        prices=prices,
        tags=tags,
        metadata=metadata,
    )
    if isinstance(graph, Attached):
        if graph.coord.policy == policy:
            return graph
        raise AlreadyAttachedError(
            f"this graph already carries the policy of pipeline {graph.coord.policy.pipeline!r}; "
            "attach to the bare graph that `.coord.detach()` returns"
        )
    assert_shape(graph)
    check(graph, policy)
    policy.check_steps([n for n in graph.nodes if n != START], HOST)
    topology = Topology(graph)
    found = list(findings(graph, policy, topology))
    coord = Coord(policy, HOST, bare=graph, findings=found, entries=topology.entries)
    clone = _clone(graph, coord, topology)
    for finding in found:
        warnings.warn(finding, CoordWarning, stacklevel=2)
    return clone


def _compiled(host: Any) -> Any:
    if isinstance(host, StateGraph):
        raise PolicyError("attach: this graph is not compiled; give graph.compile()")
    if not isinstance(host, CompiledStateGraph):
        raise PolicyError(
            f"attach: {type(host).__name__} is no compiled LangGraph graph; decorate the "
            "functions of the functional API with `validated` and `retrying` instead"
        )
    return host


def _clone(graph: Any, coord: Coord, topology: Topology) -> Any:
    """A copy of the graph whose nodes are wrapped; it shares nothing that is written to."""
    kind = type(graph)
    clone: Any = object.__new__(type(kind.__name__, (Attached, kind), {}))
    clone.__dict__.update(graph.__dict__)
    clone.__dict__["_coord"] = coord
    clone.nodes = dict(graph.nodes)
    clone.channels = dict(graph.channels)
    channel = BinaryOperatorAggregate(dict, merge)
    channel.key = CHANNEL
    clone.channels[CHANNEL] = channel
    targets = {t for e in coord.policy.edges.values() for t in e.back_to if t != e.step}
    if START in targets:
        targets |= set(topology.entries)
    others = {name: node.bound for name, node in graph.nodes.items()}
    start = graph.nodes[START]
    branches = [w for w in start.writers[1:] if not isinstance(w, ChannelWrite)]
    for name, pregel in graph.nodes.items():
        copied = clone.nodes[name] = copy.copy(pregel)
        for cached in ("flat_writers", "node", "input_cache_key"):
            copied.__dict__.pop(cached, None)
        if name == START:
            copied.writers = [*pregel.writers, _remember_start(START in targets)]
            continue
        node = Node(
            name,
            pregel,
            coord,
            topology,
            is_target=name in targets,
            others=others,
            entry_branches=branches,
        )
        _wrap(copied, pregel, node)
    return clone


def _wrap(copied: Any, pregel: Any, node: Node) -> None:
    if is_decorated(pregel.bound):
        return  # its decorators record it
    copied.bound = node.wrapped()
    edge = node.edge
    declared = edge_targets(edge, node.topology) if edge is not None else []
    copied.writers = [
        declare(pregel.writers[0], declared),
        *(guard(w) for w in pregel.writers[1:]),
    ]
    if edge is not None:
        copied.cache_policy = None
    copied.retry_policy = policies_of(pregel, node)


def _remember_start(keep_input: bool) -> Any:
    """START's extra write: the thread's new run begins, and an earlier one is forgotten."""

    def begin(value: Any) -> Any:
        found = current_graph_run()
        if found is None:  # LangGraph only draws the graph
            return SKIP_WRITE
        remembered = found.remember(START, value, -1, False) if keep_input else {}
        if not found.run.resumable:  # without a checkpointer nobody reads it
            return SKIP_WRITE
        return {**found.begin(), **remembered}

    return ChannelWrite((ChannelWriteEntry(CHANNEL, mapper=begin),))
