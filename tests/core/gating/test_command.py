"""`coord gate`: exit codes, texts, and the same numbers as Python."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

from coord_plugins import RunRecord, Store, gate
from coord_plugins._cli._app import app
from coord_plugins._events import RunFinished
from coord_plugins._stores import forget_stores


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COORD_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    forget_stores()


@pytest.fixture
def runs(tmp_path):
    """Two releases of 200 runs: all of 1.4 succeed, half of 1.3."""
    path = str(tmp_path / "runs.db")
    store = Store(f"sqlite:///{path}")
    records = [
        RunRecord(
            run_id=f"r{i:03}",
            pipeline="support",
            policy_id="p1",
            status="finished",
            started_at=1_000.0 + i,
            finished_at=1_001.0 + i,
            end="delivered",
            detail="first_pass",
            passed=i >= 200 or i % 2 == 0,
            lost_at=None if i >= 200 or i % 2 == 0 else "draft",
            release="1.4" if i >= 200 else "1.3",
        )
        for i in range(400)
    ]
    store.on_events([RunFinished(r) for r in records])
    store.close()
    return path


def coord(*arguments):
    return CliRunner().invoke(app, ["gate", *arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["release=1.4"], 0, "ACCEPTED"),
        (["release=1.3"], 1, "REJECTED"),
        (["release=1.4", "--min-success", "0.99"], 3, "INCONCLUSIVE"),
        (["--where", "release=1.4", "--suite", "200"], 0, "ACCEPTED"),
        (["release=1.4", "--max-trials", "88", "--unit", "task"], 0, "ACCEPTED"),
        (["--since", "1d"], 3, "INCONCLUSIVE"),
    ],
)
def test_exit_codes(runs, arguments, code, word):
    done = coord("--store", runs, *arguments)
    assert done.exit_code == code, done.output
    assert word in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.splitlines()[0 if "1d" in arguments else 1].startswith(word)


def test_the_text_says_what_it_rests_on(runs):
    done = coord("--store", runs, "release=1.4", "--min-success", "0.99")
    said = " ".join(done.stdout.split())
    assert "INCONCLUSIVE 200 of 200 runs did their job: too few to tell." in said
    assert "asked more than 99 %, 99.6 % expected" in said
    assert "success 100 %, above 97.8 %, in [95.9, 100]; at 95 %, whenever one looks" in said
    assert "20 accepts" in said
    assert "249 more runs without a failure would accept" in said


def test_json_is_what_python_says(runs):
    done = coord("--store", runs, "release=1.3", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == gate("release=1.3", store=runs).to_dict()


def test_a_store_as_the_argument(runs):
    done = coord(runs, "--where", "release=1.4", "--expected", "0.99", "--alpha", "0.01")
    assert (done.exit_code, done.stdout.split()[3]) == (0, "ACCEPTED"), done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expected", "0.9"], "coord: expected=0.9 with min_success=0.95; expected is the rate"),
        (["--unit", "thread"], "coord: unit='thread'; a gate counts by 'run' or by 'task'"),
        (["--missing", "no"], "coord: missing='no'; it is 'either'"),
        (["--max-trials", "20"], "coord: max_trials=20 can never accept min_success=0.95"),
        (["--where", "x"], "coord: --where 'x'; write KEY=VALUE"),
        (["nothing.db"], "nothing.db"),
    ],
)
def test_errors_are_one_line_and_end_with_2(runs, arguments, said):
    store = [] if "nothing.db" in arguments else ["--store", runs]
    done = coord(*store, *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
