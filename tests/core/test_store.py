"""The store on SQLite and PostgreSQL: what was written is what is read, in any order."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import fields, replace

import pytest
import sqlalchemy as sa

from coord_plugins import compare, gate
from coord_plugins._events import OutcomeRecorded, RunFinished, RunPaused, RunStarted
from coord_plugins._record import Note, RunRecord
from coord_plugins._reporting._report import report
from coord_plugins._store import Store
from coord_plugins._store_query import Query, make_query
from coord_plugins._store_rows import AMOUNTS, COUNTS, FLAGS
from coord_plugins._stores import open_store
from coord_plugins._tally import StepTally
from coord_plugins.errors import PolicyError, StoreError


def tally(**changed):
    values = {"executions": 1, "completed": 1, "first_ok": True, "duration": 0.25}
    return StepTally(**(values | changed))


def finished(run_id="r1", *, passed=True, **changed):
    values = {
        "run_id": run_id,
        "pipeline": "support",
        "policy_id": "p1",
        "status": "finished",
        "task": "t1",
        "metadata": {"tenant": "acme", "seat": 3},
        "started_at": 100.0,
        "finished_at": 102.5,
        "elapsed": 2.5,
        "end": "delivered",
        "detail": "first_pass",
        "passed": passed,
        "lost_at": None if passed in (True, None) else "goal",
        "steps": {"draft": tally(cost_first=0.01, input_tokens=7), "send": tally()},
    }
    return RunRecord(**(values | changed))


def running(run_id="r1", **changed):
    values = {"run_id": run_id, "pipeline": "support", "started_at": 100.0}
    return RunRecord(**(values | changed))


FULL = finished(
    thread="th",
    mode="observe",
    parent_id="parent",
    tags=("a", "b"),
    metadata={"ünï": "cødé", "deep": {"x": [1, None, True]}, "float": 1.5},
    environment="production",
    release="1.4",
    explanation="because",
    goal_error="ValueError: no",
    error="KeyError: 'x'",
    would_stop="escalated",
    source="self_reported",
    steps={
        "draft": tally(
            executions=2,
            calls=2,
            passes=1,
            rejects=1,
            loops=1,
            rejects_wrong=1,
            first_ok=False,
            accepted=True,
            cost_retry=0.5,
            unknown_cost=2,
            validators={"v": [2, 1, 1, 0, 1, 0, 0, 1]},
        ),
        "send": tally(first_given_right=False, accepted=None),
    },
    notes=(Note(step="draft", execution=1, kind="loop", text="cite the line"),),
    payload={"input": {"q": 1}, "output": "text"},
)


def test_schema_covers_every_field_of_a_tally():
    stored = {*COUNTS, *FLAGS, *AMOUNTS, "validators"}
    assert stored == {f.name for f in fields(StepTally)}


def test_a_record_comes_back_equal(store):
    store.on_event(RunFinished(FULL))
    assert store.get_run("r1") == FULL
    assert list(store.iter_records(Query(include_nested=True))) == [FULL]


def test_runs_without_steps_and_odd_texts_are_kept(store):
    odd = finished(steps={}, error="nul \x00 and lone \ud800", metadata={"nan": float("nan")})
    store.on_event(RunFinished(odd))
    back = store.get_run("r1")
    assert back.steps == {}
    assert back.metadata == {"nan": "nan"}
    assert back.error == "nul \ufffd and lone ?"


def test_start_and_finish_in_one_batch_are_one_row(store):
    store.on_events([RunStarted(running()), RunFinished(finished())])
    assert store.describe()["runs"] == 1
    assert store.get_run("r1").outcome == "success.first_pass"


@pytest.mark.parametrize("late", [RunStarted(running()), RunPaused(running(status="paused"))])
def test_a_late_start_or_pause_hides_no_finish(store, late):
    store.on_event(RunFinished(finished()))
    store.on_event(late)
    store.on_events([RunFinished(finished()), late])
    assert store.get_run("r1") == finished()


def test_pause_resume_finish(store):
    store.on_event(RunStarted(running()))
    assert store.get_run("r1").outcome == "in_flight.running"
    store.on_event(RunPaused(running(status="paused", elapsed=1.0)))
    assert store.get_run("r1").outcome == "in_flight.paused"
    store.on_event(RunFinished(finished()))
    assert store.get_run("r1").outcome == "success.first_pass"


def test_a_finished_run_that_is_resumed_is_replaced(store):
    store.on_event(RunFinished(finished()))
    store.on_event(RunPaused(running(status="paused", elapsed=4.0)))
    assert store.get_run("r1").outcome == "in_flight.paused"
    store.on_event(RunFinished(finished(passed=False, elapsed=6.0)))
    assert store.get_run("r1").outcome == "silent_failure.first_pass"


def test_the_latest_label_by_time_counts_and_history_is_kept(store):
    store.on_event(RunFinished(finished()))
    store.record_outcome(run_id="r1", passed=False, source="ticket reopened", at=300.0)
    store.record_outcome(run_id="r1", passed=True, at=200.0)
    run = store.get_run("r1")
    assert (run.outcome, run.source) == ("silent_failure.first_pass", "late")
    assert (run.explanation, run.lost_at) == ("ticket reopened", "goal")
    said = [(label.at, label.passed, label.source) for label in store.labels("r1")]
    assert said == [(102.5, True, "measured"), (200.0, True, "late"), (300.0, False, "late")]


def test_of_labels_of_one_time_the_later_counts(store):
    store.on_event(RunFinished(finished()))
    for passed in (True, False):
        store.record_outcome(run_id="r1", passed=passed, at=200.0)
    assert store.get_run("r1").passed is False
    store.record_outcome(run_id="r1", passed=True, at=200.0)
    run = store.get_run("r1")
    assert (run.outcome, run.lost_at) == ("success.first_pass", None)


@pytest.mark.parametrize("together", [True, False])
def test_a_label_may_come_before_its_run(store, together):
    events = [OutcomeRecorded("r1", False, 200.0, "late", "no"), RunFinished(finished())]
    for batch in [events] if together else [[event] for event in events]:
        store.on_events(batch)
    assert store.get_run("r1").outcome == "silent_failure.first_pass"
    store.on_event(RunFinished(finished()))  # delivered twice
    assert store.get_run("r1").outcome == "silent_failure.first_pass"


def test_a_goal_that_failed_hides_no_label(store):
    store.on_event(RunFinished(finished()))
    store.on_event(OutcomeRecorded("r1", None, 200.0, "late", None, "TimeoutError: slow"))
    assert store.get_run("r1").passed is True


def test_a_judge_goal_that_fails_says_why(store):
    store.on_event(RunFinished(finished(passed=None)))
    store.on_event(OutcomeRecorded("r1", None, 200.0, "measured", None, "TimeoutError: slow"))
    run = store.get_run("r1")
    assert (run.outcome, run.goal_error) == ("unlabelled", "TimeoutError: slow")


def test_a_late_label_blames_the_step_that_was_wrong(store):
    steps = {"draft": tally(accepted=False), "send": tally(accepted=True)}
    store.on_event(RunFinished(finished(steps=steps)))
    store.record_outcome(run_id="r1", passed=False)
    assert store.get_run("r1").lost_at == "draft"


def test_a_label_does_not_make_an_escalated_run_a_success(store):
    escalated = finished(passed=None, end="escalated", detail="unjudged", lost_at="draft")
    store.on_event(RunFinished(escalated))
    store.record_outcome(run_id="r1", passed=True)
    run = store.get_run("r1")
    assert (run.outcome, run.passed, run.lost_at) == ("escalated.unjudged", True, "draft")


def test_the_latest_run_of_a_task_is_labelled(store):
    store.on_events([RunFinished(finished(f"r{i}", started_at=float(i))) for i in range(3)])
    assert store.record_outcome(task="t1", pipeline="support", passed=False) == "r2"
    assert store.find_run(task="t1", pipeline="other") is None
    with pytest.raises(StoreError, match="no run of task 'nine'"):
        store.record_outcome(task="nine", passed=True)
    with pytest.raises(StoreError, match="give run_id="):
        store.record_outcome(passed=True)


def test_prune_forgets_old_runs_and_their_labels(store):
    store.on_events([RunFinished(finished(f"r{i}", started_at=float(i))) for i in range(4)])
    store.record_outcome(run_id="r0", passed=False)
    assert store.prune(2.0) == 2
    assert [r.run_id for r in store.iter_records()] == ["r2", "r3"]
    assert store.labels("r0") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abc"),
        ({"pipeline": "support"}, "ac"),
        ({"pipeline": ["other", "none"]}, "b"),
        ({"since": 15.0}, "bc"),
        ({"since": "1970-01-01T00:00:15Z", "until": "1970-01-01T00:00:25"}, "b"),
        ({"where": {"tenant": "acme"}}, "a"),
        ({"where": {"seat": "3"}}, "ac"),
        ({"where": {"paid": "true"}}, "b"),
        ({"where": {"it's \u00fcber": "50 %"}}, "c"),
        ({"where": {"missing": "x"}}, ""),
        ({"where": {"outcome": "success"}}, "ab"),
        ({"where": {"outcome": "silent_failure.first_pass", "pipeline": "support"}}, "c"),
        ({"where": {"release": "1.4", "mode": "enforce"}}, "b"),
        ({"include_nested": True}, "abcd"),
        ({"settle": "1d"}, "abc"),
    ],
)
def test_filters_agree_in_sql_and_in_python(store, wanted, found):
    records = [
        finished("a", started_at=10.0),
        finished("b", started_at=20.0, pipeline="other", release="1.4", metadata={"paid": True}),
        finished(
            "c", started_at=30.0, passed=False, metadata={"seat": "3", "it's \u00fcber": "50 %"}
        ),
        finished("d", started_at=40.0, parent_id="a", pipeline="child"),
    ]
    store.on_events([RunFinished(r) for r in records])
    query = make_query(**wanted)
    assert "".join(r.run_id for r in store.iter_records(query)) == found
    assert "".join(r.run_id for r in records if query.matches(r)) == found


@pytest.mark.parametrize("bad", [{"since": "yesterday"}, {"settle": "7 moons"}])
def test_unreadable_times_are_named(bad):
    with pytest.raises(PolicyError, match=next(iter(bad))):
        make_query(**bad)


def test_a_report_splits_by_keys_and_columns_on_every_database(store):
    values = ["acme", "acme", 3, True, None]
    records = [finished(f"r{i}", metadata={"k": v}) for i, v in enumerate(values)]
    store.on_events([RunFinished(r) for r in records])
    for by in ("k", "run.missing", "task", "outcome"):
        for unit in ("run", "thread"):
            said, expected = report(store, by=by, unit=unit), report(records, by=by, unit=unit)
            assert said.to_dict() == expected.to_dict()
    assert [p.value for p in report(store, by="k").only.parts] == ["3", "acme", "true", None]


def test_trials_and_late_labels_on_every_database(store):
    records = [
        finished(
            f"r{i}",
            task=f"t{i % 4}",
            passed=i % 3 != 0,
            metadata={"half": i % 2},
            elapsed=float(i),
            steps={"draft": tally(cost_first=0.25 * i, input_tokens=i)},
        )
        for i in range(12)
    ]
    store.on_events([RunFinished(r) for r in records])
    for by in (None, "half"):
        said, expected = report(store, by=by).only, report(records, by=by).only
        assert said.trials.pass_hat_k == expected.trials.pass_hat_k
        assert said.trials.standard_error == pytest.approx(expected.trials.standard_error)
        for one, other in zip((said, *said.parts), (expected, *expected.parts), strict=True):
            assert one.success_rate.clusters == other.success_rate.clusters
            assert one.success_rate.interval == pytest.approx(other.success_rate.interval)
            cost = one.cost.per_success_interval
            assert cost == pytest.approx(other.cost.per_success_interval)
    for i in (1, 2, 3):
        store.record_outcome(run_id=f"r{i}", passed=i == 1)
    strata = report(store).only.true_rate.strata
    assert [(s.name, s.runs, s.labelled, s.passed) for s in strata] == [
        ("goal_passed", 8, 2, 1),
        ("goal_failed", 4, 1, 0),
    ]


def test_comparisons_and_gates_of_every_database_are_those_of_records(store):
    records = [
        finished(
            f"{side}{i}",
            task=f"t{i}",
            release=side,
            passed=i % divisor != 0,
            started_at=float(i),
        )
        for side, divisor in (("old", 4), ("new", 40))
        for i in range(120)
    ]
    store.on_events([RunFinished(r) for r in records])
    said = compare("release=old", "release=new", store=store)
    expected = compare(
        [r for r in records if r.release == "old"],
        [r for r in records if r.release == "new"],
        names=("release=old", "release=new"),
    )
    assert said.to_dict() == expected.to_dict()
    assert (said.conclusion, said.pairs) == ("better", 120)
    asked = gate("release=new", min_success=0.9, store=store)
    there = gate([r for r in records if r.release == "new"], min_success=0.9)
    assert (asked.verdict, asked.decided_at) == ("accept", there.decided_at)
    assert gate("release=old", min_success=0.9, store=store).verdict == "reject"


def test_an_older_schema_is_upgraded_in_place(store, monkeypatch):
    """A store as the first version made it, without goals, repeats and policies."""
    store.on_event(RunFinished(finished()))
    with store._begin() as connection:
        for view in ("steps_v1", "runs_v1"):
            connection.execute(sa.text(f"DROP VIEW {view}"))
        connection.execute(sa.text("DROP TABLE coord_policies"))
        connection.execute(sa.text("ALTER TABLE coord_runs DROP COLUMN goal_id"))
        for name in ("repeat_right", "repeat_wrong"):
            connection.execute(sa.text(f"ALTER TABLE coord_shapes DROP COLUMN {name}"))
        for view, table in (("runs_v1", "coord_runs"), ("steps_v1", "coord_shapes")):
            connection.execute(sa.text(f"CREATE VIEW {view} AS SELECT * FROM {table}"))
        connection.execute(sa.text("UPDATE coord_meta SET schema_version = 1"))
    from coord_plugins import _store_schema as schema

    # the process dies in the middle: nothing of the upgrade is left, and the next one is whole
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_make_views", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError), store._begin() as connection:
            schema.migrate(connection, "here")
    with store._begin() as connection:
        assert schema.schema_version(connection) == 1
        schema.migrate(connection, "here")
    assert store.get_run("r1") == finished()
    assert store.policies() == []
    store.on_event(RunFinished(finished("r2", goal_id="resolved:2")))
    assert report(store).only.goal_ids == {"": 1, "resolved:2": 1}
    with store._connect() as connection:
        goals = connection.execute(sa.text("SELECT goal_id FROM runs_v1 ORDER BY run_id")).all()
        steps = connection.execute(sa.text("SELECT sum(repeat_right) FROM steps_v1")).scalar()
    assert (goals, steps) == ([(None,), ("resolved:2",)], 0)


def test_views_are_stable_and_add_up(store):
    store.on_events([RunFinished(FULL), RunFinished(finished("r2"))])
    with store._connect() as connection:
        run = connection.execute(
            sa.text("SELECT outcome, cost FROM runs_v1 WHERE run_id = 'r2'")
        ).one()
        steps = connection.execute(
            sa.text(
                "SELECT step, executions, rejects, cost_first, input_tokens, first_ok "
                "FROM steps_v1 WHERE run_id = 'r2' ORDER BY position"
            )
        ).all()
    assert tuple(run) == ("success.first_pass", 0.01)
    assert [tuple(s) for s in steps] == [("draft", 1, 0, 0.01, 7, 1), ("send", 1, 0, 0.0, 0, 1)]


def test_several_threads_write_and_read(store):
    def work(k):
        for i in range(20):
            store.on_event(RunFinished(finished(f"{k}-{i}", metadata={"k": k})))
            list(store.iter_records(make_query(where={"k": k})))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.describe()["runs"] == 80


def test_a_newer_schema_is_refused_and_an_older_one_upgraded(tmp_path, monkeypatch):
    from coord_plugins import _store_schema as schema

    url = f"sqlite:///{tmp_path}/s.db"
    old = Store(url)
    old.on_event(RunFinished(finished()))
    old.close()

    def add_column(connection):
        connection.execute(sa.text("ALTER TABLE coord_runs ADD COLUMN extra TEXT"))

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", [*schema.MIGRATIONS, add_column])
        newer = schema.VERSION + 1
        patch.setattr(schema, "VERSION", newer)
        patch.setattr("coord_plugins._store_engine.VERSION", newer)
        upgraded = Store(url)
        assert upgraded.describe()["schema_version"] == newer
        assert upgraded.get_run("r1") == finished()
        upgraded.close()
    with pytest.raises(StoreError, match=f"schema version {newer}.*upgrade coord-plugins"):
        Store(url)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("no/such/place/runs.db", "make the directory"),
        ("mysql://root@host/db", "neither SQLite nor PostgreSQL"),
        ("nonsense://x", "neither SQLite nor PostgreSQL"),
        ("sqlite+nonsense:///x.db", "no database URL"),
        (
            "postgresql://nobody@127.0.0.1:1/x?connect_timeout=1",
            r"check host|coord-plugins\[postgres\]",  # the core alone has no driver
        ),
    ],
)
def test_a_named_store_that_cannot_open_is_an_error(tmp_path, monkeypatch, spec, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=said):
        open_store(spec, named=True)


def test_a_file_that_is_no_store_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are only notes, " * 100)
    with pytest.raises(StoreError, match=r"notes\.txt.*not a database"):
        open_store(str(path), named=True)


def test_specs(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert open_store("off", named=True) is None
    assert open_store("memory", named=True).in_memory
    with caplog.at_level(logging.INFO, "coord_plugins.store"):
        default = open_store(None, named=False)
    assert [r.message for r in caplog.records] == [
        f"runs are kept in {tmp_path}/.coord/outcomes.db"
    ]
    assert (tmp_path / ".coord" / ".gitignore").read_text() == "*\n"
    assert open_store(default, named=True) is default
    default.close()


def test_the_default_store_falls_back_to_memory(tmp_path, monkeypatch, caplog):
    (tmp_path / ".coord").write_text("a file is in the way")
    monkeypatch.chdir(tmp_path)
    fallback = open_store(None, named=False)
    assert fallback.in_memory
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    fallback.on_event(RunFinished(finished()))
    assert fallback.describe()["runs"] == 1


def test_spooled_events_are_stored_when_the_store_opens_again(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    store = Store(url)
    store.spool([RunFinished(FULL), OutcomeRecorded("r1", True, 900.0, "late", "fine")])
    assert store.describe()["spooled"] == 2
    store.close()
    again = Store(url)
    assert again.get_run("r1") == replace(
        FULL, passed=True, source="late", explanation="fine", goal_error=None, lost_at=None
    )
    assert again.describe()["spooled"] == 0
    again.close()


def test_a_flushed_run_survives_kill_9(tmp_path):
    code = f"""
