"""Cells as values, and columns by their names."""

import datetime as dt

import pytest

from coord_plugins import OUTCOMES
from coord_plugins._importing._columns import checked_map, field_of, resolve
from coord_plugins._importing._values import (
    ABSENT,
    UNLABELLED,
    count,
    ending,
    error_class,
    is_missing,
    moment,
    number,
    outcome,
    tags,
)
from coord_plugins._outcome import outcome_of
from coord_plugins.errors import PolicyError


def word(value, threshold=None):
    found = outcome(value, threshold)
    if found is None:
        return None
    if found.end is None:
        return f"in_flight.{found.status}"
    return outcome_of(found.end, found.detail, found.passed)


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_outcome_is_read_as_itself(name):
    assert word(name) == name
    assert word(f" {name.upper()} ") == name


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *((yes, "success.first_pass") for yes in (True, 1, 1.0, "1", "1.0", "True", "yes", "PASS")),
        *((no, "silent_failure.first_pass") for no in (False, 0, "0.0", "false", "no", "wrong")),
        ("success", "success.first_pass"),
        ("failed", "silent_failure.first_pass"),
        ("error", "error.crash"),
        ("timed out", "error.timeout"),
        ("Cancelled", "error.cancelled"),
        ("escalated", "escalated.unjudged"),
        ("running", "in_flight.running"),
        *((nothing, None) for nothing in (None, "", " ", "NaN", float("nan"), "n/a", "null")),
    ],
)
def test_words_of_outcomes(cell, expected):
    assert word(cell) == expected


@pytest.mark.parametrize("cell", ["blue", 0.5, "0.5", 2, "1e3", [True], {"a": 1}, float("inf")])
def test_what_is_no_outcome_is_refused(cell):
    with pytest.raises(ValueError, match="neither"):
        outcome(cell, None)


def test_a_threshold_decides_numbers_and_not_words():
    assert word("0.5", 0.5) == "success.first_pass"
    assert word(0.49, 0.5) == "silent_failure.first_pass"
    assert word(1, 4) == "silent_failure.first_pass"
    assert word(True, 4) == "success.first_pass"
    assert word("pass", 4) == "success.first_pass"


@pytest.mark.parametrize(
    ("said", "status", "error", "expected"),
    [
        (True, "completed", None, "success.first_pass"),
        (False, "ok", None, "silent_failure.first_pass"),
        (False, "timeout", None, "error.timeout"),
        (None, "error", None, "error.crash"),
        (None, "failed", None, "error.crash"),
        (None, "success", None, "success.first_pass"),
        (None, "completed", None, "error.crash"),
        (None, None, "timeout", "error.timeout"),
        (False, None, "crash", "error.crash"),
        (True, None, "crash", "success.first_pass"),
        ("escalated", "error", None, "escalated.unjudged"),
        (None, None, None, "error.crash"),
    ],
)
def test_outcome_status_and_error_together(said, status, error, expected):
    found = ending(outcome(said, None), status, error, missing=ABSENT)
    assert outcome_of(found.end, found.detail, found.passed) == expected


def test_a_missing_outcome_is_a_failure_unless_one_says_unlabelled():
    assert ending(None, None, None, missing=ABSENT).error == "no outcome was given"
    assert ending(None, "completed", None, missing=UNLABELLED) == UNLABELLED


def test_a_status_that_contradicts_or_is_unknown_is_refused():
    with pytest.raises(ValueError, match="contradicts"):
        ending(outcome(True, None), "timeout", None, missing=ABSENT)
    with pytest.raises(ValueError, match="'200' is not known"):
        ending(None, "200", None, missing=ABSENT)


def test_errors_have_classes():
    assert error_class("ReadTimeout: slow") == "timeout"
    assert error_class("CancelledError") == "cancelled"
    assert error_class("KeyError: 'x'") == "crash"


