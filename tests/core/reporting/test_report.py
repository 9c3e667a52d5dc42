"""Reports: every number is a fold over runs, and the numbers add up whatever happened."""

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coord_plugins._budget import Usage
from coord_plugins._events import RunFinished, RunStarted
from coord_plugins._outcome import OUTCOMES, ending, lost_at
from coord_plugins._record import RunRecord
from coord_plugins._reporting._checks import check_identities
from coord_plugins._reporting._report import iter_runs, report
from coord_plugins._store import Store
from coord_plugins._tally import Judgement, StepSettled, StepTally
from coord_plugins.errors import CoordError, PolicyError, StoreError
from coord_plugins.stats import wilson

ERRORS = (None, ValueError("x"), TimeoutError("slow"), KeyboardInterrupt())
usages = st.none() | st.builds(
    Usage,
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(0, 99),
    cost_usd=st.sampled_from([0.0, 0.25, 1.5]),
    unknown_cost=st.integers(0, 1),
)


@st.composite
def settled(draw):
    """One execution, as `settle` would record it."""
    judged = draw(st.sampled_from([None, "pass", "reject", "error"]))
    error, would = None, False
    if judged is None:
        error = draw(st.sampled_from([None, "ValueError: x"]))
        decisions = ["accept"] if error is None else ["retry", "fallback", "fail"]
    elif judged == "pass":
        decisions, would = ["accept"], draw(st.booleans())
    else:
        decisions = ["loop", "exhausted"] if judged == "reject" else ["escalate", "fail"]
    said = {"pass": not would, "reject": False, "error": None}
    judgements = () if judged is None else (Judgement("v", "code", said[judged]),)
    return StepSettled(
        run_id="r",
        pipeline="p",
        step=draw(st.sampled_from(["draft", "review", "send"])),
        execution=1,
        attempt=1,
        started_at=0.0,
        duration=draw(st.sampled_from([0.0, 0.5])),
        decision=draw(st.sampled_from(decisions)),
        error=error,
        judgements=judgements,
        judged=judged,
        would_reject=would,
        delivered=draw(st.sampled_from([None, True, False])),
        label=None if error else draw(st.sampled_from([None, True, False])),
        given_right=draw(st.booleans()),
        bucket=draw(st.sampled_from(["first", "retry", "fallback"])),
        usage=draw(usages),
        validation=draw(usages),
    )


@st.composite
def records(draw):
    """One run, folded from its executions like the core does it."""
    steps = {}
    for event in draw(st.lists(settled(), max_size=8)):
        steps.setdefault(event.step, StepTally()).add(event)
    status = draw(st.sampled_from(["finished"] * 6 + ["running", "paused"]))
    end = detail = passed = blamed = None
    if status == "finished":
        end, detail = ending(steps.values(), draw(st.sampled_from(ERRORS)))
        passed = draw(st.sampled_from([None, True, False]))
        failed = end != "delivered" or passed is False
        blamed = lost_at(steps, draw(st.sampled_from([None, "draft"])), passed) if failed else None
    return RunRecord(
        run_id=str(draw(st.uuids())),
        pipeline=draw(st.sampled_from(["support", "sales"])),
        policy_id=draw(st.sampled_from(["p1", "p2"])),
        status=status,
        task=draw(st.sampled_from([None, "t1", "t2"])),
        parent_id=draw(st.sampled_from([None, None, None, "parent"])),
        metadata=draw(st.sampled_from([{}, {"tenant": "a"}, {"tenant": 2}, {"tenant": True}])),
        started_at=float(draw(st.integers(0, 100))),
        elapsed=draw(st.sampled_from([0.0, 1.5])),
        end=end,
        detail=detail,
        passed=passed,
        source=draw(st.sampled_from(["measured", "late", "self_reported"])),
        lost_at=blamed,
        steps=steps,
    )


many = st.lists(records(), max_size=25, unique_by=lambda r: r.run_id)


def stored(runs):
    store = Store("sqlite://")
    store.on_events([RunFinished(r) for r in runs])
    return store


def integers(group):
    """Every integer of a group that adds up over its parts."""
    found = {"started": group.started, "success": group.success, "nested": group.nested}
    found |= {f"outcome {k}": v for k, v in group.outcomes.items()}
    found |= {f"lost {k}": v for k, v in group.lost_at.items()}
    found |= {f"policy {k}": v for k, v in group.policy_ids.items()}
    for kind in (group.steps, group.edges, group.validators):
        for row in kind:
            key = f"{type(row).__name__} {row.step} {getattr(row, 'name', '')}"
            found |= {f"{key} {k}": v for k, v in vars(row).items() if type(v) is int}
    return {k: v for k, v in found.items() if v}


