"""Attaching an object in place: it gets a subclass of its own class, with the same name.

Every call site, copy and check of its type stays as it was; `isinstance` holds, and what a host
writes of it (its module and name) is that of the bare class.
"""

from __future__ import annotations

from typing import Any

from ._coord import Coord

COORD = "_coord"
"""Where an attached object keeps what stands behind it, in its `__dict__`."""

_classes: dict[tuple[type, type], type] = {}


def attached_class(mixin: type, kind: type) -> type:
    """The subclass of a host's class that carries the adapter's methods; one per class.

    It is made once: classes of pydantic's take tens of milliseconds.
    """
    found = _classes.get((mixin, kind))
    if found is None:
        kept = ("__module__", "__qualname__", "__doc__")  # hosts write them into declarations
        namespace = {name: getattr(kind, name) for name in kept}
        found = type(kind)(kind.__name__, (mixin, kind), namespace)
    return _classes.setdefault((mixin, kind), found)


def bare_class(host: Any) -> type:
    """The class that an attached object had before."""
    found: type = type(host).__mro__[2]
    return found


def is_attached(host: Any) -> bool:
    """Whether an object carries a policy; one made from an attached object's class does not."""
    return COORD in host.__dict__


def coord_of(host: Any) -> Coord:
    """What stands behind an attached object: its `.coord`.

    Raises:
        AttributeError: It carries no policy.
    """
    if not is_attached(host):
        raise AttributeError(f"this {type(host).__name__} is not attached; call attach on it")
    found: Coord = host.__dict__[COORD]
    return found
