"""`set_testing`: no waits in this process, and retries capped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .. import _clock
from .._retry import forget_circuits, limit_attempts
from ._clock import FakeClock


@contextmanager
def set_testing(attempts: int | None = None, *, cap: bool = False) -> Iterator[FakeClock]:
    """Make retries quick everywhere in this process: nothing waits, and tries are limited.

    For the tests of your own code. Where `use_clock` is in force, its clock stays. Only the
    tries of a `Retry` are limited: an edge's attempts are part of what the pipeline does.
    Circuits that breakers have opened are closed.

    Args:
        attempts: `Retry.max_attempts` of every step; None: as each policy says.
        cap: Whether a policy that asks for fewer tries keeps them.

    Yields:
        The clock, whose `sleeps` tell what would have been waited.
    """
    if attempts is not None and attempts < 1:
        raise ValueError(f"set_testing: attempts={attempts}; it counts the first call")
    outer = list(_clock._process_clock)
    clock = FakeClock()
    _clock.set_process_clock(clock)
    before = limit_attempts(attempts, cap=cap)
    forget_circuits()
    try:
        yield clock
    finally:
        _clock.set_process_clock(outer[0] if outer else None)
        limit_attempts(*before)
