"""Whatever may serve as a goal in an evaluation, asked in one way that fails closed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from langsmith.evaluation import RunEvaluator
from langsmith.schemas import Example

from coord_plugins import Handover, PolicyError, Validator, ValidatorError, Verdict, check, host

from ._asking import Ask, Reply, Work

Value = Literal["success", "failure", "error", "goal_error"]
"""What became of one run: the goal was met, was missed, the target raised, the goal failed."""
VALUES: tuple[Value, ...] = ("success", "failure", "error", "goal_error")

_EVALUATOR = ("run", "example", "outputs")
"""A parameter of one of these names makes a callable an evaluator of LangSmith's kind."""
_REJECTS = (AssertionError, ValueError)
"""What a goal of ours raises to say no, as everywhere in the library."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One finished run of the target."""

    run: Any
    """LangSmith's run: `id`, `outputs`, `error`."""
    example: Example | None
    """What it ran on."""
    repetition: int = 0
    """Which run of this example it is, from 0."""
    output: Any = None
    """What the goal sees of the outputs."""

    @property
    def inputs(self) -> Any:
        """The run's inputs."""
        return self.run.inputs if self.example is None else self.example.inputs or {}

    @property
    def reference_outputs(self) -> dict[str, Any]:
        """What the example says it should have been; empty where it says nothing."""
        return {} if self.example is None else self.example.outputs or {}

    def handover(self) -> Handover:
        """What a goal with a parameter `ctx` receives."""
        metadata = {"reference_outputs": self.reference_outputs, "repetition": self.repetition}
        return Handover(
            run_id=str(self.run.id),
            step="",
            attempt=0,
            inputs=self.inputs,
            input=self.inputs,
            outputs={},
            metadata=metadata,
        )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of one run of the target."""

    value: Value
    """Which of the four."""
    comment: str | None
    """Why; redacted and truncated."""
    repetition: int
    """Which run of its example it was, from 0."""

    @property
    def passed(self) -> bool:
        """Whether the goal was met; everything else is a failure."""
        return self.value == "success"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal with one way to call it and one way to read what it says."""

    name: str
    """How comments name it."""
    call: Callable[[Subject], Any]
    """Ask it."""
    read: Callable[[Any], Verdict]
    """Its answer as a verdict; raises `ValidatorError` for what is no judgement."""
    acall: Callable[[Subject], Any] | None = None
    """Ask it under an event loop, where that is another call."""
    rejects: tuple[type[Exception], ...] = ()
    """What it raises to say no."""
    tries: int = 1
    """How often it is asked when it fails."""


def judging(
    goal: Goal, subject: Subject, output: str | Callable[[Any], Any] | None
) -> Work[Judged]:
    """Judge one finished run. Whatever goes wrong is a failure that says what it was."""

    def said(value: Value, comment: str | None) -> Judged:
        return Judged(value=value, comment=host.clean(comment), repetition=subject.repetition)

    run = subject.run
    if run.error:
        return said("error", f"the target raised {str(run.error).splitlines()[0]}")
    picked = yield Ask("output", lambda: _pick(output, run.outputs or {}))
    if picked.error is not None:
        return said("goal_error", f"output= raised {_describe(picked.error)}")
    seen = Subject(
        run=run, example=subject.example, repetition=subject.repetition, output=picked.value
    )
    acall = goal.acall
    ask = Ask(
        f"the goal {goal.name!r}",
        lambda: goal.call(seen),
        None if acall is None else lambda: acall(seen),
    )
    wrong = ""
    for _ in range(goal.tries):
        reply = yield ask
        try:
            verdict = _verdict(goal, reply)
        except ValidatorError as error:
            wrong = error.reason
            continue
        return said("success" if verdict.passed else "failure", verdict.explanation)
    return said("goal_error", f"the goal {goal.name!r} failed: {wrong}")


def _verdict(goal: Goal, reply: Reply) -> Verdict:
    if reply.error is None:
        return goal.read(reply.value)
    if isinstance(reply.error, goal.rejects):
        return Verdict(passed=False, explanation=str(reply.error) or None)
    raise ValidatorError(goal.name, f"it raised {_describe(reply.error)}") from reply.error


