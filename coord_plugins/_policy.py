"""`Policy`: everything that was given to one `attach`, checked and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ._budget import Budget
from ._call import bind
from ._edge import HUMAN, START, STOP, ValidationEdge, step_name
from ._mode import Mode, check_mode
from ._retry import Retry, as_retry
from ._validators import Validator, as_validator
from .errors import PolicyError, UnknownStepError

LATER: Final = "__later__"
"""`goal=LATER`: the label comes from outside, by `record_outcome`."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host can do, and how it speaks; each adapter declares one."""

    name: str
    """For messages and reports, for example "langgraph"."""
    control_flow: tuple[type[BaseException], ...] = ()
    """The host's own control-flow exceptions: they always pass through untouched."""
    buffers_stream: bool = False
    """Whether `stream="hold"` can hold tokens back."""
    earlier_step: bool = True
    """Whether a rejection can go back to an earlier step."""
    human: bool = False
    """Whether `otherwise=HUMAN` works."""
    host_totals_complete: bool = False
    """Whether the host's own token totals may be trusted."""
    traces_itself: bool = False
    """Whether the host's own LangSmith tracing makes a root run per run and a run per step."""
    models: tuple[type, ...] = ()
    """Classes of model objects that the host can use as fallbacks."""


PLAIN = Host(name="python")
"""Plain Python: decorated functions inside `track`."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One pipeline's validation, retry, budget and goal; the same object on every host."""

    pipeline: str
    edges: Mapping[str, ValidationEdge] = field(default_factory=dict)
    retry: Mapping[str, Retry | None] = field(default_factory=dict)
    budget: Budget | None = None
    goal: Validator | None = None
    goal_later: bool = False
    label: Callable[[Any, str], bool | None] | None = None
    task: str | Callable[[Any], Any] | None = None
    output: str | Callable[[Any], Any] | None = None
    mode: Mode | None = None
    store: Any = None
    listeners: tuple[Any, ...] = ()
    prices: Any = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def retry_of(self, step: str) -> Retry | None:
        """The step's retry: its own entry, else that of "*"."""
        retry = self.retry
        return retry[step] if step in retry else retry.get("*")

    @property
    def policy_id(self) -> str:
        """Twelve hexadecimal digits over edges, validators with versions, retry and goal."""
        edges = [
            [e.step, [_named(v) for v in e.validators], e.back_to, e.max_attempts, e.otherwise]
            for e in sorted(self.edges.values(), key=lambda e: e.step)
        ]
        retries = [[step, _plain(r)] for step, r in sorted(self.retry.items())]
        goal = _named(self.goal) if self.goal else ["later"] if self.goal_later else None
        text = json.dumps([edges, retries, goal], default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def goal_id(self) -> str | None:
        """The goal's name and version: outcomes of two goals are not comparable."""
        return ":".join(_named(self.goal)[:2]) if self.goal else None

    def async_validators(self) -> list[str]:
        """Names of validators (and the goal) that only an async host can run."""
        chain = [v for e in self.edges.values() for v in e.validators]
        chain += [self.goal] if self.goal and self.goal.kind != "llm" else []
        return [v.name for v in chain if v.binding.is_async]

    def wants_outputs(self) -> bool:
        """Whether some validator looks at earlier outputs, so that a resume must keep them."""
        chain = [v for e in self.edges.values() for v in e.validators]
        return any(v.binding.ctx for v in [*chain, *([self.goal] if self.goal else [])])

    @property
    def stand_ins(self) -> set[str]:
        """The steps that only stand in for another; hosts leave them out of the normal order."""
        found: set[Any] = {e.otherwise for e in self.edges.values()}
        found |= {f for r in self.retry.values() if r for f in r.fallbacks if isinstance(f, str)}
        if self.budget is not None:
            found.add(self.budget.otherwise)
        return {name for name in found if name not in (None, STOP, HUMAN)}

    def renamed(self, name_of: Callable[[str], str]) -> Policy:
        """The same policy where a host knows a step by more than one name.

        Args:
            name_of: The name that records use, given any name that a user may have written.
        """

        def other(retry: Retry | None) -> Retry | None:
            if retry is None or not retry.fallbacks:
                return retry
            named = [name_of(f) if isinstance(f, str) else f for f in retry.fallbacks]
            return replace(retry, fallbacks=named)

        edges = [edge.renamed(name_of) for edge in self.edges.values()]
        budget = self.budget
        if budget is not None and budget.otherwise is not None:
            budget = replace(budget, otherwise=name_of(budget.otherwise))
        retry = {s if s == "*" else name_of(s): other(r) for s, r in self.retry.items()}
        return replace(self, edges=_by_step(edges), retry=retry, budget=budget)

    def check_steps(self, steps: Iterable[str], host: Host) -> None:
        """Check every step that the policy names against the host's steps.

        Raises:
            UnknownStepError: A name that the pipeline does not have.
            PolicyError: Something that this host cannot do; the message says what it can.
        """
        known = set(steps)
        for edge in self.edges.values():
            where = f"edge {edge.step!r}"
            _known(edge.step, known, where)
            for target in edge.back_to:
                if target != START:
                    _known(target, known, f"{where}: back_to")
                if target != edge.step and not host.earlier_step:
                    raise PolicyError(f"{where}: {host.name} can only loop back in place")
            if edge.otherwise == HUMAN and not host.human:
                raise PolicyError(
                    f"{where}: {host.name} cannot hand over to a person (otherwise=HUMAN); "
                    "name a step that stands in, or STOP"
                )
            if edge.otherwise not in (None, HUMAN, STOP):
                _known(str(edge.otherwise), known, f"{where}: otherwise")
        for step, retry in self.retry.items():
            if step != "*":
                _known(step, known, "retry")
            for fallback in retry.fallbacks if retry else ():
                _check_fallback(step, fallback, known, host)
        if self.budget and self.budget.otherwise not in (None, STOP):
            _known(str(self.budget.otherwise), known, "budget: otherwise")


def _check_fallback(step: str, fallback: Any, known: set[str], host: Host) -> None:
    where = f"retry of {step!r}"
    if isinstance(fallback, str):
        _known(fallback, known, f"{where}: fallbacks")
    elif not (callable(fallback) or isinstance(fallback, host.models)):
        models = " or a model object" if host.models else ""
        raise PolicyError(
            f"{where}: {host.name} cannot use the fallback {fallback!r}; it takes a step's name "
            f"or a callable like the step{models}"
        )


def _known(name: str, known: set[str], where: str) -> None:
    if name not in known:
        raise UnknownStepError(name, known, where)


def _named(validator: Validator) -> list[str]:
    return [validator.name, validator.version, validator.kind, validator.on_error]


def _plain(retry: Retry | None) -> Any:
    if retry is None:
        return None
    return [retry.max_attempts, retry.max_elapsed, len(retry.fallbacks), retry.breaker is not None]


def make_policy(
    *edges: ValidationEdge,
    pipeline: str,
    goal: Any = None,
    retry: Any = None,
    budget: Budget | None = None,
    label: Callable[[Any, str], bool | None] | None = None,
    task: str | Callable[[Any], Any] | None = None,
    output: str | Callable[[Any], Any] | None = None,
    mode: Mode | None = None,
    store: Any = None,
    listeners: Iterable[Any] = (),
    prices: Any = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Policy:
    """Check `attach`'s arguments and freeze them.

    Raises:
        PolicyError: Something in them cannot hold; the message names it and the mend.
    """
    if not isinstance(pipeline, str) or not pipeline:
        raise PolicyError(f"attach: pipeline={pipeline!r}; give the pipeline a name")
    by_step = _by_step(edges)
    if budget is not None and not isinstance(budget, Budget):
        raise PolicyError(f"attach: budget={budget!r} is no Budget")
    if label is not None:
        _check_label(label)
    check_mode(mode, "attach")
    listeners = tuple(listeners)
    for listener in listeners:
        if not hasattr(listener, "on_event"):
            raise PolicyError(f"attach: listener {listener!r} has no method on_event(event)")
    return Policy(
        pipeline=pipeline,
        edges=by_step,
        retry=_retries(retry),
        budget=budget,
        goal=None if goal is None or goal == LATER else as_validator(goal),
        goal_later=isinstance(goal, str) and goal == LATER,
        label=label,
        task=task,
        output=output,
        mode=mode,
        store=store,
        listeners=listeners,
        prices=prices,
        tags=tuple(tags),
        metadata=dict(metadata or {}),
    )


def _by_step(edges: Iterable[ValidationEdge]) -> dict[str, ValidationEdge]:
    by_step: dict[str, ValidationEdge] = {}
    for edge in edges:
        if not isinstance(edge, ValidationEdge):
            raise PolicyError(f"attach: {edge!r} is no ValidationEdge")
        if edge.step in by_step:
            raise PolicyError(f"attach: two edges for step {edge.step!r}; join their validators")
        by_step[edge.step] = edge
    return by_step


def _check_label(label: Any) -> None:
    if not callable(label):
        raise PolicyError(f"attach: label={label!r} is not callable; it is f(value, step)")
    import inspect

    try:
        inspect.signature(label).bind(None, "step")
    except TypeError as error:
        raise PolicyError(f"attach: label is called as label(value, step): {error}") from None
    except ValueError:  # a builtin without a signature
        bind(label, "label")


def _retries(retry: Any) -> dict[str, Retry | None]:
    if retry is None:
        return {}
    if isinstance(retry, Mapping):
        named = {step_name(step, "retry: a step"): r for step, r in retry.items()}
        return {step: as_retry(r, f"retry of {step!r}") for step, r in named.items()}
    return {"*": as_retry(retry, "retry")}
