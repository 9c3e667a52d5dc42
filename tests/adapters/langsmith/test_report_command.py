"""`coord langsmith report`, and how `coord` finds the commands of other packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys

import pytest

pytest.importorskip("langsmith")

from typer.testing import CliRunner

from coord_plugins._cli._app import app

from .conftest import forget_caches
from .projects import DESK, UNLABELLED, Row, seed


@pytest.fixture
def desk(traced, monkeypatch):
    """The environment names the project "desk", which has runs."""
    monkeypatch.setenv("LANGSMITH_PROJECT", "desk")
    monkeypatch.setenv("COLUMNS", "80")
    forget_caches()
    seed(traced, "desk", DESK)
    return traced


def coord(*arguments):
    return CliRunner().invoke(app, list(arguments))


def report(*arguments):
    return coord("langsmith", "report", *arguments)


def test_json_is_what_python_says(desk):
    from coord_langsmith._reading import langsmith_report

    done = report("--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == langsmith_report().to_dict()
    found = json.loads(done.stdout)
    assert (found["schema_version"], found["project"]) == (1, "desk")
    assert (found["accuracy"]["successes"], found["accuracy"]["n"]) == (10, 12)


def test_the_headline_comes_first_and_then_what_contradicts_it(desk):
    done = report()
    assert done.exit_code == 0, done.output
    title, *rest = done.stdout.splitlines()
    said = " ".join(" ".join(rest).split())
    assert title == "desk  LangSmith"
    assert said.startswith(
        "10 of 12 runs did their job: 83.3 % [55.2, 95.3]; their steps say 97.9 %."
    )
    for line in (
        "traced 12",
        "labelled 12 = 100 %",
        "first try 7 of 12 succeeded at once: 58.3 % [32.0, 80.7]",
        "final 10 of 12 succeeded: 83.3 % [55.2, 95.3]",
        "later 3 more succeeded after a repeat, a fallback or a person",
        "success 10 83.3 % first pass 7 58.3 % rescued 3 25.0 %",
        "runs below the roots 47 of 48 have no error: 97.9 %",
        "root runs 11 of 12 have no error: 91.7 %",
        "by its steps the project looks 14.6 points better than its runs turned out",
        "per success $0.0174, failures included",
        "attempts 3.33 per run",
    ):
        assert line in said, line
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_no_headline_below_the_coverage(traced):
    seed(traced, "half", [Row(), Row("error.crash", 0), UNLABELLED])
    done = report("--project", "half")
    said = " ".join(done.stdout.split())
    assert "No accuracy: 1 of 3 runs has no outcome: 66.7 % are labelled" in said
    assert "no outcome 1 33.3 %" in said
    assert "did their job" not in said
    assert "50.0 %" not in said  # what the labelled runs would come to
    assert json.loads(report("--project", "half", "--json").stdout)["accuracy"] is None
    done = report("--project", "half", "--min-coverage", "0.5")
    assert "1 of 2 runs did their job: 50.0 %" in done.stdout


def test_windows_keys_and_empty_projects(desk):
    done = report("--since", "2099-01-01")
    assert "No accuracy: there is no traced run." in done.stdout
    assert "traced 0, since 2099-01-01T00:00 UTC" in " ".join(done.stdout.split())
    assert json.loads(report("--since", "1d", "--json").stdout)["runs"] == 12
    assert "none of 12 runs has feedback 'verdict'" in " ".join(
        report("--key", "verdict").stdout.split()
    )


@pytest.mark.parametrize(
    ("arguments", "fault", "said"),
    [
        (["--project", "dusk"], None, "did you mean 'desk'?"),
        (["--since", "soon"], None, "write a date like"),
        (["--min-coverage", "80"], None, "it lies between 0 and 1"),
        ([], "down", "does not answer"),
        ([], 401, "refuses the API key"),
        ([], 500, "could not answer"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(desk, arguments, fault, said):
    if fault:
        desk.fail(fault)
    done = report(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.output


def entry(name, value):
    return importlib.metadata.EntryPoint(name, value, "coord_plugins.cli")


def test_a_plug_in_that_does_not_load_breaks_nothing(monkeypatch):
    found = [
        entry("broken", f"{__name__}:raising"),
        entry("absent", "coord_langsmith._no_such:register"),
        entry("gone", "no_such_package_at_all:register"),
        entry("langsmith", "coord_langsmith._cli:register"),
    ]
    monkeypatch.setattr(importlib.util, "find_spec", found_unless("no_such_package_at_all"))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    broken = "coord: the plug-in 'broken' does not load (ZeroDivisionError: no luck)"
    done = coord("--help")
    assert (done.exit_code, done.stderr.strip()) == (0, broken)
    assert "langsmith" in done.stdout
    # what needs an extra that is not installed is named to those who ask for a command
    done = coord("langsmith", "--help")
    first, second = done.stderr.splitlines()
    assert (done.exit_code, first) == (0, broken)
    assert second.startswith("coord: the plug-in 'absent' does not load (ModuleNotFoundError: ")


def raising(app):
    raise ZeroDivisionError("no luck")


def found_unless(missing):
    return lambda name: None if name == missing else object()


def test_a_plug_in_takes_no_name_that_coord_has(monkeypatch):
    found = [entry("x", f"{__name__}:register")]
    monkeypatch.setattr(importlib.util, "find_spec", found_unless(None))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    assert "How often the pipelines did their job" in coord("report", "--help").stdout


def register(app):
    app.command("report")(lambda: None)


def test_commands_of_coord_itself_look_for_no_plug_ins(monkeypatch):
    def never(group):
        raise AssertionError(group)

    monkeypatch.setattr(importlib.metadata, "entry_points", never)
    assert coord("--version").exit_code == 0
    assert coord("report", "--help").exit_code == 0


def test_the_list_of_commands_loads_no_langsmith():
    code = (
        "import sys; sys.argv = ['coord', '--help']\n"
        "from coord_plugins._cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'langsmith', 'coord_langsmith'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['coord_langsmith']", done.stderr
