"""Putting a policy on a team's own objects, and taking it off again."""

from __future__ import annotations

from typing import Any

from coord_plugins.host import COORD, Coord, attached_class, bare_class

from ._agent import AttachedAgent
from ._client import AttachedClient
from ._retrying import RetryingChatCompletionClient
from ._session import disown, own
from ._solo import is_validated
from ._team import KEPT, TREE, WATCHERS, AttachedTeam
from ._tree import Tree
from ._validator import Judging, ValidatorAgent


class AttachedValidator(AttachedAgent):
    """The form of a `ValidatorAgent`."""

    visit_class = Judging


def install(team: Any, coord: Coord, tree: Tree, watchers: dict[str, str]) -> None:
    """Attach a team's own object, its agents, inner teams and model clients."""
    for one in tree.teams:
        _swap(one, AttachedTeam)
        own(one, team)
    for agent in tree.agents.values():
        _swap(agent, AttachedValidator if isinstance(agent, ValidatorAgent) else AttachedAgent)
        own(agent, team)
    for client in tree.clients.values():
        if not isinstance(client, RetryingChatCompletionClient):
            _swap(client, AttachedClient)
            own(client, team)
    team.__dict__.update({COORD: coord, TREE: tree, WATCHERS: watchers})


def remove(team: Any) -> None:
    """Give all of them their classes back, but what another attached team has as well."""
    tree: Tree = team.__dict__[TREE]
    for key in (COORD, TREE, WATCHERS, KEPT):
        team.__dict__.pop(key, None)
    for one in (*tree.teams, *tree.agents.values(), *tree.clients.values()):
        if not disown(one, team) or is_validated(one):
            continue
        if isinstance(one, (AttachedTeam, AttachedAgent, AttachedClient)):
            one.__class__ = bare_class(one)


def _swap(one: Any, mixin: type) -> None:
    if not isinstance(one, mixin):
        one.__class__ = attached_class(mixin, type(one))
