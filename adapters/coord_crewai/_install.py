"""Putting a policy on a crew's or flow's own object, and taking it off again.

The object gets a class with the same name that is a subclass of its own: every call site, copy
and check of its type stays as it was. The state of the policy lies in its `__dict__`.
"""

from __future__ import annotations

from typing import Any

from coord_plugins.host import COORD, Coord, attached_class, bare_class, is_attached

from . import _memory
from ._names import names_of

SPARE = "_coord_spare"
"""Where an attached crew keeps the names of the tasks that only stand in."""


def install_crew(crew: Any, coord: Coord) -> None:
    """Attach a crew's own object, its tasks and its memories."""
    from ._crew import AttachedCrew

    if not isinstance(crew, AttachedCrew):
        crew.__class__ = attached_class(AttachedCrew, type(crew))
    crew.__dict__[COORD] = coord
    crew.__dict__[SPARE] = coord.policy.stand_ins
    adopt_tasks(crew)


def adopt_tasks(crew: Any) -> dict[int, str]:
    """Attach the crew's tasks, also those that were added since; returns their names by `id`."""
    from ._task import AttachedTask

    if not is_attached(crew):
        return {}
    names = names_of(crew.tasks)
    for task in crew.tasks:
        if not isinstance(task, AttachedTask):
            task.__class__ = attached_class(AttachedTask, type(task))
    if crew.__dict__[COORD].policy.edges:
        _memory.install(crew)
    return {id(task): name for task, name in zip(crew.tasks, names, strict=True)}


def remove_crew(crew: Any) -> None:
    """Give a crew's own object and its tasks their classes back."""
    from ._crew import AttachedCrew
    from ._task import AttachedTask

    if isinstance(crew, AttachedCrew):
        crew.__class__ = bare_class(crew)
    for task in crew.tasks:
        if isinstance(task, AttachedTask):
            task.__class__ = bare_class(task)
    for key in (COORD, SPARE):
        crew.__dict__.pop(key, None)


def install_flow(flow: Any, coord: Coord) -> None:
    """Attach a flow's own object."""
    from ._flow import AttachedFlow

    if not isinstance(flow, AttachedFlow):
        flow.__class__ = attached_class(AttachedFlow, type(flow))
    flow.__dict__[COORD] = coord


def remove_flow(flow: Any) -> None:
    """Give a flow's own object its class back."""
    from ._flow import AttachedFlow

    if isinstance(flow, AttachedFlow):
        flow.__class__ = bare_class(flow)
    flow.__dict__.pop(COORD, None)


def restored(host: Any, config: Any) -> Any:
    """The object that a checkpoint holds, attached to the same policy.

    Args:
        host: An attached crew or flow, in whose place the restored object runs.
        config: CrewAI's `CheckpointConfig` with `restore_from`.
    """
    from crewai import Crew

    found = type(host).from_checkpoint(config)
    found.checkpoint = config.model_copy(update={"restore_from": None})
    if is_attached(host):
        install = install_crew if isinstance(found, Crew) else install_flow
        install(found, host.coord)
    return found
