"""Attributes that parallel executions swap at the same time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from coord_plugins._swap import _values, swapped


@pytest.mark.parametrize("first_out", [0, 1])
def test_executions_that_end_in_any_order_leave_the_users_value(first_out: int) -> None:
    agent = SimpleNamespace(max_retry_limit=2)
    both = [swapped(agent, "max_retry_limit", 0), swapped(agent, "max_retry_limit", 0)]
    for one in both:
        one.__enter__()
    both.pop(first_out).__exit__(None, None, None)
    assert agent.max_retry_limit == 0  # the other one still executes
    both.pop().__exit__(None, None, None)
    assert agent.max_retry_limit == 2
    assert not _values


def test_an_error_inside_takes_the_value_back_too() -> None:
    task = SimpleNamespace(callback=None)
    with pytest.raises(KeyboardInterrupt), swapped(task, "callback", print):
        raise KeyboardInterrupt
    assert task.callback is None
    assert not _values


def test_what_cannot_be_set_is_not_kept() -> None:
    class Fixed:
        llm = property(lambda self: "own")

    with pytest.raises(AttributeError), swapped(Fixed(), "llm", "other"):
        raise AssertionError("not reached")
    assert not _values