import os, signal
from coord_plugins._bus import delivery_of
from coord_plugins._events import RunFinished
from coord_plugins._record import RunRecord
from coord_plugins._store import Store
delivery = delivery_of(Store("sqlite:///{tmp_path}/s.db"))
record = RunRecord(run_id="r9", pipeline="p", status="finished", end="delivered",
                   detail="first_pass", passed=True)
delivery.put([RunFinished(record)])
assert delivery.flush(10)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=os.getcwd(), env=_environment())
    assert done.returncode == -signal.SIGKILL
    store = Store(f"sqlite:///{tmp_path}/s.db")
    assert store.get_run("r9").succeeded
    store.close()


def test_importing_the_library_loads_no_sqlalchemy():
    code = "import sys, coord_plugins; print('sqlalchemy' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=_environment()
    )
    assert found.stdout.strip() == "False", found.stderr


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def test_metadata_is_strict_json_in_the_database(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/s.db")
    store.on_event(RunFinished(finished(metadata={1: object, "inf": [float("inf")]})))
    with store._connect() as connection:
        written = connection.execute(sa.text("SELECT metadata FROM runs_v1")).scalar()
    assert json.loads(written)["inf"] == ["inf"]
    store.close()


def test_one_refused_event_takes_no_other_with_it(store, caplog):
    bad = finished("bad", elapsed=float("nan"), status=None)
    store.on_events([RunFinished(finished("a")), RunFinished(bad), RunFinished(finished("b"))])
    assert [r.run_id for r in store.iter_records()] == ["a", "b"]
    assert store.refused == 1
    assert "refused" in caplog.text


def test_several_processes_write_to_one_file(tmp_path):
    code = f"""
import sys
from coord_plugins._events import RunFinished
from coord_plugins._record import RunRecord
from coord_plugins._store import Store
store = Store("sqlite:///{tmp_path}/s.db")
for i in range(50):
    store.on_event(RunFinished(RunRecord(run_id=f"{{sys.argv[1]}}-{{i}}", pipeline="p")))
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(k)], env=_environment()) for k in range(3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    store = Store(f"sqlite:///{tmp_path}/s.db")
    assert store.describe()["runs"] == 150
    store.close()


def test_a_report_is_of_one_moment_whoever_writes_meanwhile(tmp_path):
    """A run of a new pipeline, a second trial and a late label come between two of its queries."""
    store = Store(f"sqlite:///{tmp_path}/runs.db")
    store.on_events([RunFinished(finished(f"r{i}", task=f"t{i % 2}")) for i in range(4)])
    expected = report(store).to_dict()
    other = Store(store._engine.url.render_as_string())

    def meanwhile(_):
        other.on_event(RunFinished(finished("late", pipeline="other", task="t0", passed=False)))
        other.on_event(RunFinished(finished("more", task="t1", passed=False)))
        other.record_outcome(run_id="r0", passed=False)

    assert report(store, progress=meanwhile).to_dict() == expected
    after = report(store)
    assert [group.pipeline for group in after.groups] == ["other", "support"]
    assert after.groups[1].success_rate.n == 5
    store.close()
    other.close()
