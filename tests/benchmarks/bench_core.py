"""A validated and retriable call in plain Python, against a hand-written loop and two libraries.

Each peer does the same work: call a function that returns a mapping, check it against a
pydantic model of two fields, and be ready to call again. tenacity and stamina retry on the
ValidationError; waits are 0 everywhere.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import stamina
import tenacity
from measure import Batch, Size, interleaved, medians, ratio, spread, table, verdict
from pydantic import BaseModel, TypeAdapter, ValidationError

from coord_plugins import Retry, check, retrying, schema, track, validated

GOOD = {"text": "the amount on line 3", "line": 3}
BAD = {"text": "the amount on line 3", "line": "three"}
TRANSIENT = (ConnectionError, ValidationError)
HAND, HAND_LIMIT, PEER_FACTOR = "schema: hand-written loop", 3.0, 4.0
"""The targets: at most so many hand-written loops around a TypeAdapter; so many times faster than
the libraries."""


class Reply(BaseModel):
    """What the step has to return."""

    text: str
    line: int


ADAPTER: TypeAdapter[Reply] = TypeAdapter(Reply)


def is_good(output: Any) -> bool:
    """The deterministic check."""
    return type(output["line"]) is int


def accept(value: Any) -> Any:
    """What a peer that checks by hand does with an output."""
    if not is_good(value):
        raise ValueError("no line")
    return value


class Heard:
    """A listener in memory."""

    run_events_only = True

    def __init__(self) -> None:
        self.count = 0

    def on_event(self, event: Any) -> None:
        self.count += 1


# ---------------------------------------------------------------------- the work and the peers

Make = Callable[[Callable[[], Any], Callable[[Any], Any]], Callable[..., Any]]
"""From the step and what reads its output to a call that does both, and repeats."""


def by_hand(step: Any, read: Any) -> Any:
    def call() -> Any:
        for attempt in range(3):
            try:
                return read(step())
            except Exception:  # noqa: PERF203 - this is the loop that people write
                if attempt == 2:
                    raise
        return None

    return call


def by_hand_async(step: Any, read: Any) -> Any:
    async def call() -> Any:
        for attempt in range(3):
            try:
                return read(await step())
            except Exception:  # noqa: PERF203 - this is the loop that people write
                if attempt == 2:
                    raise
        return None

    return call


def _both(step: Any, read: Any) -> Any:
    if asyncio.iscoroutinefunction(step):

        async def acall() -> Any:
            return read(await step())

        return acall
    return lambda: read(step())


def by_tenacity(step: Any, read: Any) -> Any:
    return tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_exception_type((*TRANSIENT, ValueError)),
        reraise=True,
        sleep=_no_sleep_async if asyncio.iscoroutinefunction(step) else _no_sleep,
    )(_both(step, read))


def by_stamina(step: Any, read: Any) -> Any:
    return stamina.retry(
        on=(*TRANSIENT, ValueError), attempts=3, wait_initial=0, wait_max=0, wait_jitter=0
    )(_both(step, read))


def by_schema(step: Any, read: Any) -> Any:
    return retrying(Retry(max_attempts=3, initial_interval=0))(
        validated(schema(Reply), max_attempts=3)(step)
    )


def by_check(step: Any, read: Any) -> Any:
    return retrying(Retry(max_attempts=3, initial_interval=0))(
        validated(check(is_good), max_attempts=3)(step)
    )


def _no_sleep(seconds: float) -> None: ...


async def _no_sleep_async(seconds: float) -> None: ...


# ---------------------------------------------------------------------- steps

Faults = Callable[[], Callable[[], Any]]


def never(is_async: bool) -> Any:
    async def awork() -> Any:
        return GOOD

    return awork if is_async else lambda: GOOD


def first_raises(is_async: bool) -> Any:
    turn = itertools.cycle((False, True)).__next__

    def work() -> Any:
        if turn():
            return GOOD
        raise ConnectionError("reset by peer")

    async def awork() -> Any:
        return work()

    return awork if is_async else work


def first_is_bad(is_async: bool) -> Any:
    turn = itertools.cycle((BAD, GOOD)).__next__

    async def awork() -> Any:
        return turn()

    return awork if is_async else turn


# ---------------------------------------------------------------------- cases

Place = Callable[[], AbstractContextManager[Any]]


def unheard() -> AbstractContextManager[Any]:
    return track("bench", store="off")


def heard() -> AbstractContextManager[Any]:
    return track("bench", store="off", listeners=[Heard()])


PLACES: dict[str, Place] = {
    "outside a run": nullcontext,
    "inside track": unheard,
    "inside track, listener": heard,
}


def batch(call: Callable[..., Any], place: Place = nullcontext) -> Batch:
    """The work of one sample, synchronous or not."""
    if not asyncio.iscoroutinefunction(call):

        def work(n: int) -> None:
            with place():
                for _ in range(n):
                    call()

        return work

    def awork(n: int) -> None:
        async def many() -> None:
            with place():
                for _ in range(n):
                    await call()

        asyncio.run(many())

    return awork


def cases(fault: Callable[[bool], Any], is_async: bool, calls: int) -> dict[str, tuple[Batch, int]]:
    """Every peer and place, on steps that fail as `fault` makes them fail."""
    hand = by_hand_async if is_async else by_hand
    found: dict[str, tuple[Batch, int]] = {}
    kinds = (("schema", ADAPTER.validate_python, by_schema), ("check", accept, by_check))
    for kind, read, ours in kinds:
        found[f"{kind}: hand-written loop"] = (batch(hand(fault(is_async), read)), calls)
        for name, place in PLACES.items():
            if fault is never or name != "inside track, listener":
                found[f"{kind}: coord, {name}"] = (batch(ours(fault(is_async), read), place), calls)
        found[f"{kind}: tenacity"] = (batch(by_tenacity(fault(is_async), read)), calls // 2)
        found[f"{kind}: stamina"] = (batch(by_stamina(fault(is_async), read)), calls // 2)
    return found


@contextmanager
def silent() -> Iterator[None]:
    """Without log output: neither we nor stamina write lines here."""
    logging.disable(logging.CRITICAL)
    stamina.instrumentation.set_on_retry_hooks(())
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        stamina.instrumentation.set_on_retry_hooks(None)


def _show(title: str, samples: dict[str, list[float]], *, targets: bool) -> None:
    middle = medians(samples)
    rows = []
    for name, value in middle.items():
        kind = name.split(":")[0]
        own = samples[name]
        hand = ratio(own, samples[HAND])
        faster = [ratio(samples[f"{kind}: {peer}"], own) for peer in ("tenacity", "stamina")]
        said = ""
        if targets and name.endswith("outside a run"):
            said = verdict(hand <= HAND_LIMIT and min(faster) >= PEER_FACTOR)
        shown = (f"{hand:.2f}", f"{faster[0]:.1f}", f"{faster[1]:.1f}")
        rows.append((name, f"{value:.2f}", f"{spread(samples[name]):.2f}", *shown, said))
    head = (
        "",
        "us/call",
        "+-",
        "x TypeAdapter loop",
        "faster than tenacity",
        "than stamina",
        "target",
    )
    table(title, head, rows)


def success(size: Size) -> None:
    """The success path."""
    limits = f"at most {HAND_LIMIT:g} x the hand-written loop around a TypeAdapter"
    print(f"target: {limits}, {PEER_FACTOR:g} x faster than tenacity and stamina")
    for is_async in (False, True):
        with silent():
            samples = interleaved(cases(never, is_async, 4_000), size)
        name = "async" if is_async else "sync"
        _show(f"success path, {name}: CPU time, median of {size.rounds}", samples, targets=True)


def failure(size: Size) -> None:
    """One failure, then success."""
    for fault, what in ((first_raises, "the step raises once"), (first_is_bad, "one bad output")):
        for is_async in (False, True):
            with silent():
                samples = interleaved(cases(fault, is_async, 1_000), size)
            name = "async" if is_async else "sync"
            title = f"{what}, then success, {name}: CPU time per logical call"
            _show(f"{title}, median of {size.rounds} (no target)", samples, targets=False)
