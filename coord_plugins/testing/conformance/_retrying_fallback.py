"""Rules 4.2.4 and 4.2.5: fallbacks, breaker, throttle and the idempotency key."""

from __future__ import annotations

from ... import Breaker, CircuitOpenError, Retry, Throttle
from ..._retry import _allowances
from .._script import Act, Script
from ._case import Killed
from ._retrying import StatusError
from ._suite import BAD, GOOD, Suite, counts, edge, goal_is, tally


class Fallbacks(Suite):
    """Rules 4.2.4 and 4.2.5."""

    # ------------------------------------------------------------------ 4.2.4

    def test_4_2_4_fallback_step(self, is_async: bool) -> None:
        """When the tries are spent a step stands in; its output is judged like any other."""
        seen = self.run(
            is_async,
            steps={"reader": ["facts"], "writer": [TimeoutError()], "sender": ["sent"]},
            spare={"plain_writer": [GOOD]},
            edges=[edge("writer")],
            retry={"writer": Retry(max_attempts=2, jitter=False, fallbacks=["plain_writer"])},
            goal=goal_is("sent"),
        )
        assert seen.order == ["reader", "writer", "writer", "plain_writer", "sender"]
        assert seen.received("sender") == [GOOD]
        assert counts(seen.record, "writer") == (3, 1, 0, 0, 0)
        assert tally(seen.record, "writer").fallbacks == 1
        assert seen.record.outcome == "success.fallback"

    def test_4_2_4_fallback_callable(self, is_async: bool) -> None:
        """A callable like the step; each fallback has its own tries, in order."""
        backup = Script([TimeoutError(), TimeoutError()], "backup")
        last = Script([TimeoutError(), GOOD], "last")
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError()]},
            retry=Retry(max_attempts=2, jitter=False, fallbacks=[backup, last]),
            goal=goal_is(GOOD),
        )
        assert seen.order == ["writer", "writer", "backup", "backup", "last", "last"]
        assert seen.output == GOOD
        assert tally(seen.record, "writer").fallbacks == 2
        assert seen.record.outcome == "success.fallback"

    def test_4_2_4_a_fallback_is_a_candidate(self, is_async: bool) -> None:
        """Its output is judged; the next candidate is the step's own again."""
        backup = Script([BAD], "backup")
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError(), GOOD]},
            edges=[edge("writer")],
            retry=Retry(max_attempts=1, fallbacks=[backup]),
            goal=goal_is(GOOD),
        )
        assert seen.order == ["writer", "backup", "writer"]
        assert counts(seen.record, "writer") == (3, 1, 1, 0, 0)

    def test_4_2_4_refused_calls_fall_back_at_once(self, is_async: bool) -> None:
        """A 401 is fatal here and may succeed at another vendor; a bug does not fall back."""
        backup = Script([GOOD], "backup")
        seen = self.run(
            is_async,
            steps={"writer": [StatusError(401)]},
            retry=Retry(max_attempts=3, fallbacks=[backup]),
        )
        assert seen.order == ["writer", "backup"]
        seen = self.run(
            is_async,
            steps={"writer": [KeyError("x")]},
            retry=Retry(max_attempts=3, fallbacks=[Script([GOOD], "backup")]),
        )
        assert seen.order == ["writer"]

    def test_4_2_4_breaker(self, is_async: bool) -> None:
        """Open after so many failures in a row; one probe after the cooldown closes it."""
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError(), TimeoutError(), GOOD]},
            retry=Retry(max_attempts=1, breaker=Breaker(failures=2, cooldown=60.0)),
            inputs=["1", "2", "3"],
        )
        kinds = [type(r.error) for r in seen.runs]
        assert kinds == [TimeoutError, TimeoutError, CircuitOpenError]
        assert seen.executions("writer") == 2

    def test_4_2_4_breaker_probe(self, is_async: bool) -> None:
        """A failed probe opens the circuit again; a good one closes it."""
        steps = [TimeoutError(), Act(seconds=0.0, then=TimeoutError()), GOOD, GOOD]
        seen = self.run(
            is_async,
            steps={"waiter": [Act(then="ok", seconds=61.0)], "writer": steps},
            retry={"writer": Retry(max_attempts=1, breaker=Breaker(failures=1, cooldown=60.0))},
            inputs=["1", "2", "3", "4"],
        )
        assert [type(r.error) for r in seen.runs] == [
            TimeoutError,
            TimeoutError,
            type(None),
            type(None),
        ]
        assert seen.executions("writer") == 4

    def test_4_2_4_throttle(self, is_async: bool) -> None:
        """Retries are a share of first attempts, once the saved ones are used up."""
        key = f"conformance-{is_async}"
        _allowances.pop(key, None)
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError()]},
            retry=Retry(
                max_attempts=2, jitter=False, throttle=Throttle(share=0.5, burst=1.0, key=key)
            ),
            inputs=["1", "2", "3", "4", "5"],
        )
        found = [r.record for r in seen.runs if r.record is not None]
        assert [tally(r, "writer").executions for r in found] == [2, 1, 2, 1, 2]

    # ------------------------------------------------------------------ 4.2.5

    def test_4_2_5_idempotency_key(self, is_async: bool) -> None:
        """Stable across retries of one execution, new for each candidate and each run."""
        seen = self.run(
            is_async,
            steps={"writer": [TimeoutError(), BAD, TimeoutError(), GOOD, GOOD]},
            edges=[edge("writer")],
            retry=Retry(max_attempts=2, jitter=False),
            inputs=["1", "2"],
        )
        first, again, second, again_second, other = seen.keys("writer")
        assert first == again
        assert second == again_second
        assert len({first, second, other}) == 3
        assert None not in (first, second, other)

    def test_4_2_5_stable_across_a_resume(self, is_async: bool) -> None:
        """The execution that died and its repeat in another process have one key."""
        seen = self.resume(
            is_async,
            steps={"reader": ["facts"], "writer": [BAD, Killed(), BAD, GOOD]},
            edges=[edge("writer", max_attempts=2)],
        )
        keys = seen.keys("writer")
        assert keys[0] == keys[2]
        assert keys[1] == keys[3]
        assert len(set(keys)) == 2
