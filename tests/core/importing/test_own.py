"""Export, then import into an empty store: the same runs."""

import json
import math
from contextlib import ExitStack
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("typer", reason="the command line is an extra")
from typer.testing import CliRunner

from coord_plugins import OUTCOMES, RunRecord, import_runs, read_runs, report
from coord_plugins._cli._app import app
from coord_plugins._events import OutcomeRecorded, RunFinished
from coord_plugins._importing._own import FLAT, flat_of, is_own, record_of
from coord_plugins._importing._values import ending, outcome
from coord_plugins._record import Note
from coord_plugins._store import Store
from coord_plugins._store_query import Query
from coord_plugins._store_rows import AMOUNTS, COUNTS, FLAGS
from coord_plugins._stores import forget_stores
from coord_plugins._tally import StepTally

FORMATS = ["jsonl", "csv", "parquet"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
MAYBE = st.none() | TEXT
AMOUNT = st.floats(0, 1e9)
WHOLE = st.integers(0, 2**31 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COORD_STORE", raising=False)
    forget_stores()
    yield
    forget_stores()


@st.composite
def tallies(draw):
    values = {name: draw(WHOLE) for name in draw(st.sets(st.sampled_from(COUNTS), max_size=3))}
    for name in draw(st.sets(st.sampled_from(AMOUNTS), max_size=3)):
        whole = name.endswith(("tokens", "cost")) and not name.startswith("cost")
        values[name] = draw(WHOLE if whole else AMOUNT)
    for name in FLAGS:
        values[name] = draw(st.booleans() if name.endswith("right") else st.none() | st.booleans())
    kept = st.lists(WHOLE, min_size=8, max_size=8)
    values["validators"] = draw(st.dictionaries(TEXT, kept, max_size=2))
    return StepTally(**values)


@st.composite
def records(draw):
    said = outcome(draw(st.sampled_from(OUTCOMES)), None)
    end = ending(said, None, None, missing=said)
    passed = end.passed if end.end == "delivered" else draw(st.none() | st.booleans())
    optional = (
        "task thread parent_id environment release explanation goal_error error lost_at "
        "would_stop goal_id"
    ).split()
    notes = st.builds(Note, step=TEXT, execution=WHOLE, kind=TEXT, text=TEXT)
    return RunRecord(
        run_id=draw(TEXT.filter(bool)),
        pipeline=draw(TEXT),
        policy_id=draw(TEXT),
        status=end.status,
        mode=draw(st.sampled_from(["enforce", "observe"])),
        **{name: draw(MAYBE) for name in optional},
        tags=tuple(draw(st.lists(TEXT, max_size=2))),
        metadata=draw(st.dictionaries(TEXT, PLAIN, max_size=3)),
        started_at=draw(AMOUNT),
        finished_at=draw(AMOUNT) if end.end else None,
        elapsed=draw(AMOUNT),
        end=end.end,
        detail=end.detail,
        passed=passed,
        source=draw(st.sampled_from(["measured", "late", "self_reported"])),
        steps=draw(st.dictionaries(TEXT, tallies(), max_size=2)),
        notes=tuple(draw(st.lists(notes, max_size=2))),
        payload=draw(st.none() | st.dictionaries(TEXT, PLAIN, max_size=2)),
    )


def test_every_field_of_a_record_is_exported():
    assert {f.name for f in fields(RunRecord)} <= set(FLAT)
    assert len(set(FLAT)) == len(FLAT)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(found=st.lists(records(), min_size=1, max_size=6, unique_by=lambda r: r.run_id))
@pytest.mark.parametrize("kind", FORMATS)
def test_random_records_round_trip(kind, found, tmp_path):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    place = tmp_path / "first.db"
    place.unlink(missing_ok=True)
    with ExitStack() as stack:
        first, second = Store(f"sqlite:///{place}"), Store("sqlite://")
        stack.callback(first.close)
        stack.callback(second._engine.dispose)
        first.on_events([RunFinished(record) for record in found])
        done = CliRunner().invoke(app, ["export", f"all.{kind}", "--store", str(place)])
        assert done.exit_code == 0, done.output
        told = import_runs(f"all.{kind}", second)
        assert (told.new, told.bad_rows) == (len(found), 0)
        wanted = {r.run_id: r for r in first.iter_records(Query(include_nested=True))}
        assert {r.run_id: r for r in second.iter_records(Query(include_nested=True))} == wanted
        assert {r.run_id: r for r in read_runs(f"all.{kind}")} == wanted
        again = import_runs(f"all.{kind}", second)
        assert (again.new, again.updated, again.unchanged) == (0, 0, len(found))


@pytest.fixture
def labelled(tmp_path):
    """A store of three runs, of which one was labelled late."""
    store = Store(f"sqlite:///{tmp_path}/runs.db")
    base = RunRecord(
        run_id="r0",
        pipeline="support",
        policy_id="p",
        status="finished",
        started_at=10.0,
        finished_at=11.0,
        elapsed=1.0,
        end="delivered",
        detail="rescued",
        passed=True,
        steps={"draft": StepTally(executions=2, completed=2, cost_first=0.25, first_ok=False)},
        notes=(Note(step="draft", execution=1, kind="loop", text='a "quoted"\r\nline, 2'),),
    )
    store.on_events([RunFinished(replace(base, run_id=f"r{i}")) for i in range(3)])
    store.record_outcome(run_id="r1", passed=False, source="ticket reopened", at=99.0)
    yield store
    store.close()


@pytest.mark.parametrize("kind", [*FORMATS, "-"])
def test_late_labels_and_reports_survive(kind, labelled, tmp_path):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    place = str(tmp_path / "runs.db")
    target = kind if kind == "-" else f"all.{kind}"
    done = CliRunner().invoke(app, ["export", target, "--store", place])
    sent = done.stdout if kind == "-" else None
    back = CliRunner().invoke(app, ["import", target, "--store", "new.db"], input=sent)
    assert back.exit_code == 0, back.output
    assert report("new.db").to_dict()["groups"] == report(place).to_dict()["groups"]
    kept = Store("sqlite:///new.db").get_run("r1")
    assert (kept.source, kept.passed, kept.explanation) == ("late", False, "ticket reopened")


def test_an_older_export_does_not_undo_a_later_label(labelled, tmp_path):
    CliRunner().invoke(app, ["export", "all.csv", "--store", str(tmp_path / "runs.db")])
    labelled.record_outcome(run_id="r2", passed=False, at=120.0)
    told = import_runs("all.csv", labelled)
    assert (told.new, told.updated, told.unchanged) == (0, 0, 3)
    assert labelled.get_run("r2").outcome == "silent_failure.after_retry"
    labelled.on_event(OutcomeRecorded("r2", True, 130.0, "late"))
    assert labelled.get_run("r2").outcome == "success.rescued"


def test_tables_of_version_0_1_are_read(labelled):
    row = flat_of(labelled.get_run("r0"))
    for name in ("end", "detail", "goal_id", "notes", "payload", "empty"):
        del row[name]
    back = record_of({k: "" if v is None else str(v) for k, v in row.items()}, texts=True)
    assert back == replace(labelled.get_run("r0"), notes=())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"outcome": "grand", "end": "grand", "detail": "x"}, "outcome is 'grand.x'"),
        ({"steps": "{"}, "JSONDecodeError"),
        ({"started_at": "noon"}, "could not convert"),
        ({"source": "gossip"}, "source is 'gossip'"),
        ({"passed": "perhaps"}, "KeyError"),
        ({"run_id": ""}, "no exported run"),
    ],
)
def test_broken_rows_of_an_export_are_bad_rows(labelled, changed, said):
    row = flat_of(labelled.get_run("r0"))
    texts = {k: "" if v is None else str(v) for k, v in row.items()} | changed
    with pytest.raises(ValueError, match=said):
        record_of(texts, texts=True)


