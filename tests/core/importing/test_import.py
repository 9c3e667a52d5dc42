"""Anybody's outcomes into a store: formats, ids, twice the same, bad rows, broken files."""

import csv
import gzip
import io
import json
import uuid
from dataclasses import replace

import pytest

from coord_plugins import (
    BadRow,
    PolicyError,
    StoreError,
    configure,
    import_runs,
    read_runs,
    report,
)
from coord_plugins._config import reset_configuration
from coord_plugins._events import RunFinished
from coord_plugins._importing import _files as files
from coord_plugins._importing import _sink as sink
from coord_plugins._importing._batches import readable
from coord_plugins._importing._preview import preview
from coord_plugins._importing._runs import WHOLE
from coord_plugins._importing._seen import Seen, repeated
from coord_plugins._record import RunRecord
from coord_plugins._stores import forget_stores

HEAD = "task,trial,passed,cost,seconds\n"
LINES = [f"T{i % 4},{i // 4},{'yes' if i % 3 else 'no'},0.0{i + 1},{i}.5\n" for i in range(12)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COORD_STORE", raising=False)
    forget_stores()
    yield
    forget_stores()


def write(name, text):
    with open(name, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return name


def counts(told):
    return told.new, told.updated, told.unchanged, told.bad_rows


def stored(store):
    return {record.run_id: record for record in store.iter_records()}


def test_twice_changes_nothing_and_a_longer_log_adds_its_new_rows(store):
    write("log.csv", HEAD + "".join(LINES[:8]))
    assert counts(import_runs("log.csv", store)) == (8, 0, 0, 0)
    before = stored(store)
    assert before == {record.run_id: record for record in read_runs("log.csv")}
    assert counts(import_runs("log.csv", store)) == (0, 0, 8, 0)
    assert stored(store) == before
    write("log.csv", HEAD + "".join(LINES))
    assert counts(import_runs("log.csv", store)) == (4, 0, 8, 0)
    assert stored(store) == {record.run_id: record for record in read_runs("log.csv")}


def test_rows_without_ids_are_known_by_line_and_content(store):
    rows = ["passed,note\n", "1,a\n", "1,a\n", "0,b\n"]
    write("log.csv", "".join(rows))
    assert counts(import_runs("log.csv", store)) == (3, 0, 0, 0)
    write("log.csv", "".join([*rows, "1,a\n"]))
    assert counts(import_runs("log.csv", store)) == (1, 0, 3, 0)
    write("other.csv", "".join(rows))  # another log with equal rows has other runs
    assert counts(import_runs("other.csv", store, pipeline="log")) == (3, 0, 0, 0)
    assert counts(import_runs("other.csv", store, pipeline="log", name="log")) == (0, 0, 3, 0)


def test_a_corrected_row_is_updated(store):
    write("log.csv", HEAD + "".join(LINES))
    import_runs("log.csv", store)
    write("log.csv", HEAD + "".join([*LINES[:3], LINES[3].replace("no", "yes"), *LINES[4:]]))
    assert counts(import_runs("log.csv", store)) == (0, 1, 11, 0)
    assert store.get_run("log/T3/0").outcome == "success.first_pass"


def test_a_late_label_survives_the_next_import(store):
    write("log.csv", HEAD + "".join(LINES))
    import_runs("log.csv", store)
    store.record_outcome(run_id="log/T1/0", passed=False, source="reopened", at=50.0)
    assert counts(import_runs("log.csv", store)) == (0, 0, 12, 0)
    assert store.get_run("log/T1/0").outcome == "silent_failure.first_pass"
    store.record_outcome(run_id="log/T0/3", passed=False, at=60.0)  # before its run
    write("log.csv", HEAD + "".join([*LINES, "T0,3,yes,1,1\n"]))
    assert counts(import_runs("log.csv", store)) == (1, 0, 12, 0)
    assert store.get_run("log/T0/3").passed is False


def test_a_run_that_was_recorded_here_is_not_replaced(store):
    own = RunRecord(
        run_id="r1",
        pipeline="support",
        policy_id="p",
        status="finished",
        finished_at=1.0,
        end="delivered",
        detail="rescued",
        passed=True,
    )
    store.on_event(RunFinished(own))
    write("log.csv", "run_id,passed\nr1,0\nr2,0\n")
    told = import_runs("log.csv", store)
    assert counts(told) == (1, 0, 0, 1)
    assert told.bad[0].line == 2
    assert "recorded here" in told.bad[0].reason
    assert store.get_run("r1") == own


def test_a_run_that_a_file_has_twice_is_bad_the_second_time(store, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 4)
    lines = [*LINES, LINES[1].replace("yes", "no"), LINES[5], "T9,0,1,1,1\n"]
    write("log.csv", HEAD + "".join(lines))
    for expected in ((13, 0, 0, 2), (0, 0, 13, 2)):
        told = import_runs("log.csv", store)
        assert counts(told) == expected
        assert [row.line for row in told.bad] == [14, 15]
    assert "twice" in told.bad[0].reason
    assert store.get_run("log/T1/0").passed
    found = []
    assert len(list(read_runs("log.csv", on_bad=found.append))) == 13
    assert found == list(told.bad)
    write("log.csv", HEAD + LINES[0] + LINES[0])
    assert counts(import_runs("log.csv", store)) == (0, 0, 1, 1)


def test_versions_and_tasks_with_slashes_have_ids_of_their_own():
    text = "task,trial,release,passed\na/b,1,1.0,1\na,b/1,1.0,1\n50%,1,1.1,0\n50%,,1.1,0\n"
    ids = [record.run_id for record in read_runs(write("log.csv", text))]
    assert ids[:3] == ["log/1.0/a%2Fb/1", "log/1.0/a/b%2F1", "log/1.1/50%25/1"]
    assert ids[3].startswith("log:000000005:")
    assert len(set(ids)) == 4
    [alone] = read_runs(write("log.csv", "task,trial,passed\na%2Fb,1,1\n"))
    assert alone.run_id == "log/a%252Fb/1"  # and not what "a/b" is


def test_what_a_row_becomes():
    text = (
        "run_id,task,passed,cost,prompt_tokens,completion_tokens,latency_ms,timestamp,env,model\n"
        "r1,T1,no,0.5,10,5,1500,2025-10-09T08:53:20Z,prod,large\n"
    )
    [record] = read_runs(write("log.csv", text), pipeline="support")
    assert record.pipeline == "support"
    assert (record.task, record.environment, record.source) == ("T1", "prod", "late")
    assert record.metadata == {"model": "large"}
    assert (record.cost, record.cost_unknown, record.tokens) == (0.5, 0, 15)
    assert (record.started_at, record.finished_at, record.elapsed) == (1.76e9, 1.76e9 + 1.5, 1.5)
    assert (record.outcome, record.lost_at) == ("silent_failure.first_pass", "goal")
    assert record.steps[WHOLE].unknown_tokens == 0


def test_what_is_not_said_is_unknown():
    [record] = read_runs(write("log.csv", "passed\n1\n"), at="2025-10-09T08:53:20Z")
    assert (record.cost, record.cost_unknown) == (0.0, 1)
    assert (record.started_at, record.finished_at) == (1.76e9, 1.76e9)
    assert record.pipeline == "log"


@pytest.mark.parametrize(
    ("missing", "outcomes"),
    [
        ("failure", ["success.first_pass", "error.crash", "error.crash"]),
        ("unlabelled", ["success.first_pass", "unlabelled", "unlabelled"]),
    ],
)
def test_a_missing_outcome(missing, outcomes, store):
    write("log.csv", "task,passed\na,1\nb,\nc,NA\n")
    import_runs("log.csv", store, missing=missing)
    assert [record.outcome for record in read_runs("log.csv", missing=missing)] == outcomes
    [group] = report(store).groups
    assert group.outcomes[outcomes[1]] == 2
    assert group.success_rate.n == (3 if missing == "failure" else 1)
    assert group.completed_only.n == 1


def test_bad_rows_are_listed_by_line_and_the_others_are_imported(store):
    text = 'task,passed,cost\na,1,1\n"b\nb",purple,1\n\nc,1\nd,1,many\ne,0,1\n'
    told = import_runs(write("log.csv", text), store)
    assert counts(told) == (2, 0, 0, 3)
    assert [(row.line, row.reason) for row in told.bad] == [
        (3, "passed: 'purple' is neither true nor false, no number and no outcome"),
        (6, "2 cells instead of 3"),
        (7, "cost: 'many' is no number"),
    ]
    with pytest.raises(PolicyError, match="line 3: passed: 'purple'"):
        list(read_runs("log.csv"))
    assert told.to_dict()["bad"][1] == {"line": 6, "reason": "2 cells instead of 3"}


def test_strict_imports_all_or_nothing(store, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 4)
    write("log.csv", HEAD + "".join(LINES) + "T9,0,purple,1,1\n")
    assert counts(import_runs("log.csv", store, strict=True)) == (0, 0, 0, 1)
    assert stored(store) == {}
    write("log.csv", HEAD + "".join(LINES))
    assert counts(import_runs("log.csv", store, strict=True)) == (12, 0, 0, 0)
    assert len(stored(store)) == 12


def packed(lines, broken=False):
    found = io.BytesIO()
    with gzip.GzipFile(fileobj=found, mode="wb", mtime=0) as file:
        for at in range(0, len(lines), 4):
            file.write("".join(lines[at : at + 4]).encode())
            file.flush()
    return found.getvalue()[:-20] if broken else found.getvalue()


@pytest.mark.parametrize("strict", [False, True])
def test_a_file_that_breaks_off_is_completed_by_the_next_import(store, monkeypatch, strict):
    monkeypatch.setattr(files, "ROWS", 4)
    noisy = [f"{uuid.UUID(int=i * 7**30 % 2**128)},{i},1,1,1\n" for i in range(400)]
    with open("log.csv.gz", "wb") as file:
        file.write(packed([HEAD, *noisy], broken=True))
    with pytest.raises(StoreError, match="cannot be read after line") as raised:
        import_runs("log.csv.gz", store, strict=strict)
    kept = store.describe()["runs"]
    assert (0 < kept < 400) is not strict
    said = "nothing is imported" if strict else f"{kept:,} runs are imported; import it again"
    assert said in str(raised.value)
    with open("log.csv.gz", "wb") as file:
        file.write(packed([HEAD, *noisy]))
    assert counts(import_runs("log.csv.gz", store)) == (400 - kept, 0, kept, 0)


def test_an_import_that_is_interrupted_is_completed_by_the_next_one(store, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 4)
    monkeypatch.setattr(sink, "_ROWS", 4)

    def stop(seen):
        if seen == 8:
            raise KeyboardInterrupt

    write("log.csv", HEAD + "".join(LINES))
    with pytest.raises(KeyboardInterrupt):
        import_runs("log.csv", store, progress=stop)
    kept = store.describe()["runs"]
    assert kept in (0, 4, 8)
    assert counts(import_runs("log.csv", store)) == (12 - kept, 0, kept, 0)


@pytest.mark.parametrize(
    "suffix", ["csv", "tsv", "jsonl", "ndjson", "csv.gz", "jsonl.gz", "parquet"]
)
def test_every_format_says_the_same(suffix, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 5)
    rows = [dict(zip(HEAD.strip().split(","), x.strip().split(","), strict=True)) for x in LINES]
    name = f"log.{suffix}"
    if suffix == "parquet":
        pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        typed = [{**r, "cost": float(r["cost"]), "passed": r["passed"] == "yes"} for r in rows]
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(typed), name)
    else:
        opened = gzip.open if suffix.endswith("gz") else open
        with opened(name, "wt", encoding="utf-8", newline="") as file:
            if "json" in suffix:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            else:
                mark = "\t" if suffix == "tsv" else ","
                writer = csv.DictWriter(file, list(rows[0]), delimiter=mark)
                writer.writeheader()
                writer.writerows(rows)
    found = [replace(record, metadata={}) for record in read_runs(name)]
    wanted = read_runs(write("log.csv", HEAD + "".join(LINES)))
    assert found == [replace(record, metadata={}) for record in wanted]
    assert readable(name)


def test_json_lines_with_parts_and_late_keys(store, monkeypatch):
    monkeypatch.setattr(files, "ROWS", 2)
    rows = [
        {"info": {"case": 7}, "ok": {"judge": {"passed": True}}, "n": 1},
        {"info": {"case": "x"}, "ok": {"judge": {"passed": 0}}, "n": None},
        {"info": None, "ok": {"judge": {"passed": "timeout"}}, "error": "Timeout"},
    ]
    write("log.jsonl", "".join(json.dumps(r) + "\n" for r in rows) + "[1]\nnull\n{broken\n\n")
    found: list[BadRow] = []
    given = {"task": "info.case", "passed": "ok.judge.passed"}
    records = list(read_runs("log.jsonl", map=given, ignore=["ok"], on_bad=found.append))
    assert [record.task for record in records] == ["7", "x", None]
    assert [record.outcome for record in records] == [
        "success.first_pass",
        "silent_failure.first_pass",
        "error.timeout",
    ]
    assert records[0].metadata == {"info": {"case": 7}, "n": 1}
    assert [(row.line, row.reason[:22]) for row in found] == [
        (4, "this is no JSON object"),
        (5, "this is no JSON object"),
        (6, "this is no JSON: Expec"),
    ]
    assert counts(import_runs("log.jsonl", store, map=given, ignore=["ok"])) == (3, 0, 0, 3)


def test_a_threshold_and_a_source(store):
    write("log.csv", "task,score\na,0.9\nb,0.2\n")
    told = import_runs("log.csv", store, threshold=0.5, source="self_reported")
    assert counts(told) == (2, 0, 0, 0)
    [group] = report(store).groups
    assert (group.success, sum(group.self_reported.values())) == (1, 2)
    assert import_runs("log.csv", store).bad_rows == 2


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "is empty"),
        ("a,b\n1,2\n", {}, "no column says"),
        ("passed,passed\n1,1\n", {}, "the column 'passed' twice"),
        ("passed,score\n1,1\n", {}, "--map passed=passed"),
        ("passed\n1\n", {"missing": "perhaps"}, "'failure' or 'unlabelled'"),
        ("passed\n1\n", {"source": "gossip"}, "source='gossip'"),
        ("passed\n1\n", {"at": "1960-01-01"}, "before 1970"),
        ("passed\n1\n", {"encoding": "utf-99"}, "no encoding"),
    ],
)
def test_files_and_options_that_cannot_be(text, options, said):
    with pytest.raises(PolicyError, match=said):
        list(read_runs(write("log.csv", text), **options))


