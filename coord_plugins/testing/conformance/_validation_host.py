"""Rules 4.1.9 to 4.1.11: checkpoints, the host's control flow, and equal counts everywhere."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from ... import START, STOP, Retry
from ._case import Cancelled, Killed
from ._suite import BAD, GOOD, WORSE, Suite, counts, edge, goal_is, tally


class HostRules(Suite):
    """Rules 4.1.9 to 4.1.11."""

    # ------------------------------------------------------------------ 4.1.9

    def test_4_1_9_loop_back_counters_survive(self, is_async: bool) -> None:
        """Another process goes on where this one died: the count, the feedback, one run."""
        seen = self.resume(
            is_async,
            steps={"reader": ["facts 1", Killed(), "facts 2"], "writer": [BAD, WORSE, GOOD]},
            edges=[edge("writer", back_to="reader", max_attempts=2, otherwise=STOP)],
            goal=goal_is(GOOD),
        )
        assert isinstance(seen.runs[0].error, Killed)
        assert len(seen.runs) == 2
        assert seen.order == ["reader", "writer", "reader", "reader", "writer"]
        assert seen.feedback("reader") == [None, "do better", "do better"]
        assert counts(seen.record, "writer") == (2, 0, 1, 1, 0)
        # the execution that died was never committed
        assert counts(seen.record, "reader") == (2, 0, 0, 0, 0)
        assert seen.record.outcome == "escalated.unjudged"

    def test_4_1_9_an_in_place_loop_is_atomic(self, is_async: bool) -> None:
        """After a crash inside it, an in-place loop starts from its first attempt."""
        seen = self.resume(
            is_async,
            steps={"reader": ["facts"], "writer": [BAD, Killed(), WORSE, GOOD]},
            edges=[edge("writer", max_attempts=2)],
            goal=goal_is(GOOD),
        )
        assert seen.order == ["reader", "writer", "writer", "writer", "writer"]
        assert seen.feedback("writer") == [None, "do better", None, "do better"]
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)
        assert counts(seen.record, "reader") == (1, 0, 0, 0, 0)
        assert seen.output == GOOD

    # ------------------------------------------------------------------ 4.1.10

    def test_4_1_10_control_flow_passes(self, is_async: bool) -> None:
        """The host's own signals are no errors: not retried, not judged, not counted."""
        from .._script import Act

        seen = self.resume(
            is_async,
            steps={"writer": [Act(do=self.driver.pause), GOOD], "sender": ["sent"]},
            edges=[edge("writer")],
            retry=Retry(max_attempts=5),
            goal=goal_is("sent"),
        )
        assert seen.order == ["writer", "writer", "sender"]
        assert counts(seen.record, "writer") == (1, 1, 0, 0, 0)
        assert (tally(seen.record, "writer").errors, tally(seen.record, "writer").retries) == (0, 0)
        assert seen.record.outcome == "success.first_pass"

    def test_4_1_10_cancellation_passes(self, is_async: bool) -> None:
        """A cancelled run is cancelled: no retry, and its outcome says so."""
        seen = self.run(
            is_async,
            steps={"writer": [Cancelled(), GOOD]},
            edges=[edge("writer")],
            retry=Retry(max_attempts=5),
        )
        wanted = asyncio.CancelledError if is_async else KeyboardInterrupt
        assert isinstance(seen.error, wanted)
        assert seen.order == ["writer"]
        assert seen.record.outcome == "error.cancelled"

    def test_4_1_10_the_host_limit_exhausts_the_edge(self, is_async: bool) -> None:
        """With too few host steps left for another round the edge is exhausted in time."""
        seen = self.run(
            is_async,
            steps={"triage": ["t"], "reader": ["facts"], "writer": [BAD]},
            edges=[edge("writer", back_to=START, max_attempts=50, otherwise=STOP)],
            host_steps=8,
        )
        assert seen.error is None
        assert counts(seen.record, "writer") == (2, 0, 1, 1, 0)
        assert seen.record.outcome == "escalated.unjudged"

    def test_4_1_10_recursion_limit(self, is_async: bool) -> None:
        """A run that the limit ends all the same is error.recursion_limit."""
        seen = self.run(
            is_async,
            steps={"triage": ["t"], "reader": ["facts"], "writer": [GOOD], "sender": ["sent"]},
            host_steps=2,
        )
        assert seen.error is not None
        assert seen.order[:2] == ["triage", "reader"]
        assert "sender" not in seen.order
        assert seen.record.outcome == "error.recursion_limit"

    # ------------------------------------------------------------------ 4.1.11

    _plan: ClassVar[dict[str, Any]] = {
        "triage": ["t"],
        "reader": ["facts", TimeoutError("slow"), "facts", "facts"],
        "writer": [BAD, WORSE, BAD, GOOD],
        "sender": ["sent"],
    }

    def test_4_1_11_same_counts(self, is_async: bool) -> None:
        """One plan, the same numbers on every host, sync and async."""
        seen = self.run(
            is_async,
            steps=self._plan,
            edges=[edge("writer", back_to=("writer", "reader", START))],
            retry={"reader": Retry(max_attempts=2, jitter=False)},
            goal=goal_is("sent"),
        )
        assert seen.order == [
            *("triage", "reader", "writer", "writer"),
            *("reader", "reader", "writer"),
            *("triage", "reader", "writer"),
            "sender",
        ]
        assert {name: counts(seen.record, name) for name in self._plan} == {
            "triage": (2, 0, 0, 0, 0),
            "reader": (4, 0, 0, 0, 0),
            "writer": (4, 1, 3, 0, 0),
            "sender": (1, 0, 0, 0, 0),
        }
        assert tally(seen.record, "reader").retries == 1
        assert seen.record.outcome == "success.unjudged"
