"""Budgets: limits, unknown usage, and who pays."""

from __future__ import annotations

import pytest

from coord_plugins import (
    STOP,
    Budget,
    BudgetExceededError,
    PolicyError,
    Retry,
    UnpricedModelError,
    Usage,
    UsageUnavailableError,
    ValidationEdge,
    check,
    current_run,
)
from coord_plugins.testing import Act, FakeClock, simulate


def test_what_cannot_hold() -> None:
    with pytest.raises(PolicyError, match="at least one of max_cost_usd"):
        Budget()
    with pytest.raises(PolicyError, match="at least one"):
        Budget(otherwise=STOP)
    for bad in (0, -1, True, "5"):
        with pytest.raises(PolicyError, match="greater than 0"):
            Budget(max_tokens=bad)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="greater than 0"):
        Budget(max_cost_usd=float("nan"))


@pytest.mark.parametrize(
    ("budget", "limit"),
    [
        (Budget(max_cost_usd=1.0), "max_cost_usd"),
        (Budget(max_tokens=10), "max_tokens"),
        (Budget(max_elapsed=10.0), "max_elapsed"),
        (Budget(max_attempts=10), "max_attempts"),
    ],
)
def test_a_limit_is_reached_when_it_is_used_up(budget: Budget, limit: str) -> None:
    below = budget.exceeded(cost_usd=0.99, tokens=9, elapsed=9.9, attempts=9)
    reached = budget.exceeded(cost_usd=1.0, tokens=10, elapsed=10.0, attempts=10)
    assert below is None
    assert reached is not None
    assert reached.limit == limit


def test_usage_adds_up() -> None:
    usage = Usage(input_tokens=1, output_tokens=2, cost_usd=0.5, calls=1)
    usage.add(Usage(input_tokens=10, cost_usd=0.25, calls=2, unknown_tokens=1, unknown_cost=2))
    assert usage == Usage(11, 2, 0.75, 3, 1, 2)


def test_retries_are_executions_of_the_budget() -> None:
    seen = simulate(
        steps={"a": [TimeoutError()]}, retry=Retry(max_attempts=9), budget=Budget(max_attempts=3)
    )
    assert isinstance(seen.error, BudgetExceededError)
    assert seen.executions == {"a": 3}
    assert seen.outcome == "error.budget"


def test_loops_are_executions_of_the_budget() -> None:
    edge = ValidationEdge("b", check(lambda o: False, name="no"), back_to="a", max_attempts=99)
    seen = simulate(edge, {"a": "x", "b": "y"}, budget=Budget(max_attempts=5))
    assert seen.executions == {"a": 3, "b": 2}
    assert seen.outcome == "error.budget"


def test_waits_count_as_elapsed() -> None:
    clock = FakeClock()
    retry = Retry(max_attempts=9, initial_interval=4.0, backoff_factor=1.0, jitter=False)
    seen = simulate(
        steps={"a": [TimeoutError()]}, retry=retry, budget=Budget(max_elapsed=10.0), clock=clock
    )
    assert (seen.executions, clock.sleeps) == ({"a": 3}, [4.0, 4.0, 4.0])
    assert seen.outcome == "error.budget"


def test_what_takes_over_may_run_though_the_budget_is_spent() -> None:
    seen = simulate(
        steps={"a": Act(then="x", cost_usd=1.0), "b": "y", "desk": Act(then="z", cost_usd=1.0)},
        budget=Budget(max_cost_usd=1.0, otherwise="desk"),
    )
    assert seen.executions == {"a": 1, "b": 0, "desk": 1}
    assert seen.error is None
    assert seen.record is not None
    assert seen.record.cost == 2.0


def test_a_price_table_prices_tokens() -> None:
    prices = {"m": (1_000_000.0, 2_000_000.0)}
    seen = simulate(steps={"a": Act(then="x", model="m", tokens=3)}, prices=prices)
    assert seen.record is not None
    assert (seen.record.cost, seen.record.tokens, seen.record.cost_unknown) == (9.0, 6, 0)
    seen = simulate(
        steps={"a": Act(then="x", model="other", tokens=3)},
        prices=lambda model, tokens_in, tokens_out: None,
    )
    assert seen.record is not None
    assert (seen.record.cost, seen.record.cost_unknown) == (0.0, 1)


def test_unmeasured_usage_is_an_error_only_where_a_budget_needs_it() -> None:
    for act, budget, kind in (
        (Act(model="m"), Budget(max_tokens=1), UsageUnavailableError),
        (Act(model="m"), Budget(max_cost_usd=1), UsageUnavailableError),
        (Act(model="no-such-model", tokens=1), Budget(max_cost_usd=1), UnpricedModelError),
        (Act(model="m"), Budget(max_attempts=9), None),
        (Act(model="no-such-model", tokens=1), Budget(max_tokens=9), None),
    ):
        seen = simulate(steps={"a": act}, budget=budget)
        assert (type(seen.error) if seen.error else None) is kind


def test_a_judge_pays_as_validation_and_the_budget_sees_it() -> None:
    def costly(output: str) -> bool:
        current_run().add_usage(input_tokens=1, output_tokens=1, cost_usd=1.0)
        return True

    edge = ValidationEdge("a", check(costly))
    seen = simulate(edge, {"a": "x", "b": "y"}, budget=Budget(max_cost_usd=1.0))
    assert seen.executions == {"a": 1, "b": 0}
    assert seen.record is not None
    assert seen.record.steps["a"].cost_validation == 1.0


def test_a_budget_error_of_a_judge_ends_the_run() -> None:
    def unmeasured(output: str) -> bool:
        current_run().add_usage(model="m")
        return True

    edge = ValidationEdge("a", check(unmeasured, on_error="pass"))
    seen = simulate(edge, {"a": "x"}, budget=Budget(max_tokens=5))
    assert isinstance(seen.error, UsageUnavailableError)
    assert seen.outcome == "error.budget"


def test_observe_never_stops() -> None:
    seen = simulate(
        steps={"a": Act(then="x", model="m"), "b": "y"}, budget=Budget(max_tokens=1), mode="observe"
    )
    assert (seen.error, seen.output) == (None, "y")


def test_the_public_table_takes_a_name_with_its_provider() -> None:
    pytest.importorskip("genai_prices")
    from coord_plugins._prices import Prices

    prices = Prices()
    plain = prices.cost("gpt-4o-mini", 1_000, 1_000)
    assert plain is not None
    assert prices.cost("openai/gpt-4o-mini", 1_000, 1_000) == plain
    assert prices.cost("nosuchprovider/gpt-4o-mini", 1_000, 1_000) is None
    assert prices.cost("openai/no-such-model", 1_000, 1_000) is None
    assert prices.cost("no-such-model", 1_000, 1_000) is None