@settings(deadline=None)
@given(many)
def test_identities_hold_and_dictionaries_are_json(runs):
    made = report(runs)
    for group in made.groups:
        check_identities(group)
        assert list(group.outcomes) == list(OUTCOMES)
        assert sum(group.outcomes.values()) == group.started
    data = made.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    counted = sum(group.started + group.nested for group in made.groups)
    assert counted == len(runs)


@settings(deadline=None, max_examples=50)
@given(many, st.sampled_from(["tenant", "policy_id", "task", "outcome"]))
def test_by_adds_up_to_the_whole(runs, key):
    whole = {group.pipeline: group for group in report(runs).groups}
    for group in report(runs, by=key).groups:
        assert integers(group) == integers(whole[group.pipeline])
        total: dict[str, int] = {}
        for part in group.parts:
            for name, n in integers(part).items():
                total[name] = total.get(name, 0) + n
        assert total == integers(group)


@settings(deadline=None, max_examples=30)
@given(many, st.sampled_from([None, "tenant", "policy_id"]), st.sampled_from(["run", "task"]))
def test_a_store_says_what_its_records_say(runs, by, unit):
    runs = [replace(r, started_at=float(i)) for i, r in enumerate(runs)]
    store = stored(runs)
    said, expected = report(store, by=by, unit=unit), report(runs, by=by, unit=unit)
    store._engine.dispose()
    assert [g.pipeline for g in said.groups] == [g.pipeline for g in expected.groups]
    for one, other in zip(said.groups, expected.groups, strict=True):
        assert integers(one) == integers(other)
        assert [p.value for p in one.parts] == [p.value for p in other.parts]
        assert one.cost.total == pytest.approx(other.cost.total)
        assert one.seconds == pytest.approx(other.seconds)
        assert one.success_rate == other.success_rate


def run(run_id, *, passed=True, detail="first_pass", end="delivered", **changed):
    values = {"pipeline": "p", "status": "finished", "started_at": 1.0, "policy_id": "p1"}
    values |= {"passed": passed, "end": end, "detail": detail}
    return RunRecord(run_id=run_id, **(values | changed))


def test_missing_and_aborted_work_counts_as_failed():
    runs = [run(f"s{i}") for i in range(8)]
    runs += [run("e", end="error", detail="crash", passed=None, lost_at="draft")]
    runs += [run("x", end="escalated", detail="unjudged", passed=None, lost_at="send")]
    runs += [run("u", passed=None), RunRecord(run_id="f", pipeline="p", policy_id="p1")]
    group = report(runs).only
    assert (group.started, group.finished, group.in_flight) == (12, 11, 1)
    assert (group.success_rate.successes, group.success_rate.n) == (8, 10)
    assert group.success_rate.interval == wilson(8, 10)
    assert group.completed_only.value == 1.0
    assert group.coverage.value == pytest.approx(10 / 11)
    assert group.lost_at == {"draft": 1, "send": 1}
    assert any("100.0 % succeed: that leaves 2" in w for w in group.warnings)
    assert any("1 of 11 finished runs have no label" in w for w in group.warnings)


def test_cancelled_runs_are_errors_with_and_without():
    runs = [run("a"), run("b", end="error", detail="cancelled", passed=None)]
    group = report(runs).only
    assert group.error_rate.value == 0.5
    assert (group.error_rate_without_cancelled.value, group.error_rate_without_cancelled.n) == (
        0,
        1,
    )


def test_naive_step_product_takes_first_tries_on_right_input():
    good, bad = StepTally(executions=1, first_ok=True), StepTally(executions=2, first_ok=False)
    spoiled = StepTally(executions=1, first_ok=False, first_given_right=False)
    runs = [run(f"g{i}", steps={"a": good, "b": good}) for i in range(3)]
    runs += [run("w", passed=False, steps={"a": bad, "b": spoiled, "(child)": bad})]
    group = report(runs).only
    assert group.naive_step_product == pytest.approx(3 / 4 * 3 / 3)
    assert [(s.step, s.first_try.n) for s in group.steps][:2] == [("a", 4), ("b", 3)]


def test_cost_of_a_success_includes_the_failures_and_says_when_it_is_a_bound():
    steps = {"a": StepTally(executions=1, cost_first=1.0, cost_retry=0.5)}
    unknown = {"a": StepTally(executions=1, cost_validation=0.5, unknown_cost=1)}
    runs = [run("a", steps=steps), run("b", passed=False, steps=unknown)]
    cost = report(runs).only.cost
    assert (cost.total, cost.per_success) == (2.0, 2.0)
    assert (cost.first, cost.retry, cost.validation, cost.fallback) == (1.0, 0.5, 0.5, 0.0)
    assert cost.lower_bound
    assert report(runs[1:]).only.cost.per_success is None


