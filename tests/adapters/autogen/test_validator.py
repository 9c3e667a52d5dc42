"""`ValidatorAgent`: a validator that everybody sees."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")

from autogen_agentchat.base import AndTerminationCondition
from autogen_agentchat.conditions import (
    MaxMessageTermination,
    SourceMatchTermination,
    TextMentionTermination,
    TextMessageTermination,
)
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from coord_autogen import (
    ValidatorAgent,
    VerdictTermination,
    add_validator,
    attach,
    verdict_of,
)

from coord_plugins import START, STOP, AttemptsExhaustedError, CoordWarning, PolicyError, check

from .teams import BAD, GOOD, Speaker, chat, counts, fine, replies, row, run


def is_good(text: str) -> bool:
    """For a declaration."""
    return "bad" not in text


# ---------------------------------------------------------------------- in each kind of team


def test_round_robin_the_speaker_that_failed_really_speaks_next() -> None:
    writer, editor = Speaker("writer", BAD, GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    goal = check(lambda text: text == "printed", name="goal")
    team = attach(row(writer, validator, editor), pipeline="p", goal=goal, store="off")
    result = run(team)
    assert team.coord.last.outcome == "success.unjudged"
    assert chat(result) == [
        ("user", "the task"),
        ("writer", BAD),
        ("validator", "writer's answer was rejected. do better"),
        ("writer", GOOD),
        ("validator", "writer's answer passed."),
        ("editor", "printed"),
    ]
    assert counts(team, "validator") == (2, 1, 1, 0, 0)
    assert counts(team, "writer")[0] == 2
    verdicts = [verdict_of(m) for m in result.messages]
    assert [v.passed for v in verdicts if v is not None] == [False, True]
    assert [v.name for v in verdicts if v is not None] == ["validator", "validator"]


def test_its_place_in_the_round_does_not_matter() -> None:
    """The editor comes between in the list, and never sees an unjudged draft."""
    writer, editor = Speaker("writer", BAD, GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches=writer)
    team = attach(row(writer, editor, validator, last="editor"), pipeline="p", store="off")
    run(team)
    assert (writer.turns, editor.turns) == (2, 1)
    assert counts(team, "validator") == (2, 1, 1, 0, 0)
    words = [content for source, content in writer.heard if source == "coord"]
    assert words == ["Your previous answer was rejected. Mend what the reviewer names:\ndo better"]
    assert ("validator", "writer's answer was rejected. do better") not in writer.heard


def test_selector_with_the_users_own_function_that_does_not_know_it() -> None:
    writer, editor = Speaker("writer", BAD, GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    selected: list[str] = []

    def select(thread: Any) -> str:
        last = thread[-1].source
        selected.append(last)
        return "writer" if last == "user" else "editor"

    team = SelectorGroupChat(
        [writer, validator, editor],
        replies(),
        selector_func=select,
        termination_condition=SourceMatchTermination(["editor"]),
    )
    run(attach(team, pipeline="p", store="off"))
    assert (writer.turns, editor.turns) == (2, 1)
    assert selected == ["user", "validator"]  # asked where nothing else is due
    assert counts(team, "validator") == (2, 1, 1, 0, 0)


def test_selector_whose_model_never_names_it() -> None:
    writer, editor = Speaker("writer", BAD, GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    model = replies("writer", "editor")
    team = SelectorGroupChat(
        [writer, validator, editor],
        model,
        termination_condition=SourceMatchTermination(["editor"]),
    )
    run(attach(team, pipeline="p", store="off"))
    assert counts(team, "validator") == (2, 1, 1, 0, 0)
    assert (writer.turns, editor.turns) == (2, 1)


def test_swarm_gives_it_the_word_without_a_handoff() -> None:
    writer = Speaker("writer", BAD, GOOD)
    from autogen_agentchat.messages import HandoffMessage

    class Swarmer(Speaker):
        @property
        def produced_message_types(self) -> Any:
            return (TextMessage, HandoffMessage)

    writer = Swarmer(
        "writer", BAD, GOOD, HandoffMessage(content="over", source="writer", target="editor")
    )
    editor = Swarmer("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    team = Swarm(
        [writer, validator, editor], termination_condition=SourceMatchTermination(["editor"])
    )
    result = run(attach(team, pipeline="p", store="off"))
    assert [s for s, _ in chat(result)] == [
        *("user", "writer", "validator", "writer", "validator"),
        *("writer", "editor"),
    ]
    assert counts(team, "validator") == (2, 1, 1, 0, 0)


def graph(writer: Any, validator: Any, editor: Any) -> GraphFlow:
    builder = DiGraphBuilder()
    builder.add_node(writer)
    builder.add_node(editor)
    add_validator(builder, validator, writer, editor)
    return GraphFlow([writer, validator, editor], builder.build())


def test_graph_with_the_helper() -> None:
    writer, editor = Speaker("writer", BAD, GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    team = attach(graph(writer, validator, editor), pipeline="p", store="off")
    result = run(team)
    assert [s for s, _ in chat(result)] == [
        *("user", "writer", "validator", "writer", "validator", "editor")
    ]
    assert counts(team, "validator") == (2, 1, 1, 0, 0)
    assert result.stop_reason == "Digraph execution is complete"
    assert (writer.turns, editor.turns) == (2, 1)


def test_graph_that_leads_past_it_is_an_error_with_the_form_that_works() -> None:
    writer, editor = Speaker("writer", GOOD), Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches="writer")
    builder = DiGraphBuilder()
    for node in (writer, validator, editor):
        builder.add_node(node)
    builder.add_edge(writer, editor)
    builder.add_edge(writer, validator)
    team = GraphFlow([writer, validator, editor], builder.build())
    with pytest.raises(PolicyError, match=r"leads to editor, validator .* add_validator\("):
        attach(team, pipeline="p", store="off")


def test_magentic_one_names_the_forms_that_work() -> None:
    validator = ValidatorAgent("validator", fine, watches="writer")
    team = MagenticOneGroupChat([Speaker("writer", GOOD), validator], replies())
    with pytest.raises(PolicyError, match="edge on the agent, or on END"):
        attach(team, pipeline="p", store="off")


# ---------------------------------------------------------------------- what follows


def test_several_watched_agents_each_count_for_themselves() -> None:
    writer, painter = Speaker("writer", BAD, GOOD), Speaker("painter", "bad picture", "picture")
    editor = Speaker("editor", "printed")
    validator = ValidatorAgent("validator", fine, watches=["writer", "painter"])
    team = attach(row(writer, painter, validator, editor), pipeline="p", store="off")
    run(team)
    assert counts(team, "validator[writer]") == (2, 1, 1, 0, 0)
    assert counts(team, "validator[painter]") == (2, 1, 1, 0, 0)
    assert (writer.turns, painter.turns, editor.turns) == (2, 2, 1)


def test_a_ladder_to_an_earlier_agent() -> None:
    reader, writer = Speaker("reader", "facts"), Speaker("writer", BAD, BAD, GOOD)
    validator = ValidatorAgent("validator", fine, watches="writer", back_to=("writer", START))
    team = attach(row(reader, writer, validator, Speaker("end", "end")), pipeline="p", store="off")
    run(team)
    assert (reader.turns, writer.turns) == (2, 3)
    assert counts(team, "validator") == (3, 1, 2, 0, 0)
    assert [c for s, c in reader.heard if s == "coord"] == [
        "Your previous answer was rejected. Mend what the reviewer names:\ndo better"
    ]


@pytest.mark.parametrize("otherwise", [None, STOP, "desk"])
def test_exhausted(otherwise: Any) -> None:
    writer, editor = Speaker("writer", BAD), Speaker("editor", "printed")
    desk = Speaker("desk", "by hand")
    validator = ValidatorAgent("validator", fine, watches="writer", otherwise=otherwise)
    team = attach(row(writer, validator, desk, editor), pipeline="p", store="off")
    if otherwise is None:
        with pytest.raises(AttemptsExhaustedError, match="'validator': 2 of 2"):
            run(team)
    else:
        said = chat(run(team))
        assert (said[-1] == ("editor", "printed")) == (otherwise == "desk")
        assert (("writer", "by hand") in said) == (otherwise == "desk")
    stood_in = otherwise == "desk"
    assert (editor.turns, desk.turns) == (int(stood_in), int(stood_in))
    assert team.coord.last.outcome == "escalated.unjudged"
    assert counts(team, "validator") == (2, 0, 1, 1, 0)


def test_a_watched_message_without_a_verdict_leaves_the_run_unlabelled() -> None:
    writer = Speaker("writer", GOOD)
    validator = ValidatorAgent("validator", fine, watches="writer")
    team = RoundRobinGroupChat([writer, validator], termination_condition=MaxMessageTermination(2))
    attach(team, pipeline="p", goal=lambda text: True, store="off")
    with pytest.warns(CoordWarning, match="no verdict of validator on the last answer of writer"):
        run(team)
    assert team.coord.last.outcome == "unlabelled"
    assert "no verdict of validator" in team.coord.last.goal_error


@pytest.mark.parametrize(
    "condition",
    [
        TextMentionTermination("TERMINATE"),
        TextMentionTermination("TERMINATE", sources=["writer"]),
        TextMessageTermination(),
        SourceMatchTermination(["writer"]),
        MaxMessageTermination(9) | TextMentionTermination("TERMINATE"),
        AndTerminationCondition(VerdictTermination(), TextMentionTermination("TERMINATE")),
    ],
)
def test_a_condition_that_fires_on_an_unjudged_draft_is_an_error(condition: Any) -> None:
    validator = ValidatorAgent("validator", fine, watches="writer")
    team = RoundRobinGroupChat(
        [Speaker("writer", GOOD), validator], termination_condition=condition
    )
    with pytest.raises(PolicyError, match="on a draft of 'writer' that 'validator' has not judged"):
        attach(team, pipeline="p", store="off")


def test_verdict_termination_ends_on_what_passed() -> None:
    writer = Speaker("writer", f"{BAD} TERMINATE", f"{GOOD} TERMINATE")
    validator = ValidatorAgent("validator", fine, watches="writer")
    condition = VerdictTermination() | TextMentionTermination("TERMINATE", sources=["validator"])
    team = attach(
        RoundRobinGroupChat([writer, validator], termination_condition=condition),
        pipeline="p",
        store="off",
    )
    result = run(team)
    assert result.stop_reason == "writer's answer passed"
    assert writer.turns == 2


def test_a_terminate_in_a_verdicts_words_does_not_end_the_chat() -> None:
    quoting = check(lambda text: "bad" not in text, name="q", feedback="do not say TERMINATE")
    writer = Speaker("writer", BAD, GOOD)
    validator = ValidatorAgent("validator", quoting, watches="writer")
    condition = VerdictTermination() | TextMentionTermination("TERMINATE", sources=["validator"])
    team = RoundRobinGroupChat([writer, validator], termination_condition=condition)
    result = run(attach(team, pipeline="p", store="off"))
    assert result.stop_reason == "writer's answer passed"


def test_verdict_termination_of_some_sources() -> None:
    condition = VerdictTermination(["writer"])

    async def main() -> list[bool]:
        found = []
        for target in ("painter", "writer"):
            metadata = {"coord.verdict": "passed", "coord.target": target}
            said = TextMessage(content="passed", source="v", metadata=metadata)
            found.append(await condition([said]) is not None)
        await condition.reset()
        return [*found, condition.terminated]

    assert asyncio.run(main()) == [False, True, False]


# ---------------------------------------------------------------------- making one


def test_bad_settings_are_errors_at_once() -> None:
    with pytest.raises(PolicyError, match="names no agent"):
        ValidatorAgent("v", fine, watches=[])
    with pytest.raises(PolicyError, match="at least one validator"):
        ValidatorAgent("v", watches="writer")
    with pytest.raises(PolicyError, match="'no.such:thing' is not found"):
        ValidatorAgent("v", "no.such:thing", watches="writer")


def test_watching_a_stranger_or_twice_is_an_error() -> None:
    writer = Speaker("writer", GOOD)
    team = row(writer, ValidatorAgent("v", fine, watches="nobody"), last="writer")
    with pytest.raises(PolicyError, match="watches 'nobody', .* the agents are writer, v"):
        attach(team, pipeline="p", store="off")
    both = [ValidatorAgent(n, fine, watches="writer") for n in ("v", "w")]
    with pytest.raises(PolicyError, match="has a validator already"):
        attach(row(writer, *both, last="v"), pipeline="p", store="off")


def test_without_attach_it_says_what_to_do() -> None:
    team = row(Speaker("writer", GOOD), ValidatorAgent("v", fine, watches="writer"))
    with pytest.raises(RuntimeError, match=r"works in an attached team: attach\("):
        run(team)


def test_component_config_round_trip() -> None:
    path = f"{__name__}:is_good"
    import sys

    assert sys.modules[__name__].is_good is is_good
    validator = ValidatorAgent(
        "v", path, watches="writer", back_to=("writer", "reader"), max_attempts=4, otherwise=STOP
    )
    said = json.loads(validator.dump_component().model_dump_json())
    again = ValidatorAgent.load_component(said)
    assert again.watches == ("writer",)
    assert again.edges["writer"].back_to == ("writer", "reader")
    assert (again.edges["writer"].max_attempts, again.edges["writer"].otherwise) == (4, STOP)
    with pytest.raises(PolicyError, match="cannot be declared"):
        ValidatorAgent("v", fine, watches="writer").dump_component()
    condition = VerdictTermination(["writer"])
    assert VerdictTermination.load_component(condition.dump_component())._sources == ["writer"]


def test_observe_says_what_it_would_have_said_and_off_lets_the_chat_end() -> None:
    def said(mode: str) -> Any:
        team = RoundRobinGroupChat(
            [Speaker("writer", BAD), ValidatorAgent("v", fine, watches="writer")],
            termination_condition=VerdictTermination(),
        )
        return chat(run(attach(team, pipeline="p", mode=mode, store="off")))[-1]

    assert said("observe") == ("v", "writer's answer would have been rejected.")
    assert said("off") == ("v", "Nothing is judged: the mode is off.")
