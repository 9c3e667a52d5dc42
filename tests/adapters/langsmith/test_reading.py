"""`langsmith_report`: every figure from known traces, and errors that say what to do."""

from __future__ import annotations

import datetime as dt
import json

import pytest

pytest.importorskip("langsmith")

from coord_langsmith._reading import LangSmithReadError, langsmith_report

from coord_plugins import OUTCOMES, CoordError, PolicyError, Rate
from coord_plugins.testing import langsmith_server

from .projects import DESK, UNLABELLED, Row, seed


def test_every_figure_of_a_project(server):
    seed(server, "desk", DESK)
    found = langsmith_report("desk", client=server.client())
    assert (found.runs, found.labelled, found.successes) == (12, 12, 10)
    assert found.accuracy == Rate.of(10, 12)
    assert found.first_try == Rate.of(7, 12)
    assert found.coverage == Rate.of(12, 12)
    assert found.node_success == Rate.of(47, 48)
    assert found.root_success == Rate.of(11, 12)
    assert found.gap == pytest.approx(47 / 48 - 10 / 12)
    assert found.counted_from == "values"
    assert {k: n for k, n in found.outcomes.items() if n} == {
        "success.first_pass": 7,
        "success.rescued": 3,
        "silent_failure.first_pass": 1,
        "error.crash": 1,
    }
    assert list(found.outcomes) == [n for n in OUTCOMES if not n.startswith(("unl", "in_"))]
    assert found.mean_attempts == pytest.approx((7 * 3 + 3 * 5 + 3 + 1) / 12)
    assert found.cost == pytest.approx(7 * 0.01 + 3 * 0.03 + 0.01 + 0.004)
    assert found.cost_per_success == pytest.approx(found.cost / 10)
    assert (found.cost_unknown, found.unclassed) == (0, 0)
    assert (found.withheld, found.warnings) == (None, ())
    assert str(found) == "desk: 10 of 12 runs did their job: 83.3 % [55.2, 95.3]"


def test_to_dict_is_plain_json(server):
    seed(server, "desk", DESK)
    found = langsmith_report("desk", client=server.client()).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["schema_version"] == 1
    assert found["accuracy"]["interval"] == list(Rate.of(10, 12).interval)


def test_no_accuracy_below_the_coverage(server):
    seed(server, "half", [*DESK[:3], Row("silent_failure.first_pass", 0), UNLABELLED, UNLABELLED])
    found = langsmith_report("half", client=server.client())
    assert (found.accuracy, found.first_try, found.gap, found.cost_per_success) == (None,) * 4
    assert (found.runs, found.labelled, found.successes) == (6, 4, 3)
    assert found.coverage == Rate.of(4, 6)
    assert "2 of 6 runs have no outcome: 66.7 % are labelled, and below 80 %" in found.withheld
    assert found.withheld in str(found)
    asked = langsmith_report("half", client=server.client(), min_coverage=0.5)
    assert asked.accuracy == Rate.of(3, 4)


def test_the_threshold_itself_is_enough(server):
    seed(server, "edge", [*[Row()] * 4, UNLABELLED])
    assert langsmith_report("edge", client=server.client()).accuracy == Rate.of(4, 4)
    over = langsmith_report("edge", client=server.client(), min_coverage=0.81)
    assert "1 of 5 runs has no outcome" in over.withheld


def test_feedback_below_the_roots_counts_nowhere(server):
    seed(server, "desk", DESK)
    client = server.client()
    [first, *_] = server.roots("desk")
    client.create_feedback(
        run_id=server.children(first["id"])[0]["id"],
        key="outcome.sub",
        score=0,
        value="silent_failure.first_pass",
        session_id=first["session_id"],
        extend_trace_retention=False,
    )
    client.flush()
    found = langsmith_report("desk", client=client)
    assert (found.labelled, found.successes) == (12, 10)


def test_without_classes_the_scores_count(server):
    seed(server, "other", [Row("good", score=1)] * 2 + [Row("bad", 0, score=0)])
    found = langsmith_report("other", client=server.client())
    assert (found.counted_from, found.accuracy) == ("scores", Rate.of(2, 3))
    assert (found.outcomes["good"], found.outcomes["bad"], found.unclassed) == (2, 1, 0)


def test_scores_that_contradict_the_classes_are_named(server):
    seed(server, "torn", [Row(), Row(score=0)])
    found = langsmith_report("torn", client=server.client())
    assert found.accuracy == Rate.of(2, 2)
    assert "the classes say 2 successes, the scores 1" in found.warnings[0]


def test_a_key_that_is_no_yes_or_no_gives_no_accuracy(server):
    seed(server, "desk", DESK)
    found = langsmith_report("desk", client=server.client(), key="attempts")
    assert (found.accuracy, found.successes) == (None, None)
    assert "'attempts' has neither scores of 0 and 1 nor classes" in found.withheld


def test_evaluators_that_failed_count_as_failures():
    with langsmith_server() as server:
        client = server.client()
        ids = seed(server, "judged", [*[Row(value=None)] * 3])
        session = client.read_project(project_name="judged").id
        for run_id, score in zip(ids, (1, 1, None), strict=True):
            client.create_feedback(
                run_id=run_id,
                key="judge",
                score=score,
                error=score is None,
                session_id=session,
                extend_trace_retention=False,
            )
        client.flush()
        found = langsmith_report("judged", client=client, key="judge")
    assert found.accuracy == Rate.of(2, 3)
    assert found.warnings[0].startswith("errors of an evaluator")


