"""Attributes of a host's objects that are other ones for the time of an execution.

Parallel steps may share an object, so that two executions swap one attribute at the same time and
end in any order. Each takes back its own value only; the last one leaves the user's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_values: dict[tuple[int, str], list[tuple[object, Any]]] = {}
"""What each swapped attribute was, and after it what it was made, in order."""


@contextmanager
def swapped(target: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value inside."""
    key, mine = (id(target), name), (object(), value)
    with _lock:
        _values.setdefault(key, [(None, getattr(target, name))]).append(mine)
    try:
        setattr(target, name, value)
        yield
    finally:
        with _lock:
            values = _values[key]
            values.remove(mine)
            if len(values) == 1:
                del _values[key]
            setattr(target, name, values[-1][1])
