"""Runs of ours below a root: steps, repeats and verdicts."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from typing import Any

from langsmith.run_helpers import set_tracing_parent
from langsmith.run_trees import RunTree

from coord_plugins.host import Accept, Again, Escalate, Fail, clean


class Child:
    """A run of ours under way; what is traced until it is closed stands under it."""

    __slots__ = ("_inside", "_payloads", "_run")

    def __init__(self, run: RunTree, *, payloads: bool) -> None:
        self._run = run
        self._payloads = payloads
        run.post()
        self._inside: AbstractContextManager[None] = set_tracing_parent(run)
        self._inside.__enter__()

    def close(self, result: Any, error: BaseException | None) -> None:
        """End it with what came of it."""
        leave(self._inside)
        outputs, failed = _said(result, error, payloads=self._payloads)
        if outputs.get("passed") is False:
            self._run.add_tags("validate:rejected")
        self._run.end(outputs=outputs, error=failed)
        self._run.patch()


def _said(
    result: Any, error: BaseException | None, *, payloads: bool
) -> tuple[dict[str, Any], str | None]:
    """The outputs and the error of a child run."""
    if error is not None:
        return {}, _text(error)
    if isinstance(result, Accept):
        return ({"output": result.value} if payloads else {}), None
    if isinstance(result, Again):
        return {
            "decision": "loop",
            "back_to": result.target,
            "feedback": clean(result.feedback),
        }, None
    if isinstance(result, Escalate):
        return {"decision": "escalate", "otherwise": result.otherwise}, _text(result.error)
    if isinstance(result, Fail):
        return {"decision": "fail"}, _text(result.error)
    if hasattr(result, "passed") and hasattr(result, "kind"):  # a Judgement
        said = {n: getattr(result, n) for n in ("passed", "score", "label")}
        said = {n: v for n, v in said.items() if v is not None}
        words = clean(result.explanation)
        return {**said, **({"explanation": words} if words else {})}, (
            f"the validator failed: {words}" if result.passed is None else None
        )
    return ({"output": result} if payloads and result is not None else {}), None


def _text(error: BaseException | None) -> str | None:
    return None if error is None else clean(f"{type(error).__name__}: {error}")


def leave(inside: AbstractContextManager[None]) -> None:
    with suppress(ValueError):  # another context than it was entered in: nothing was set there
        inside.__exit__(None, None, None)
