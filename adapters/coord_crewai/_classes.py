"""The class that an attached object has: a subclass of its own class, with the same name."""

from __future__ import annotations

from typing import Any

_classes: dict[tuple[type, type], type] = {}


def attached_class(mixin: type, kind: type) -> type:
    """The subclass of a host's class that carries the adapter's methods; one per class.

    It is made once: CrewAI's classes take tens of milliseconds.
    """
    found = _classes.get((mixin, kind))
    if found is None:
        namespace = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        found = type(kind)(kind.__name__, (mixin, kind), namespace)
    return _classes.setdefault((mixin, kind), found)


def bare_class(host: Any) -> type:
    """The class that an attached object had before."""
    found: type = type(host).__mro__[2]
    return found
