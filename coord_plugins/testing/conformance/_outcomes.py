"""Rule 4.3: exactly one outcome per run, and numbers that add up."""

from __future__ import annotations

from typing import Any

from ... import LATER, OUTCOMES, STOP, Budget, Retry, StepTally, check, judge
from .._script import Act
from ._case import Cancelled, Observed
from ._suite import BAD, GOOD, Suite, counts, edge, fine, goal_is, tally, text_of


def is_right(value: Any, step: str) -> bool | None:
    """A label: of the writer's outputs alone it is known whether they are right."""
    return "wrong" not in str(text_of(value, step)) if step == "writer" else None


class Outcomes(Suite):
    """Rule 4.3."""

    def _outcome(self, is_async: bool, script: list[Any], **case: Any) -> Observed:
        case.setdefault("goal", goal_is("sent"))
        seen = self.run(is_async, steps={"writer": script, "sender": ["sent"]}, **case)
        assert seen.record.outcome in OUTCOMES
        return seen

    def test_4_3_first_pass(self, is_async: bool) -> None:
        """The goal is met, and nothing happened."""
        seen = self._outcome(is_async, [GOOD], edges=[edge("writer")])
        assert seen.record.outcome == "success.first_pass"
        assert seen.record.lost_at is None
        assert (seen.record.source, seen.record.passed) == ("measured", True)

    def test_4_3_a_repair_is_no_event(self, is_async: bool) -> None:
        """A value that a verdict replaced leaves the run a first pass."""
        from ... import Verdict

        def trims(output: str) -> Verdict:
            return Verdict(passed=True, value=output.strip())

        seen = self._outcome(is_async, [" draft "], edges=[edge("writer", trims)])
        assert seen.record.outcome == "success.first_pass"
        assert seen.received("sender") == ["draft"]

    def test_4_3_rescued(self, is_async: bool) -> None:
        """A wrong candidate was rejected, and the goal is met."""
        seen = self._outcome(
            is_async, ["bad and wrong", GOOD], edges=[edge("writer")], settings={"label": is_right}
        )
        assert seen.record.outcome == "success.rescued"
        assert tally(seen.record, "writer").rejects_wrong == 1

    def test_4_3_false_alarm_survived(self, is_async: bool) -> None:
        """A right candidate was rejected, and the goal is met all the same."""
        seen = self._outcome(
            is_async, [BAD, GOOD], edges=[edge("writer")], settings={"label": is_right}
        )
        assert seen.record.outcome == "success.false_alarm_survived"
        assert tally(seen.record, "writer").rejects_right == 1

    def test_4_3_unjudged(self, is_async: bool) -> None:
        """Without labels nobody knows whether the rejection was right."""
        seen = self._outcome(is_async, [BAD, GOOD], edges=[edge("writer")])
        assert seen.record.outcome == "success.unjudged"

    def test_4_3_labels_never_steer(self, is_async: bool) -> None:
        """A label that says no changes nothing but the record."""
        seen = self._outcome(
            is_async, ["good but wrong"], edges=[edge("writer")], settings={"label": is_right}
        )
        assert seen.order == ["writer", "sender"]
        assert seen.record.outcome == "success.first_pass"
        assert tally(seen.record, "writer").accepted is False

    def test_4_3_fallback_and_crash_retried(self, is_async: bool) -> None:
        """What a delivered run had to survive, in the order of precedence."""
        retry = Retry(max_attempts=2, jitter=False)
        seen = self._outcome(is_async, [TimeoutError(), GOOD], retry=retry)
        assert seen.record.outcome == "success.crash_retried"
        retry = Retry(max_attempts=1, fallbacks=["desk"])
        seen = self._outcome(
            is_async, [TimeoutError()], retry={"writer": retry}, spare={"desk": [GOOD]}
        )
        assert seen.record.outcome == "success.fallback"

    def test_4_3_silent_failure(self, is_async: bool) -> None:
        """Delivered, but the goal says no."""
        seen = self._outcome(is_async, [GOOD], goal=goal_is("something else"))
        assert seen.record.outcome == "silent_failure.first_pass"
        assert seen.record.lost_at == "goal"
        seen = self._outcome(
            is_async, [BAD, GOOD], edges=[edge("writer")], goal=goal_is("something else")
        )
        assert seen.record.outcome == "silent_failure.after_retry"

    def test_4_3_lost_at_the_first_step_labelled_wrong(self, is_async: bool) -> None:
        """A label names the step that lost the run."""
        seen = self._outcome(
            is_async, ["wrong"], goal=goal_is("something else"), settings={"label": is_right}
        )
        assert seen.record.lost_at == "writer"

    def test_4_3_escalated(self, is_async: bool) -> None:
        """A spent edge makes the run escalated, whatever the goal says later."""
        spent = [edge("writer", otherwise="desk")]
        for script, outcome, label in (
            (["bad and wrong"], "escalated.justified", is_right),
            ([BAD], "escalated.needless", is_right),
            ([BAD], "escalated.unjudged", None),
        ):
            seen = self._outcome(
                is_async,
                script,
                edges=spent,
                spare={"desk": ["by hand"]},
                settings={"label": label},
            )
            assert seen.record.outcome == outcome
            assert counts(seen.record, "writer") == (2, 0, 1, 1, 0)

    def test_4_3_errors(self, is_async: bool) -> None:
        """crash, timeout, budget, cancelled."""
        for script, outcome in (
            ([KeyError("x")], "error.crash"),
            ([TimeoutError()], "error.timeout"),
            ([Cancelled()], "error.cancelled"),
        ):
            seen = self._outcome(is_async, script)
            assert seen.record.outcome == outcome
        seen = self._outcome(
            is_async, [Act(then=GOOD, cost_usd=1.0)], budget=Budget(max_cost_usd=0.5)
        )
        assert seen.record.outcome == "error.budget"
        seen = self._outcome(is_async, [KeyError("x")])
        assert seen.record.lost_at == "writer"

    def test_4_3_unlabelled(self, is_async: bool) -> None:
        """No goal, a goal from outside, a goal that returned None or raised."""

        def says_nothing(output: Any) -> None:
            return None

        def breaks(output: Any) -> bool:
            raise KeyError("x")

        for goal, failed in ((None, False), (LATER, False), (says_nothing, True), (breaks, True)):
            seen = self._outcome(is_async, [GOOD], goal=goal)
            assert seen.record.outcome == "unlabelled"
            assert (seen.record.goal_error is not None) == failed
            assert seen.error is None
            assert seen.record.lost_at is None

    def test_4_3_a_judge_goal_comes_later(self, is_async: bool) -> None:
        """The call returns first; the judge's word arrives as a late outcome."""
        from ... import OutcomeRecorded, flush
        from ._recording import Hearing

        def model(output: Any) -> bool:
            return bool(output == "sent")

        hearing = Hearing()
        seen = self._outcome(is_async, [GOOD], goal=judge(model), settings={"listeners": [hearing]})
        assert seen.record.outcome == "unlabelled"
        assert flush(10.0)
        late = [e for e in hearing.events if isinstance(e, OutcomeRecorded)]
        assert [(e.run_id, e.passed) for e in late] == [(seen.record.run_id, True)]

    def test_4_3_cost_split(self, is_async: bool) -> None:
        """Cost = first + retry + validation + fallback; first is the first that completed."""
        from ... import current_run

        def asks(output: str) -> bool:
            current_run().add_usage(input_tokens=1, output_tokens=1, cost_usd=0.5)
            return "bad" not in output

        script = [
            Act(then=TimeoutError(), cost_usd=1.0, tokens=1),
            Act(then=BAD, cost_usd=2.0, tokens=1),
            Act(then=GOOD, cost_usd=4.0, tokens=1),
        ]
        seen = self._outcome(
            is_async,
            script,
            edges=[edge("writer", judge(asks))],
            retry=Retry(max_attempts=2, jitter=False),
        )
        t = tally(seen.record, "writer")
        assert (t.cost_first + t.cost_retry, t.cost_validation, t.cost_fallback) == (7.0, 1.0, 0.0)
        assert t.cost_first == 2.0
        assert seen.record.cost == 8.0
        assert seen.record.tokens == 10

    def test_4_3_observe_changes_nothing(self, is_async: bool) -> None:
        """Observe judges and records what it would reject; off records nothing."""
        seen = self._outcome(is_async, [BAD], edges=[edge("writer")], settings={"mode": "observe"})
        assert seen.order == ["writer", "sender"]
        assert seen.received("sender") == [BAD]
        assert counts(seen.record, "writer") == (1, 1, 0, 0, 0)
        assert tally(seen.record, "writer").would_reject == 1
        assert seen.record.outcome == "success.first_pass"
        assert seen.record.would_stop is not None
        seen = self.run(
            is_async,
            steps={"writer": [BAD], "sender": ["sent"]},
            edges=[edge("writer")],
            settings={"mode": "off"},
        )
        assert seen.runs[-1].record is None
        assert (seen.output, seen.order) == ("sent", ["writer", "sender"])

    def test_4_3_observe_does_not_retry_or_stop(self, is_async: bool) -> None:
        """Under observe no retry, no budget and no `otherwise` acts."""
        settings = {"mode": "observe"}
        seen = self._outcome(
            is_async, [TimeoutError(), GOOD], retry=Retry(max_attempts=3), settings=settings
        )
        assert isinstance(seen.error, TimeoutError)
        assert seen.executions("writer") == 1
        seen = self._outcome(
            is_async, [GOOD], budget=Budget(max_attempts=1, otherwise=STOP), settings=settings
        )
        assert seen.order == ["writer", "sender"]

    def test_4_3_the_weakest_mode_wins(self, is_async: bool) -> None:
        """On attach, edge and validator."""
        observed = check(fine.fn, name="fine", mode="observe")
        for one, settings in (
            (edge("writer", mode="observe"), {}),
            (edge("writer", observed), {}),
            (edge("writer"), {"mode": "observe"}),
            (edge("writer", mode="observe"), {"mode": "enforce"}),
        ):
            seen = self._outcome(is_async, [BAD], edges=[one], settings=settings)
            assert seen.order == ["writer", "sender"]
            assert tally(seen.record, "writer").would_reject == 1
        seen = self._outcome(is_async, [BAD], edges=[edge("writer", mode="off")])
        assert tally(seen.record, "writer") == _unjudged(seen)

    def test_4_3_tasks_and_labels(self, is_async: bool) -> None:
        """Tags and metadata stand in the record; two runs have two ids and one policy."""
        seen = self._outcome(
            is_async,
            [GOOD],
            inputs=["1", "2"],
            settings={"tags": ["nightly"], "metadata": {"tenant": "a"}},
        )
        found = [r.record for r in seen.runs if r.record is not None]
        assert [r.tags[-1] for r in found] == ["nightly", "nightly"]
        assert [r.metadata["tenant"] for r in found] == ["a", "a"]
        assert len({r.run_id for r in found}) == 2
        assert len({r.policy_id for r in found}) == 1


def _unjudged(seen: Observed) -> StepTally:
    """The tally of one execution that nobody judged."""
    found = tally(seen.record, "writer")
    return StepTally(executions=1, completed=1, duration=found.duration, first_ok=True)
