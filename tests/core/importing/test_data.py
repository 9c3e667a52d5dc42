"""Real logs that nobody on this project wrote: their published tables come out again."""

import csv
import json
from pathlib import Path

import pytest

from coord_plugins import Store, import_runs, read_runs, report

DATA = Path(__file__).parents[4] / "shared" / "data"
TAU = DATA / "tau_bench"
GAME = DATA / "tot_game24"
needs_tau = pytest.mark.skipif(not TAU.is_dir(), reason="the tau_bench log is not here")
needs_game = pytest.mark.skipif(not GAME.is_dir(), reason="the game of 24 log is not here")


@pytest.fixture
def store():
    opened = Store("sqlite://")
    yield opened
    opened._engine.dispose()


@needs_tau
def test_tau_bench(store):
    told = import_runs(TAU / "outcomes.csv", store, map={"cost": "user_cost"}, pipeline="airline")
    assert (told.new, told.bad_rows) == (200, 0)
    found = report(store).only
    published = json.loads((TAU / "expected.json").read_text())
    for k in (1, 2, 3, 4):
        assert round(found.trials.pass_hat_k[k], 4) == published[f"pass^{k}"]
        assert round(found.trials.pass_at_k[k], 4) == published[f"pass@{k}"]
    assert [round(found.trials.pass_hat_k[k], 3) for k in (1, 2, 3, 4)] == [0.42, 0.273, 0.22, 0.2]
    assert round(found.trials.pass_at_k[4], 2) == 0.72
    assert round(found.trials.standard_error, 3) == 0.052
    assert found.success == published["successes"]
    assert round(found.cost.total, 4) == published["user_cost_total"]
    assert round(found.cost.per_success, 3) == published["user_cost_per_success"]


def game_table(method, target):
    """The answers, one a row: their labels are given as a matrix, their cost as a sum."""
    samples = json.loads((GAME / "samples100.json").read_text())
    answers = samples[method]
    each = samples[f"{method}_usage"]["cost"] / sum(map(len, answers.values()))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["puzzle", "sample_index", "correct", "cost"])
        for puzzle, labels in answers.items():
            writer.writerows([puzzle, i, label, repr(each)] for i, label in enumerate(labels))
    return target


@needs_game
@pytest.mark.parametrize("method", ["io", "cot"])
def test_game_of_24(method, store, tmp_path):
    path = game_table(method, tmp_path / f"{method}.csv")
    told = import_runs(path, store, map={"task": "puzzle"})
    assert (told.new, told.bad_rows) == (10_000, 0)
    trials = report(store).only.trials
    published = json.loads((GAME / "expected.json").read_text())
    for k in (1, 100):
        assert round(trials.pass_at_k[k], 4) == published[f"{method}_pass@{k}"]
        assert round(trials.pass_hat_k[k], 4) == published[f"{method}_pass^{k}"]
    best = published[f"{method}_cost_per_success_best_of_100"]
    assert round(trials.cost_per_solved_task, 4) == best
    if method == "io":
        assert round(trials.pass_at_k[1], 4) == 0.0734
        assert round(trials.pass_at_k[100], 2) == 0.33
        assert round(trials.cost_per_solved_task, 3) == 0.418


@needs_game
@pytest.mark.parametrize("method", ["io", "cot"])
def test_the_answers_themselves_are_read_as_they_are(method):
    path = GAME / f"{method}_answers.jsonl.gz"
    records = list(read_runs(path, map={"task": "idx"}, missing="unlabelled"))
    assert len(records) == 100
    assert {record.outcome for record in records} == {"unlabelled"}
    assert records[0].task == "900"
    assert len(records[0].metadata["last_lines"]) == 100
