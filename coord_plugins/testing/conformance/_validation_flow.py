"""Rules 4.1.6 to 4.1.8: counting, loop-back and what follows when attempts are spent."""

from __future__ import annotations

from ... import START, STOP, AttemptsExhaustedError, Retry, check
from ._case import Observed
from ._suite import BAD, GOOD, WORSE, Suite, counts, edge, goal_is, tally


class Flow(Suite):
    """Rules 4.1.6 to 4.1.8."""

    # ------------------------------------------------------------------ 4.1.6

    def test_4_1_6_counting(self, is_async: bool) -> None:
        """The edge's own loop-back does not start its count anew."""
        seen = self.run(
            is_async,
            steps={"reader": ["facts"], "writer": [BAD]},
            edges=[edge("writer", back_to="reader", max_attempts=4, otherwise=STOP)],
        )
        assert seen.order == ["reader", "writer"] * 4
        assert counts(seen.record, "writer") == (4, 0, 3, 1, 0)
        assert counts(seen.record, "reader") == (4, 0, 0, 0, 0)

    def test_4_1_6_an_error_costs_no_attempt(self, is_async: bool) -> None:
        """A step that raises gives no candidate."""
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError("slow"), BAD, TimeoutError("slow"), GOOD]},
            edges=[edge("writer", max_attempts=2)],
            retry=Retry(max_attempts=2, jitter=False),
            goal=goal_is(GOOD),
        )
        assert counts(seen.record, "writer") == (4, 1, 1, 0, 0)
        assert tally(seen.record, "writer").retries == 2
        assert seen.feedback("writer") == [None, None, "do better", "do better"]
        assert seen.record.outcome == "success.unjudged"

    def test_4_1_6_a_passed_edge_starts_anew(self, is_async: bool) -> None:
        """An edge inside a rolled-back stretch had passed, so it counts from the start."""
        seen = self.run(
            is_async,
            steps={"reader": [BAD, GOOD, BAD, GOOD], "writer": [BAD, GOOD]},
            edges=[edge("reader", max_attempts=2), edge("writer", back_to="reader")],
            goal=goal_is(GOOD),
        )
        assert seen.order == ["reader", "reader", "writer", "reader", "reader", "writer"]
        assert counts(seen.record, "reader") == (4, 2, 2, 0, 0)
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)

    def test_4_1_6_a_passed_loop_back_edge_starts_anew(self, is_async: bool) -> None:
        """The same for an edge that goes back to an earlier step itself."""
        seen = self.run(
            is_async,
            steps={"triage": ["t"], "reader": [BAD, GOOD, BAD, GOOD], "writer": [BAD, GOOD]},
            edges=[
                edge("reader", back_to="triage", max_attempts=2),
                edge("writer", back_to="triage"),
            ],
            goal=goal_is(GOOD),
        )
        round_trip = ["triage", "reader", "triage", "reader", "writer"]
        assert seen.order == round_trip * 2
        assert counts(seen.record, "reader") == (4, 2, 2, 0, 0)
        assert seen.feedback("triage") == [None, "do better", "do better", "do better\ndo better"]

    def test_4_1_6_each_run_counts_for_itself(self, is_async: bool) -> None:
        """A new run starts every count anew."""
        seen = self.run(
            is_async,
            steps={"writer": [BAD, GOOD, BAD, GOOD]},
            edges=[edge("writer", max_attempts=2)],
            inputs=["one", "two"],
        )
        assert [r.error for r in seen.runs] == [None, None]
        found = [r.record for r in seen.runs if r.record is not None]
        assert [counts(r, "writer") for r in found] == [(2, 1, 1, 0, 0)] * 2

    # ------------------------------------------------------------------ 4.1.7

    def test_4_1_7_loop_back(self, is_async: bool) -> None:
        """The target runs on the input it had; the steps between run again."""
        seen = self.run(
            is_async,
            steps={
                "triage": ["double charge"],
                "reader": ["facts 1", "facts 2"],
                "writer": [WORSE, GOOD],
                "sender": ["sent"],
            },
            edges=[edge("writer", back_to="reader")],
            goal=goal_is("sent"),
        )
        assert seen.order == ["triage", "reader", "writer", "reader", "writer", "sender"]
        assert seen.received("reader") == ["double charge", "double charge"]
        assert seen.received("writer") == ["facts 1", "facts 2"]
        assert seen.received("sender") == [GOOD]

    def test_4_1_7_start(self, is_async: bool) -> None:
        """START is the pipeline's entry, on the run's input."""
        seen = self.run(
            is_async,
            steps={"triage": ["t1", "t2"], "reader": ["facts"], "writer": [BAD, GOOD]},
            edges=[edge("writer", back_to=START)],
            inputs=["ticket 1"],
        )
        assert seen.order == ["triage", "reader", "writer"] * 2
        assert seen.received("triage") == ["ticket 1", "ticket 1"]
        assert seen.received("reader") == ["t1", "t2"]

    def test_4_1_7_ladder(self, is_async: bool) -> None:
        """One target per rejection; the last repeats."""
        seen = self.run(
            is_async,
            steps={"triage": ["t"], "reader": ["facts"], "writer": [BAD]},
            edges=[
                edge("writer", back_to=("writer", "reader", START), max_attempts=5, otherwise=STOP)
            ],
        )
        assert seen.order == [
            *("triage", "reader", "writer"),
            "writer",
            *("reader", "writer"),
            *("triage", "reader", "writer"),
            *("triage", "reader", "writer"),
        ]
        assert counts(seen.record, "writer") == (5, 0, 4, 1, 0)

    # ------------------------------------------------------------------ 4.1.8

    def _spent(self, is_async: bool, otherwise: str | None) -> Observed:
        return self.run(
            is_async,
            steps={"reader": ["facts"], "writer": [BAD, WORSE], "sender": ["sent"]},
            spare={"desk": ["by hand"]},
            edges=[edge("writer", otherwise=otherwise)],
            goal=goal_is("sent"),
        )

    def test_4_1_8_exhausted_stand_in(self, is_async: bool) -> None:
        """The step that stands in gives the output, and the pipeline goes on after it."""
        seen = self._spent(is_async, "desk")
        assert seen.order == ["reader", "writer", "writer", "desk", "sender"]
        assert seen.received("desk") == ["facts"]
        assert seen.received("sender") == ["by hand"]
        assert seen.output == "sent"
        assert seen.record.outcome == "escalated.unjudged"
        assert seen.record.lost_at == "writer"
        assert WORSE not in repr(seen.runs[-1].state)

    def test_4_1_8_exhausted_stop(self, is_async: bool) -> None:
        """STOP ends the run normally, without the rejected output."""
        seen = self._spent(is_async, STOP)
        assert seen.error is None
        assert seen.output is None
        assert seen.order == ["reader", "writer", "writer"]
        assert seen.record.outcome == "escalated.unjudged"
        assert WORSE not in repr(seen.runs[-1].state)

    def test_4_1_8_exhausted_raises(self, is_async: bool) -> None:
        """Unset: an error that names step, attempts and every verdict."""
        seen = self._spent(is_async, None)
        error = seen.error
        assert isinstance(error, AttemptsExhaustedError)
        assert (error.step, error.attempts) == ("writer", 2)
        assert [(v.name, v.passed) for v in error.verdicts] == [("fine", False)]
        assert seen.order == ["reader", "writer", "writer"]
        assert counts(seen.record, "writer") == (2, 0, 1, 1, 0)
        assert seen.record.outcome == "escalated.unjudged"

    def test_4_1_8_one_attempt(self, is_async: bool) -> None:
        """`max_attempts=1` never regenerates: a gate."""
        seen = self.run(
            is_async,
            steps={"writer": [BAD]},
            edges=[edge("writer", max_attempts=1, otherwise=STOP)],
        )
        assert counts(seen.record, "writer") == (1, 0, 0, 1, 0)

    def _human(self, is_async: bool, decision: dict[str, object]) -> Observed:
        from ... import HUMAN

        return self.resume(
            is_async,
            steps={"writer": [BAD, WORSE], "sender": ["sent"]},
            edges=[edge("writer", check(lambda o: o == GOOD, name="good"), otherwise=HUMAN)],
            goal=goal_is("sent"),
            decision=decision,
        )

    def test_4_1_8_human_approves(self, is_async: bool) -> None:
        """A person sees the last candidate, and their approval lets it go on."""
        seen = self._human(is_async, {"type": "approve"})
        assert seen.order == ["writer", "writer", "sender"]
        assert seen.received("sender") == [WORSE]
        assert tally(seen.record, "writer").human == 1
        assert len(seen.runs) == 2

    def test_4_1_8_human_rejects(self, is_async: bool) -> None:
        """Their rejection ends the run in their words."""
        seen = self._human(is_async, {"type": "reject", "message": "not like this"})
        assert isinstance(seen.error, AttemptsExhaustedError)
        assert "not like this" in str(seen.error)
        assert seen.order == ["writer", "writer"]
