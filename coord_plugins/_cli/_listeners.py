"""Tracers of other packages, as the commands know them: a module of functions per name.

`tracer(project)`, `has_traced(record)`, `correct(record)`, `describe()`, `read_back(...)`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from coord_plugins.errors import PolicyError

GROUP = "coord_plugins.listeners"


def commands_of(name: str) -> Any:
    """The module behind a name, for example "langsmith".

    Raises:
        PolicyError: Its package is not installed.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    try:
        return found[name].load()
    except (KeyError, ImportError) as error:
        raise PolicyError(f'install it first: pip install "coord-plugins[{name}]"') from error


def installed() -> dict[str, Any]:
    """Every module whose package is installed, by name."""
    found = {}
    for entry in entry_points(group=GROUP):
        try:
            found[entry.name] = entry.load()
        except ImportError:  # an extra that is not installed
            continue
    return found
