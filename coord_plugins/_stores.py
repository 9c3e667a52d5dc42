"""Which store a pipeline writes to; one object per place in this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._store import Store

_lock = threading.Lock()
_opened: dict[str | None, Any] = {}


def shared_store(given: Any = None) -> Store | None:
    """The store for what was given: a store object, a URL, a path, "memory", "off", or None.

    None is the default: `.coord/outcomes.db` under the current directory, or memory when that
    cannot be written.

    Raises:
        StoreError: A named store that cannot be opened.
    """
    if given is not None and not isinstance(given, str) and hasattr(given, "on_event"):
        return given  # type: ignore[no-any-return]  # the user's own store
    spec = None if given is None else str(given)
    with _lock:
        if spec not in _opened:
            from ._store import open_store

            _opened[spec] = open_store(spec, named=spec is not None)
        return _opened[spec]  # type: ignore[no-any-return]  # filled above


def forget_stores() -> None:
    """Open anew from now on; for tests."""
    with _lock:
        _opened.clear()
