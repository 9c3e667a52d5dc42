"""`FakeClock`: time that only passes when somebody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from .._clock import Clock


class FakeClock(Clock):
    """A clock for tests: waiting takes no time, advances the clock, and is noted down.

    Attributes:
        sleeps: Every wait that was asked for, in seconds, in order.
    """

    def __init__(
        self, start: float = 1_700_000_000.0, *, random: Callable[[], float] = lambda: 1.0
    ) -> None:
        """Make a clock.

        Args:
            start: Unix seconds that `time()` begins with; `monotonic()` begins with 0.
            random: Uniform in [0, 1) for the jitter; the default 1.0 makes every jittered
                delay as long as it can be, so that tests can state numbers.
        """
        self.sleeps: list[float] = []
        self._start = start
        self._passed = 0.0
        self._random = random
        self._lock = threading.Lock()

    @property
    def slept(self) -> float:
        """All waits together, in seconds."""
        return sum(self.sleeps)

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody waiting: work that takes long."""
        with self._lock:
            self._passed += seconds

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    def time(self) -> float:
        """`start` plus the seconds since the clock was made."""
        return self._start + self._passed

    def sleep(self, seconds: float) -> None:
        """Note the wait and advance; returns at once."""
        with self._lock:
            self.sleeps.append(seconds)
            self._passed += seconds

    async def asleep(self, seconds: float) -> None:
        """As `sleep`; gives way to the event loop once."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def random(self) -> float:
        """What the injected `random` says."""
        return self._random()
