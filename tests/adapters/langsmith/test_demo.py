"""`coord demo --langsmith`: what LangSmith has is what the store has, on every framework."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coord_plugins import iter_runs
from coord_plugins._cli._app import app
from coord_plugins.testing import LangSmithServer

RUNS = 50


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CREWAI_DISABLE_TELEMETRY", "CREWAI_DISABLE_TRACKING", "OTEL_SDK_DISABLED"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "false")
    monkeypatch.setenv("CREWAI_TESTING", "true")


def coord(*arguments: str) -> Any:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("framework", ["langgraph", "autogen", "crewai"])
def test_one_root_and_one_outcome_per_attached_run(
    framework: str, traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = {"autogen": "autogen_agentchat"}.get(framework, framework)
    pytest.importorskip(module)
    monkeypatch.setenv("LANGSMITH_PROJECT", "demo")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")  # the flag alone is enough
    said = coord(
        *("demo", "--framework", framework, "--runs", str(RUNS), "--seed", "7"),
        *("--langsmith", "--store", "demo.db", "--json"),
    )
    traced.check()  # no orphan, no outcome without its run, nothing left pending
    roots = {root["id"]: root for root in traced.roots()}
    assert len(roots) == RUNS  # the bare pipeline is not traced
    outcomes = [f for f in traced.feedback if f["key"] == "outcome"]
    assert sorted(f["run_id"] for f in outcomes) == sorted(roots)

    # each root has the outcome of its own run
    stored = {r.run_id: r for r in iter_runs(store="demo.db", pipeline="billing-desk")}
    assert len(stored) == RUNS
    by_root = {f["run_id"]: f for f in outcomes}
    for root_id, root in roots.items():
        about = root["extra"]["metadata"]
        record = stored[about["coord.run_id"]]
        assert by_root[root_id]["value"] == about["coord.outcome"] == record.outcome
        assert by_root[root_id]["score"] == int(record.succeeded)
        assert record.metadata["langsmith.trace_id"] == root_id

    # nothing of ours leaks into a child
    children = [r for r in traced.runs if r.get("parent_run_id")]
    assert len(children) > 6 * RUNS
    for child in children:
        keys = child["extra"].get("metadata", {})
        assert [k for k in keys if k.startswith("coord.") or k == "trial"] == []

    read = said["langsmith"]
    assert (read["runs"], read["labelled"]) == (RUNS, RUNS)
    assert read["accuracy"] == read["store_accuracy"] == said["attached"]["success_rate"]
    assert read["node_success"] != read["accuracy"]
    assert read["first_try"] == said["attached"]["outcomes"]["success.first_pass"] / RUNS
    assert read["delivery"]["traced"] == read["delivery"]["sent"] == RUNS
    again = coord("langsmith", "report", "--project", "demo", "--json")
    assert again["accuracy"]["value"] == read["accuracy"]


def test_without_a_key_it_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("langgraph")
    done = CliRunner().invoke(app, ["demo", "--runs", "1", "--langsmith"])
    assert done.exit_code == 2
    assert "set LANGSMITH_API_KEY" in done.stderr


def test_a_service_that_is_away_costs_the_answer_and_not_the_result(
    traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("langgraph")
    import langsmith
    from coord_langsmith import _outbox, bounded_client

    langsmith.configure(client=bounded_client())
    monkeypatch.setattr(_outbox, "UNAVAILABLE_DELAYS", ())
    traced.fail("down")
    done = CliRunner().invoke(app, ["demo", "--runs", "6", "--langsmith", "--json"])
    traced.recover()
    assert done.exit_code == 2
    assert json.loads(done.stdout)["attached"]["runs"] == 6
    assert done.stderr.startswith("coord: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(Path(".coord/langsmith").glob("*.jsonl").__next__().read_text().splitlines()) == 6
