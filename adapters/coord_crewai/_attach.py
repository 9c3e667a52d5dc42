"""`attach`: put a policy on a crew or a flow; its own object carries it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from crewai import Crew
from crewai.flow.async_feedback.types import HumanFeedbackPending
from crewai.flow.flow import Flow
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import BaseLLM

from coord_plugins import (
    AlreadyAttachedError,
    Budget,
    CoordWarning,
    PolicyError,
    ValidationEdge,
)
from coord_plugins.host import Coord, Host, Policy, is_attached, make_policy

from ._checkpoint import watch
from ._findings import check, findings
from ._install import install_crew, install_flow, remove_crew, remove_flow
from ._names import canonical, names_of
from ._private import assert_shape

# From here on, not only from the first attach: who restores a crew and forgets to attach it has
# this module, as a rule.
watch()

HOST = Host(
    name="crewai",
    control_flow=(HookAborted, HumanFeedbackPending),
    buffers_stream=True,
    earlier_step=True,
    models=(BaseLLM,),
)


def attach(
    host: Any,
    *edges: ValidationEdge,
    pipeline: str,
    goal: Any = None,
    retry: Any = None,
    budget: Budget | None = None,
    label: Callable[[Any, str], bool | None] | None = None,
    task: str | Callable[[Any], Any] | None = None,
    output: str | Callable[[Any], Any] | None = None,
    mode: Any = None,
    store: Any = None,
    listeners: Iterable[Any] = (),
    prices: Any = None,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """Attach validation edges, retries and an end-to-end outcome to a crew or a flow.

    Args:
        host: A `Crew` (also what a `@crew` method returns) or a `Flow`. The object itself is
            attached, so that call sites that hold it stay as they are.
        *edges: At most one per task. A task is named by its name, by the `Task` object, or by its
            place: "tasks[2]". A flow has none: its methods take the decorators, its crews edges.
        pipeline: The pipeline's name in records and reports.
        goal: A validator of the final output (`.pydantic`, else `.json_dict`, else `.raw`), or
            LATER.
        retry: A `Retry` for every task, or a mapping of tasks ("*": all others) to `Retry` or
            None. Its fallbacks are tasks, callables `f(context)` or CrewAI's model objects.
        budget: Limits of one run.
        label: `f(value, step) -> bool or None`: whether an output was right; recorded only.
        task: A key of the inputs, or `callable(inputs)`: what a run is to get done.
        output: A key or attribute of the final output, or a callable: what the goal sees.
        mode: "enforce", "observe" or "off".
        store: Where records go; default see `configure`.
        listeners: Hear this pipeline's events.
        prices: US dollars per model call, see `coord_plugins.configure`.
        tags: Labels of every run.
        metadata: Keys and values of every run.

    Returns:
        The same object, with `.coord`. `kickoff` and all its forms work as before.

    Raises:
        PolicyError: The policy cannot hold on this crew; the message names the thing and the
            mend.
        AlreadyAttachedError: The object carries another policy.
        UnsupportedHostError: This CrewAI has changed a part that the adapter relies on.
    """
    policy = make_policy(
        *edges,
        pipeline=pipeline,
        goal=goal,
        retry=retry,
        budget=budget,
        label=label,
        task=task,
        output=output,
        mode=mode,
        store=store,
        listeners=listeners,
        prices=prices,
        tags=tags,
        metadata=metadata,
    )
    if isinstance(host, Flow):
        found = _flow(host, policy)
    else:
        found = _crew(host, policy)
    for finding in found:
        warnings.warn(finding, CoordWarning, stacklevel=2)
    return host


def _crew(host: Any, policy: Policy) -> list[str]:
    """Attach a crew; returns what to say of it."""
    crew = _is_crew(host)
    names = names_of(crew.tasks)
    policy = policy.renamed(lambda name: canonical(name, names))
    if is_attached(crew):
        return _again(crew, policy)
    assert_shape()
    policy.check_steps(names, HOST)
    check(crew, policy, names)
    found = list(findings(crew, policy, names))
    first = next(name for name in names if name not in policy.stand_ins)
    coord = Coord(
        policy,
        HOST,
        bare=crew,
        findings=found,
        entries=[first],
        undo=lambda: remove_crew(crew),
    )
    install_crew(crew, coord)
    watch()
    return found


def _flow(flow: Any, policy: Policy) -> list[str]:
    """Attach a flow; returns what to say of it."""
    if policy.edges or policy.retry:
        raise PolicyError(
            f"attach: {type(flow).__name__} is a Flow, and has no tasks for edges or retries; "
            "decorate its methods with `validated` and `retrying`, and attach its crews"
        )
    if policy.budget is not None and policy.budget.otherwise is not None:
        raise PolicyError("attach: a Flow's budget has no `otherwise`: a flow has no tasks")
    if is_attached(flow):
        return _again(flow, policy)
    assert_shape()
    coord = Coord(policy, HOST, bare=flow, undo=lambda: remove_flow(flow))
    install_flow(flow, coord)
    return []


def _again(host: Any, policy: Policy) -> list[str]:
    """Attach what is attached: nothing to do with equal arguments."""
    coord: Coord = host.coord
    if coord.policy != policy:
        raise AlreadyAttachedError(
            f"this object already carries the policy of pipeline {coord.policy.pipeline!r}; "
            "take it off first, with `.coord.detach()`"
        )
    return []


def _is_crew(host: Any) -> Any:
    if isinstance(host, Crew):
        return host
    if isinstance(host, type) or callable(getattr(host, "crew", None)):
        name = host.__name__ if isinstance(host, type) else type(host).__name__
        raise PolicyError(
            f"attach: {name} makes a crew; attach the crew itself: attach({name}().crew(), ...)"
        )
    raise PolicyError(f"attach: {type(host).__name__} is neither a Crew nor a Flow")
