"""The command line: one JSON object, one clear line, exit code 2."""

import csv
import json
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from coord_plugins._cli._app import app
from coord_plugins._events import RunFinished
from coord_plugins._record import RunRecord
from coord_plugins._reporting._report import report
from coord_plugins._store import Store
from coord_plugins._stores import forget_stores
from coord_plugins._tally import StepTally


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory, and no store that another test opened."""
    monkeypatch.chdir(tmp_path)
    for name in ("COORD_STORE", "COORD_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    forget_stores()
    yield
    forget_stores()


@pytest.fixture
def runs(tmp_path):
    """A store of ten runs, two of them wrong."""
    path = str(tmp_path / "runs.db")
    store = Store(f"sqlite:///{path}")
    records = [
        RunRecord(
            run_id=f"r{i}",
            pipeline="support",
            policy_id="p1",
            status="finished",
            task=f"t{i}",
            started_at=time.time() - 86_400 * i,
            finished_at=time.time(),
            elapsed=1.0,
            end="delivered",
            detail="first_pass",
            passed=i >= 2,
            lost_at=None if i >= 2 else "draft",
            metadata={"tenant": "acme" if i % 2 else "emca"},
            steps={"draft": StepTally(executions=1, completed=1, calls=1, passes=1, first_ok=True)},
        )
        for i in range(10)
    ]
    store.on_events([RunFinished(r) for r in records])
    store.close()
    return path


def coord(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_report_prints_what_python_says(runs):
    done = coord("report", "--store", runs, "--by", "tenant", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == report(runs, by="tenant").to_dict()
    assert json.loads(done.stdout)["schema_version"] == 1


def test_report_for_people_fits_80_columns(runs):
    done = coord("report", "--store", runs, "--by", "tenant")
    said = " ".join(done.stdout.split())
    assert "8 of 10 runs did their job: 80.0 % [49.0, 94.3]; the step product says 100.0 %." in said
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_filters_of_the_command_line(runs):
    for arguments, expected in (
        (["--where", "tenant=acme"], 5),
        (["--where", "outcome=success", "--where", "tenant=acme"], 4),
        (["--since", "3d"], 3),
        (["--until", "3d"], 7),
        (["--settle", "3d"], 7),
        (["--pipeline", "support"], 10),
    ):
        done = coord("report", "--store", runs, "--json", *arguments)
        assert json.loads(done.stdout)["groups"][0]["started"] == expected, arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "there is no store at"),
        (["report", "--store", "none.db"], "there is no store at"),
        (["report", "--store", "{}", "--where", "tenant"], "write KEY=VALUE"),
        (["report", "--store", "{}", "--since", "soon"], "write a date like"),
        (["report", "--store", "{}", "--unit", "week"], "it is 'run', 'task' or 'thread'"),
        (["outcome", "r1", "--store", "{}"], "say --passed or --failed"),
        (["outcome", "--passed", "--store", "{}"], "give a RUN_ID, or --task"),
        (["outcome", "--task", "zz", "--failed", "--store", "{}"], "no run of task 'zz'"),
        (["export", "x.xls", "--store", "{}"], "no suffix"),
        (["export", "no/x.csv", "--store", "{}"], "cannot write"),
        (["doctor", "--store", "none.db"], ""),
    ],
)
def test_errors_are_one_line_and_exit_code_2(runs, arguments, said):
    done = coord(*(runs if a == "{}" else a for a in arguments))
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert "Traceback" not in done.output


def test_outcome_corrects_a_run(runs):
    done = coord("outcome", "r5", "--failed", "--source", "ticket reopened", "--store", runs)
    assert done.stdout.strip() == "r5: silent_failure.first_pass"
    done = coord(
        "outcome", "--task", "t5", "--pipeline", "support", "--passed", "--store", runs, "--json"
    )
    assert json.loads(done.stdout)["outcome"] == "success.first_pass"
    done = coord("outcome", "later", "--passed", "--store", runs)
    assert "no such run yet" in done.stdout


def test_export_jsonl_round_trips_and_csv_is_flat(runs, tmp_path):
    assert coord("export", "all.jsonl", "--store", runs).stdout.strip() == "10 runs in all.jsonl"
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    back = [RunRecord.from_dict(json.loads(line)) for line in lines]
    assert report(back).to_dict()["groups"] == report(runs).to_dict()["groups"]
    coord("export", "some.csv", "--store", runs, "--where", "tenant=acme")
    with open("some.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows].count("silent_failure.first_pass") == 1
    assert json.loads(rows[0]["metadata"]) == {"tenant": "acme"}
    done = coord("export", "-", "--store", runs)
    assert len(done.stdout.splitlines()) == 10


def test_export_parquet(runs):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert coord("export", "all.parquet", "--store", runs, "--json").exit_code == 0
    table = parquet.read_table("all.parquet")
    assert table.num_rows == 10
    assert table.column("passed").to_pylist().count(False) == 2


def test_a_failed_export_leaves_nothing_behind(runs, tmp_path):
    assert coord("export", "x.csv", "--store", "none.db").exit_code == 2
    assert {p.name for p in tmp_path.iterdir()} == {"runs.db"}


def test_doctor_looks_at_everything(runs):
    found = json.loads(coord("doctor", "--store", runs, "--json").stdout)
    assert found["schema_version"] == 1
    assert found["store"]["openable"]
    assert (found["store"]["runs"], found["store"]["schema_version"]) == (10, 2)
    assert {h["host"] for h in found["hosts"]} == {"langgraph", "autogen", "crewai", "langsmith"}
    assert {"name": "mode", "value": "'enforce'", "source": "default"} in found["configuration"]
    done = coord("doctor")
    assert done.exit_code == 0
    assert "there is no store" in done.stdout


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({}, [True, True]),
        ({"CREWAI_DISABLE_TELEMETRY": "true"}, [False, True]),
        ({"OTEL_SDK_DISABLED": "1", "CREWAI_TRACING_ENABLED": "false"}, [False, False]),
        ({"CREWAI_DISABLE_TELEMETRY": "no", "CREWAI_TESTING": "true"}, [True, False]),
    ],
)
def test_doctor_says_how_to_switch_crewais_telemetry_off(monkeypatch, variables, on):
    """Two switches: the one for telemetry leaves the traces of a first run on."""
    from coord_plugins._cli import _doctor

    monkeypatch.setattr(_doctor, "_version", lambda name: "1.15.30")
    names = ("CREWAI_DISABLE_TELEMETRY", "OTEL_SDK_DISABLED")
    for name in (*names, "CREWAI_TRACING_ENABLED", "CREWAI_TESTING"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = json.loads(coord("doctor", "--json").stdout)["telemetry"]
    assert [(t["kind"], t["on"]) for t in found] == [("telemetry", on[0]), ("tracing", on[1])]
    said = " ".join(coord("doctor").stdout.split())
    for kind, is_on in zip(("telemetry", "tracing"), on, strict=True):
        assert f"crewai's own {kind} is {'on; ' if is_on else 'off ('}" in said
    if on[0]:
        assert "CREWAI_DISABLE_TELEMETRY=true or OTEL_SDK_DISABLED=true switches it off" in said


def test_doctor_tells_of_retries_that_nobody_sees(monkeypatch):
    from coord_plugins._cli import _doctor

    openai = pytest.importorskip("openai")
    pytest.importorskip("autogen_agentchat")
    [found] = json.loads(coord("doctor", "--json").stdout)["hidden_retries"]
    assert (found["host"], found["sdk"]) == ("autogen", "openai")
    assert found["by_default"] == openai.DEFAULT_MAX_RETRIES
    said = " ".join(coord("doctor").stdout.split())
    assert f"repeat a failed call {openai.DEFAULT_MAX_RETRIES} times by themselves" in said
    monkeypatch.setattr(_doctor, "_version", lambda name: None)
    assert json.loads(coord("doctor", "--json").stdout)["hidden_retries"] == []


def test_version_and_the_module_door():
    assert coord("--version").stdout.strip()
    code = (
        f"import sys; sys.modules['typer'] = None; sys.path[:] = {sys.path!r}; "
        "from coord_plugins._cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == "coord: typer is not installed; pip install 'coord-plugins[cli]'"