def test_numbers():
    assert [number(v) for v in ("1.5", " 2 ", "$0.03", 3, "", None, "nan")] == [
        1.5,
        2.0,
        0.03,
        3.0,
        None,
        None,
        None,
    ]
    for wrong in ("x", "1,5", "-1", "inf", True, [1]):
        with pytest.raises(ValueError):
            number(wrong)
    assert count("120.0") == 120
    with pytest.raises(ValueError, match="whole"):
        count("1.5")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1760000000", 1.76e9),
        (1760000000000, 1.76e9),
        ("1760000000000000", 1.76e9),
        (1760000000000000000, 1.76e9),
        ("2025-10-09T08:53:20Z", 1.76e9),
        ("2025-10-09 08:53:20", 1.76e9),
        ("2025-10-09T10:53:20.5+02:00", 1.76e9 + 0.5),
        ("2025-10-09T08:53:20.1234567Z", 1.76e9 + 0.123456),
        ("2025-10-09", 1.76e9 - 32000),
        (dt.datetime(2025, 10, 9, 8, 53, 20), 1.76e9),
        (dt.date(2025, 10, 9), 1.76e9 - 32000),
        ("", None),
    ],
)
def test_moments(cell, expected):
    assert moment(cell) == expected


@pytest.mark.parametrize("cell", ["soon", "-5", True, [1], "1969-01-01"])
def test_what_is_no_moment_is_refused(cell):
    with pytest.raises(ValueError):
        moment(cell)


def test_tags():
    assert tags("a, b;c") == ("a", "b", "c")
    assert tags('["x", "y z"]') == ("x", "y z")
    assert tags(["p", 1]) == ("p", "1")
    assert tags(None) == ()
    assert is_missing(" N/A ")


@pytest.mark.parametrize("name", ["task_id", "taskId", "Task ID", "TASK-ID", "task"])
def test_a_column_is_known_in_any_spelling(name):
    assert field_of(name) == "task"


def test_columns_are_found_by_name():
    found = resolve(["task_id", "Reward", "latency_ms", "model", ""], {}, [])
    assert found.fields == {"task": "task_id", "outcome": "Reward", "milliseconds": "latency_ms"}
    assert found.metadata == ("model",)


def test_two_outcomes_are_an_error_that_names_both():
    with pytest.raises(PolicyError, match=r"'passed' and 'score' .* --map passed=passed"):
        resolve(["task", "passed", "score"], {}, [])
    assert resolve(["passed", "score"], {"outcome": "score"}, []).metadata == ("passed",)
    assert resolve(["passed", "score"], {}, ["score"]).ignored == ("score",)


def test_the_name_itself_wins_over_another_spelling():
    found = resolve(["task", "task_id", "passed", "tokens", "input_tokens"], {}, [])
    assert found.fields["task"] == "task"
    assert found.fields["input_tokens"] == "input_tokens"
    assert found.metadata == ("task_id", "tokens")


@pytest.mark.parametrize(
    ("columns", "given", "ignore", "said"),
    [
        (["task"], {}, [], "no column says whether"),
        (["passed"], {"task": "case"}, [], "no column 'case'"),
        (["passed"], {}, ["x"], "no column 'x'"),
        (["passed", "problem_id", "ticket"], {}, [], "'problem_id' and 'ticket'"),
    ],
)
def test_columns_that_cannot_be(columns, given, ignore, said):
    with pytest.raises(PolicyError, match=said):
        resolve(columns, given, ignore)


def test_maps_are_checked():
    assert checked_map({"passed": "reward", "task_id": "case"}) == {
        "outcome": "reward",
        "task": "case",
    }
    with pytest.raises(PolicyError, match="there is no field 'colour'"):
        checked_map({"colour": "c"})
    with pytest.raises(PolicyError, match="twice"):
        checked_map({"passed": "a", "outcome": "b"})


def test_a_star_leaves_all_others_out():
    found = resolve(["passed", "a", "b"], {}, ["*"])
    assert (found.metadata, found.ignored) == ((), ("a", "b"))
