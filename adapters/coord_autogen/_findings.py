"""What a user should know before the first run; errors for what cannot work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autogen_agentchat.agents import MessageFilterAgent
from autogen_agentchat.conditions import (
    SourceMatchTermination,
    TextMentionTermination,
    TextMessageTermination,
)
from autogen_agentchat.teams import (
    GraphFlow,
    MagenticOneGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_core import SingleThreadedAgentRuntime
from autogen_core.models import ChatCompletionClient

from coord_plugins import END, HUMAN, START, PolicyError, ValidationEdge
from coord_plugins.host import Policy

from ._client import hidden_retries
from ._graph import check_loop
from ._limits import leaves
from ._messages import NOTE
from ._private import PARTS
from ._solo import EDGE, is_validated
from ._tree import Tree
from ._validator import ValidatorAgent


def own_edges(tree: Tree) -> Iterable[ValidationEdge]:
    """The edges that agents bring: of `validated`, and of validators in the chat."""
    for agent in tree.agents.values():
        if is_validated(agent):
            yield agent.__dict__[EDGE]
        if isinstance(agent, ValidatorAgent):
            yield from agent.edges.values()


def watchers_of(tree: Tree) -> dict[str, str]:
    """The validator of the chat that watches an agent.

    Raises:
        PolicyError: It watches an agent of another team, itself, or one that has a watcher.
    """
    found: dict[str, str] = {}
    for name, agent in tree.agents.items():
        if not isinstance(agent, ValidatorAgent):
            continue
        where = f"attach: the validator {name!r}"
        if isinstance(tree.team_of[name], MagenticOneGroupChat):
            raise PolicyError(
                f"{where}: MagenticOne's orchestrator gives the word by itself and would pass it "
                "by; give attach an edge on the agent, or on END for the final answer"
            )
        for watched in agent.watches:
            if watched not in tree.agents or tree.team_of[watched] is not tree.team_of[name]:
                known = [n for n in tree.agents if tree.team_of[n] is tree.team_of[name]]
                raise PolicyError(
                    f"{where} watches {watched!r}, which is no agent of its team; the agents are "
                    f"{', '.join(known)}"
                )
            if watched == name or watched in found:
                raise PolicyError(f"{where} watches {watched!r}, which has a validator already")
            found[watched] = name
    return found


def check(team: Any, policy: Policy, tree: Tree, watchers: dict[str, str]) -> None:
    """Refuse what cannot work on this team; the names are known to be its agents.

    Raises:
        PolicyError: It names the thing and the mend.
    """
    for one in tree.teams:
        if not isinstance(one._runtime, SingleThreadedAgentRuntime):
            raise PolicyError(
                f"attach: the team {one.name!r} runs on a {type(one._runtime).__name__}; only a "
                "SingleThreadedAgentRuntime lets its manager be reached"
            )
    for watched, validator in watchers.items():
        _check_watched(tree.team_of[watched], watched, validator)
    for edge in policy.edges.values():
        if edge.step == END:
            _check_end(edge)
        else:
            _check_edge(edge, policy, tree)
    for step, retry in policy.retry.items():
        for fallback in retry.fallbacks if retry else ():
            if (
                isinstance(fallback, ChatCompletionClient)
                and step != "*"
                and (step in tree.agents and not tree.clients_of(step))
            ):
                raise PolicyError(
                    f"retry of {step!r}: it has no model client for which another could stand in"
                )


def check_nested(policy: Policy, tree: Tree) -> None:
    """Refuse an edge on a team inside the team.

    Raises:
        PolicyError: It names the forms that work.
    """
    for name in sorted(tree.nested & set(policy.edges)):
        raise PolicyError(
            f"edge {name!r}: it is a team, and all that its agents say is published; give the edge "
            "to one of its agents, or put the team into a SocietyOfMindAgent"
        )


def _check_end(edge: ValidationEdge) -> None:
    if any(target not in (END, START) for target in edge.back_to):
        raise PolicyError("edge END: a rejection runs the team again; leave back_to away")
    if edge.otherwise not in (None, "__stop__"):
        raise PolicyError("edge END: otherwise is STOP or None: the chat is over")


def _check_edge(edge: ValidationEdge, policy: Policy, tree: Tree) -> None:
    where, speaker = f"edge {edge.step!r}", _speaker(edge.step, tree)
    team: Any = tree.team_of[speaker]
    earlier = [t for t in edge.back_to if t != edge.step]
    if isinstance(team, MagenticOneGroupChat):
        _check_magentic(edge, where, earlier)
    tool = {speaker, *edge.back_to} & tree.tools
    if tool and (earlier or edge.otherwise == HUMAN):
        raise PolicyError(
            f"{where}: {tool.pop()!r} works as a tool of another agent, and has no turn in the "
            "chat: it can only loop back in place"
        )
    for target in (t for t in earlier if t != START):
        if tree.team_of[target] is not team:
            raise PolicyError(f"{where}: {target!r} speaks in another team")
        if target in policy.stand_ins:
            raise PolicyError(f"{where}: {target!r} only stands in and is not in the normal order")
    if speaker in policy.stand_ins and earlier:
        raise PolicyError(
            f"{where}: {speaker!r} only stands in for another agent, so it can only loop back in "
            "place"
        )
    if isinstance(team, GraphFlow):
        _check_graph(edge, speaker, team._graph, policy)


def _check_magentic(edge: ValidationEdge, where: str, earlier: list[str]) -> None:
    """Refuse what MagenticOne's orchestrator would have to decide."""
    if earlier:
        raise PolicyError(
            f"{where}: MagenticOne's orchestrator decides who speaks, so a rejection can only "
            "loop back in place"
        )
    if edge.otherwise == HUMAN:
        raise PolicyError(
            f"{where}: MagenticOne begins anew with each task, so nobody can answer it "
            "(otherwise=HUMAN); name an agent that stands in, or STOP"
        )


