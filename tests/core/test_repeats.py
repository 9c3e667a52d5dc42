"""Whether a repeat mended what was rejected: counted by label, never steering."""

import pytest

from coord_plugins import START, InvalidOutputError, Retry, ValidationEdge, check
from coord_plugins.testing import simulate

good = check(lambda out: "bad" not in out, name="good")


def label(value, step):
    return "bad" not in value


def repeats(edges, steps, **settings):
    record = simulate(edges, steps, goal=lambda out: True, **{"label": label, **settings}).record
    return {name: (t.repeat_right, t.repeat_wrong) for name, t in record.steps.items()}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("script", "counted"),
    [
        (["ok"], (0, 0)),
        (["bad", "ok"], (1, 0)),
        (["bad", "bad", "ok"], (1, 1)),
        (["bad", "bad", "bad"], (0, 2)),
        # an unreadable reply is a wrong candidate
        (["bad", InvalidOutputError("no JSON"), "ok"], (1, 1)),
    ],
)
def test_repeats_in_place(script, counted, is_async):
    edge = ValidationEdge("draft", good, max_attempts=3, otherwise="desk")
    found = repeats(edge, {"draft": script, "desk": ["ok"]}, is_async=is_async, retry=Retry())
    assert found["draft"] == counted


def test_a_false_alarm_is_no_mistake_to_repeat():
    strict = check(lambda out: out != "ok", name="strict")
    edge = ValidationEdge("draft", strict, max_attempts=2)
    assert repeats(edge, {"draft": ["ok", "fine"]})["draft"] == (0, 0)


def test_a_repeat_after_an_earlier_step_was_run_again():
    edge = ValidationEdge("draft", good, back_to=("research",), max_attempts=2)
    found = repeats(edge, {"research": ["a", "b"], "draft": ["bad", "ok"]})
    assert found == {"research": (0, 0), "draft": (1, 0)}


def test_a_mistake_on_wrong_input_is_not_the_steps_own():
    edge = ValidationEdge("draft", good, max_attempts=2)
    found = repeats(edge, {"research": ["bad"], "draft": ["bad", "bad"]})
    assert found["draft"] == (0, 0)


def test_without_labels_and_when_observing_nothing_is_counted():
    edge = ValidationEdge("draft", good, max_attempts=2)
    assert repeats(edge, {"draft": ["bad", "ok"]}, label=None)["draft"] == (0, 0)
    assert repeats(edge, {"draft": ["bad", "ok"]}, mode="observe")["draft"] == (0, 0)


@pytest.mark.parametrize("target", ["research", START])
def test_work_that_is_done_again_does_not_rest_on_what_it_replaces(target):
    """The wrong text of `write` stood when `research` began again: it is not its input."""
    blind = check(lambda out: True, name="blind")
    edges = [
        ValidationEdge("research", blind, max_attempts=1),
        ValidationEdge("write", blind, max_attempts=1),
        ValidationEdge("review", good, back_to=(target,), max_attempts=2),
    ]
    script = {"research": ["bad", "bad"], "write": ["bad", "bad"], "review": ["bad", "ok"]}
    steps = simulate(edges, script, goal=lambda out: True, label=label).record.steps
    assert (steps["research"].pass_own, steps["research"].pass_upstream) == (2, 0)
    assert (steps["write"].pass_own, steps["write"].pass_upstream) == (0, 2)
    assert (steps["review"].reject_upstream, steps["review"].reject_own) == (1, 0)