def test_files_that_are_none(tmp_path):
    for name, said in (
        ("x.xls", "no suffix"),
        ("x.parquet.gz", "no suffix"),
        ("no.csv", "No such"),
    ):
        with pytest.raises(PolicyError, match=said):
            list(read_runs(name))
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(PolicyError, match="cannot read"):
        list(read_runs("dir.csv"))
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with pytest.raises(PolicyError, match="no such file"):
        list(read_runs("no.parquet"))
    write("text.parquet", "this is none")
    with pytest.raises(StoreError, match="cannot be read after row 0"):
        list(read_runs("text.parquet"))


def test_encodings_and_marks():
    with open("log.csv", "wb") as file:
        file.write("task;passed\nMüller;1\n".encode("latin-1"))
    with pytest.raises(StoreError, match=r"byte 0xfc.*name its encoding"):
        list(read_runs("log.csv"))
    [record] = read_runs("log.csv", encoding="latin-1")
    assert record.task == "Müller"
    with open("log.csv", "wb") as file:
        file.write(b"\xef\xbb\xbf" + "task\tpassed\r\nMüller\t1\r\n".encode())
    [record] = read_runs("log.csv")
    assert record.task == "Müller"


def test_only_columns_are_no_runs(store):
    assert counts(import_runs(write("log.csv", HEAD), store)) == (0, 0, 0, 0)
    assert counts(import_runs(write("log.csv", "\n" + HEAD + "\n"), store)) == (0, 0, 0, 0)


