"""What a user should know before the first run; errors for what cannot work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crewai.tasks.conditional_task import ConditionalTask

from coord_plugins import START, PolicyError, ValidationEdge
from coord_plugins.host import Policy

from ._private import PARTS


def check(crew: Any, policy: Policy, names: Sequence[str]) -> None:
    """Refuse what cannot work on this crew; the names are known to be its tasks.

    Raises:
        PolicyError: It names the thing and the mend.
    """
    spare = policy.stand_ins
    order = [n for n in names if n not in spare]
    if not order:
        raise PolicyError("attach: every task of this crew only stands in; none is left to run")
    for name in spare:
        if isinstance(crew.tasks[names.index(name)], ConditionalTask):
            raise PolicyError(f"attach: {name!r} stands in, so it cannot be a ConditionalTask")
    for edge in policy.edges.values():
        for target in edge.back_to:
            _check_target(edge, target, order, spare)


def _check_target(edge: ValidationEdge, target: str, order: Sequence[str], spare: set[str]) -> None:
    where = f"edge {edge.step!r}: back_to"
    if target == edge.step:
        return
    if edge.step in spare:
        raise PolicyError(
            f"{where}: {edge.step!r} only stands in for another task, so it can go back in place "
            f"only, not to {target!r}"
        )
    if target == START:
        return
    if target in spare:
        raise PolicyError(f"{where}: {target!r} only stands in and is not in the normal order")
    if order.index(target) > order.index(edge.step):
        raise PolicyError(
            f"{where}: {target!r} comes after {edge.step!r}; a rejection goes back to an earlier "
            f"task ({', '.join(order[: order.index(edge.step)]) or 'there is none'}), in place, "
            "or to START"
        )


def findings(crew: Any, policy: Policy, names: Sequence[str]) -> Iterable[str]:
    """One sentence for each thing that works otherwise than a user may expect."""
    untested = PARTS.finding()
    if untested is not None:
        yield untested
    tasks = dict(zip(names, crew.tasks, strict=True))
    order = [n for n in names if n not in policy.stand_ins]
    for group in _parallel(order, tasks):
        agents = [id(tasks[name].agent) for name in group]
        if len(set(agents)) < len(agents):
            yield (
                f"{', '.join(group)} run at the same time with one agent, which CrewAI cannot; "
                "give each its own agent"
            )
        for name in group:
            again = group[group.index(name) + 1 :]
            edge = policy.edges.get(name)
            if again and edge is not None and any(t != name for t in edge.back_to):
                yield (
                    f"edge {name!r}: going back to an earlier task also runs {', '.join(again)} "
                    "again: they run at the same time"
                )


def _parallel(order: Sequence[str], tasks: dict[str, Any]) -> Iterable[list[str]]:
    """The groups of tasks that CrewAI runs at the same time."""
    group: list[str] = []
    for name in order:
        if tasks[name].async_execution:
            group.append(name)
            continue
        if len(group) > 1:
            yield group
        group = []
    if len(group) > 1:
        yield group
