"""`attach`: the object that carries a policy, and what is refused."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

import coord_autogen
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import (
    MagenticOneGroupChat,
    RoundRobinGroupChat,
)
from coord_autogen import attach

from coord_plugins import (
    END,
    HUMAN,
    AlreadyAttachedError,
    PolicyError,
    Retry,
    UnknownStepError,
    UnsupportedHostError,
    ValidationEdge,
)

from .teams import BAD, GOOD, Speaker, chat, fine, replies, row, run

EDGE = ValidationEdge("writer", fine)


# ---------------------------------------------------------------------- the object


def test_the_same_object_with_its_class_and_its_declaration() -> None:
    client = replies(GOOD)
    writer = AssistantAgent("writer", client)
    team = RoundRobinGroupChat([writer], max_turns=1)
    before = team.dump_component().model_dump_json()
    attached = attach(team, EDGE, pipeline="p", store="off")
    assert attached is team
    assert isinstance(team, RoundRobinGroupChat)
    assert (type(team).__name__, type(writer).__name__) == ("RoundRobinGroupChat", "AssistantAgent")
    assert team.dump_component().model_dump_json() == before
    run(team)
    assert team.coord.last.outcome == "unlabelled"


def test_attaching_again_with_equal_arguments_returns_it_and_others_are_an_error() -> None:
    team = attach(row(Speaker("writer", GOOD)), EDGE, pipeline="p", store="off")
    coord = team.coord
    assert attach(team, EDGE, pipeline="p", store="off").coord is coord
    with pytest.raises(AlreadyAttachedError, match=r"pipeline 'p'.*\.coord\.detach\(\)"):
        attach(team, EDGE, pipeline="q", store="off")


def test_detach_gives_the_bare_team_back() -> None:
    client = replies(BAD, BAD)
    writer = AssistantAgent("writer", client)
    team = row(writer)
    kinds = [type(one) for one in (team, writer, client)]
    attach(team, EDGE, pipeline="p", store="off")
    assert [type(one) for one in (team, writer, client)] != kinds
    assert team.coord.detach() is team  # type: ignore[attr-defined]  # attached
    assert [type(one) for one in (team, writer, client)] == kinds
    assert chat(run(team))[-1] == ("writer", BAD)
    assert not hasattr(team, "coord")


def test_two_teams_that_share_an_agent_and_a_client() -> None:
    """Each detach leaves what the other has."""
    client = replies(*[GOOD] * 9)
    writer = AssistantAgent("writer", client)
    one = attach(row(writer), EDGE, pipeline="one", store="off")
    two = attach(row(writer), pipeline="two", store="off")
    one.coord.detach()
    run(two)
    assert two.coord.last.tokens > 0
    two.coord.detach()
    assert type(client).__module__ == "autogen_ext.models.replay._replay_chat_completion_client"
    assert type(writer) is AssistantAgent


def test_the_signature_is_that_of_every_host() -> None:
    pytest.importorskip("langgraph.graph")
    import coord_langgraph as langgraph

    mine, theirs = inspect.signature(attach), inspect.signature(langgraph.attach)
    assert list(mine.parameters) == list(theirs.parameters)


def test_what_is_no_team_is_one_clear_error() -> None:
    writer = Speaker("writer", GOOD)
    with pytest.raises(PolicyError, match="is an agent; attach its team, or use validated"):
        attach(writer, pipeline="p")
    with pytest.raises(PolicyError, match="int is no AutoGen team"):
        attach(7, pipeline="p")


def test_public_names() -> None:
    assert set(dir(coord_autogen)) == set(coord_autogen.__all__)
    for name in coord_autogen.__all__:
        assert getattr(coord_autogen, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        coord_autogen.nothing  # noqa: B018 - the access is the test


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("edges", "settings", "error", "words"),
    [
        ([ValidationEdge("wrter", fine)], {}, UnknownStepError, "'wrter'"),
        ([ValidationEdge("writer", fine, back_to="x")], {}, UnknownStepError, "'x'"),
        ([ValidationEdge("writer", fine, otherwise="x")], {}, UnknownStepError, "'x'"),
        ([EDGE, EDGE], {}, PolicyError, "two edges"),
        (
            [
                ValidationEdge("writer", fine, otherwise="desk"),
                ValidationEdge("desk", fine, back_to="writer"),
            ],
            {},
            PolicyError,
            "only loop back in place",
        ),
        (
            [
                ValidationEdge("writer", fine, back_to="desk"),
                ValidationEdge("reader", fine, otherwise="desk"),
            ],
            {},
            PolicyError,
            "'desk' only stands in",
        ),
        ([ValidationEdge(END, fine, back_to="writer")], {}, PolicyError, "runs the team again"),
        ([ValidationEdge(END, fine, otherwise="desk")], {}, PolicyError, "STOP or None"),
        ([], {"retry": {"writer": Retry(fallbacks=[7])}}, PolicyError, "cannot use the fallback 7"),
        ([], {"retry": {"writer": Retry(fallbacks=[replies()])}}, PolicyError, "no model client"),
    ],
)
def test_what_cannot_hold_is_an_error_at_attach(
    edges: Any, settings: Any, error: Any, words: str
) -> None:
    team = row(Speaker("reader", "facts"), Speaker("writer", GOOD), Speaker("desk", "by hand"))
    with pytest.raises(error, match=words):
        attach(team, *edges, pipeline="p", store="off", **settings)
    assert not hasattr(team, "coord")
    assert type(team) is RoundRobinGroupChat


def test_magentic_one_refuses_what_its_orchestrator_decides() -> None:
    def team() -> Any:
        return MagenticOneGroupChat([Speaker("reader", "f"), Speaker("writer", GOOD)], replies())

    with pytest.raises(PolicyError, match="only loop back in place"):
        attach(team(), ValidationEdge("writer", fine, back_to="reader"), pipeline="p")
    with pytest.raises(PolicyError, match="nobody can answer it"):
        attach(team(), ValidationEdge("writer", fine, otherwise=HUMAN), pipeline="p")


def test_names_must_be_clear() -> None:
    inner = RoundRobinGroupChat([Speaker("writer", GOOD)], max_turns=1)
    with pytest.raises(PolicyError, match="two agents of the team are named 'writer'"):
        attach(row(Speaker("writer", GOOD), inner, last="x"), pipeline="p", store="off")
    with pytest.raises(PolicyError, match="no agent can be named 'coord'"):
        attach(row(Speaker("coord", GOOD)), pipeline="p", store="off")


def test_a_changed_private_part_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from autogen_agentchat.teams import BaseGroupChat

    monkeypatch.delattr(BaseGroupChat, "_init")
    with pytest.raises(UnsupportedHostError, match=r"BaseGroupChat lost _init.*0\.7\.5"):
        attach(row(Speaker("writer", GOOD)), pipeline="p", store="off")


def test_a_runtime_that_hides_its_agents_is_refused() -> None:
    team = row(Speaker("writer", GOOD))
    team._runtime = object()  # type: ignore[assignment]  # stands for a distributed one
    with pytest.raises(PolicyError, match="only a SingleThreadedAgentRuntime"):
        attach(team, pipeline="p", store="off")
