"""The three modes, and how the weakest wins."""

from __future__ import annotations

from typing import Literal

from .errors import PolicyError

Mode = Literal["enforce", "observe", "off"]
"""enforce: judge and act; observe: judge and record; off: the host's own path."""

_STRENGTH = {"off": 0, "observe": 1, "enforce": 2}


def check_mode(mode: str | None, where: str) -> None:
    """Raise PolicyError unless `mode` is None or one of the three."""
    if mode is not None and mode not in _STRENGTH:
        raise PolicyError(f"{where}: mode={mode!r}; it is one of enforce, observe, off")


def weakest(*modes: Mode | None) -> Mode:
    """The weakest of the given modes; None does not count, nothing given is "enforce"."""
    found: Mode = "enforce"
    for mode in modes:
        if mode is not None and _STRENGTH[mode] < _STRENGTH[found]:
            found = mode
    return found
