"""`coord plan`: from a store, from a description; for people, for programs, as Python."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("typer", reason="the command line is an extra")
from typer.testing import CliRunner

from coord_plugins import ValidationEdge, check
from coord_plugins._cli._app import app
from coord_plugins._store import Store
from coord_plugins.planning import plan, rates_from_file

STEPS = """\
pipeline: support
unit: US dollars
steps:
  - name: research
    right: 0.9
    validator: {sensitivity: 0.9, specificity: 0.97, cost: 0.1}
  - name: write
    right: 0.9
    validator: {sensitivity: 0.9, specificity: 0.97, cost: 0.1}
"""


def coord(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["plan", *arguments])


@pytest.fixture
def steps(tmp_path: Path) -> str:
    path = tmp_path / "steps.yaml"
    path.write_text(STEPS, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def recorded(world: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A store with observed runs whose validators can be imported, and their world."""
    from coord_plugins import flush

    made = world(seed=31)
    module = types.ModuleType("letters_checks")
    exec("def is_right(output):\n    return output['born'] is None\n", vars(module))
    sys.modules["letters_checks"] = module
    edges = [ValidationEdge(n, check(module.is_right), otherwise="__stop__") for n in made.names]
    url = f"sqlite:///{tmp_path_factory.mktemp('plan') / 'runs.db'}"
    store = Store(url)
    made.runs(400, *edges, mode="observe", store=store)
    assert flush(60)
    store.close()
    return url, made


def test_json_is_what_python_says(steps: str) -> None:
    done = coord("--file", steps, "--target", "0.95", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said.pop("schema_version") == 1
    assert said == json.loads(json.dumps(plan(rates_from_file(steps), target=0.95).to_dict()))


def test_a_screen_for_people(steps: str) -> None:
    done = coord("--file", steps, "--target", "0.95")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 40
    for word in ("Edges", "What to expect", "What bounds it", "no edges", "It rests on"):
        assert word in done.stdout


def test_prices(steps: str) -> None:
    prices = ("--value", "5", "--escalation-cost", "2", "--silent-cost", "20")
    done = coord("--file", steps, *prices)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1].startswith("Worth ")
    done = coord("--file", steps, *prices, "--error-cost", "1", "--json")
    assert json.loads(done.stdout)["value"]["error_cost"] == 1.0


def test_a_target_that_is_out_of_reach(steps: str) -> None:
    done = coord("--file", steps, "--target", "0.9999")
    assert done.exit_code == 1
    assert "No plan reaches 99.99 %" in done.stdout
    assert "would need at least" in " ".join(done.stdout.split())
    done = coord("--file", steps, "--target", "0.9999", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["reached"] is False
    assert json.loads(done.stdout)["why_not"]


def test_a_plan_from_a_store_runs_unchanged(recorded: tuple[str, Any]) -> None:
    """What --apply prints is attached to the recorded pipeline, and does what it promised."""
    url, made = recorded
    done = coord("--store", url, "--target", "0.98", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    done = coord("--store", url, "--target", "0.98", "--apply")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    scope: dict[str, Any] = {}
    exec(done.stdout, scope)
    edges: list[ValidationEdge] = scope["edges"]
    assert [e.step for e in edges] == [e["step"] for e in said["edges"]]
    assert [list(e.back_to) for e in edges] == [e["back_to"] for e in said["edges"]]
    assert {e.otherwise for e in edges} == {"__stop__"}
    success = sum(run.succeeded for run in made.runs(400, *edges)) / 400
    assert said["expected"]["success"]["runs_low"] <= success
    assert success <= said["expected"]["success"]["runs_high"]
    assert said["for_runs"] == said["recorded_runs"] == 400


def test_a_screen_from_a_store(recorded: tuple[str, Any]) -> None:
    url, _ = recorded
    done = coord("--store", url, "--target", "0.9", "--max-attempts", "1")
    said = " ".join(done.stdout.split())
    assert "3 steps, from 400 recorded runs, costs in US dollars" in said
    assert "holds the model fits the recorded runs" in said
    done = coord("--store", url, "--value", "0", "--silent-cost", "9", "--max-attempts", "1")
    assert "(only detects)" in done.stdout


def test_filters_choose_the_runs(recorded: tuple[str, Any]) -> None:
    url, _ = recorded
    done = coord("--store", url, "--pipeline", "bills", "--target", "0.9")
    assert done.exit_code == 2
    assert "no finished run matches" in done.stderr


def test_runs_in_a_file(recorded: tuple[str, Any], tmp_path: Path) -> None:
    """Exported runs give the same plan as their store; only what was attached is not in them."""
    url, _ = recorded
    path = str(tmp_path / "runs.jsonl")
    assert CliRunner().invoke(app, ["export", path, "--store", url]).exit_code == 0
    one, other = (
        json.loads(coord(*place, "--target", "0.98", "--json").stdout)
        for place in (("--store", url), ("--file", path))
    )
    assert one["edges"] == other["edges"]
    assert one["expected"] == other["expected"]


def test_names_to_fill_in_are_said_on_stderr(steps: str) -> None:
    done = coord("--file", steps, "--target", "0.95", "--apply")
    assert done.exit_code == 0
    assert re.search(r"^coord: fill in \w+: the validator", done.stderr, re.MULTILINE)
    done = coord("--file", steps, "--target", "0.9999", "--apply")
    assert done.exit_code == 1
    assert "The best plan succeeds in" in done.stderr


def test_prices_of_failures_alone_will_do(steps: str) -> None:
    done = coord("--file", steps, "--escalation-cost", "20", "--silent-cost", "100", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)["value"]
    assert (said["success"], said["escalation_cost"], said["silent_cost"]) == (0.0, 20.0, 100.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --target, for example --target 0.99, or prices like --silent-cost"),
        (["--target", "2"], "target=2.0; it is a share"),
        (["--target", "0.9", "--apply", "--json"], "each want stdout"),
        (["--target", "0.9", "--store", "x.db"], "give --file or --store, not both"),
        (["--target", "0.9", "--pipeline", "x"], "filters choose runs; steps.yaml describes"),
        (["--value", "-1"], "give a finite amount"),
    ],
)
def test_errors_are_one_line(steps: str, arguments: list[str], message: str) -> None:
    done = coord("--file", steps, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
