"""Rules 4.1.1 and 4.1.2: how candidates are judged, and how a validator is called."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from ... import (
    AsyncValidatorError,
    Handover,
    Verdict,
    from_evaluator,
    schema,
)
from ._suite import BAD, GOOD, WORSE, Suite, counts, edge, tally, text_of


class Reply(BaseModel):
    """What a schema in the suite asks for."""

    amount: int


class Validation(Suite):
    """Rules 4.1.1 and 4.1.2."""

    # ------------------------------------------------------------------ 4.1.1

    def test_4_1_1_chain(self, is_async: bool) -> None:
        """All validators judge every candidate, in order, again after each regeneration."""
        asked: list[tuple[str, str]] = []

        def no_bad(output: str) -> bool:
            asked.append(("first", output))
            return output != BAD

        def no_worse(output: str) -> bool:
            asked.append(("second", output))
            return output != WORSE

        seen = self.run(
            is_async,
            steps={"writer": [BAD, WORSE, GOOD]},
            edges=[edge("writer", no_bad, no_worse, max_attempts=3)],
        )
        drafts = [BAD, WORSE, GOOD]
        assert asked == [(who, d) for d in drafts for who in ("first", "second")]
        assert counts(seen.record, "writer") == (3, 1, 2, 0, 0)
        assert tally(seen.record, "writer").validators["no_bad"][:4] == [3, 2, 1, 0]
        assert tally(seen.record, "writer").validators["no_worse"][:4] == [3, 2, 1, 0]

    def test_4_1_1_failing_schema_ends_the_chain(self, is_async: bool) -> None:
        """What does not fit the schema is shown to no later validator; its parsed value is."""
        asked: list[Any] = []

        def positive(reply: Reply) -> bool:
            asked.append(reply)
            return reply.amount > 0

        seen = self.run(
            is_async,
            steps={"writer": ['{"amount": "many"}', '{"amount": 7}']},
            edges=[edge("writer", schema(Reply), positive)],
        )
        assert asked == [Reply(amount=7)]
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)

    def test_4_1_1_parsed_value_goes_on(self, is_async: bool) -> None:
        """The later step works on the parsed value."""
        seen = self.run(
            is_async,
            steps={"writer": ['{"amount": 7}'], "sender": ["sent"]},
            edges=[edge("writer", schema(Reply))],
        )
        assert seen.received("sender") == [Reply(amount=7)]

    # ------------------------------------------------------------------ 4.1.2

    def test_4_1_2_call(self, is_async: bool) -> None:
        """A bool, a Verdict, (bool, words); AssertionError and ValueError say no in words."""

        def asserts(output: str) -> bool:
            if "1" in output:
                raise AssertionError("no 1")
            return True

        def raises(output: str) -> bool:
            if "2" in output:
                raise ValueError("no 2")
            return True

        def pair(output: str) -> tuple[bool, str]:
            return "3" not in output, "no 3"

        def verdict(output: str) -> Verdict:
            return Verdict(passed="4" not in output, explanation="no 4", score=0.5)

        def validation_error(output: str) -> bool:
            if "5" in output:
                Reply.model_validate({"amount": "five"})
            return True

        seen = self.run(
            is_async,
            steps={"writer": ["draft 1", "draft 2", "draft 3", "draft 4", "draft 5", "draft"]},
            edges=[
                edge("writer", asserts, raises, pair, verdict, validation_error, max_attempts=6)
            ],
        )
        assert counts(seen.record, "writer") == (6, 1, 5, 0, 0)
        told = seen.feedback("writer")
        assert told[:5] == [None, "no 1", "no 2", "no 3", "no 4"]
        assert "amount" in str(told[5])

    def test_4_1_2_inputs_and_ctx(self, is_async: bool) -> None:
        """`inputs` is the run's input, `ctx` knows the accepted outputs and the attempt."""
        seen_ctx: list[Handover] = []
        seen_inputs: list[Any] = []

        def knows(output: str, inputs: Any, ctx: Handover) -> bool:
            seen_inputs.append(inputs)
            seen_ctx.append(ctx)
            return output == GOOD

        seen = self.run(
            is_async,
            steps={"reader": ["facts"], "writer": [BAD, GOOD]},
            edges=[edge("writer", knows)],
            inputs=["ticket 1"],
            settings={"metadata": {"tenant": "a"}},
        )
        assert [c.attempt for c in seen_ctx] == [1, 2]
        assert {c.step for c in seen_ctx} == {"writer"}
        assert {c.run_id for c in seen_ctx} == {seen.record.run_id}
        assert [text_of(c.outputs["reader"], "reader") for c in seen_ctx] == ["facts"] * 2
        assert [c.metadata["tenant"] for c in seen_ctx] == ["a", "a"]
        assert all("ticket 1" in str(i) for i in seen_inputs)
        assert len(seen_inputs) == 2

    def test_4_1_2_selection(self, is_async: bool) -> None:
        """`of` takes a key or attribute, the whole output elsewhere, or what a callable says."""
        asked: list[Any] = []

        def looks(output: Any) -> bool:
            asked.append(output)
            return True

        self.run(
            is_async,
            steps={"writer": [GOOD], "sender": ["sent"]},
            edges=[
                edge("writer", looks, of=lambda o: text_of(o, "writer").upper()),
                edge("sender", looks, of="no such key"),
            ],
        )
        assert asked[0] == GOOD.upper()
        assert text_of(asked[1], "sender") == "sent"

    def test_4_1_2_goal(self, is_async: bool) -> None:
        """The goal is called the same way, with the run's final output."""
        asked: list[tuple[Any, Any, str]] = []

        def goal(output: Any, inputs: Any, ctx: Handover) -> tuple[bool, str]:
            asked.append((output, inputs, ctx.step))
            return False, "not sent"

        seen = self.run(
            is_async, steps={"writer": [GOOD], "sender": ["sent"]}, goal=goal, inputs=["ticket 1"]
        )
        assert [(a[0], a[2]) for a in asked] == [("sent", "")]
        assert "ticket 1" in str(asked[0][1])
        assert (seen.record.passed, seen.record.explanation) == (False, "not sent")

    def test_4_1_2_async_validator(self, is_async: bool) -> None:
        """An async validator works on an event loop; a synchronous call refuses it by name."""

        async def asks(output: str) -> bool:
            await asyncio.sleep(0)
            return is_fine_text(output)

        seen = self.run(is_async, steps={"writer": [BAD, GOOD]}, edges=[edge("writer", asks)])
        if is_async:
            assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)
        else:
            assert isinstance(seen.error, AsyncValidatorError)
            assert "'asks'" in str(seen.error)
            assert seen.executions("writer") == 0

    def test_4_1_2_from_evaluator(self, is_async: bool) -> None:
        """An evaluator of LangSmith's or openevals' kind judges by its score."""

        def helpful(*, outputs: Any) -> dict[str, Any]:
            return {"key": "helpful", "score": 0.9 if outputs == GOOD else 0.2, "comment": "dull"}

        seen = self.run(
            is_async,
            steps={"writer": [BAD, GOOD]},
            edges=[edge("writer", from_evaluator(helpful, 0.5))],
        )
        assert counts(seen.record, "writer") == (2, 1, 1, 0, 0)
        assert seen.feedback("writer") == [None, "dull"]


def is_fine_text(output: str) -> bool:
    """As the suite's validator `fine`."""
    return "bad" not in output
