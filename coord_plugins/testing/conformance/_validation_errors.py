"""Rule 4.1.3: a validator that fails did not reject."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from ... import Handover, Retry, ValidatorError, check, judge
from ._suite import GOOD, Suite, counts, edge, goal_is, tally


class ValidatorErrors(Suite):
    """Rule 4.1.3."""

    def test_4_1_3_validator_is_retried_alone(self, is_async: bool) -> None:
        """A validator that fails once is asked again; the step is not, and no attempt is spent."""
        said: list[Any] = [RuntimeError("down"), True]
        asked: list[str] = []

        def shaky(output: str) -> Any:
            asked.append(output)
            answer = said.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        seen = self.run(is_async, steps={"writer": [GOOD]}, edges=[edge("writer", shaky)])
        assert asked == [GOOD, GOOD]
        assert counts(seen.record, "writer") == (1, 1, 0, 0, 0)

    def _failing(self, is_async: bool, on_error: Any) -> Any:
        def broken(output: str) -> bool:
            raise RuntimeError("down")

        validator = check(broken, on_error=on_error, retry=Retry(max_attempts=1))
        return self.run(
            is_async,
            steps={"writer": [GOOD], "sender": ["sent"]},
            spare={"desk": ["by hand"]},
            edges=[edge("writer", validator, max_attempts=2, otherwise="desk")],
            goal=goal_is("sent"),
        )

    def test_4_1_3_on_error_escalate(self, is_async: bool) -> None:
        """The default: the candidate goes to `otherwise`; that is no rejection."""
        seen = self._failing(is_async, "escalate")
        assert seen.order == ["writer", "desk", "sender"]
        assert counts(seen.record, "writer") == (1, 0, 0, 0, 1)
        assert seen.record.outcome == "escalated.unjudged"

    def test_4_1_3_on_error_raise(self, is_async: bool) -> None:
        """The run ends in the validator's error."""
        seen = self._failing(is_async, "raise")
        assert isinstance(seen.error, ValidatorError)
        assert seen.error.name == "broken"
        assert seen.order == ["writer"]
        assert counts(seen.record, "writer") == (1, 0, 0, 0, 1)
        assert seen.record.outcome == "error.crash"

    def test_4_1_3_on_error_pass(self, is_async: bool) -> None:
        """The candidate goes on."""
        seen = self._failing(is_async, "pass")
        assert seen.order == ["writer", "sender"]
        assert counts(seen.record, "writer") == (1, 1, 0, 0, 0)
        assert tally(seen.record, "writer").validators["broken"][:4] == [1, 0, 0, 1]

    def test_4_1_3_on_error_reject(self, is_async: bool) -> None:
        """It counts as a rejection, with the error's words."""
        seen = self._failing(is_async, "reject")
        assert seen.order == ["writer", "writer", "desk", "sender"]
        assert counts(seen.record, "writer") == (2, 0, 1, 1, 0)
        assert seen.feedback("writer") == [None, "RuntimeError: down"]

    def test_4_1_3_nonsense_is_an_error(self, is_async: bool) -> None:
        """None and other nonsense are a validator's error, never a rejection and never a pass."""
        answers: tuple[Any, ...] = (None, 1, "yes", {})
        for nonsense in answers:
            asked: list[Any] = []

            def vague(output: str, answer: Any = nonsense, asked: list[Any] = asked) -> Any:
                asked.append(output)
                return answer

            seen = self.run(is_async, steps={"writer": [GOOD]}, edges=[edge("writer", vague)])
            assert counts(seen.record, "writer") == (1, 0, 0, 0, 1), nonsense
            assert isinstance(seen.error, ValidatorError), nonsense
            assert len(asked) == 2, nonsense

    def test_4_1_3_timeout(self, is_async: bool) -> None:
        """A judge that does not answer in time failed; it did not reject."""
        release = threading.Event()

        def slow(output: str) -> bool:
            return release.wait(2)

        try:
            seen = self.run(
                is_async,
                steps={"writer": [GOOD]},
                edges=[edge("writer", judge(slow, timeout=0.01, retry=Retry(max_attempts=1)))],
            )
        finally:
            release.set()
        assert counts(seen.record, "writer") == (1, 0, 0, 0, 1)
        assert isinstance(seen.error, ValidatorError)
        assert tally(seen.record, "writer").validators["slow"][:4] == [1, 0, 0, 1]

    def test_4_1_3_judge_runs_beside_the_loop(self, is_async: bool) -> None:
        """On an event loop a synchronous judge runs in a thread; a code check runs inline."""
        threads: dict[str, int] = {}

        def model(output: str, ctx: Handover) -> bool:
            threads["judge"] = threading.get_ident()
            return True

        def code(output: str) -> bool:
            threads["code"] = threading.get_ident()
            threads["loop"] = int(_on_a_loop())
            return True

        seen = self.run(
            is_async, steps={"writer": [GOOD]}, edges=[edge("writer", judge(model), code)]
        )
        assert counts(seen.record, "writer") == (1, 1, 0, 0, 0)
        assert (threads["judge"] != threads["code"]) == is_async
        assert threads["loop"] == is_async


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