def _pick(how: str | Callable[[Any], Any] | None, outputs: Any) -> Any:
    if how is None:
        return outputs
    return how(outputs) if callable(how) else host.get_field(outputs, how)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def as_goal(goal: Any, threshold: float) -> Goal:
    """Read once how a goal is called and what its answers mean.

    Args:
        goal: A `Validator`, an evaluator of LangSmith's kind (one of its `RunEvaluator`s, or a
            callable with a parameter `run`, `example` or `outputs`), or any callable of the
            output, with `inputs`, `reference_outputs` and `ctx` by name where it declares them.
        threshold: A score passes when it is at least this.

    Raises:
        PolicyError: It is not callable or requires other parameters.
    """
    if not math.isfinite(threshold):
        raise PolicyError(f"threshold={threshold!r}; it is a number")
    if isinstance(goal, Validator):
        return Goal(
            name=goal.name,
            call=lambda subject: goal.call(subject.output, subject.handover()),
            read=goal.verdict,
            rejects=_REJECTS,
            tries=goal.retry.max_attempts,
        )
    name = getattr(goal, "__name__", None) or type(goal).__name__

    def read(said: Any) -> Verdict:
        return _scored(name, said, threshold)

    if isinstance(goal, RunEvaluator):
        return Goal(
            name=name,
            call=lambda s: goal.evaluate_run(s.run, s.example),
            acall=lambda s: goal.aevaluate_run(s.run, s.example),
            read=read,
        )
    if not callable(goal):
        raise PolicyError(f"the goal is not callable: {goal!r}")
    call, is_evaluator = _binding(goal, name)
    return Goal(name=name, call=call, read=read, rejects=() if is_evaluator else _REJECTS)


def _binding(goal: Callable[..., Any], name: str) -> tuple[Callable[[Subject], Any], bool]:
    """How a bare callable is called, and whether it is an evaluator of LangSmith's kind."""
    try:
        parameters = inspect.signature(goal).parameters
    except (TypeError, ValueError):  # builtins without a signature take the output alone
        return (lambda s: goal(s.output)), False
    kinds = {p.kind for p in parameters.values()}
    any_name = inspect.Parameter.VAR_KEYWORD in kinds
    first = next((n for n, p in parameters.items() if p.kind in _POSITIONAL), None)
    is_evaluator = bool(set(_EVALUATOR) & set(parameters)) or (first is None and any_name)
    known = {"inputs", "reference_outputs", *(_EVALUATOR if is_evaluator else ("ctx",))}
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = {n for n, p in parameters.items() if p.default is p.empty and p.kind not in optional}
    extra = required - known - (set() if is_evaluator else {first})
    if extra or (first is None and not is_evaluator):
        wrong = f"requires {', '.join(sorted(map(str, extra)))}" if extra else "takes no output"
        raise PolicyError(
            f"the goal {name!r} has the wrong signature: it {wrong}; "
            "it is called as goal(output), with `inputs`, `reference_outputs` and `ctx` by name "
            "where it declares them, or, as LangSmith's evaluators, with `run`, `example`, "
            "`inputs`, `outputs` and `reference_outputs` by name"
        )
    if not is_evaluator:
        wanted = [n for n in parameters if n in known and n != first]
        return (lambda s: goal(s.output, **{n: _OFFERED[n](s) for n in wanted})), False
    named = known - {"run", "example"} if any_name else set()
    offered = [n for n in _OFFERED if n in known and (n in parameters or n in named)]
    return (lambda s: goal(**{n: _OFFERED[n](s) for n in offered})), True


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_OFFERED: dict[str, Callable[[Subject], Any]] = {
    "run": lambda s: s.run,
    "example": lambda s: s.example,
    "inputs": lambda s: s.inputs,
    "outputs": lambda s: s.output,
    "reference_outputs": lambda s: s.reference_outputs,
    "ctx": lambda s: s.handover(),
}
_READ = check(lambda output: output)
"""Reads the answers that a validator may give."""


def _scored(name: str, said: Any, threshold: float) -> Verdict:
    """Read an answer of any of the supported shapes; several results must all pass."""
    if isinstance(said, Mapping) and "results" in said:
        said = said["results"]
    if isinstance(said, list) and said:
        parts = [_scored(name, part, threshold) for part in said]
        return next((p for p in parts if not p.passed), parts[0])
    if isinstance(said, Mapping) or (hasattr(said, "score") and not isinstance(said, Verdict)):
        score, comment = host.get_field(said, "score"), host.get_field(said, "comment")
        inner = _scored(name, score, threshold)
        words = comment or host.get_field(said, "reasoning")
        return Verdict(passed=inner.passed, score=inner.score, explanation=words)
    if isinstance(said, Real) and not isinstance(said, bool) and math.isfinite(said):
        return Verdict(passed=float(said) >= threshold, score=float(said))
    try:
        return _READ.verdict(said)
    except ValidatorError:
        raise ValidatorError(
            name,
            f"it returned {said!r}; a goal returns True, False, a number, a Verdict, "
            "(bool, explanation) or a result with a score",
        ) from None
