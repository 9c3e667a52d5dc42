"""GraphFlow: joins, fan-outs, what is refused, and a stop in one of two branches."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
)
from coord_autogen import attach

from coord_plugins import (
    START,
    STOP,
    PolicyError,
    ValidationEdge,
)

from .teams import BAD, GOOD, Speaker, fine, run


def graph(agents: dict[str, Speaker], *edges: str) -> GraphFlow:
    """A graph of agents; an edge is written "one other"."""
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for edge in edges:
        builder.add_edge(*(agents[name] for name in edge.split()))
    return GraphFlow(list(agents.values()), builder.build())


def speakers(names: str, **scripts: tuple[str, ...]) -> dict[str, Speaker]:
    return {n: Speaker(n, *scripts.get(n, (n,))) for n in names.split()}


DIAMOND = ("a b", "a c", "b d", "c d")


def test_a_join_waits_only_for_the_branch_that_runs_again() -> None:
    agents = speakers("start left left2 right join", left2=(BAD, GOOD))
    edges = ("start left", "start right", "left left2", "left2 join", "right join")
    team = graph(agents, *edges)
    attach(team, ValidationEdge("left2", fine, back_to="left"), pipeline="p", store="off")
    run(team)
    assert [a.turns for a in agents.values()] == [1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("target", "turns"), [(START, [2, 2, 2, 2]), ("b", [1, 2, 1, 2]), ("c", [1, 1, 2, 2])]
)
def test_a_join_goes_back_to_before_the_fan_out_or_into_one_branch(
    target: str, turns: list[int]
) -> None:
    """It had both parents; what runs again is what it waits for."""
    agents = speakers("a b c d", d=(BAD, GOOD))
    team = graph(agents, *DIAMOND)
    attach(team, ValidationEdge("d", fine, back_to=target), pipeline="p", store="off")
    run(team)
    assert [a.turns for a in agents.values()] == turns


def test_a_graph_refuses_to_run_a_sibling_again() -> None:
    agents = speakers("start left right")
    team = graph(agents, "start left", "start right")
    with pytest.raises(PolicyError, match="'start' would start 'right' again"):
        attach(team, ValidationEdge("left", fine, back_to="start"), pipeline="p")
    with pytest.raises(PolicyError, match="no way from it to 'left'"):
        attach(team, ValidationEdge("left", fine, back_to="right"), pipeline="p")


def test_a_stop_in_one_branch_ends_a_parallel_graph_and_leaves_it_whole() -> None:
    """AutoGen looks at the turn that ends last alone; the stop of another would be lost."""
    agents = speakers("a b c d e", b=(BAD, BAD, GOOD))
    team = graph(agents, "a b", "a c", "c e", "b d", "e d")
    attach(team, ValidationEdge("b", fine, otherwise=STOP), pipeline="p", store="off")

    async def main() -> None:
        for task in ("one", "two"):
            await team.run(task=task)

    asyncio.run(main())
    assert [a.turns for a in agents.values()] == [2, 3, 2, 1, 1]
    assert [r.outcome for r in team.coord.runs] == ["escalated.unjudged", "unlabelled"]  # type: ignore[attr-defined]  # attached


def test_a_stand_in_must_not_be_a_node() -> None:
    team = graph(speakers("writer desk"), "writer desk")
    with pytest.raises(PolicyError, match="leave it out of the graph"):
        attach(team, ValidationEdge("writer", fine, otherwise="desk"), pipeline="p")