def test_an_export_is_known_by_its_columns(labelled):
    row = flat_of(labelled.get_run("r0"))
    assert is_own(row)
    assert is_own(labelled.get_run("r0").to_dict())
    assert not is_own({"run_id": 1, "outcome": 1})
    assert json.loads(row["steps"])["draft"]["executions"] == 2
    assert math.isclose(row["cost"], 0.25)


def test_the_history_of_labels_comes_along_once(labelled, tmp_path):
    for _ in range(2):  # the same word twice is two entries
        labelled.record_outcome(run_id="r0", passed=True, source="self_reported", at=50.0)
    place = str(tmp_path / "runs.db")
    CliRunner().invoke(app, ["export", "all.parquet", "--store", place])
    second = Store("sqlite://")
    for _ in range(2):
        told = import_runs("all.parquet", second)
        for run_id in ("r0", "r1", "r2"):
            assert second.labels(run_id) == labelled.labels(run_id)
    assert told.unchanged == 3
    labelled.record_outcome(run_id="r2", passed=False, at=130.0)
    CliRunner().invoke(app, ["export", "all.csv", "--store", place])
    told = import_runs("all.csv", second)
    assert (told.updated, told.unchanged) == (1, 2)
    assert second.get_run("r2") == labelled.get_run("r2")
    second._engine.dispose()
