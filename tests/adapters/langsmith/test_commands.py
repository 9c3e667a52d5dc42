"""`coord outcome` and `coord doctor` where runs were traced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from coord_langsmith import LangSmith, _outbox
from coord_langsmith._disk import note_lost
from typer.testing import CliRunner

from coord_plugins import flush, track
from coord_plugins._cli._app import app
from coord_plugins.testing import LangSmithServer, langsmith_server


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def traced_run(passed: bool | None) -> str:
    goal = None if passed is None else (lambda _: passed)
    listener = LangSmith()
    with track("p", goal=goal, listeners=[listener], store="runs.db") as run:
        run.output = 1
    assert flush(10)
    listener.close()
    return run.run_id


def coord(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--store", "runs.db"])


def outcome(server: LangSmithServer) -> tuple[float, str, str | None]:
    [found] = [f for f in server.feedback if f["key"] == "outcome"]
    assert found["run_id"] == server.roots()[0]["id"]
    return found["score"], found["value"], found.get("comment")


def test_a_label_from_the_command_line_corrects_the_same_feedback(
    traced: LangSmithServer,
) -> None:
    run_id = traced_run(True)
    [before] = [f["id"] for f in traced.feedback if f["key"] == "outcome"]
    assert outcome(traced) == (1, "success.first_pass", None)

    said = coord("outcome", run_id, "--failed", "--source", "ticket reopened")
    assert said.exit_code == 0, said.output
    assert said.stdout == f"langsmith: corrected\n{run_id}: silent_failure.first_pass\n"
    assert outcome(traced) == (0, "silent_failure.first_pass", "lost at goal: ticket reopened")
    [first_try] = [f for f in traced.feedback if f["key"] == "outcome.first_try"]
    assert first_try["score"] == 0

    said = coord("outcome", run_id, "--passed", "--json")
    assert json.loads(said.stdout)["traces"] == {"langsmith": "corrected"}
    assert outcome(traced)[:2] == (1, "success.first_pass")
    assert [f["id"] for f in traced.feedback if f["key"] == "outcome"] == [before]


def test_a_run_without_a_label_gets_its_outcome_later(traced: LangSmithServer) -> None:
    run_id = traced_run(None)
    assert [f["key"] for f in traced.feedback] == ["attempts", "cost_usd"]
    assert coord("outcome", run_id, "--passed").exit_code == 0
    assert outcome(traced)[:2] == (1, "success.first_pass")
    assert sorted(f["key"] for f in traced.feedback) == [
        "attempts",
        "cost_usd",
        "outcome",
        "outcome.first_try",
    ]


def test_while_the_service_is_away_the_correction_waits(
    traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = traced_run(True)
    monkeypatch.setattr(_outbox, "UNAVAILABLE_DELAYS", ())
    monkeypatch.setattr(_outbox, "COOLDOWN", (3600.0, 3600.0))
    traced.fail(500, path="/feedback.*")
    said = coord("outcome", run_id, "--failed")
    assert said.exit_code == 0
    place = Path(".coord/langsmith").absolute()
    assert said.stdout.startswith(f"langsmith: not corrected yet; it waits in {place}\n")
    assert outcome(traced)[0] == 1

    traced.recover()
    listener = LangSmith()
    listener.replay()
    assert listener.flush(10)
    listener.close()
    assert outcome(traced)[:2] == (0, "silent_failure.first_pass")


def test_a_trace_of_another_workspace_is_not_made_up(traced: LangSmithServer) -> None:
    run_id = traced_run(True)
    command = "from coord_langsmith import _outbox; _outbox.NOT_YET_DELAYS = (0.0,); "
    command += "from coord_plugins._cli import main; main()"
    with langsmith_server() as other:
        said = subprocess.run(
            [sys.executable, "-c", command, "outcome", run_id, "--failed", "--store", "runs.db"],
            env={**os.environ, **other.environment()},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert other.runs == other.feedback == []
    assert "langsmith: not corrected: LangSmith does not know its trace" in said.stdout
    assert said.stdout.endswith(f"{run_id}: silent_failure.first_pass\n")  # in the store it is


def test_a_run_that_was_not_traced_is_only_labelled(traced: LangSmithServer) -> None:
    with track("p", goal=lambda _: True, store="runs.db") as run:
        pass
    assert flush(10)
    said = coord("outcome", run.run_id, "--failed")
    assert said.stdout == f"{run.run_id}: silent_failure.first_pass\n"
    assert traced.requests == []


def test_doctor_says_what_waits_and_what_was_lost(
    traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "UNAVAILABLE_DELAYS", ())
    monkeypatch.setattr(_outbox, "COOLDOWN", (3600.0, 3600.0))
    traced.fail(401, path="/feedback.*")
    listener = LangSmith()
    with track("p", goal=lambda _: True, listeners=[listener], store="runs.db") as run:
        pass
    flush(10)
    listener.close()
    note_lost(listener._outbox.spool, "dropped", run.coord.last, OSError("no space"))  # type: ignore[arg-type]  # it ended
    traced.recover()
    said = json.loads(coord("doctor", "--json").stdout)["traces"]["langsmith"]
    assert said == {
        "tracing": True,
        "endpoint": traced.url,
        "project": "default",
        "api_key": True,
        "spool": str(Path(".coord/langsmith").absolute()),
        "waiting": 1,
        "refused": 0,
        "dropped": 1,
    }
    shown = coord("doctor").stdout
    assert "Traces in langsmith" in shown
    assert Path(".coord/.gitignore").read_text() == "*\n"


def test_doctor_works_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.loads(coord("doctor", "--json").stdout)["traces"]["langsmith"]
    assert (said["tracing"], said["api_key"], said["waiting"]) == (False, False, 0)
