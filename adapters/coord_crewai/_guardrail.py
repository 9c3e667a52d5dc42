"""`guardrail`: a CrewAI guardrail as a validator of an edge."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from inspect import iscoroutinefunction
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.tasks.llm_guardrail import LLMGuardrail
from crewai.tasks.task_output import TaskOutput

from coord_plugins import PolicyError, Validator, Verdict, check, judge

candidate: ContextVar[TaskOutput | None] = ContextVar("coord_crewai_candidate", default=None)
"""The task's output that is being judged."""
_FAILED = "Error while validating the task output: "


def guardrail(
    fn: Callable[..., Any] | str, *, llm: BaseLLM | None = None, name: str | None = None
) -> Validator:
    """Use a CrewAI guardrail as a validator.

    As a validator it judges every candidate (CrewAI asks the first of several guardrails only
    once), its words reach the task with the earlier tasks' context, and it can send a rejection
    back to an earlier task.

    Args:
        fn: A guardrail function, `TaskOutput -> (bool, result)`, also an async one; or a text,
            which `llm` judges by as in CrewAI's own `LLMGuardrail`.
        llm: The model that judges by a text.
        name: The validator's name; default the function's, or "guardrail".

    Returns:
        A validator. `(True, result)` passes, and a result that differs from the output takes its
        place; `(False, words)` rejects. What the model's own failure makes of a judgement is a
        validator error and not a rejection.

    Raises:
        PolicyError: A text without a model, or a function with one.
    """
    if isinstance(fn, str):
        if llm is None:
            raise PolicyError(f"guardrail({fn!r}): a text needs a model to judge by it; give llm=")
        return judge(_called(LLMGuardrail(fn, llm)), name=name or "guardrail")
    if not callable(fn):
        raise PolicyError(f"guardrail({fn!r}): it is neither a function nor a text")
    if llm is not None:
        raise PolicyError("guardrail: a function judges without llm=")
    kind = judge if isinstance(fn, LLMGuardrail) else check
    return kind(_called(fn), name=name or getattr(fn, "__name__", "guardrail"))


def _called(fn: Callable[..., Any]) -> Callable[[Any], Any]:
    def guarded(output: Any) -> Any:
        found = candidate.get() or _as_task_output(output)
        return _verdict(fn(found), found)

    async def awaited(output: Any) -> Any:
        found = candidate.get() or _as_task_output(output)
        return _verdict(await fn(found), found)

    return awaited if iscoroutinefunction(fn) else guarded


def _verdict(said: Any, output: TaskOutput) -> Any:
    """CrewAI's pair as a verdict; anything else is left for the core to refuse."""
    if not isinstance(said, tuple) or len(said) != 2 or not isinstance(said[0], bool):
        return said
    passed, result = said
    if not passed:
        words = str(result)
        if words.startswith(_FAILED):
            raise RuntimeError(words)
        return Verdict(passed=False, explanation=words)
    unchanged = result is None or result is output or result == output.raw
    return Verdict(passed=True, value=None if unchanged else result)


def _as_task_output(output: Any) -> TaskOutput:
    """What a guardrail sees where no CrewAI task is being judged."""
    text = output if isinstance(output, str) else str(output)
    return TaskOutput(description="", agent="", raw=text)
