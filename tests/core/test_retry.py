"""Delays, deadlines, throttle and breaker, on a fake clock."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord_plugins import (
    Breaker,
    CircuitOpenError,
    PolicyError,
    Retry,
    Throttle,
    retrying,
    use_clock,
)
from coord_plugins._retry import Allowance, Circuit, as_retry
from coord_plugins.testing import Act, FakeClock, scripted, set_testing


class Asked(TimeoutError):
    """A timeout whose server said when to come back."""

    def __init__(self, seconds: str) -> None:
        super().__init__("busy")
        self.headers = {"retry-after": seconds}


@given(
    st.integers(1, 10_000),
    st.floats(0, 1e6),
    st.floats(0.01, 100),
    st.floats(0, 1e6),
    st.floats(0, 0.999),
)
def test_delay_is_clamped_for_any_numbers(
    tries: int, initial: float, factor: float, most: float, rand: float
) -> None:
    retry = Retry(initial_interval=initial, backoff_factor=factor, max_interval=most)
    assert 0 <= retry.delay(tries, lambda: rand) <= most


def test_delay_formula() -> None:
    retry = Retry(initial_interval=0.5, backoff_factor=2.0, max_interval=3.0, jitter=False)
    assert [retry.delay(n, lambda: 0.0) for n in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    jittered = Retry(initial_interval=0.5, backoff_factor=2.0, max_interval=3.0)
    assert [jittered.delay(n, lambda: 0.5) for n in range(1, 6)] == [0.25, 0.5, 1.0, 1.5, 1.5]


def test_a_huge_exponent_is_the_longest_wait() -> None:
    assert Retry(jitter=False).delay(100_000, lambda: 1.0) == 30.0


def test_retry_after_wins_only_when_longer() -> None:
    retry = Retry(initial_interval=1.0, max_interval=2.0, jitter=False)
    assert retry.delay(1, lambda: 1.0, asked=0.5) == 1.0
    assert retry.delay(1, lambda: 1.0, asked=90.0) == 90.0


def test_retry_after_beyond_the_deadline_gives_up_at_once() -> None:
    step = scripted(Asked("60"))
    with use_clock(FakeClock()) as clock, pytest.raises(Asked):
        retrying(max_attempts=5, max_elapsed=30.0)(step)()
    assert (step.count, clock.sleeps) == (1, [])  # type: ignore[attr-defined]


def test_deadline_counts_work_and_waits() -> None:
    step = scripted(Act(seconds=4.0, then=TimeoutError()))
    with use_clock(FakeClock()) as clock, pytest.raises(TimeoutError):
        retrying(max_attempts=99, initial_interval=1.0, backoff_factor=1.0, max_elapsed=20.0)(
            step
        )()
    # 4 + 1 + 4 + 1 + 4 + 1 + 4 = 19; one more wait would end at 20 and start a try in time
    assert step.count == 5
    assert clock.monotonic() == 24.0


def test_fields_are_checked() -> None:
    for bad in (
        {"max_attempts": 0},
        {"max_attempts": 1.5},
        {"initial_interval": -1},
        {"max_interval": -1},
        {"backoff_factor": 0},
        {"max_elapsed": 0},
    ):
        with pytest.raises(PolicyError, match=next(iter(bad))):
            Retry(**bad)  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="cooldown"):
        Breaker(cooldown=0)
    with pytest.raises(PolicyError, match="share"):
        Throttle(share=0)


def test_retry_on_classes_or_a_predicate() -> None:
    by_class = Retry(retry_on=(KeyError,))
    assert (by_class.kind_of(KeyError()), by_class.kind_of(TimeoutError())) == (
        "transient",
        "fatal",
    )
    chosen = Retry(retry_on=lambda e: "again" in str(e))
    assert (chosen.kind_of(ValueError("again")), chosen.kind_of(ValueError())) == (
        "transient",
        "fatal",
    )


def test_a_retry_policy_of_langgraph_is_read_by_its_fields() -> None:
    types = pytest.importorskip("langgraph.types")
    policy = types.RetryPolicy(max_attempts=7, initial_interval=0.25, jitter=False)
    read = as_retry(policy, "retry")
    assert read == Retry(
        max_attempts=7,
        initial_interval=0.25,
        backoff_factor=policy.backoff_factor,
        max_interval=policy.max_interval,
        jitter=False,
    )
    one = as_retry(types.RetryPolicy(retry_on=KeyError), "retry")
    assert one is not None
    assert one.kind_of(KeyError()) == "transient"
    with pytest.raises(PolicyError, match="no Retry"):
        as_retry("three times", "retry")


def test_breaker_opens_probes_and_closes() -> None:
    circuit = Circuit(Breaker(failures=2, cooldown=10.0))
    assert circuit.refuses(0.0) is None
    circuit.report(True, 0.0)
    assert circuit.refuses(0.0) is None
    circuit.report(True, 1.0)
    assert circuit.refuses(1.0) == 10.0
    assert circuit.refuses(10.5) == 0.5
    assert circuit.refuses(11.0) is None  # half open: this caller probes ...
    assert circuit.refuses(11.0) == 0.0  # ... and nobody else meanwhile
    circuit.report(True, 12.0)
    assert circuit.refuses(12.0) == 10.0
    assert circuit.refuses(22.0) is None
    circuit.report(False, 22.5)
    assert (circuit.refuses(22.5), circuit.failures) == (None, 0)


def test_a_success_between_failures_keeps_it_closed() -> None:
    circuit = Circuit(Breaker(failures=2, cooldown=10.0))
    for failed in (True, False, True, False, True):
        circuit.report(failed, 0.0)
    assert circuit.refuses(0.0) is None


def test_an_abandoned_probe_frees_its_place() -> None:
    circuit = Circuit(Breaker(failures=1, cooldown=10.0))
    circuit.report(True, 0.0)
    assert circuit.refuses(10.0) is None
    circuit.abandon()
    assert circuit.refuses(10.0) is None


def test_a_refused_call_is_not_retried_but_falls_back() -> None:
    """An open circuit refuses without calling; a fallback may serve."""
    from coord_plugins import track

    backup = scripted("from backup", name="backup")
    step = scripted(TimeoutError())
    retry = Retry(max_attempts=3, jitter=False, breaker=Breaker(failures=2), fallbacks=[backup])
    wrapped = retrying(retry, name="ask")(step)
    with use_clock(FakeClock()), track("p", store="off"):
        assert wrapped() == "from backup"
        assert step.count == 2
        assert wrapped() == "from backup"
        assert (step.count, backup.count) == (2, 2)


def test_a_fatal_error_neither_opens_nor_closes() -> None:
    from coord_plugins import track

    step = scripted(TimeoutError(), KeyError("x"), TimeoutError(), "never")
    wrapped = retrying(max_attempts=1, breaker=Breaker(failures=2), name="ask")(step)
    with use_clock(FakeClock()), track("p", store="off"):
        for wanted in (TimeoutError, KeyError, TimeoutError, CircuitOpenError):
            with pytest.raises(wanted):
                wrapped()
    assert step.count == 3


def test_throttle_is_a_share_of_first_attempts() -> None:
    throttle = Throttle(share=0.5, burst=2.0, key="x")
    allowance = Allowance(2.0)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    allowance.first(throttle)
    assert allowance.take() is False
    allowance.first(throttle)
    assert allowance.take() is True
    for _ in range(100):
        allowance.first(throttle)
    assert [allowance.take() for _ in range(3)] == [True, True, False]


def test_allowance_holds_under_threads() -> None:
    allowance = Allowance(50.0)
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(allowance.take() for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (taken.count(True), taken.count(False)) == (50, 150)


def test_set_testing_caps_and_never_waits() -> None:
    step = scripted(TimeoutError())
    wrapped = retrying(max_attempts=10)(step)
    for attempts, cap, calls in ((None, False, 10), (1, False, 1), (20, False, 20), (20, True, 10)):
        before = step.count
        with set_testing(attempts, cap=cap) as clock, pytest.raises(TimeoutError):
            wrapped()
        assert step.count - before == calls
        assert len(clock.sleeps) == calls - 1
    with pytest.raises(ValueError, match="counts the first"), set_testing(0):
        pass


def test_set_testing_nests_and_ends() -> None:
    from coord_plugins import _retry
    from coord_plugins._clock import REAL, current_clock

    with set_testing(3) as outer, set_testing(1) as inner:
        assert current_clock() is inner
    assert current_clock() is REAL
    assert outer is not inner
    assert _retry._attempts is None
