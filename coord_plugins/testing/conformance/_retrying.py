"""Rules 4.2.1 to 4.2.3: what is tried again, when, and for how long."""

from __future__ import annotations

import json
from typing import Any

from ... import (
    STOP,
    Budget,
    BudgetExceededError,
    Retry,
    UnpricedModelError,
    UsageUnavailableError,
)
from .._script import Act
from ._suite import BAD, GOOD, Suite, counts, edge, goal_is, tally


class StatusError(Exception):
    """An error of an HTTP client."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.headers = {name.replace("_", "-"): said for name, said in headers.items()}


class Retrying(Suite):
    """Rules 4.2.1 to 4.2.3."""

    # ------------------------------------------------------------------ 4.2.1

    def test_4_2_1_transient_errors_are_retried(self, is_async: bool) -> None:
        """Timeouts, connections, 429 and 5xx are tried again; the last error passes out."""
        for error in (TimeoutError(), ConnectionError(), StatusError(429), StatusError(503)):
            seen = self.run(
                is_async, steps={"writer": [error]}, retry=Retry(max_attempts=3, jitter=False)
            )
            assert seen.error is error
            assert seen.executions("writer") == 3, error
            assert (tally(seen.record, "writer").errors, tally(seen.record, "writer").retries) == (
                3,
                2,
            )

    def test_4_2_1_fatal_errors_are_not(self, is_async: bool) -> None:
        """400, 401, 404, programming errors: one call."""
        for error in (StatusError(400), StatusError(401), StatusError(404), KeyError("amount")):
            seen = self.run(is_async, steps={"writer": [error]}, retry=Retry(max_attempts=3))
            assert seen.error is error
            assert seen.executions("writer") == 1, error
            assert seen.record.outcome == "error.crash"

    def test_4_2_1_invalid_output_is_one_reject(self, is_async: bool) -> None:
        """A parsing error is one call and one reject of the step's edge."""
        unreadable = json.JSONDecodeError("no JSON", "draft", 0)
        seen = self.run(
            is_async,
            steps={"writer": [unreadable, GOOD]},
            edges=[edge("writer")],
            retry=Retry(max_attempts=3),
            goal=goal_is(GOOD),
        )
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)
        assert (tally(seen.record, "writer").retries, tally(seen.record, "writer").errors) == (0, 0)
        assert "no JSON" in str(seen.feedback("writer")[1])

    def test_4_2_1_invalid_output_without_an_edge_is_fatal(self, is_async: bool) -> None:
        """Without an edge there is nobody to loop back."""
        unreadable = json.JSONDecodeError("no JSON", "draft", 0)
        seen = self.run(is_async, steps={"writer": [unreadable]}, retry=Retry(max_attempts=3))
        assert seen.error is unreadable
        assert seen.executions("writer") == 1

    def test_4_2_1_without_a_retry_nothing_is_repeated(self, is_async: bool) -> None:
        """None is "never repeat this step", also beside "*"."""
        seen = self.run(
            is_async,
            steps={"writer": [GOOD], "sender": [TimeoutError()]},
            retry={"*": Retry(max_attempts=4), "sender": None},
        )
        assert seen.order == ["writer", "sender"]
        assert seen.record.outcome == "error.timeout"

    # ------------------------------------------------------------------ 4.2.2

    def test_4_2_2_delays(self, is_async: bool) -> None:
        """min(max_interval, initial_interval * backoff_factor^(n-1))."""
        retry = Retry(
            max_attempts=5, initial_interval=0.5, backoff_factor=3.0, max_interval=4.0, jitter=False
        )
        case = self._case(is_async, [TimeoutError()], retry)
        assert case.clock.sleeps == [0.5, 1.5, 4.0, 4.0]

    def test_4_2_2_full_jitter(self, is_async: bool) -> None:
        """The wait is drawn between 0 and the cap."""
        draws = iter([0.5, 0.25])
        retry = Retry(max_attempts=3, initial_interval=2.0)
        case = self._case(is_async, [TimeoutError()], retry, random=lambda: next(draws))
        assert case.clock.sleeps == [1.0, 1.0]

    def test_4_2_2_retry_after_wins(self, is_async: bool) -> None:
        """A longer Retry-After of the server is respected, a shorter one is not."""
        asks = [StatusError(429, retry_after="7"), StatusError(429, retry_after="0.1"), GOOD]
        retry = Retry(max_attempts=3, initial_interval=0.5, max_interval=2.0, jitter=False)
        case = self._case(is_async, asks, retry)
        assert case.clock.sleeps == [7.0, 1.0]

    def test_4_2_2_tries_are_fresh_for_each_candidate(self, is_async: bool) -> None:
        """A regenerated candidate has all its tries again, and the first delay."""
        script = [TimeoutError(), TimeoutError(), BAD, TimeoutError(), TimeoutError(), GOOD]
        retry = Retry(max_attempts=3, initial_interval=1.0, jitter=False)
        case = self._case(is_async, script, retry, edges=[edge("writer")])
        assert case.clock.sleeps == [1.0, 2.0, 1.0, 2.0]
        assert counts(case.seen.record, "writer") == (6, 1, 1, 0, 0)

    def _case(
        self, is_async: bool, script: list[Any], retry: Retry, random: Any = None, **more: Any
    ) -> Any:
        from .._clock import FakeClock
        from ._case import Case

        clock = FakeClock(random=random) if random is not None else FakeClock()
        settings = {"store": "off"}
        case: Any = Case(
            steps={"writer": script}, retry=retry, clock=clock, settings=settings, **more
        )
        case.seen = self._checked(self.driver.run(case, is_async=is_async))
        return case

    # ------------------------------------------------------------------ 4.2.3

    def test_4_2_3_deadline(self, is_async: bool) -> None:
        """No try starts that could not begin before `max_elapsed`."""
        retry = Retry(max_attempts=10, initial_interval=4.0, max_elapsed=10.0, jitter=False)
        case = self._case(is_async, [Act(seconds=3.0, then=TimeoutError())], retry)
        assert case.clock.sleeps == [3.0, 4.0, 3.0]
        assert case.seen.executions("writer") == 2
        assert case.seen.record.outcome == "error.timeout"

    def test_4_2_3_budget_ends_the_run(self, is_async: bool) -> None:
        """Checked before each execution; the one in flight may overshoot."""
        seen = self.run(
            is_async,
            steps={"reader": [Act(then="facts", cost_usd=0.75)], "writer": [GOOD]},
            budget=Budget(max_cost_usd=0.5),
        )
        assert isinstance(seen.error, BudgetExceededError)
        assert seen.order == ["reader"]
        assert seen.record.outcome == "error.budget"
        assert seen.record.cost == 0.75

    def test_4_2_3_budget_counts_attempts_tokens_and_time(self, is_async: bool) -> None:
        """Each limit ends the run when it is used up."""
        for budget in (
            Budget(max_attempts=2),
            Budget(max_tokens=4),
            Budget(max_elapsed=4.0),
        ):
            act = Act(then="x", tokens=1, cost_usd=0.0, seconds=2.0)
            seen = self.run(
                is_async, steps={"one": [act], "two": [act], "three": [act]}, budget=budget
            )
            assert isinstance(seen.error, BudgetExceededError), budget
            assert seen.order == ["one", "two"], budget

    def test_4_2_3_budget_otherwise(self, is_async: bool) -> None:
        """A step takes over when the budget is spent, and may run."""
        seen = self.run(
            is_async,
            steps={"reader": [Act(then="facts", cost_usd=1.0)], "writer": [GOOD]},
            spare={"desk": ["by hand"]},
            budget=Budget(max_cost_usd=0.5, otherwise="desk"),
        )
        assert seen.error is None
        assert seen.order == ["reader", "desk"]
        assert tally(seen.record, "writer").executions == 0

    def test_4_2_3_budget_otherwise_stop(self, is_async: bool) -> None:
        """STOP ends the run normally."""
        seen = self.run(
            is_async,
            steps={"reader": [Act(then="facts", cost_usd=1.0)], "writer": [GOOD]},
            budget=Budget(max_cost_usd=0.5, otherwise=STOP),
        )
        assert (seen.error, seen.output, seen.order) == (None, None, ["reader"])

    def test_4_2_3_a_budget_error_is_never_retried(self, is_async: bool) -> None:
        """Neither a spent budget nor usage that cannot be measured is tried again."""
        errors: list[tuple[Act, type[Exception], Budget]] = [
            (Act(model="m"), UsageUnavailableError, Budget(max_tokens=5)),
            (Act(model="m"), UsageUnavailableError, Budget(max_cost_usd=5)),
            (Act(model="no-such-model", tokens=1), UnpricedModelError, Budget(max_cost_usd=5)),
        ]
        for act, kind, budget in errors:
            seen = self.run(
                is_async,
                steps={"writer": [act]},
                budget=budget,
                retry=Retry(max_attempts=5, retry_on=(Exception,), fallbacks=[_stand_in]),
            )
            assert type(seen.error) is kind
            assert seen.executions("writer") == 1
            assert seen.record.outcome == "error.budget"

    def test_4_2_3_unknown_usage_is_counted(self, is_async: bool) -> None:
        """Without a budget that needs it, unknown usage is unknown and not 0."""
        seen = self.run(is_async, steps={"writer": [Act(then=GOOD, model="no-such-model")]})
        assert seen.record.cost_unknown == 1
        assert tally(seen.record, "writer").unknown_tokens == 1


def _stand_in(state: Any) -> Any:
    raise AssertionError("a budget error must not fall back")
