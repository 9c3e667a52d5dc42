"""`attach`: put a policy on a team; its own object carries it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from autogen_agentchat.base import ChatAgent
from autogen_agentchat.teams import (
    BaseGroupChat,
    GraphFlow,
    RoundRobinGroupChat,
    Swarm,
)

from coord_plugins import (
    END,
    AlreadyAttachedError,
    Budget,
    CoordWarning,
    PolicyError,
    ValidationEdge,
)
from coord_plugins.host import Coord, Policy, is_attached, make_policy

from ._findings import check, check_nested, findings, notes, own_edges, watchers_of
from ._graph import starts
from ._host import HOST
from ._install import install, remove
from ._private import assert_shape
from ._session import register_models
from ._tree import Tree, tree_of


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
    """Attach validation edges, retries and an end-to-end outcome to a team.

    Args:
        host: A team: `RoundRobinGroupChat`, `SelectorGroupChat`, `Swarm`, `GraphFlow`,
            `MagenticOneGroupChat`, or one of your own. The object itself is attached, with its
            agents, the teams inside it, and their model clients.
        *edges: At most one per agent, named by its name or by the agent; END judges the final
            answer. `validated` agents and `ValidatorAgent`s bring their own.
        pipeline: The pipeline's name in records and reports.
        goal: A validator of the final message's content, or LATER.
        retry: A `Retry` for every agent, or a mapping of agents ("*": all others, and the team's
            own model calls) to `Retry` or None. It repeats model calls, and turns whose agent
            raised; its fallbacks are agents, callables `f(messages)` or model clients.
        budget: Limits of one run.
        label: `f(value, step) -> bool or None`: whether an output was right; recorded only.
        task: A field of the task's content, or `callable(content)`: what a run is to get done.
        output: A field of the final content, or a callable: what the goal sees.
        mode: "enforce", "observe" or "off".
        store: Where records go; default see `configure`.
        listeners: Hear this pipeline's events.
        prices: US dollars per model call, see `coord_plugins.configure`.
        tags: Labels of every run.
        metadata: Keys and values of every run.

    Returns:
        The same object, with `.coord`. `run`, `run_stream` and `Console` work as before.

    Raises:
        PolicyError: The policy cannot hold on this team; the message names the thing and the
            mend.
        AlreadyAttachedError: The team carries another policy.
        UnsupportedHostError: This AutoGen has changed a part that the adapter relies on.
    """
    team = _is_team(host)
    assert_shape()
    tree = tree_of(team)
    policy = make_policy(
        *edges,
        *own_edges(tree),
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
    if is_attached(team):
        return _again(team, policy)
    found = _attach(team, tree, policy)
    for finding in found:
        warnings.warn(finding, CoordWarning, stacklevel=2)
    return team


def _attach(team: Any, tree: Tree, policy: Policy) -> list[str]:
    """Check and install; returns what to say of it."""
    steps = [edge.step for edge in own_edges(tree)]
    managers = [one._group_chat_manager_name for one in tree.teams]
    watchers = watchers_of(tree)
    named = {*policy.edges, *policy.retry}
    also = [name for name in (*steps, *managers, END) if name in named]
    check_nested(policy, tree)
    policy.check_steps([*tree.agents, *also], HOST)
    check(team, policy, tree, watchers)
    found = list(findings(team, policy, tree))
    coord = Coord(
        policy,
        HOST,
        bare=team,
        findings=[*found, *notes(policy, tree)],
        entries=_entries(team, policy),
        undo=lambda: remove(team),
    )
    models = [v.model for e in policy.edges.values() for v in e.validators if v.model is not None]
    models += [
        agent._output_content_type
        for agent in tree.agents.values()
        if getattr(agent, "_output_content_type", None) is not None
    ]
    for one in tree.teams:
        register_models(one, models)
    install(team, coord, tree, watchers)
    return found


def _entries(team: Any, policy: Policy) -> list[str]:
    """The agents that begin, where the kind of team says it; else the first run shows it."""
    if isinstance(team, GraphFlow):
        return starts(team._graph)
    if isinstance(team, (RoundRobinGroupChat, Swarm)):
        order = [n for n in team._participant_names if n not in policy.stand_ins]
        return order[:1]
    return []


def _again(team: Any, policy: Policy) -> Any:
    """Attach what is attached: nothing to do with equal arguments."""
    coord: Coord = team.coord
    if coord.policy != policy:
        raise AlreadyAttachedError(
            f"this team already carries the policy of pipeline {coord.policy.pipeline!r}; take it "
            "off first, with `.coord.detach()`"
        )
    return team


def _is_team(host: Any) -> BaseGroupChat:
    if isinstance(host, BaseGroupChat):
        return host
    if isinstance(host, ChatAgent):
        raise PolicyError(
            f"attach: {type(host).__name__} {host.name!r} is an agent; attach its team, or use "
            "validated(agent, ...) for one agent alone"
        )
    raise PolicyError(f"attach: {type(host).__name__} is no AutoGen team")
