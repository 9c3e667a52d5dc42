"""Configuration of the process: `configure(...)`, then `COORD_*`, then defaults.

What is given to `attach` or `track` comes before all of these. The mode is different: the
weakest of all that were given wins, so that one switch stops everything.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ._mode import Mode, check_mode, weakest
from .errors import PolicyError

log = logging.getLogger("coord_plugins.delivery")
Capture = Literal["none", "payloads"]
TEXT_CAP = 500
"""Longest stored explanation, in characters."""


@dataclass
class _Configured:
    store: Any = None
    mode: Mode | None = None
    listeners: tuple[Any, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    environment: str | None = None
    release: str | None = None
    redact: Callable[[str], str] | None = None
    capture: Capture | None = None
    prices: Any = None


_configured = _Configured()
_generation = 0
_UNSET: Any = object()
_RAW_KEYS = {
    name: getattr(os.environ, "encodekey", str)(f"COORD_{name.upper()}")
    for name in _Configured.__dataclass_fields__
}


def configure(
    *,
    store: Any = _UNSET,
    mode: Mode | None = _UNSET,
    listeners: Iterable[Any] = _UNSET,
    tags: Iterable[str] = _UNSET,
    metadata: Mapping[str, Any] = _UNSET,
    environment: str | None = _UNSET,
    release: str | None = _UNSET,
    redact: Callable[[str], str] | None = _UNSET,
    capture: Capture | None = _UNSET,
    prices: Any = _UNSET,
) -> None:
    """Set defaults for every run that starts from now on; what is not named stays as it is.

    Args:
        store: A store, a URL, a path, "memory" or "off".
        mode: "enforce", "observe" or "off"; the weakest of all settings wins.
        listeners: Hear every run, beside those of `attach`.
        tags: Labels of every run.
        metadata: Keys and values of every run.
        environment: For example "production".
        release: The version of your own code.
        redact: `text -> text`, applied to every explanation and error before it is stored.
        capture: "payloads" also stores each run's input and output; default "none".
        prices: Your own price table, see `docs/costs.md`.

    Raises:
        PolicyError: An unknown mode or capture.
    """
    given = {k: v for k, v in locals().items() if v is not _UNSET}
    check_mode(given.get("mode"), "configure")
    if given.get("capture") not in (None, "none", "payloads"):
        raise PolicyError(f"configure: capture={capture!r}; it is 'none' or 'payloads'")
    for name in ("listeners", "tags"):
        if name in given:
            given[name] = tuple(given[name])
    if "metadata" in given:
        given["metadata"] = dict(given["metadata"])
    global _generation
    for name, value in given.items():
        setattr(_configured, name, value)
    _generation += 1


def reset_configuration() -> None:
    """Forget everything that `configure` set."""
    global _configured, _generation
    _configured = _Configured()
    _generation += 1


def generation() -> int:
    """Counts the calls of `configure`: whoever keeps something made from it looks here."""
    return _generation


def configured(name: str) -> Any:
    """The process-wide value of a setting: configure, else `COORD_*`, else its default."""
    return _lookup(name)[0]


def current_mode(*modes: Mode | None) -> Mode:
    """The weakest of the given modes, of `configure(mode=)` and of `COORD_MODE`."""
    said = _variable("mode")
    if said is not None:
        check_mode(said, "COORD_MODE")
    elif not modes and _configured.mode is None:
        return "enforce"
    return weakest(*modes, _configured.mode, said)  # type: ignore[arg-type]  # checked above


def _variable(name: str) -> str | None:
    """The environment variable of a setting as it is now; None: unset or empty.

    Nearly always it is unset, and `os.environ` then raises twice inside: 0.7 us, as much as a
    whole decorated call may cost. So the mapping behind it is asked first, where it has one.
    """
    raw = getattr(os.environ, "_data", None)
    if raw is not None and _RAW_KEYS[name] not in raw:
        return None
    return os.environ.get(f"COORD_{name.upper()}") or None


def clean(text: str | None) -> str | None:
    """A text as it may be stored: redacted, then truncated.

    What the `redact` hook fails on is not kept at all: recording neither hurts nor leaks.
    """
    if text is None:
        return None
    redact = _configured.redact
    if redact is not None:
        try:
            text = redact(text)
        except Exception as error:
            log.warning("redact failed: %s", type(error).__name__)
            text = "[not kept: redact failed]"
    return text if len(text) <= TEXT_CAP else text[: TEXT_CAP - 1] + "…"


def explain() -> list[tuple[str, str, str]]:
    """Every setting as (name, value, where it came from), for `coord doctor`."""
    rows = []
    for name in _Configured.__dataclass_fields__:
        value, source = _lookup(name)
        rows.append((name, repr(value), source))
    return rows


_DEFAULTS: dict[str, Any] = {"mode": "enforce", "capture": "none"}


def _lookup(name: str) -> tuple[Any, str]:
    if name == "mode":
        chosen = current_mode()
        source = "configure" if _configured.mode == chosen else "COORD_MODE"
        return chosen, source if chosen != "enforce" else "default"
    value = getattr(_configured, name)
    if value not in (None, (), {}):
        return value, "configure"
    said = _variable(name)
    if said and name in ("store", "environment", "release", "capture", "tags"):
        found = tuple(t.strip() for t in said.split(",")) if name == "tags" else said
        return found, f"COORD_{name.upper()}"
    return _DEFAULTS.get(name, value), "default"
