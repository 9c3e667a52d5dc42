"""Selectors of a comparison: what they read, and what they say when they find nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the command line is an extra")
from typer.testing import CliRunner

from coord_plugins import PolicyError, RunRecord, StepTally, Store, StoreError, compare
from coord_plugins._cli._app import app
from coord_plugins._comparing._select import choose
from coord_plugins._events import RunFinished
from coord_plugins._stores import forget_stores


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


def record(release, i, passed, **more):
    values = {
        "pipeline": "support",
        "policy_id": f"policy-{release}",
        "status": "finished",
        "task": f"t{i % 20}",
        "metadata": {"trial": i // 20, "tenant": "north" if i % 2 else "south"},
        "goal_id": "answered:1",
        "started_at": 1_000.0 + i,
        "finished_at": 1_001.0 + i,
        "end": "delivered",
        "detail": "first_pass",
        "steps": {"draft": StepTally(executions=1, completed=1, cost_first=0.25 + i % 3)},
    }
    return RunRecord(run_id=f"{release}-{i}", release=release, passed=passed, **(values | more))


def runs():
    old = [record("1.4", i, i % 4 != 0) for i in range(40)]
    return old + [record("1.5", i, i % 10 != 0) for i in range(40)]


@pytest.fixture
def store(tmp_path):
    """A store with two releases of one pipeline, two trials of twenty tasks each."""
    path = tmp_path / "runs.db"
    opened = Store(f"sqlite:///{path}")
    nested = record("1.4", 99, False, parent_id="1.4-0")
    opened.on_events([RunFinished(r) for r in [*runs(), nested]])
    opened.close()
    return str(path)


@pytest.fixture
def large(tmp_path):
    """A store with two releases and 200 tasks, each run once by both."""
    path = tmp_path / "large.db"
    opened = Store(f"sqlite:///{path}")
    for release, every in (("1.4", 4), ("1.5", 10)):
        named = [record(release, i, i % every != 0, task=f"t{i}") for i in range(200)]
        opened.on_events([RunFinished(r) for r in named])
    opened.close()
    return str(path)


def coord(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_a_store_and_records_say_the_same(store):
    found = compare("release=1.4", "release=1.5", store=store)
    assert (found.a.success.runs, found.b.success.runs) == (30, 36)
    assert (found.pairing, found.pairs, found.tasks) == ("tasks", 40, 20)
    assert found.to_dict() == compare("release=1.4", "release=1.5", store=runs()).to_dict()
    with_store = compare("release=1.4", "release=1.5", store=Store(f"sqlite:///{store}"))
    assert with_store.to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("a", "b", "n"),
    [
        ("pipeline=support,release=1.4", "pipeline=support, release=1.5", 40),
        ("release=1.4,tenant=north", "release=1.5,tenant=north", 20),
        ("policy_id=policy-1.4,trial=0", "policy_id=policy-1.5,trial=0", 20),
    ],
)
def test_selectors_take_columns_and_metadata(store, a, b, n):
    assert compare(a, b, store=store).pairs == n


def test_shared_filters_apply_to_both(store):
    found = compare(
        "release=1.4",
        "release=1.5",
        store=store,
        pipeline="support",
        where={"tenant": "north"},
        since=1_000.0,
        until=1_020.0,
    )
    assert found.pairs == 10
    assert found.filters == {
        "pipeline": ["support"],
        "since": 1_000.0,
        "until": 1_020.0,
        "where": {"tenant": "north"},
    }


def test_places(store, tmp_path):
    """A store, a part of a store, and files of both formats."""
    other = tmp_path / "other.db"
    opened = Store(f"sqlite:///{other}")
    opened.on_events([RunFinished(record("1.6", i, True)) for i in range(20)])
    opened.close()
    found = compare(f"{store}#release=1.4,trial=0", str(other))
    assert (found.pairs, found.b.success.runs) == (20, 20)
    found = compare(Path(store), f"sqlite:///{other}", paired=False)
    assert found.a.started == 80
    with Path("new.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["pipeline", "task", "trial", "passed", "cost"])
        writer.writerows(["support", f"t{i}", 0, i > 0, 0.5] for i in range(20))
    found = compare("release=1.4,trial=0", "new.csv", store=store)
    assert (found.pairs, found.b.success.runs) == (20, 19)
    assert found.b.cost == pytest.approx(10.0)
    assert any("new.csv had the same goal is not recorded" in said for said in found.warnings)
    found = compare("new.csv#task=t0", "new.csv#task=t1")
    assert found.pairing == "unpaired"


def test_a_file_that_export_wrote_is_the_store(store):
    assert coord("export", "runs.jsonl", "--store", store).exit_code == 0
    from_file = compare("runs.jsonl#release=1.4", "runs.jsonl#release=1.5").to_dict()
    from_store = compare("release=1.4", "release=1.5", store=store).to_dict()
    for one in (from_file, from_store):
        one.pop("answer")
        one["a"].pop("name")
        one["b"].pop("name")
    assert from_file["success"] == from_store["success"]
    assert from_file == from_store


@pytest.mark.parametrize(
    ("a", "said"),
    [
        ("release=1.9", r"there is no release=1.9; recorded are 1.4 \(40 runs\), 1.5 \(40 runs\)"),
        ("colour=red", "no run has a colour"),
        ("release=1.4,trial=7", r"no trial=7; recorded are 0 \(40 runs\), 1 \(40 runs\)"),
        (
            "release=1.4,policy_id=policy-1.5",
            r"with release=1.4 the values of policy_id are policy-1.4 \(40 runs\)",
        ),
    ],
)
def test_a_selector_that_finds_nothing_lists_what_there_is(store, a, said):
    for place in (store, runs()):
        with pytest.raises(PolicyError, match=said):
            compare(a, "release=1.5", store=place)


@pytest.mark.parametrize(
    ("a", "said"),
    [
        ("support", "write KEY=VALUE"),
        ("release=", "write KEY=VALUE"),
        ("release=1.4,beta", "at 'beta'"),
        ("release=1.4,release=1.5", "names 'release' twice"),
        ("release=1.5", "are in both"),
        ("pipeline=support", "40 runs are in both"),
    ],
)
def test_a_selector_that_cannot_be(store, a, said):
    with pytest.raises(PolicyError, match=said):
        compare(a, "release=1.5", store=store)


def test_filters_that_contradict_a_selector(store):
    with pytest.raises(PolicyError, match="two values of 'release'"):
        compare("release=1.4", "release=1.5", store=store, where={"release": "1.4"})
    with pytest.raises(PolicyError, match="the filters leave nothing"):
        compare(store, store, since=5_000.0)
    with pytest.raises(PolicyError, match="is no selector"):
        compare(3, store)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(PolicyError, match="it is empty"):
        compare([], store)


def test_places_that_are_not_there(store):
    with pytest.raises(StoreError, match="there is no store"):
        compare("none.db", store)
    with pytest.raises(StoreError, match="there is no store"):
        compare("release=1.4", "release=1.5")
    with pytest.raises((PolicyError, StoreError), match=r"none\.csv"):
        compare("none.csv", store)


def test_a_place_is_told_from_a_value():
    assert choose("model=gpt-5.db", "A", None).where == {"model": "gpt-5.db"}
    assert choose("x.parquet", "A", None).is_file
    assert choose("runs.csv.gz#release=1", "A", None).where == {"release": "1"}
    assert choose("postgresql://h/d?a=b#release=1", "A", None).place == "postgresql://h/d?a=b"
    assert choose("tag=a#b", "A", None).where == {"tag": "a#b"}


def test_a_shared_iterator_serves_both_selectors():
    assert compare("release=1.4", "release=1.5", store=iter(runs())).pairs == 40


def test_the_command_prints_what_python_says(store):
    done = coord("compare", "release=1.4", "release=1.5", "--store", store, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == compare("release=1.4", "release=1.5", store=store).to_dict()
    assert told["schema_version"] == 1


def test_the_command_answers_in_one_screen(large):
    done = coord(
        *("compare", "release=1.4", "release=1.5", "--store", large),
        *("--value", "8", "--escalation-cost", "4", "--silent-cost", "25"),
    )
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 32
    said = " ".join(done.stdout.split())
    assert said.startswith(
        "release=1.5 is better than release=1.4: 90.0 % against 75.0 % of runs did their job, "
        "+15.0 points"
    )
    assert "paired by task: 200 pairs, 40 gained, 10 harmed; exact McNemar p = 2.4e-05" in said
    assert "Net benefit at your prices" in said
    assert "prices: success $8.00, escalation $4.00, silent $25.00, error $4.00" in said
    # 40 gained and 10 harmed in 200, each of them worth 8 and the 25 that a wrong answer costs
    assert "B - A +$4.95" in said


def test_harm_is_no_error(large):
    done = coord("compare", "release=1.5", "release=1.4", "--store", large)
    assert done.exit_code == 0
    assert "release=1.4 is worse than release=1.5, it does harm" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("release=1.9", "release=1.5"), "there is no release=1.9"),
        (("release=1.4", "release=1.4"), "in both"),
        (("release=1.4", "nonsense"), "write KEY=VALUE"),
        (("release=1.4", "release=1.5", "--margin", "2"), "margin"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(store, arguments, said):
    done = coord("compare", *arguments, "--store", store)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_brackets_in_a_name_are_no_markup(store):
    opened = Store(f"sqlite:///{store}")
    opened.on_events([RunFinished(record("[red]", i, True)) for i in range(20)])
    opened.close()
    done = coord("compare", "release=1.4", "release=[red]", "--store", store)
    assert "release=[red]" in done.stdout


def test_the_store_may_be_a_path_object(store, tmp_path):
    by_text = compare("release=1.4", "release=1.5", store=str(store))
    by_path = compare("release=1.4", "release=1.5", store=Path(store))
    assert by_path.to_dict() == by_text.to_dict()
