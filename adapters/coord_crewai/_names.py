"""The names of a crew's tasks: their own, else `tasks[i]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from coord_plugins import PolicyError

_INDEX = re.compile(r"tasks\[(\d+)\]")


def names_of(tasks: Sequence[Any]) -> list[str]:
    """Each task's name in records, in the order of the crew's tasks.

    Raises:
        PolicyError: Two tasks have one name.
    """
    names = [task.name or f"tasks[{i}]" for i, task in enumerate(tasks)]
    for i, name in enumerate(names):
        first = names.index(name)
        if first != i:
            raise PolicyError(
                f"attach: tasks[{first}] and tasks[{i}] are both named {name!r}; give each task a "
                "name of its own"
            )
    return names


def canonical(name: str, names: Sequence[str]) -> str:
    """The name that records use for a task which a policy calls `name` (it may say `tasks[2]`)."""
    found = _INDEX.fullmatch(name)
    if name in names or found is None or int(found[1]) >= len(names):
        return name
    return names[int(found[1])]


def normal_order(tasks: Iterable[Any], names: Sequence[str], spare: set[str]) -> list[Any]:
    """The tasks that run one after the other."""
    return [task for task, name in zip(tasks, names, strict=True) if name not in spare]
