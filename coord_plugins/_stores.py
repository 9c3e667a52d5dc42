"""Which store a pipeline writes to; one object per place in this process."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    from ._store import Store

log = logging.getLogger("coord_plugins.store")
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
            _opened[spec] = open_store(spec, named=spec is not None)
        return _opened[spec]  # type: ignore[no-any-return]  # filled above


def open_store(spec: str | os.PathLike[str] | Store | None, *, named: bool) -> Store | None:
    """Open the store that a setting means; `shared_store` gives each place one object.

    Args:
        spec: "off", "memory", a URL, a path, or None for SQLite at `.coord/outcomes.db`.
        named: Whether somebody asked for this store. One that nobody asked for falls back to
            memory, with a warning, when it cannot be opened.

    Returns:
        The store; None for "off".

    Raises:
        StoreError: A named store that cannot be opened.
    """
    from ._store import DEFAULT_PATH, Store

    if isinstance(spec, Store) or spec == "off":
        return None if spec == "off" else spec  # type: ignore[return-value]  # narrowed above
    from ._store_engine import make_directory, url_of

    try:
        if spec is None:
            make_directory(DEFAULT_PATH.parent)
        store = Store(url_of(spec))
    except StoreError as error:
        if named:
            raise
        log.warning("%s; runs are kept in memory until this process ends", error)
        return Store("sqlite://")
    if spec is None:
        log.info("runs are kept in %s", DEFAULT_PATH.absolute())
    return store


def forget_stores() -> None:
    """Open anew from now on; for tests."""
    with _lock:
        _opened.clear()
