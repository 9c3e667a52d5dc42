"""The demo on LangGraph: what acceptance asks of its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("langgraph.graph")

from coord_langgraph import _demo  # noqa: E402

from coord_plugins import OUTCOMES, PolicyError, wilson  # noqa: E402
from coord_plugins._cli._app import app  # noqa: E402
from coord_plugins.demo import Desk, goal, planned_fault, run_demo, working  # noqa: E402
from coord_plugins.demo import _campaign as campaign  # noqa: E402
from coord_plugins.demo._prediction import predicted  # noqa: E402

RUNS, SEED = 720, 7


@pytest.fixture(scope="module")
def demo() -> Any:
    """One demo for all tests of this module: three trials of each of the 240 tickets."""
    return run_demo(runs=RUNS, seed=SEED, store="memory")


def test_json_has_the_promised_shape(demo: Any) -> None:
    """One JSON object; each side is flat, complete and adds up."""
    data = json.loads(json.dumps(demo.to_dict(), allow_nan=False))
    assert data["simulated"] is True
    assert data["model"] == "simulated"
    for side in ("bare", "attached"):
        found = data[side]
        assert {
            "runs",
            "success_rate",
            "interval",
            "outcomes",
            "naive_step_product",
            "cost_per_success",
            "lost_at",
            "predicted",
        } <= set(found)
        assert list(found["outcomes"]) == list(OUTCOMES)
        assert sum(found["outcomes"].values()) == found["runs"] == RUNS
        failed = RUNS - sum(v for k, v in found["outcomes"].items() if k.startswith("success"))
        assert sum(found["lost_at"].values()) == failed
    pairs = data["comparison"]
    assert pairs["both_succeeded"] + pairs["gained"] + pairs["harmed"] + pairs["neither"] == RUNS


def test_rates_lie_in_the_intervals_of_their_predictions(demo: Any) -> None:
    """Bare is 0.97 ** 6; attached is what the exact model says, and at least 0.99."""
    bare, attached = demo.bare.only, demo.attached.only
    low, high = wilson(bare.success, RUNS, 0.99)
    assert low <= 0.97**6 <= high
    assert demo.bare_predicted["success"] == pytest.approx(0.97**6, abs=1e-12)
    low, high = wilson(attached.success, RUNS, 0.99)
    assert low <= demo.attached_predicted["success"] <= high
    assert attached.success_rate.value >= 0.99


def test_one_call_stands_beside_both(demo: Any) -> None:
    """It is predicted, judged by the same goal, and compared run by run with both pipelines."""
    single = demo.single
    found = single.report.only
    assert found.started == RUNS
    low, high = wilson(found.success, RUNS, 0.99)
    assert low <= single.predicted["success"] <= high
    for other in (single.bare, single.attached):
        assert (other.pairs, other.paired_by) == (RUNS, "task and trial")
        assert other.a.goal_ids == other.b.goal_ids
    # six calls without validation lose more than one; with it they win
    assert single.bare.conclusion == "worse"
    assert single.attached.conclusion == "better"
    assert single.attached.cost_conclusion == "dearer"
    low, high = single.attached.cost_per_extra_success.interval
    assert 0 < low < high < 0.01
    data = json.loads(json.dumps(demo.to_dict(), allow_nan=False))["single_call"]
    assert data["comparison"]["attached"] == json.loads(json.dumps(single.attached.to_dict()))
    assert data["runs"] == RUNS


def test_the_recorded_demo_can_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`coord demo`, then the question that it leads to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["demo", "--runs", "240", "--store", "demo.db"])
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "Is it better than one model call" in shown.stdout
    names = ("pipeline=billing-desk-single", "pipeline=billing-desk")
    done = CliRunner().invoke(app, ["compare", *names, "--store", "demo.db", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["pairing"], told["pairs"]) == ("pairs", 240)
    assert told["conclusion"] == "better"
    assert told["warnings"] == []


def test_a_real_model_is_not_asked_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        def invoke(self, prompt: str) -> Any:
            raise TimeoutError

    monkeypatch.setattr(_demo, "real_chat", lambda model: Dead())
    told = run_demo(runs=2, model="fake:model", store="memory")
    assert told.single is None
    assert told.to_dict()["single_call"] is None
    assert told.bare.only.outcomes["error.timeout"] == 2


def test_bare_is_the_plain_graph(demo: Any, request: pytest.FixtureRequest) -> None:
    """Observing changes nothing: run by run the plain graph fails where the bare pipeline did."""
    desk = Desk(SEED)
    request.addfinalizer(desk.conn.close)
    graph = _demo.build_graph(desk)
    succeeded = 0
    for number in range(RUNS):
        ticket, trial = desk.tickets[number % len(desk.tickets)], number // len(desk.tickets)
        with working(ticket.id, trial):
            try:
                final = graph.invoke({"ticket_id": ticket.id, "ticket": ticket.text})
                succeeded += goal(final, desk.answers[ticket.id])[0]
            except Exception:
                faults = [planned_fault(SEED, ticket.id, trial, s, 1) for s in campaign_steps()]
                assert any(faults)
    assert succeeded == demo.bare.only.success


def campaign_steps() -> tuple[str, ...]:
    from coord_plugins.demo import STEPS

    return STEPS


def test_another_seed_gives_other_counts(demo: Any) -> None:
    """The faults come from the seed, and the same seed gives the same counts."""
    other = run_demo(runs=240, seed=8, store="memory")
    again = run_demo(runs=240, seed=8, store="memory")
    assert other.attached.only.outcomes == again.attached.only.outcomes
    assert other.bare.only.outcomes == again.bare.only.outcomes
    first = run_demo(runs=240, seed=SEED, store="memory")
    assert first.bare.only.lost_at != other.bare.only.lost_at


def test_without_feedback_success_falls_as_predicted(
    demo: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Half of the content faults recur until feedback names them: so it must really arrive."""
    from coord_plugins import Step

    monkeypatch.setattr(Step, "deliver", lambda self: None)
    desk = Desk(SEED)
    request.addfinalizer(desk.conn.close)
    wiring = campaign.load_wiring("langgraph")
    host = wiring.build(desk, None)
    settings = {"goal": desk.goal(), "label": desk.label, "task": "ticket_id", "store": "memory"}
    edges = desk.edges()
    observed = wiring.attach(host, *edges, pipeline="observed", mode="observe", **settings)
    deaf = wiring.attach(host, *edges, pipeline="deaf", retry=desk.retry(), **settings)
    with campaign.use_clock(campaign.DemoClock()):
        before = campaign._campaign(wiring, observed, desk, RUNS, lambda total: None)
        after = campaign._campaign(wiring, deaf, desk, RUNS, lambda total: None)
    succeeded = sum(r.succeeded for r in after)
    expected = predicted(before, desk, feedback=False)["success"]
    low, high = wilson(succeeded, RUNS, 0.99)
    assert low <= expected <= high
    assert expected < demo.attached_predicted["success"] - 0.03
    assert succeeded < demo.attached.only.success - 0.02 * RUNS
    assert sum(t.delivered for r in after for t in r.steps.values()) == 0


def test_feedback_is_delivered(demo: Any) -> None:
    """Every loop's words reached the step that they were for."""
    edges = {e.step: e for e in demo.attached.only.edges}
    assert sum(e.loops for e in edges.values()) > 0


@pytest.mark.parametrize(
    ("model", "words"),
    [("gpt", "PROVIDER:NAME"), ("nosuchprovider:x", "nosuchprovider")],
)
def test_a_model_that_cannot_be_made_is_one_clear_error(model: str, words: str) -> None:
    """A missing package, key or provider names itself."""
    with pytest.raises(PolicyError, match=words):
        run_demo(runs=1, model=model, store="memory")


def test_bad_input() -> None:
    """An unknown framework and no runs are clear errors."""
    with pytest.raises(PolicyError, match="langgraph"):
        run_demo(framework="nosuch")
    with pytest.raises(PolicyError, match="--runs 0"):
        run_demo(runs=0)