def _check_graph(edge: ValidationEdge, speaker: str, graph: Any, policy: Policy) -> None:
    """Refuse what a graph cannot do."""
    if speaker in graph.nodes:
        check_loop(graph, edge.renamed(lambda name: speaker if name == edge.step else name))
    for name in policy.stand_ins & set(graph.nodes):
        raise PolicyError(
            f"attach: {name!r} stands in for another agent; leave it out of the graph (it stays a "
            "participant)"
        )


def _speaker(step: str, tree: Tree) -> str:
    """The agent that speaks in a step: a validator has one step per agent that it watches."""
    return step if step in tree.agents else step.partition("[")[0]


def _check_watched(team: Any, watched: str, validator: str) -> None:
    """Refuse a chat in which an unjudged draft would end it, or would not be judged."""
    for condition in leaves(team._termination_condition):
        if _fires_on(condition, watched):
            kind = type(condition).__name__
            raise PolicyError(
                f"attach: {kind} would end the chat on a draft of {watched!r} that {validator!r} "
                "has not judged; use VerdictTermination, or give the condition sources without "
                f"{watched!r}"
            )
    if isinstance(team, GraphFlow):
        out = {edge.target for edge in team._graph.nodes[watched].edges}
        if out != {validator}:
            raise PolicyError(
                f"attach: in the graph {watched!r} leads to {', '.join(sorted(out)) or 'the end'} "
                f"and not to its validator {validator!r} alone; add_validator(builder, ...) draws "
                "it so"
            )


def _fires_on(condition: Any, source: str) -> bool:
    if isinstance(condition, TextMentionTermination):
        return condition._sources is None or source in condition._sources
    if isinstance(condition, TextMessageTermination):
        return condition._source in (None, source)
    if isinstance(condition, SourceMatchTermination):
        return source in condition._sources
    return False


def findings(team: Any, policy: Policy, tree: Tree) -> Iterable[str]:
    """One sentence for each thing that works otherwise than a user may expect."""
    untested = PARTS.finding()
    if untested is not None:
        yield untested
    told = {name for e in policy.edges.values() for name in (e.step, *e.back_to)}
    for name in sorted(told & set(tree.agents)):
        if _is_deaf(tree.agents[name]):
            yield (
                f"{name!r} filters messages by their source, and so the feedback; let it through "
                f"with PerSourceFilter(source={NOTE!r})"
            )
    for name in sorted(policy.stand_ins):
        kind = tree.team_of[name]
        chooses = isinstance(kind, SelectorGroupChat) and kind._selector_func is None
        if chooses or isinstance(kind, MagenticOneGroupChat):
            yield f"{name!r} stands in, and the model that selects speakers may choose it as well"
        elif isinstance(kind, Swarm) and name == kind._participant_names[0]:
            yield f"{name!r} stands in, but as the first participant it begins the chat"


def _is_deaf(agent: Any) -> bool:
    """Whether a filter takes our messages away."""
    if not isinstance(agent, MessageFilterAgent):
        return False
    sources = [only.source for only in agent._filter.per_source]
    return bool(sources) and NOTE not in sources


def notes(policy: Policy, tree: Tree) -> Iterable[str]:
    """What `.coord.explain()` says besides."""
    for name in tree.agents:
        for client in tree.clients_of(name):
            hidden = hidden_retries(client)
            if hidden and policy.retry_of(name) is None:
                yield (
                    f"{name}: its client's SDK repeats a failed call up to {hidden} times by "
                    "itself, unseen; max_retries=0 switches that off, a Retry does it for you"
                )