def test_two_outcomes_on_a_run_give_no_accuracy():
    with langsmith_server(allow_repeated_keys=True) as server:
        [run_id] = seed(server, "twice", [Row()])
        server.client().create_feedback(
            run_id=run_id,
            key="outcome",
            score=0,
            session_id=server.projects[0]["id"],
            extend_trace_retention=False,
        )
        found = langsmith_report("twice", client=server.client())
    assert found.accuracy is None
    assert found.withheld == "2 outcomes for 1 runs: some run has two"


def test_costs_that_are_missing_make_lower_bounds(server):
    unlabelled = Row(value=None, first=None, attempts=5, cost=0.04)
    seed(server, "cheap", [Row(), Row(cost=None), Row(first=None), Row(), unlabelled])
    found = langsmith_report("cheap", client=server.client())
    assert (found.cost, found.cost_unknown) == (pytest.approx(0.07), 1)
    assert found.cost_per_success == pytest.approx(0.07 / 4)
    assert found.mean_attempts == pytest.approx((4 * 3 + 5) / 5)
    assert found.first_try == Rate.of(3, 3)
    assert found.warnings == ("the first try is known of 3 runs, the outcome of 4",)


def test_a_window_is_about_when_runs_began(server, monkeypatch):
    from coord_plugins.testing._langsmith import _filter

    # LangSmith's language knows the field
    monkeypatch.setitem(_filter._FIELDS, "start_time", lambda run, _: run["start_time"])
    seed(server, "desk", [Row()] * 3)
    [later, *_] = seed(server, "desk", [Row("error.crash", 0)] * 2)
    [began] = [r["start_time"] for r in server.runs if r["id"] == later]
    between = dt.datetime.fromisoformat(began).replace(tzinfo=dt.timezone.utc)
    early = langsmith_report("desk", client=server.client(), until=between)
    late = langsmith_report("desk", client=server.client(), since=between.timestamp())
    assert (early.accuracy, early.node_success.n) == (Rate.of(3, 3), 12)
    assert (late.accuracy, late.node_success.n) == (Rate.of(0, 2), 8)
    assert (early.since, early.until) == (None, between.isoformat())
    assert dt.datetime.fromisoformat(late.since) == between


def test_the_server_never_chooses_the_window(server):
    seed(server, "desk", [Row()])
    langsmith_report("desk", client=server.client())
    asked = [json.loads(r.body) for r in server.requests if r.path == "/runs/stats"]
    assert [body["is_root"] for body in asked] == [True, False]
    assert all(body["start_time"] < server.projects[0]["start_time"] for body in asked)


def test_projects_without_runs_and_without_feedback(server):
    server.client().create_project("empty")
    empty = langsmith_report("empty", client=server.client())
    assert (empty.runs, empty.accuracy, empty.withheld) == (0, None, "there is no traced run")
    assert (empty.coverage, empty.node_success.value) == (Rate.of(0, 0), None)
    assert (empty.cost, empty.mean_attempts) == (None, None)
    seed(server, "bare", [UNLABELLED])
    bare = langsmith_report("bare", client=server.client())
    assert "none of 1 runs has feedback 'outcome'" in bare.withheld
    assert bare.node_success == Rate.of(4, 4)


def test_the_environment_names_the_project(traced, monkeypatch):
    seed(traced, "default", [Row()])
    assert langsmith_report().project == "default"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("dest", "did you mean 'desk'?"), ("zzz", "it has 'desk'")],
)
def test_an_unknown_project_is_named_with_the_known(server, name, hint):
    seed(server, "desk", [Row()])
    with pytest.raises(LangSmithReadError) as caught:
        langsmith_report(name, client=server.client())
    assert str(caught.value) == f"there is no project {name!r} at {server.url}; {hint}"
    assert isinstance(caught.value, CoordError)


def test_an_unset_project_is_said(traced, monkeypatch):
    monkeypatch.delenv("LANGSMITH_PROJECT")
    with pytest.raises(LangSmithReadError, match=r"'default' \(LANGSMITH_PROJECT is not set\)"):
        langsmith_report()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("down", "does not answer; check LANGSMITH_ENDPOINT"),
        ("drop", "does not answer; check LANGSMITH_ENDPOINT"),
        (401, "refuses the API key; set LANGSMITH_API_KEY"),
        (403, "refuses the API key; set LANGSMITH_API_KEY"),
        (404, "knows no such address; is LANGSMITH_ENDPOINT a LangSmith API?"),
        (408, "could not answer"),
        (429, "takes no more requests for now"),
        (500, "could not answer; try again, or take a shorter --since"),
        (503, "could not answer; try again, or take a shorter --since"),
    ],
)
def test_a_server_that_fails_is_asked_once(traced, fault, said):
    """Our own client has no retries: the SDK's would wait as long as Retry-After says."""
    is_status = isinstance(fault, int)
    traced.fail(fault, headers={"Retry-After": "2"} if is_status else None)
    before = len(traced.requests)
    with pytest.raises(LangSmithReadError) as caught:
        langsmith_report("desk")
    assert said in str(caught.value)
    assert traced.url in str(caught.value)
    assert "local-test-key" not in str(caught.value)
    assert len(traced.requests) - before <= (2 if fault == 404 else 1)


def test_statistics_that_fail_after_the_project_was_found(traced):
    seed(traced, "desk", [Row()])
    traced.fail(500, path="/runs/stats")
    with pytest.raises(LangSmithReadError, match="could not answer"):
        langsmith_report("desk")


def test_a_missing_key_is_said(monkeypatch):
    with langsmith_server(strict=False) as server:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
        with pytest.raises(LangSmithReadError, match="asks for an API key, and none is set"):
            langsmith_report("desk")


def test_arguments_that_cannot_be(server):
    with pytest.raises(PolicyError, match="between 0 and 1"):
        langsmith_report("desk", client=server.client(), min_coverage=80)
    with pytest.raises(PolicyError, match="write a date like"):
        langsmith_report("desk", client=server.client(), since="soon")
