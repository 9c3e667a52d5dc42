"""What belongs to a team: its agents, the teams inside it, and the model clients of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from autogen_agentchat.agents import MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.base import ChatAgent
from autogen_agentchat.teams import (
    BaseGroupChat,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_core.models import ChatCompletionClient

from coord_plugins import PolicyError

from ._messages import NOTE

_KINDS = (
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)


@dataclass
class Tree:
    """A team with all that is inside it."""

    agents: dict[str, Any] = field(default_factory=dict)
    """Every agent by its name, which records use."""
    names: dict[int, str] = field(default_factory=dict)
    """The same names, by `id` of the agent's object."""
    tools: set[str] = field(default_factory=set)
    """The names of agents that work as a tool of another: nobody gives them the word."""
    nested: set[str] = field(default_factory=set)
    """The names of teams that are participants of others: they are no steps."""
    teams: list[BaseGroupChat] = field(default_factory=list)
    """The team itself, then those inside it."""
    team_ids: dict[int, type | None] = field(default_factory=dict)
    """AutoGen's kind of each team, by `id`: asking a class of its anew takes microseconds."""
    team_of: dict[str, BaseGroupChat] = field(default_factory=dict)
    """The team in which each agent speaks."""
    clients: dict[int, ChatCompletionClient] = field(default_factory=dict)
    """Every model client, by `id`."""

    def kind_of(self, team: BaseGroupChat) -> type | None:
        """AutoGen's kind of a team; None for one of the user's own."""
        return self.team_ids[id(team)]

    def clients_of(self, name: str) -> list[ChatCompletionClient]:
        """The model clients that one agent holds."""
        return list(_clients(self.agents[name]))


def tree_of(team: BaseGroupChat) -> Tree:
    """Walk a team.

    Raises:
        PolicyError: Two agents have one name, or one has the name of the library's own messages.
    """
    tree = Tree()
    _walk(team, tree)
    return tree


def _walk(team: BaseGroupChat, tree: Tree) -> None:
    tree.teams.append(team)
    tree.team_ids[id(team)] = next((kind for kind in _KINDS if isinstance(team, kind)), None)
    _take_clients(team, tree)
    for participant in team._participants:
        _add(participant, team, tree)


def _add(one: Any, team: BaseGroupChat, tree: Tree) -> None:
    name = one.name
    if name == NOTE:
        raise PolicyError(f"attach: no agent can be named {NOTE!r}: it signs our own messages")
    if name in tree.agents or name in tree.nested:
        raise PolicyError(f"attach: two agents of the team are named {name!r}; rename one")
    if isinstance(one, BaseGroupChat):
        tree.nested.add(name)
        _walk(one, tree)
        return
    tree.agents[name], tree.names[id(one)], tree.team_of[name] = one, name, team
    _take_clients(one, tree)
    for inner in _inside(one):
        if isinstance(inner, BaseGroupChat):
            if id(inner) not in {id(t) for t in tree.teams}:
                _walk(inner, tree)
        elif isinstance(inner, ChatAgent) and id(inner) not in tree.names:
            tree.tools.add(inner.name)
            _add(inner, team, tree)


def _inside(one: Any) -> Iterable[Any]:
    """What works for an agent: the team behind it, and agents and teams that are its tools."""
    if isinstance(one, SocietyOfMindAgent):
        yield one._team
    for tool in getattr(one, "_tools", ()) or ():
        runner = getattr(tool, "_task_runner", None)
        if runner is not None:
            yield runner


def _clients(holder: Any) -> Iterable[ChatCompletionClient]:
    for value in vars(holder).values():
        if isinstance(value, ChatCompletionClient):
            yield value
    if isinstance(holder, MessageFilterAgent):
        yield from _clients(holder._wrapped_agent)


def _take_clients(holder: Any, tree: Tree) -> None:
    for client in _clients(holder):
        tree.clients[id(client)] = client
