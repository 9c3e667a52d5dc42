"""One meaning of a row: what goes straight into the table is what the record says."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins._importing._cells import Rules
from coord_plugins._importing._columns import resolve
from coord_plugins._importing._files import Chunk
from coord_plugins._importing._rows import flatten
from coord_plugins._importing._runs import blocks_of, records_of
from coord_plugins._importing._values import UNLABELLED
from coord_plugins._store_rows import RUN_COLUMNS, run_row, shape_number

CELLS = {
    "run_id": st.none(),
    "task": st.sampled_from(["T1", " T2 ", "a/b", "50%", "ünï", "", "nul\x00"]),
    "trial": st.sampled_from(["0", "1", "x", ""]),
    "pipeline": st.sampled_from(["support", "it's", ""]),
    "release": st.sampled_from(["1.4", "", "b"]),
    "environment": st.sampled_from(["prod", ""]),
    "thread": st.sampled_from(["th", ""]),
    "policy_id": st.sampled_from(["", "p1"]),
    "passed": st.sampled_from(
        ["true", "0", "1.0", "", "nan", "error", "escalated", "in_flight.paused", "purple", "0.7"]
    ),
    "status": st.sampled_from(["", "completed", "timeout", "running", "odd"]),
    "error": st.sampled_from(["", "TimeoutError: late", "KeyError: 'x'", "none"]),
    "reason": st.sampled_from(["", "it's late", "x" * 600]),
    "failed_step": st.sampled_from(["", "draft"]),
    "cost": st.sampled_from(["0.1", "", "1e-3", "-1", "many", "3", "inf"]),
    "tokens": st.sampled_from(["12", "", "1.5", "7.0"]),
    "output_tokens": st.sampled_from(["12", "", "99999999999999999999"]),
    "seconds": st.sampled_from(["1.5", "", "x", "0"]),
    "started_at": st.sampled_from(
        ["1760000000", "2025-10-09T08:53:20Z", "", "1760000000000", "?!"]
    ),
    "finished_at": st.sampled_from(["1760000009", "", "1750000000"]),
    "tags": st.sampled_from(["", "a,b", '["x"]']),
    "model": st.sampled_from(["", "gpt", '"quoted"']),
    "run id": st.none(),
}


@st.composite
def chunks(draw):
    columns = ["passed", *draw(st.sets(st.sampled_from(sorted(set(CELLS) - {"run_id", "run id"}))))]
    columns = list(dict.fromkeys(columns))
    n = draw(st.integers(1, 12))
    cells = {c: draw(st.lists(CELLS[c], min_size=n, max_size=n)) for c in columns}
    if draw(st.booleans()):
        cells["run_id"] = [f"r{i}" if i % 5 else "" for i in range(n)]
    rows = list(zip(*cells.values(), strict=True))
    return Chunk(range(2, n + 2), cells, lambda: ["\x1f".join(row) for row in rows], texts=True)


@settings(max_examples=300, deadline=None)
@given(chunks(), st.booleans(), st.sampled_from([None, 0.5]))
def test_rows_of_the_store_are_those_of_the_records(chunk, unlabelled, threshold):
    rules = Rules(pipeline="file", log="log", threshold=threshold, started_at=5.0)
    if unlabelled:
        rules = Rules(pipeline="file", log="log", threshold=threshold, missing=UNLABELLED)
    flat = flatten(chunk, resolve(list(chunk.columns), {}, []), rules)
    assert len(flat.lines) + len(flat.bad) == len(chunk.lines)
    assert sorted([*flat.lines, *(line for line, _ in flat.bad)]) == list(chunk.lines)
    wanted = {r.run_id: run_row(r, shape_number) for r in records_of(flat)}
    blocks = blocks_of(flat, shape_number)
    got = {row[0]: row for block in blocks for row in block.whole()}
    assert got == wanted
    lines = {run: line for b in blocks for run, line in zip(b.run_ids(), b.lines, strict=True)}
    assert lines == dict(zip(flat.values["run_id"], flat.lines, strict=True))
    for row in got.values():
        assert all(not isinstance(v, float) or math.isfinite(v) for v in row)
    assert all({*block.names, *block.same} == set(RUN_COLUMNS) for block in blocks)


@given(chunks())
@settings(max_examples=100, deadline=None)
def test_a_row_means_the_same_alone_and_among_others(chunk):
    rules = Rules(pipeline="file", log="log")
    columns = resolve(list(chunk.columns), {}, [])
    together = flatten(chunk, columns, rules)
    alone, bad = [], []
    texts = chunk.contents()
    for at, line in enumerate(chunk.lines):
        cells = {name: [column[at]] for name, column in chunk.columns.items()}
        one = Chunk([line], cells, lambda at=at: [texts[at]], texts=True)
        flat = flatten(one, columns, rules)
        alone += records_of(flat)
        bad += flat.bad
    assert alone == list(records_of(together))
    assert bad == together.bad


def test_many_kinds_of_runs_are_written_whole():
    n = 80
    cells = {"pipeline": [f"p{i}" for i in range(n)], "passed": ["1"] * n}
    chunk = Chunk(range(n), cells, lambda: [str(i) for i in range(n)], texts=True)
    flat = flatten(chunk, resolve(list(cells), {}, []), Rules(pipeline="", log="log"))
    [block] = blocks_of(flat, shape_number)
    assert block.names == tuple(RUN_COLUMNS)
    assert block.rows == [run_row(r, shape_number) for r in records_of(flat)]