def test_runs_inside_runs_are_in_no_denominator_and_cost_nothing_again():
    steps = {"a": StepTally(executions=1, cost_first=1.0)}
    runs = [run("a", steps=steps), run("b", steps=steps, parent_id="a", passed=False)]
    group = report(runs).only
    assert (group.started, group.nested, group.cost.total) == (1, 1, 1.0)


def test_pooled_policies_and_self_reports_are_named():
    runs = [run("a"), run("b", policy_id="p2", source="self_reported"), run("c", passed=False)]
    group = report(runs).only
    assert group.policy_ids == {"p1": 2, "p2": 1}
    assert any("2 policies are pooled (p1: 2 runs, p2: 1 runs)" in w for w in group.warnings)
    assert group.self_reported == {"success.first_pass": 1}
    assert group.success_rate_without_self_reported.value == 0.5


def test_the_unit_task_takes_the_latest_run_and_all_costs():
    steps = {"a": StepTally(executions=1, cost_first=1.0)}
    runs = [
        run(f"{i}", passed=i == 2, task="t", steps=steps, started_at=float(i)) for i in range(3)
    ]
    group = report([*runs, run("alone", passed=False)], unit="task").only
    assert (group.started, group.success, group.cost.total) == (2, 1, 3.0)


def test_numbers_that_do_not_add_up_are_refused_by_name():
    broken = run("a", steps={"draft": StepTally(executions=1, calls=2, passes=1)})
    with pytest.raises(CoordError, match="edge 'draft': calls = passes"):
        report([broken])


def test_validators_are_measured_where_labels_allow():
    steps = {"draft": StepTally(executions=9, calls=9, passes=9)}
    steps["draft"].validators["v"] = [9, 6, 2, 1, 4, 1, 2, 1]
    measured = report([run("a", steps=steps)]).only.validators[0]
    assert (measured.sensitivity.successes, measured.sensitivity.n) == (1, 3)
    assert (measured.specificity.successes, measured.specificity.n) == (4, 5)
    assert measured.errors == 1


def test_only_wants_one_pipeline():
    with pytest.raises(CoordError, match="2 pipelines"):
        _ = report([run("a"), run("b", pipeline="q")]).only


def test_unknown_units_and_missing_stores_are_named(tmp_path):
    with pytest.raises(PolicyError, match="unit='week'"):
        report([], unit="week")
    with pytest.raises(StoreError, match="there is no store at"):
        report(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_paths_urls_and_filters(tmp_path):
    path = tmp_path / "s.db"
    store = Store(f"sqlite:///{path}")
    store.on_events([RunStarted(run("a")), RunFinished(run("b", metadata={"tenant": "acme"}))])
    store.close()
    for place in (path, str(path), f"sqlite:///{path}"):
        assert report(place).only.started == 2
    assert report(path, where={"tenant": "acme"}).only.started == 1
    assert [r.run_id for r in iter_runs(path, where={"tenant": "acme"})] == ["b"]
    assert report(path, pipeline="other").groups == ()


def printed(renderable, width=80):
    rich_console = pytest.importorskip("rich.console", reason="rich is not installed")
    console = rich_console.Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return " ".join(console.export_text().split())


def test_the_text_shows_a_silent_failure_and_a_comparison_side_by_side():
    text = pytest.importorskip("coord_plugins._reporting._text", reason="rich is not installed")
    from coord_plugins._reporting._side_by_side import render_comparison

    steps = {"draft": StepTally(executions=2, calls=2, passes=1, rejects=1, loops=1, first_ok=True)}
    steps["draft"].validators["cites_line"] = [2, 1, 1, 0, 1, 0, 0, 1]
    bare = report([run("a"), run("b", passed=False, lost_at="draft")])
    attached = report([run("a", steps=steps), run("b", detail="rescued", steps=steps)])
    said = printed(text.render(attached))
    assert "2 of 2 runs did their job: 100 % [34.2, 100]; the step product says 100.0 %." in said
    assert "draft: cites_line" in said
    comparison = {"difference": 0.5, "interval": (-0.1, 0.9), "p_value": 0.5, "pairs": 2}
    predicted = {"bare": 0.83, "attached": {"success": 0.99}}
    said = printed(
        render_comparison(
            bare, attached, comparison=comparison, predicted=predicted, simulated=True
        )
    )
    assert "SIMULATED" in said
    assert "+50.0 points [-10.0, +90.0]" in said
    assert "99.0 %" in said


def test_no_runs_are_no_error():
    text = pytest.importorskip("coord_plugins._reporting._text", reason="rich is not installed")
    assert "No runs match" in printed(text.render(report([])))
    assert "No run has finished" in printed(
        text.render(report([RunRecord(run_id="r", pipeline="p")]))
    )
