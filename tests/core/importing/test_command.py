"""`coord import`: what it says, and its exit codes."""

import gc
import json
import subprocess
import sys

import pytest

pytest.importorskip("typer", reason="the command line is an extra")
from typer.testing import CliRunner

from coord_plugins import report
from coord_plugins._cli._app import app
from coord_plugins._store import Store
from coord_plugins._stores import forget_stores


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COORD_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    forget_stores()
    yield
    forget_stores()


def coord(*arguments, **more):
    return CliRunner().invoke(app, [*arguments, "--store", "runs.db"], **more)


def write(name, text):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def test_a_good_file(tmp_path):
    write("log.csv", "case,verdict,usd\na,pass,0.1\nb,fail,\n")
    done = coord("import", "log.csv", "--map", "task=case,passed=verdict", "--pipeline", "support")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "log.csv: 2 runs (2 new, 0 updated, 0 unchanged)",
        "columns: task from case, outcome from verdict, cost from usd",
    ]
    again = coord(
        "import", "log.csv", "--map", "task=case", "--map", "passed=verdict", "--pipeline",
        "support", "--json",
    )  # fmt: skip
    found = json.loads(again.stdout)
    assert found["schema_version"] == 1
    assert (found["new"], found["updated"], found["unchanged"]) == (0, 0, 2)
    assert found["columns"] == {"task": "case", "outcome": "verdict", "cost": "usd"}
    assert report("runs.db").only.success == 1
    write("log.csv", "case,verdict,usd\na,pass,0.1\nb,pass,\n")
    changed = coord("import", "log.csv", "--map", "run_id=case,passed=verdict", "--pipeline", "s")
    assert "2 new" in changed.stdout
    write("log.csv", "case,verdict,usd\na,pass,0.1\nb,fail,\n")
    changed = coord("import", "log.csv", "--map", "run_id=case,passed=verdict", "--pipeline", "s")
    assert "1 run had other values before" in changed.stderr
    assert gc.isenabled()


def test_bad_rows_are_shown_and_the_exit_code_is_1(tmp_path):
    write("log.csv", "task,passed\n" + "a,purple\n" * 25 + "b,1\n")
    done = coord("import", "log.csv", "--bad-rows", "bad.jsonl")
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("line 2: passed: 'purple' is neither")
    assert lines[-1] == "... and 5 more bad rows; bad.jsonl has all"
    assert "1 run (1 new, 0 updated, 0 unchanged); 25 bad rows left out" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == list(range(2, 27))
    as_json = coord("import", "log.csv", "--json")
    assert as_json.exit_code == 1
    assert len(json.loads(as_json.stdout)["bad"]) == 25


def test_strict(tmp_path):
    write("log.csv", "task,passed\na,purple\nb,1\n")
    done = coord("import", "log.csv", "--strict")
    assert done.exit_code == 1
    assert "nothing is imported: 1 bad row" in done.stdout
    assert Store("sqlite:///runs.db").describe()["runs"] == 0


def test_stdin_is_json_lines():
    sent = '{"task": "a", "passed": true}\n{"task": "b", "passed": false}\n'
    assert coord("import", "-", input=sent).exit_code == 2
    done = coord("import", "-", "--pipeline", "support", input=sent)
    assert done.exit_code == 0, done.output
    assert report("runs.db").only.finished == 2
    assert "0 new" in coord("import", "-", "--pipeline", "support", input=sent).stdout
    other = coord("import", "-", "--pipeline", "support", "--name", "second", input=sent)
    assert "2 new" in other.stdout


def test_a_dry_run_shows_the_mapping_and_writes_nothing(tmp_path):
    write("log.csv", "task_id,reward,model\na,1,large\nb,purple,small\n")
    done = coord("import", "log.csv", "--dry-run")
    assert done.exit_code == 0
    assert "outcome   reward" in done.stdout
    assert "metadata  model" in done.stdout
    assert "nothing was written" in done.stdout
    assert "line 3: reward: 'purple'" in done.stderr
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    found = json.loads(coord("import", "log.csv", "--dry-run", "--json").stdout)
    assert found["runs"][0]["task"] == "a"
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.csv"], "cannot read no.csv: No such file"),
        (["log.xls"], "no suffix .csv"),
        (["log.csv", "--map", "passed"], "write FIELD=COLUMN"),
        (["log.csv", "--map", "task=a,task=b"], "twice"),
        (["log.csv", "--map", "colour=a"], "no field 'colour'"),
        (["log.csv", "--map", "task=nothing"], "no column 'nothing'"),
        (["log.csv"], "'passed' and 'score' could each be the outcome"),
        (["log.csv", "--ignore", "score", "--bad-rows", "no/bad.jsonl"], "cannot write"),
        (["log.csv", "--missing", "maybe"], "missing='maybe'"),
        (["log.csv", "--at", "yesterday"], "write a date"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(arguments, said):
    write("log.csv", "task,passed,score\na,1,0.3\n")
    done = coord("import", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_import_loads_no_database_until_it_needs_one():
    code = (
        "import sys, coord_plugins; coord_plugins.read_runs; "
        "print('sqlalchemy' in sys.modules, 'csv' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
