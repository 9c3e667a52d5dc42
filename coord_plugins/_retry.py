"""What to do when a step raises: `Retry`, `Breaker`, `Throttle`, and the delay between tries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._classify import ErrorKind, classify
from .errors import PolicyError


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Stop calling a target that keeps failing; one probe after the cooldown."""

    failures: int = 5
    """Consecutive transient failures of one target that open its circuit."""
    cooldown: float = 60.0
    """Seconds that an open circuit refuses calls before it lets one probe through."""

    def __post_init__(self) -> None:
        _positive("Breaker", failures=self.failures, cooldown=self.cooldown)


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """Allow retries only as a share of first attempts, so that an outage is not doubled."""

    share: float = 0.1
    """Retries allowed per first attempt."""
    burst: float = 10.0
    """Retries that may be saved up."""
    key: str = "*"
    """Retries with one key share one allowance in this process, for example per vendor."""

    def __post_init__(self) -> None:
        _positive("Throttle", share=self.share, burst=self.burst)


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What to do when a step raises. All times are seconds.

    The delay before try n+1 is
    ``min(max_interval, initial_interval * backoff_factor ** (n - 1))``, drawn uniformly
    between 0 and that value with `jitter`; a longer `Retry-After` of the server wins.
    """

    max_attempts: int = 3
    """Calls per candidate, the first included; each fallback gets as many."""
    initial_interval: float = 0.5
    """Longest wait before the second try."""
    backoff_factor: float = 2.0
    """Growth of the wait per try."""
    max_interval: float = 30.0
    """Longest wait between two tries (a longer `Retry-After` still wins)."""
    jitter: bool = True
    """Full jitter: the wait is uniform in 0..cap; False: the cap itself."""
    max_elapsed: float | None = None
    """Total deadline over all tries and fallbacks of one execution; None: no limit. A call
    in flight is not interrupted; no further try starts that could not begin in time."""
    retry_on: tuple[type[BaseException], ...] | Callable[[Exception], bool] | None = None
    """Which errors are transient: classes or a predicate; None: the error table."""
    fallbacks: Sequence[Any] = ()
    """What stands in when the tries are spent: a step's name, a callable like the step, or a
    model object of the host; in this order."""
    breaker: Breaker | None = None
    """Opens per target; None: no breaker."""
    throttle: Throttle | None = None
    """Bounds retries by first attempts; None: off."""

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise PolicyError(
                f"Retry: max_attempts={self.max_attempts!r}; it counts the first call, so it is "
                "at least 1"
            )
        _positive("Retry", backoff_factor=self.backoff_factor)
        for name in ("initial_interval", "max_interval"):
            if getattr(self, name) < 0:
                raise PolicyError(f"Retry: {name}={getattr(self, name)!r} is negative seconds")
        if self.max_elapsed is not None:
            _positive("Retry", max_elapsed=self.max_elapsed)
        object.__setattr__(self, "fallbacks", tuple(self.fallbacks))

    def kind_of(self, error: BaseException) -> ErrorKind:
        """Classify an error by `retry_on`, else by the error table."""
        if self.retry_on is None:
            return classify(error)
        if isinstance(self.retry_on, tuple):
            chosen = isinstance(error, self.retry_on)
        else:
            chosen = isinstance(error, Exception) and bool(self.retry_on(error))
        if chosen:
            return "transient"
        return "invalid" if classify(error) == "invalid" else "fatal"

    def delay(self, tries: int, rand: Callable[[], float], asked: float | None = None) -> float:
        """Seconds to wait after `tries` failed calls (from 1).

        Args:
            tries: Failed calls so far.
            rand: Uniform in [0, 1).
            asked: The server's `Retry-After`, in seconds.
        """
        try:
            cap = self.initial_interval * self.backoff_factor ** (tries - 1)
        except OverflowError:
            cap = self.max_interval
        wait = min(self.max_interval, cap)
        if self.jitter:
            wait = min(self.max_interval, wait * rand())
        return max(wait, asked or 0.0)


_attempts: int | None = None
_cap = False


def limit_attempts(attempts: int | None, cap: bool = False) -> tuple[int | None, bool]:
    """Limit every `Retry` of this process (`coord_plugins.testing.set_testing`).

    Returns:
        What was in force before.
    """
    global _attempts, _cap
    before = (_attempts, _cap)
    _attempts, _cap = attempts, cap
    return before


def limited(retry: Retry | None) -> Retry | None:
    """A step's retry as `set_testing` wants it; the policy itself is not changed."""
    if _attempts is None or retry is None:
        return retry
    return replace(retry, max_attempts=min(_attempts, retry.max_attempts) if _cap else _attempts)


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise PolicyError(f"{owner}: {name}={value!r}; it must be greater than 0")