def test_texts_are_kept_as_records_keep_them():
    configure(redact=lambda text: text.replace("ada@example.org", "<mail>"))
    try:
        text = (
            f"passed,reason,error\n0,ada@example.org {'x' * 600},\n,,Timeout of ada@example.org\n"
        )
        first, second = read_runs(write("log.csv", text))
    finally:
        reset_configuration()
    assert first.explanation.startswith("<mail> x")
    assert len(first.explanation) == 500
    assert (second.outcome, second.error) == ("error.timeout", "Timeout of <mail>")


def test_a_preview_writes_nothing(tmp_path):
    found = preview(write("log.csv", HEAD + "".join(LINES)), ignore=["cost"])
    assert found.columns["outcome"] == "passed"
    assert found.ignored == ("cost",)
    assert [record.task for record in found.records] == ["T0", "T1", "T2"]
    assert found.to_dict()["runs"][0]["outcome"] == "silent_failure.first_pass"
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv"}


def test_the_default_store_and_one_that_is_off(tmp_path, monkeypatch):
    write("log.csv", HEAD + "".join(LINES))
    assert import_runs("log.csv").runs == 12
    assert (tmp_path / ".coord" / "outcomes.db").exists()
    with pytest.raises(StoreError, match="off"):
        import_runs("log.csv", "off")


def test_ids_seen_are_told_apart():
    seen = Seen()
    assert seen.add(["a", "b"]) == set()
    assert seen.add(["b", "c", "a"]) == {"a", "b"}
    assert seen.add([]) == set()
    seen.close()
    assert repeated(["a", "b", "a", "a"]) == {2, 3}
