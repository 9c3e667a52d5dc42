"""The demo on AutoGen: outcomes equal to LangGraph's, ticket by ticket."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("autogen_agentchat")
pytest.importorskip("langgraph.graph")

from coord_autogen import _demo, _manager, _team

from coord_plugins import PolicyError, RunRecord
from coord_plugins.demo import STEPS, Desk, run_demo

from .demo_runs import RUNS, SEED, Key, counts, eventful, runs_of


@pytest.fixture(scope="module")
def langgraph() -> dict[Key, RunRecord]:
    return runs_of("langgraph", range(RUNS))


@pytest.fixture(scope="module")
def autogen() -> dict[Key, RunRecord]:
    return runs_of("autogen", range(RUNS))


def test_every_run_is_the_same_on_both_hosts(
    langgraph: dict[Key, RunRecord], autogen: dict[Key, RunRecord]
) -> None:
    """Not the outcomes alone: each step's executions, verdicts, loops, retries and feedback."""
    assert list(autogen) == list(langgraph)
    assert {k: counts(r) for k, r in autogen.items()} == {
        k: counts(r) for k, r in langgraph.items()
    }
    assert len({r.outcome for r in autogen.values()}) >= 3
    assert sum(t.loops for r in autogen.values() for t in r.steps.values()) > 40


def test_tokens_and_cost_are_the_same(
    langgraph: dict[Key, RunRecord], autogen: dict[Key, RunRecord]
) -> None:
    """The simulated model is asked the same, read off what each host brings it."""
    assert {k: (r.tokens, r.cost, r.cost_unknown) for k, r in autogen.items()} == {
        k: (r.tokens, r.cost, r.cost_unknown) for k, r in langgraph.items()
    }


def test_the_bare_team_is_the_bare_graph() -> None:
    """Nothing repeats a failed call by itself on either."""
    chosen = eventful(range(240))
    theirs = runs_of("langgraph", chosen, bare=True)
    ours = runs_of("autogen", chosen, bare=True)
    assert {k: (r.outcome, r.lost_at) for k, r in ours.items()} == {
        k: (r.outcome, r.lost_at) for k, r in theirs.items()
    }
    assert not all(r.succeeded for r in ours.values())


def test_without_the_adapters_loop_back_the_integers_differ(
    langgraph: dict[Key, RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the loop to an earlier agent is really made, and by the adapter."""
    earlier = [
        number
        for number, record in enumerate(langgraph.values())
        if any(t.loops > 1 for t in record.steps.values())
    ]
    assert earlier, "some run goes back to an earlier step"

    def in_place(message: Any) -> list[str]:
        found = message.metadata.get("coord.from") if message is not None else None
        return [found] if found else []

    for module in (_manager, _team):  # who asks, and whether somebody still waits
        monkeypatch.setattr(module, "targets_of", in_place)
    deaf = runs_of("autogen", earlier)
    assert all(counts(record) != counts(langgraph[key]) for key, record in deaf.items())


def test_the_chat_holds_no_rejected_draft() -> None:
    """What an assistant is asked holds its colleagues' accepted answers, each one once."""
    desk = Desk(SEED)
    asked: list[list[Any]] = []

    class Listening(_demo.SimulatedClient):
        async def create(self, messages: Any, **options: Any) -> Any:
            asked.append([(m.source, m.content) for m in messages if hasattr(m, "source")])
            return await super().create(messages, **options)

    record = _one_run(desk, Listening(desk))
    assert record.outcome == "success.first_pass"
    assert [[source for source, _ in said] for said in asked] == [
        ["user", *STEPS[:at]] for at in range(len(STEPS))
    ]


def _one_run(desk: Desk, client: Any) -> RunRecord:
    from coord_plugins import collect_runs
    from coord_plugins.demo import working

    made = _demo.DeskTeams(
        lambda: _demo.build_team(desk, client),
        tuple(desk.edges()),
        {"pipeline": "desk", "goal": desk.goal(), "store": "off"},
    )
    ticket = desk.tickets[0]
    with collect_runs() as runs, working(ticket.id, 0):
        _demo.wiring().run(made, {"ticket_id": ticket.id, "ticket": ticket.text})
    desk.conn.close()
    [record] = runs
    return record


def test_the_demo_itself() -> None:
    demo = run_demo(framework="autogen", runs=24, seed=SEED, store="memory")
    data = demo.to_dict()
    assert (data["framework"], data["simulated"]) == ("autogen", True)
    assert sum(data["attached"]["outcomes"].values()) == 24
    assert data["bare"]["host_retries"] == {"calls": 0, "runs": 0}
    same = run_demo(framework="langgraph", runs=24, seed=SEED, store="memory")
    for side in ("attached", "single_call"):
        assert data[side]["outcomes"] == same.to_dict()[side]["outcomes"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt", "PROVIDER:NAME"),
        ("nosuchprovider:x", "PROVIDER:NAME"),
        ("openai:no-such-model", "the model could not be made"),
    ],
)
def test_a_model_that_cannot_be_made_is_one_clear_error(
    model: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(PolicyError, match=words):
        run_demo(framework="autogen", runs=1, model=model, store="memory")
