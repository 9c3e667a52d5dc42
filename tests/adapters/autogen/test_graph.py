"""GraphFlow: on any graph a loop-back runs again what lies between, and nothing else."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.teams import DiGraphBuilder, GraphFlow
from coord_autogen import attach
from coord_autogen._graph import between, starts
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins import START, PolicyError, ValidationEdge

from .teams import BAD, GOOD, Speaker, fine

NAMES = "abcdef"


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str, str]:
    """The edges of an acyclic graph, a step and a target."""
    size = draw(st.integers(2, len(NAMES)))
    pairs = [(a, b) for i, a in enumerate(NAMES[:size]) for b in NAMES[i + 1 : size]]
    edges = draw(st.lists(st.sampled_from(pairs), min_size=1, unique=True))
    used = sorted({name for edge in edges for name in edge})
    step = draw(st.sampled_from(used))
    target = draw(st.sampled_from([*used, START]))
    return edges, step, target


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 2))
def test_a_loop_back_runs_again_what_lies_between(
    drawn: tuple[list[tuple[str, str]], str, str], rejections: int
) -> None:
    edges, step, target = drawn
    agents = {name: Speaker(name, name) for edge in edges for name in edge}
    agents[step] = Speaker(step, *[BAD] * rejections, GOOD)
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for one, other in edges:
        builder.add_edge(agents[one], agents[other])
    team = GraphFlow(list(agents.values()), builder.build())
    edge = ValidationEdge(step, fine, back_to=target, max_attempts=4)
    with suppress(PolicyError):
        attach(team, edge, pipeline="p", store="off")
        again = between(team._graph, starts(team._graph) if target == START else [target], step)
        asyncio.run(team.run(task="the task"))
        assert {name: agent.turns for name, agent in agents.items()} == {
            name: 1 + rejections if name in again else 1 for name in agents
        }
