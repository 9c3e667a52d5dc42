"""Rules 4.4.1 to 4.4.3: recording never hurts the run."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ... import RunFinished, StepSettled, check, configure, flush
from ... import _bus as bus
from ..._config import reset_configuration
from ._suite import BAD, GOOD, Suite, counts, edge, goal_is


class Hearing:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_event(self, event: Any) -> None:
        """Keep it."""
        self.events.append(event)


class Raising:
    """A listener that always raises, and a spool for what it could not take."""

    def __init__(self) -> None:
        self.spooled: list[Any] = []

    def on_event(self, event: Any) -> None:
        """Fail."""
        raise RuntimeError("the collector is down")

    def spool(self, events: list[Any]) -> None:
        """Keep what could not be delivered."""
        self.spooled.extend(events)


class Blocking:
    """A listener that blocks until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.heard = 0

    def on_event(self, event: Any) -> None:
        """Block, at most once for so long that a run that waits for it shows."""
        if not self.release.wait(2):
            self.release.set()
        self.heard += 1


class Recording(Suite):
    """Rules 4.4.1 to 4.4.3."""

    def _run(self, is_async: bool, *listeners: Any, **settings: Any) -> Any:
        return self.run(
            is_async,
            steps={"writer": [BAD, GOOD], "sender": ["sent"]},
            edges=[edge("writer")],
            goal=goal_is("sent"),
            settings={"listeners": listeners, **settings},
        )

    # ------------------------------------------------------------------ 4.4.1

    def test_4_4_1_events(self, is_async: bool) -> None:
        """A listener hears one event per execution, in order, and one end."""
        hearing = Hearing()
        seen = self._run(is_async, hearing)
        assert flush(10.0)
        settled = [(e.step, e.decision) for e in hearing.events if isinstance(e, StepSettled)]
        assert settled == [("writer", "loop"), ("writer", "accept"), ("sender", "accept")]
        ends = [e.record.run_id for e in hearing.events if isinstance(e, RunFinished)]
        assert ends == [seen.record.run_id]

    def test_4_4_1_a_listener_that_raises_costs_nothing(self, is_async: bool) -> None:
        """The run is as without it; what could not be delivered is spooled and counted."""
        raising, hearing = Raising(), Hearing()
        seen = self._run(is_async, raising, hearing)
        assert flush(10.0)
        assert seen.error is None
        assert seen.record.outcome == "success.unjudged"
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)
        assert len(raising.spooled) == len(hearing.events) == 5
        assert bus.delivery_of(raising).failed == 5

    def test_4_4_1_a_listener_that_blocks_costs_nothing(self, is_async: bool) -> None:
        """The run ends while the listener still holds its first event."""
        blocking = Blocking()
        try:
            seen = self._run(is_async, blocking)
            assert seen.record.outcome == "success.unjudged"
            assert blocking.heard == 0
        finally:
            blocking.release.set()
        assert flush(10.0)
        assert blocking.heard == 5

    # ------------------------------------------------------------------ 4.4.2

    def test_4_4_2_an_acknowledged_run_is_on_disk(self, is_async: bool) -> None:
        """After `flush` another connection reads the run: what it sees survives `kill -9`."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "outcomes.db"
            seen = self._run(is_async, store=f"sqlite:///{path}")
            assert flush(10.0)
            with contextlib.closing(sqlite3.connect(path)) as other:
                row = "SELECT outcome FROM runs_v1 WHERE run_id = ?"
                found = other.execute(row, (seen.record.run_id,)).fetchall()
            assert found == [("success.unjudged",)]
            _close_store(f"sqlite:///{path}")

    # ------------------------------------------------------------------ 4.4.3

    def test_4_4_3_no_payloads_unless_asked(self, is_async: bool) -> None:
        """Inputs and outputs are not kept; `capture="payloads"` asks for them."""
        seen = self._run(is_async)
        assert seen.record.payload is None
        assert GOOD not in repr(seen.record.to_dict())
        with _configured(capture="payloads"):
            seen = self._run(is_async)
        assert "go" in str(seen.record.payload)
        assert "sent" in str(seen.record.payload)

    def test_4_4_3_explanations_are_cut_and_redacted(self, is_async: bool) -> None:
        """Every text that is kept passes the `redact` hook and is truncated."""
        words = check(lambda o: o != BAD, name="words", feedback="secret " + "x" * 5_000)
        with _configured(redact=lambda text: text.replace("secret", "[redacted]")):
            seen = self.run(
                is_async,
                steps={"writer": [BAD, GOOD], "sender": [KeyError("secret")]},
                edges=[edge("writer", words)],
            )
        kept = [n.text for n in seen.record.notes]
        assert len(kept) == 2
        assert kept[0].startswith("[redacted] x")
        assert len(kept[0]) == 500
        assert seen.record.error == "KeyError: '[redacted]'"
        assert "secret" not in repr(seen.record.to_dict())


@contextlib.contextmanager
def _configured(**settings: Any) -> Iterator[None]:
    configure(**settings)
    try:
        yield
    finally:
        reset_configuration()


def _close_store(spec: str) -> None:
    """Let go of the file, so that the folder can be removed."""
    from ... import _stores

    store = _stores._opened.pop(spec, None)
    close = getattr(store, "close", None)
    if close is not None:
        close()