def as_retry(said: Any, where: str) -> Retry | None:
    """Take a `Retry`, None, or a LangGraph `RetryPolicy` (read by its fields).

    LangGraph's default predicate is replaced by our error table: it retries 401 and 404 and
    does not retry timeouts.

    Raises:
        PolicyError: `said` is none of these.
    """
    if said is None or isinstance(said, Retry):
        return said
    if hasattr(said, "initial_interval") and hasattr(said, "retry_on"):
        given = said.retry_on
        if getattr(given, "__name__", "") == "default_retry_on":
            given = None
        elif isinstance(given, type):
            given = (given,)
        elif isinstance(given, Sequence):
            given = tuple(given)
        return Retry(
            max_attempts=said.max_attempts,
            initial_interval=said.initial_interval,
            backoff_factor=said.backoff_factor,
            max_interval=said.max_interval,
            jitter=bool(said.jitter),
            retry_on=given,
        )
    raise PolicyError(f"{where}: {said!r} is no Retry, no LangGraph RetryPolicy and not None")


@dataclass
class Circuit:
    """The live state of one target's breaker. Thread-safe."""

    breaker: Breaker
    failures: int = 0
    opened_at: float | None = None
    probing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuses(self, now: float) -> float | None:
        """Seconds until the next probe when the call is refused, else None."""
        with self.lock:
            if self.opened_at is None:
                return None
            left = self.opened_at + self.breaker.cooldown - now
            if left > 0 or self.probing:
                return max(left, 0.0)
            self.probing = True  # exactly one probe at a time
            return None

    def report(self, failed: bool, now: float) -> None:
        """Count one finished call."""
        with self.lock:
            self.failures = self.failures + 1 if failed else 0
            if not failed:
                self.opened_at = None
            elif self.probing or self.failures >= self.breaker.failures:
                self.opened_at = now
            self.probing = False

    def abandon(self) -> None:
        """A probe that neither succeeded nor failed (cancelled, fatal) frees its place."""
        with self.lock:
            self.probing = False


_circuits: dict[tuple[tuple[str, ...], Breaker], Circuit] = {}
_circuits_lock = threading.Lock()


def circuit_of(key: tuple[str, ...], breaker: Breaker) -> Circuit:
    """The process-wide circuit of a target."""
    with _circuits_lock:
        return _circuits.setdefault((key, breaker), Circuit(breaker))


def forget_circuits() -> None:
    """Close every circuit (`coord_plugins.testing.set_testing` does it)."""
    with _circuits_lock:
        _circuits.clear()


class Allowance:
    """The live state of one throttle key. Thread-safe."""

    def __init__(self, burst: float) -> None:
        self._tokens = burst
        self._lock = threading.Lock()

    def first(self, throttle: Throttle) -> None:
        """A first attempt earns a share of a retry."""
        with self._lock:
            self._tokens = min(throttle.burst, self._tokens + throttle.share)

    def take(self) -> bool:
        """Spend one retry if there is one."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


_allowances: dict[str, Allowance] = {}
_allowances_lock = threading.Lock()


def allowance(throttle: Throttle) -> Allowance:
    """The process-wide allowance of a throttle's key."""
    with _allowances_lock:
        return _allowances.setdefault(throttle.key, Allowance(throttle.burst))
