"""Delivery: a listener that raises, blocks or overflows costs the run nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

from coord_plugins import OutcomeRecorded, RunFinished, RunStarted, StepSettled, flush
from coord_plugins import _bus as bus
from coord_plugins.testing import simulate


def event(n: int) -> OutcomeRecorded:
    return OutcomeRecorded(f"r{n}", True, float(n), "late")


class Keeping:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.heard.append(event)


class Gate(Keeping):
    """Blocks inside its first event until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.open = threading.Event(), threading.Event()

    def on_event(self, event: Any) -> None:
        self.inside.set()
        assert self.open.wait(30)
        super().on_event(event)


def test_in_order_and_complete() -> None:
    keeping = Keeping()
    delivery = bus.delivery_of(keeping)
    for n in range(500):
        delivery.put([event(n)])
    assert delivery.flush(10)
    assert [e.at for e in keeping.heard] == [float(n) for n in range(500)]
    assert (delivery.delivered, delivery.failed, delivery.dropped) == (500, 0, 0)


def test_one_delivery_per_listener() -> None:
    keeping = Keeping()
    assert bus.delivery_of(keeping) is bus.delivery_of(keeping)
    seen = simulate(steps={"a": "x"}, listeners=[keeping, keeping])
    assert flush(10)
    kinds = [type(e) for e in keeping.heard]
    assert kinds == [RunStarted, StepSettled, RunFinished]
    assert keeping.heard[-1].record == seen.record


def test_batches_and_run_events_only() -> None:
    class Store:
        run_events_only = True

        def __init__(self) -> None:
            self.batches: list[list[Any]] = []

        def on_event(self, event: Any) -> None:
            raise AssertionError("batches only")

        def on_events(self, events: list[Any]) -> None:
            self.batches.append(events)

    store = Store()
    simulate(steps={"a": "x", "b": "y"}, listeners=[store])
    assert flush(10)
    assert [type(e) for batch in store.batches for e in batch] == [RunStarted, RunFinished]


def test_a_listener_that_raises_is_counted_and_the_worker_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sometimes(Keeping):
        def on_event(self, event: Any) -> None:
            if event.at % 2:
                raise RuntimeError("down")
            super().on_event(event)

    sometimes = Sometimes()
    delivery = bus.delivery_of(sometimes)
    delivery.put(event(n) for n in range(6))
    assert delivery.flush(10)
    assert [e.at for e in sometimes.heard] == [0.0, 2.0, 4.0]
    assert (delivery.delivered, delivery.failed) == (3, 3)
    assert sum("could not take 1 event(s), lost" in m for m in caplog.messages) == 3


def test_what_raises_is_spooled(caplog: pytest.LogCaptureFixture) -> None:
    class Spooling:
        def __init__(self, fails: bool) -> None:
            self.kept: list[Any] = []
            self.fails = fails

        def on_event(self, event: Any) -> None:
            raise RuntimeError("down")

        def spool(self, events: list[Any]) -> None:
            if self.fails:
                raise OSError("disk full")
            self.kept += events

    good, bad = Spooling(False), Spooling(True)
    for listener in (good, bad):
        delivery = bus.delivery_of(listener)
        delivery.put([event(1)])
        assert delivery.flush(10)
    assert good.kept == [event(1)]
    assert any("spooling failed: OSError: disk full" in m for m in caplog.messages)


def test_a_blocking_listener_neither_blocks_the_run_nor_another_listener() -> None:
    gate, keeping = Gate(), Keeping()
    try:
        seen = simulate(steps={"a": "x"}, listeners=[gate, keeping], goal=lambda o: True)
        assert seen.outcome == "success.first_pass"
        assert bus.delivery_of(keeping).flush(10)
        assert (len(keeping.heard), len(gate.heard)) == (3, 0)
        assert gate.inside.wait(10)
        assert bus.delivery_of(gate).flush(0.01) is False
    finally:
        gate.open.set()
    assert bus.delivery_of(gate).flush(10)
    assert len(gate.heard) == 3


def test_overflow_is_spooled_or_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "QUEUE_LIMIT", 5)

    class Spooling(Gate):
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[Any] = []

        def spool(self, events: list[Any]) -> None:
            self.kept += events

    gate = Spooling()
    delivery = bus.delivery_of(gate)
    delivery.put([event(0)])
    assert gate.inside.wait(10)
    delivery.put(event(n) for n in range(1, 9))
    assert delivery.dropped == len(gate.kept) == 3
    gate.open.set()
    assert delivery.flush(10)
    assert [e.at for e in gate.heard] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert [e.at for e in gate.kept] == [6.0, 7.0, 8.0]


def test_putting_from_many_threads_loses_nothing() -> None:
    keeping = Keeping()
    delivery = bus.delivery_of(keeping)
    threads = [
        threading.Thread(
            target=lambda k=k: [delivery.put([event(k * 100 + n)]) for n in range(100)]
        )
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert delivery.flush(10)
    assert sorted(e.at for e in keeping.heard) == [float(n) for n in range(400)]


def test_flush_of_nothing() -> None:
    assert flush(0.0) is True
    assert bus.Delivery(Keeping()).flush(0.0) is True


def script(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    return done.stdout


COMMON = """
import os, sys
from coord_plugins import flush, track

class Printing:
    def on_event(self, event):
        os.write(1, f"{os.getpid() == parent} {type(event).__name__}\\n".encode())

parent, listener = os.getpid(), Printing()

def run():
    with track("p", store="off", listeners=[listener]):
        pass
"""


def test_the_exit_of_the_interpreter_delivers() -> None:
    assert script(COMMON + "run()") == "True RunStarted\nTrue RunFinished\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_delivers_its_own_events_once() -> None:
    code = """
run()
assert flush(10)
if os.fork() == 0:
    run()
    assert flush(10)
    os._exit(0)
os.wait()
run()
assert flush(10)
"""
    lines = script(COMMON + code).splitlines()
    pair = ["RunStarted", "RunFinished"]
    assert lines == [f"{who} {kind}" for who in (True, False, True) for kind in pair]
