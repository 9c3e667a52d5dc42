"""Time and randomness, injected: nothing else in the library reads a clock or sleeps."""

from __future__ import annotations

import contextvars
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """The real clock. A test gives a subclass (`coord_plugins.testing.FakeClock`)."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; for durations."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds; for records."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        import asyncio  # a sixth of the package's import time, and only async callers need it

        await asyncio.sleep(seconds)

    def random(self) -> float:
        """Uniform in [0, 1): the jitter's randomness."""
        return random.random()  # noqa: S311 - spreads retries, guards nothing


REAL = Clock()
_clock: contextvars.ContextVar[Clock] = contextvars.ContextVar("coord_clock", default=REAL)
_process_clock: list[Clock] = []


def current_clock() -> Clock:
    """The clock of this context, else of `set_testing`, else the real one."""
    found = _clock.get()
    return _process_clock[-1] if found is REAL and _process_clock else found


@contextmanager
def use_clock(clock: Clock) -> Iterator[Clock]:
    """Use `clock` for all runs and decorated calls that start inside."""
    token = _clock.set(clock)
    try:
        yield clock
    finally:
        _clock.reset(token)


def set_process_clock(clock: Clock | None) -> None:
    """Use `clock` everywhere in this process where no `use_clock` is in force; None: undo."""
    _process_clock[:] = [] if clock is None else [clock]
